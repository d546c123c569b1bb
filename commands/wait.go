package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

type waitOptions struct {
	*streams

	target
	output
	uri string
}

func newWait(s *streams) *cobra.Command {
	o := &waitOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "wait [flags] [DEVICE|URI]",
		Short: "wait until the daemon serves, a device is there, or a procedure is registered",
		Long: lines("Wait until the daemon here serves; until a paired device can be reached; or until a",
			"procedure is registered. The word is a DEVICE if it has no dot in it and is the name",
			"of a paired one, or the beginning of its id; else it is a URI, and always where -d or",
			"--socket is given."),
		Example: lines("  dconn serve & dconn wait && dconn call .system.uptime", "  dconn wait -W 5m pi && dconn call -d pi .gpio.set 17 1",
			"  dconn wait -d pi org.example.backup"),
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, words []string) error {
			if len(words) == 1 {
				if err := o.take(cmd, words[0]); err != nil {
					return err
				}
			}
			return runWait(cmd.Context(), o)
		},
	}
	o.addFormat(s, cmd.Flags(), "raw", "json", "ndjson")
	o.target.addFlags(cmd.Flags(), 30*time.Second, "give up after this long; 0 waits for ever")
	o.addDeviceFlags(cmd.Flags())
	return cmd
}

// take finds out whether a word is a device or a URI.
func (o *waitOptions) take(cmd *cobra.Command, word string) (err error) {
	if !strings.Contains(word, ".") && !cmd.Flags().Changed("device") && !cmd.Flags().Changed("socket") {
		list, err := knownDevices(o.state)
		if err != nil {
			return err
		}
		if len(list.Match(word)) > 0 { // which of several is for later
			return cmd.Flags().Set("device", word) // hints are about that
		}
	}
	o.uri, err = uriOf(cmd, word)
	return err
}

func runWait(ctx context.Context, o *waitOptions) error {
	ctx, cancel := within(ctx, time.Duration(o.wait))
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := o.try(ctx)
		if !comesBack(err) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return o.late(ctx, err)
		}
	}
}

// late is the error of a wait that ends before what it waits for.
func (o *waitOptions) late(ctx context.Context, last error) error {
	cause := context.Cause(ctx)
	if !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	f := explain(last, "")
	f.Code, f.WAMP = exitTimeout, &wire.Error{URI: wire.ErrTimeout}
	f.Message += fmt.Sprintf("; waited %v (-W)", time.Duration(o.wait))
	return f
}

// comesBack reports whether waiting may mend err: no daemon yet, or one that
// went away.
func comesBack(err error) bool {
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		return true
	}
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return false
	}
	code, _ := codeOf(e.URI)
	return code == exitUnreachable
}

func (o *waitOptions) try(ctx context.Context) error {
	s, err := o.dial(ctx)
	if err != nil {
		return err
	}
	defer leave(s)
	if o.uri == "" {
		return nil
	}
	if o.device != "" || o.scopes.set {
		err = awaitDescribed(ctx, s, o.uri)
	} else {
		err = awaitProcedure(ctx, s, o.uri)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &failure{
			Code: exitTimeout, WAMP: &wire.Error{URI: wire.ErrTimeout},
			Message: fmt.Sprintf("%s: not registered within %v (-W)", o.uri, time.Duration(o.wait)),
		}
	}
	return err
}

// awaitProcedure returns once uri is registered. It listens first and looks
// then, so that no registration falls between.
func awaitProcedure(ctx context.Context, s *session.Session, uri string) error {
	created := make(chan struct{}, 1)
	err := s.Subscribe(ctx, wire.OnRegistration, session.Exact, func(*session.Event) {
		select {
		case created <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	for {
		result, err := s.Call(ctx, wire.MatchRegistration, []any{uri}, nil)
		if err != nil {
			return err
		}
		if len(result.Args) == 1 && result.Args[0] != nil && result.Args[0] != int64(0) {
			return nil
		}
		select {
		case <-created:
		case <-s.Done():
			return s.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// awaitDescribed returns once uri is in what the daemon shows: a device, or a session
// that gave up rights, is told of no registration.
func awaitDescribed(ctx context.Context, s *session.Session, uri string) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		entries, err := describe(ctx, s, uri)
		if err != nil || len(entries) > 0 {
			return err
		}
		select {
		case <-time.After(pause):
		case <-s.Done():
			return s.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
