package commands

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/session"
)

type subscribeOptions struct {
	*streams

	target
	output
	count   int
	readyFD int
	uri     string
}

func newSubscribe(s *streams) *cobra.Command {
	o := &subscribeOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "subscribe [flags] URI",
		Short: "print the events of a topic",
		Long: lines("Print the events of a topic, one on a line, until -n of them came or -W is over.",
			"With -n, -W is a timeout (exit code 124); without, it is a normal end."),
		Example: "  dconn subscribe -n 1 -W 60 org.example.door\n  dconn subscribe -o json .brightness.on_changed | jq .kwargs.percent",
		Args:    exactlyOneURI,
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			if o.uri, err = uriOf(cmd, words[0]); err != nil {
				return err
			}
			return runSubscribe(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	o.target.addFlags(f, 0, "stop after this long; 0 goes on for ever")
	o.output.addFlags(f, "raw", "json", "ndjson")
	f.IntVarP(&o.count, "count", "n", 0, "stop after `N` events; 0 goes on for ever")
	f.IntVar(&o.readyFD, "ready-fd", -1, "write a newline to this file descriptor once subscribed")
	onlyOnCommandLine(f, "ready-fd")
	return cmd
}

func exactlyOneURI(cmd *cobra.Command, words []string) error {
	if err := atLeast(1, "a URI")(cmd, words); err != nil {
		return err
	}
	return atMost(1)(cmd, words)
}

// errEnough ends a subscription that has all it asked for.
var errEnough = errors.New("enough events")

func runSubscribe(ctx context.Context, o *subscribeOptions) error {
	if o.count < 0 {
		return usage("-n must be 0 or more, got %d", o.count)
	}
	ctx, cancel := within(ctx, time.Duration(o.wait))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s, err := o.dial(ctx)
	if err != nil {
		return err
	}
	defer leave(s)
	printed := 0
	err = s.Subscribe(ctx, o.uri, session.Exact, func(e *session.Event) {
		if ctx.Err() != nil {
			return
		}
		if err := o.printEvent(e); err != nil {
			stop(err)
			return
		}
		if printed++; printed == o.count {
			stop(errEnough)
		}
	})
	if err != nil {
		return err
	}
	if err := ready(o.readyFD); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-s.Done():
		if ctx.Err() == nil {
			return s.Err()
		}
	}
	return o.ended(context.Cause(ctx))
}

// ended gives the end of a subscription its meaning.
func (o *subscribeOptions) ended(cause error) error {
	switch {
	case errors.Is(cause, errEnough):
		return nil
	case errors.Is(cause, context.DeadlineExceeded) && o.count == 0:
		return nil
	}
	return cause
}

// printEvent prints one event: raw its arguments, else all that is known.
func (o *subscribeOptions) printEvent(e *session.Event) error {
	if o.format == "raw" {
		return o.printRawEvent(e)
	}
	return o.printJSON(map[string]any{
		"topic": cmp.Or(e.Topic, o.uri), "publication": e.Publication, "publisher": e.Publisher,
		"time": time.Now().UTC().Format(time.RFC3339Nano),
		"args": orEmptyList(e.Args), "kwargs": orEmptyDict(e.Kwargs),
	})
}

// printRawEvent prints a single argument like the result of a call, and
// anything else as compact JSON.
func (o *subscribeOptions) printRawEvent(e *session.Event) error {
	switch {
	case len(e.Args) == 1 && len(e.Kwargs) == 0:
		return o.printRaw(e.Args[0])
	case len(e.Args) == 0 && len(e.Kwargs) > 0:
		return o.printJSON(e.Kwargs)
	case len(e.Kwargs) == 0:
		return o.printJSON(orEmptyList(e.Args))
	}
	return o.printJSON(map[string]any{"args": orEmptyList(e.Args), "kwargs": e.Kwargs})
}
