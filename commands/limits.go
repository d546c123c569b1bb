package commands

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router"
)

// withLimits are the default limits with those of list, NAME=VALUE each; of two
// with one name the last holds.
func withLimits(list []string) (router.Options, error) {
	options := router.DefaultOptions()
	for _, entry := range list {
		if entry == "" {
			return options, usage("--limit: an entry is empty: %q", strings.Join(list, ",")).hint("--limit message=4MiB,calls=5")
		}
		name, value, given := strings.Cut(entry, "=")
		limit, ok := router.LimitNamed(name)
		if !ok {
			return options, unknownLimit(name)
		}
		usual := limit.Text(limit.Of(&options))
		if !given {
			return options, usage("--limit %s: a value is missing", name).hint("--limit %s=%s", name, usual)
		}
		if err := limit.Set(&options, value); err != nil {
			return options, usage("--limit %s: %v", name, err).hint("--limit %s=%s", name, usual)
		}
	}
	return options, nil
}

func unknownLimit(name string) error {
	names := limitNames()
	f := usage("--limit: no limit %q: there are %s", name, strings.Join(names, ", "))
	if near := nearest(name, names); near != "" {
		return f.hint("did you mean: %s", near)
	}
	return f.hint("dconn help limits")
}

func limitNames() []string {
	var names []string
	for _, l := range router.Limits {
		names = append(names, l.Name)
	}
	return names
}

// limitWords completes the names of --limit, each with what it bounds.
func limitWords(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, l := range router.Limits {
		if strings.HasPrefix(l.Name, typed) {
			words = append(words, l.Name+"=\t"+l.Doc)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// limitsText is made from the table of the router.
func limitsText(*cobra.Command) string {
	var b strings.Builder
	b.WriteString(lines("What a peer may cost the daemon. What goes over a limit is refused, or its session",
		"ends, with an error that names the limit; dconn status counts it, and the log has at",
		"most one line for each limit and peer in ten seconds. Those who have no session share",
		"theirs. The limits door_* are for who has not authenticated; nobody on the unix",
		"socket meets them.",
		"", ""))
	options := router.DefaultOptions()
	for _, l := range router.Limits {
		fmt.Fprintf(&b, "  %-17s %s\n", l.Name, l.Doc)
		fmt.Fprintf(&b, "  %-17s default %s, %s\n", "", l.Text(l.Of(&options)), l.Range())
	}
	b.WriteString(lines("",
		"A size is in bytes, or in KiB, MiB or GiB; a duration is 500ms, 10s, 1m30s, or a number",
		"of seconds. Set them by the flag, the environment or a config file:",
		"",
		"  dconn serve --limit message=1MiB --limit calls=100",
		"  DCONN_LIMIT=message=1MiB,calls=100 dconn serve",
		`  limit = ["message=1MiB", "calls=100"]`,
		"",
		"They hold until the daemon ends: SIGHUP does not change them.",
		"",
		"A limit that cannot be set, values, is how many values one message holds: 524288,",
		"whatever its length.", ""))
	return b.String()
}
