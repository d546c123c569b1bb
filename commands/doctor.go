package commands

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/capabilities/all"
	"github.com/deskconn/dconn/client"
)

type doctorOptions struct {
	*streams

	output
	socket string
	root   string
	state  string
	config error // what is wrong with the settings
}

func newDoctor(s *streams) *cobra.Command {
	o := &doctorOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "check what dconn needs, and say how to fix it",
		Long: lines("Check the configuration, the daemon's socket and who may reach it, the key, the",
			"paired devices and their scopes, the port for other machines, its announcement and what",
			"may keep that from them, what the capabilities need, and the session bus. Each line is",
			"ok, fail, or none for what is absent and not needed; a failure comes with the command",
			"that fixes it, and ends in exit code 8."),
		Example: "  dconn doctor\n  dconn doctor -o json | jq -r '.[] | select(.state == \"fail\").fix'",
		Args:    atMost(0),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			o.config = configure(cmd)
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			return runDoctor(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.output.addFlags(s, f, "table", "json", "ndjson", "template")
	o.paint = map[string]text.Color{string(capabilities.OK): text.FgGreen, string(capabilities.Fail): text.FgRed}
	f.StringVar(&o.socket, "socket", "", "unix socket `PATH` of the daemon (default: $XDG_RUNTIME_DIR/dconn/dconn.sock, else "+client.SystemSocket+")")
	addState(f, &o.state)
	f.StringVar(&o.root, "device-root", "/", "directory that device paths hang off")
	_ = f.MarkHidden("device-root")
	return cmd
}

// check is one line of the report.
type check struct {
	name string
	look func(context.Context) capabilities.Finding
}

// checks are all of them: what dconn itself needs, the way to other machines, then its
// capabilities, in the order in which they should be mended.
func (o *doctorOptions) checks(ctx context.Context) []check {
	path := cmp.Or(o.socket, client.FindSocket())
	list := []check{
		{"config", o.checkConfig},
		{"socket", func(ctx context.Context) capabilities.Finding { return checkSocket(ctx, path) }},
		{"permissions", func(context.Context) capabilities.Finding { return checkPermissions(path, o.socket == "") }},
		{"identity", o.checkIdentity},
		{"devices", o.checkDevices},
	}
	list = append(list, o.scopeChecks()...)
	ask := sync.OnceValues(func() (reachable, error) { return askReachable(ctx, path) })
	list = append(list,
		check{"port", func(context.Context) capabilities.Finding { return checkPort(ask()) }},
		check{"announce", func(context.Context) capabilities.Finding { return checkAnnounce(ask()) }})
	if !mute {
		list = append(list, o.networkChecks(ask)...)
	}
	env := capabilities.Env{Root: o.root, Version: version, Log: slog.New(slog.DiscardHandler)}
	for _, c := range all.New(env) {
		if c.Probe != nil {
			list = append(list, check{c.Name, c.Probe})
		}
	}
	return append(list, check{"session-bus", checkSessionBus})
}

func runDoctor(ctx context.Context, o *doctorOptions) error {
	var rows []map[string]any
	failures := 0
	for _, c := range o.checks(ctx) {
		f := c.bounded(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if f.State == capabilities.Fail {
			failures++
		}
		rows = append(rows, row(c.name, f))
	}
	if err := o.list([]string{"state", "check", "found", "fix"}, rows); err != nil {
		return err
	}
	switch failures {
	case 0:
		return nil
	case 1:
		return own("1 check failed")
	}
	return own("%d checks failed", failures)
}

// row is a finding as it is printed.
func row(name string, f capabilities.Finding) map[string]any {
	return map[string]any{"check": name, "state": string(f.State), "found": f.Found, "fix": f.Fix}
}

// checkBudget is how long a check may take, whatever hangs.
const checkBudget = 2 * time.Second

// bounded runs the check within its budget. One that does not heed it, in a
// system call for example, is left behind.
func (c check) bounded(ctx context.Context) capabilities.Finding {
	ctx, cancel := context.WithTimeoutCause(ctx, checkBudget, timedOut{checkBudget})
	defer cancel()
	result := make(chan capabilities.Finding, 1)
	go func() { result <- c.look(ctx) }()
	select {
	case f := <-result:
		return f
	case <-time.After(checkBudget + checkBudget/4): // what heeds it says more
		return failed("", "no answer within %v", checkBudget)
	}
}
