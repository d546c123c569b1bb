package commands

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/commands/runner"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

type subscribeOptions struct {
	*streams

	target
	output
	count     int
	idle      seconds
	match     string
	get       string
	exec      string
	allowDash bool
	onReady   string
	readyFD   int
	reconnect bool
	strict    bool
	uri       string
}

func newSubscribe(s *streams) *cobra.Command {
	o := &subscribeOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "subscribe [flags] URI",
		Short: "print the events of a topic",
		Long: lines("Print the events of a topic, one on a line, until -n of them came, -W is over or",
			"none came for --idle. With -n, -W is a timeout (exit code 124); otherwise both are a",
			"normal end.",
			"",
			"--match prefix takes every topic that begins with URI, --match wildcard those that",
			"fit it with any one part where URI has an empty one (org..door). --get calls a",
			"procedure once subscribed and prints its result as the first record, not counted by",
			"-n: what is true now, then what changes.",
			"",
			"--exec runs CMD by sh for each record instead of printing it, one after another. The",
			"event's arguments are $1, $2 and so on; all of it is JSON on stdin, and in the",
			"environment are DCONN_URI, DCONN_CALLER (who published) and DCONN_ARGS_JSON.",
			"",
			"When the connection is lost, events may be missing: --reconnect goes on after that,",
			"and says so; --strict ends with exit code 9."),
		Example: lines("  dconn subscribe -n 1 -W 60 org.example.door",
			"  dconn subscribe -o json .brightness.on_changed | jq .kwargs.percent",
			"  dconn subscribe --reconnect --exec 'notify-send Door \"$1\"' org.example.door"),
		Args: exactlyOneURI,
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			if err := o.prepare(cmd, words[0]); err != nil {
				return err
			}
			return runSubscribe(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	o.target.addFlags(f, 0, "stop after this long; 0 goes on for ever")
	o.addDeviceFlags(f)
	o.output.addFlags(s, f, "raw", "json", "ndjson", "template")
	f.IntVarP(&o.count, "count", "n", 0, "stop after `N` events; 0 goes on for ever")
	f.Var(&o.idle, "idle", "stop when no event came for this long")
	f.Var(newChoice(&o.match, session.Exact, session.Prefix, session.Wildcard), "match", "how URI is compared with a topic: exact, prefix, wildcard")
	f.StringVar(&o.get, "get", "", "print the result of this procedure `URI` first")
	f.StringVar(&o.exec, "exec", "", "run `CMD` by sh for each record, instead of printing it")
	f.BoolVar(&o.allowDash, "allow-dash", false, "let an event's argument begin with a dash, where CMD may take it for an option")
	f.StringVar(&o.onReady, "on-ready", "", "run `CMD` by sh once subscribed")
	f.IntVar(&o.readyFD, "ready-fd", -1, "write a newline to this file descriptor `FD` once subscribed")
	f.BoolVar(&o.reconnect, "reconnect", false, "subscribe again when the connection was lost")
	f.BoolVar(&o.strict, "strict", false, "end with exit code 9 when events may be missing")
	onlyOnCommandLine(f, "ready-fd")
	return cmd
}

func exactlyOneURI(cmd *cobra.Command, words []string) error {
	if err := atLeast(1, "a URI")(cmd, words); err != nil {
		return err
	}
	if err := refuseLate(cmd.Flags(), words[1:]); err != nil {
		return err
	}
	return atMost(1)(cmd, words)
}

func (o *subscribeOptions) prepare(cmd *cobra.Command, word string) (err error) {
	fields := []string{"topic", "publication", "publisher", "time", "args", "kwargs"}
	if o.get != "" {
		fields = append(fields, "procedure")
	}
	if err := o.output.check(cmd.Flags(), fields...); err != nil {
		return err
	}
	switch {
	case o.count < 0:
		return usage("-n must be 0 or more, got %d", o.count)
	case o.exec != "" && cmd.Flags().Changed("output"):
		return usage("--exec takes the place of output: -o does not go with it")
	}
	if e := runner.CheckInput(o.exec); e != nil {
		return usage("--exec: %v", e).hint("dconn subscribe --help")
	}
	if o.get != "" {
		if o.get, err = uriOf(cmd, o.get); err != nil {
			return err
		}
	}
	o.uri = wire.Expand(word)
	if err := wire.CheckPattern(o.uri, o.match); err != nil {
		return usage("%v", err)
	}
	about(cmd, o.uri)
	return nil
}

// errEnough ends a subscription that has all it asked for.
var errEnough = errors.New("enough events")

// errIdle ends one that waited long enough: --idle.
var errIdle = errors.New("no event for long enough")

func runSubscribe(ctx context.Context, o *subscribeOptions) error {
	pace(0)
	ctx, cancel := within(ctx, time.Duration(o.wait))
	defer cancel()
	outer := ctx
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := &watch{subscribeOptions: o, outer: outer, ctx: ctx, stop: stop}
	run := func() error {
		err := o.keep(ctx, o.streams, kept{uri: o.uri, begin: w.follow, lost: w.lost, follows: o.reconnect})
		w.hooks.Wait()
		return w.ended(err)
	}
	if o.exec != "" { // what it prints is not ours to hold back
		return run()
	}
	return o.spooled(stop, run)
}
