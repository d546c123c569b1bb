package commands

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

type statusOptions struct {
	*streams

	target
	output
}

func newStatus(s *streams) *cobra.Command {
	o := &statusOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "status [flags]",
		Short: "show the daemon, its sessions, and what went over a limit",
		Long: lines("Show the daemon, the sessions that are open, how often something went over a limit",
			"and how sessions ended. The rates are messages a second, over the half second that",
			"this takes. Of a session it shows the calls, registrations and subscriptions that it",
			"has open; connections that are no session yet are only counted, as waiting. Only the",
			"daemon's owner may ask. SCOPES are those of sessions that gave up rights (--scopes)."),
		Example: "  dconn status\n  dconn status -o json | jq '.sessions[] | select(.queue > 0)'",
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStatus(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.target.addFlags(f, 10*time.Second, "give up after this long; 0 waits for ever")
	o.output.addFormat(s, f, "table", "json", "ndjson")
	return cmd
}

func runStatus(ctx context.Context, o *statusOptions) error {
	return o.join(ctx, func(ctx context.Context, s *session.Session) error {
		result, err := s.Call(ctx, wire.Status, nil, nil)
		if err != nil {
			return err
		}
		if len(result.Args) == 0 {
			result.Args = []any{nil}
		}
		doc, ok := result.Args[0].(map[string]any)
		if !ok {
			return wire.Errorf(wire.ErrProtocolViolation, "the daemon's status has another form than expected")
		}
		if o.machine() {
			return o.record(doc)
		}
		return o.show(doc)
	})
}

// statusTables are what status shows to people, in this order. A narrow terminal
// cuts the last columns.
var statusTables = []struct {
	key     string
	columns []string
}{
	{"daemon", []string{"name", "version", "pid", "uptime", "goroutines", "sessions", "connects", "waiting"}},
	{"sessions", []string{"authid", "via", "for", "queue", "in/s", "out/s", "calls", "regs", "subs", "agent", "in", "out", "id"}},
	{"limits", []string{"limit", "value", "hits"}},
	{"ended", []string{"reason", "count"}},
}

// show prints a table for each part, with an empty line between them.
func (o *statusOptions) show(doc map[string]any) error {
	now := time.Now()
	above := ""
	for _, t := range statusTables {
		rows := dicts(doc[t.key])
		if one, ok := doc[t.key].(map[string]any); ok {
			rows = []map[string]any{one}
		}
		if len(rows) == 0 {
			continue
		}
		for _, row := range rows {
			forPeople(row, now)
			if row[scopesFlag] != nil && !slices.Contains(t.columns, scopesFlag) { // most sessions have none
				t.columns = slices.Insert(slices.Clone(t.columns), 1, scopesFlag)
			}
		}
		if err := o.print([]byte(above)); err != nil {
			return err
		}
		above = "\n"
		if err := o.table(t.columns, rows); err != nil {
			return err
		}
	}
	return nil
}

// forPeople adds to a row of the document what is shown of it. What a daemon of
// another version leaves out stays empty.
func forPeople(row map[string]any, now time.Time) {
	if seconds, ok := row["uptime"].(float64); ok {
		row["uptime"] = age(time.Duration(seconds * float64(time.Second)))
	}
	if since, err := time.Parse(time.RFC3339, field(row, "since")); err == nil {
		row["for"] = age(now.Sub(since))
	}
	if transport := field(row, "transport"); transport != "" {
		row["via"] = transport + " " + field(row, "serializer")
	}
	if list, limited := row[scopesFlag].([]any); limited {
		row[scopesFlag] = words(list)
	}
	row["regs"], row["subs"] = row["registrations"], row["subscriptions"]
	for _, direction := range []string{"in", "out"} {
		if bytes, ok := row["bytes_"+direction].(int64); ok {
			row[direction] = size(bytes)
		}
		if rate, ok := row["rate_"+direction].(float64); ok {
			row[direction+"/s"] = int64(rate)
		}
	}
	if bytes, ok := row["queue"].(int64); ok {
		row["queue"] = size(bytes)
	}
}

// age is how long ago something was, in its two largest units.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	d = max(d, 0)
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// size is a number of bytes in the largest unit that leaves it at least one.
func size(n int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.bytes {
			return strconv.FormatFloat(float64(n)/float64(unit.bytes), 'f', 1, 64) + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}
