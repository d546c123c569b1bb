package commands

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

type publishOptions struct {
	*streams

	target
	arguments
	noAck  bool
	uri    string
	args   []any
	kwargs map[string]any
}

func newPublish(s *streams) *cobra.Command {
	o := &publishOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "publish [flags] URI [ARG...]",
		Short: "publish an event",
		Long: lines("Publish an event. Exit code 0 says that the router has it, not that anybody",
			"listens. Arguments are typed as for call."),
		Example: "  dconn publish org.example.door open",
		Args:    atLeast(1, "a URI"),
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			if o.uri, err = uriOf(cmd, words[0]); err != nil {
				return err
			}
			if o.args, o.kwargs, err = o.arguments.parse(s, words[1:]); err != nil {
				return err
			}
			return runPublish(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	o.target.addFlags(f, 10*time.Second, "give up after this long; 0 waits for ever")
	o.arguments.addFlags(f)
	f.BoolVar(&o.noAck, "no-ack", false, "do not wait until the router has the event")
	return cmd
}

func runPublish(ctx context.Context, o *publishOptions) error {
	ctx, cancel := within(ctx, time.Duration(o.wait))
	defer cancel()
	s, err := o.dial(ctx)
	if err != nil {
		return err
	}
	defer leave(s)
	return s.Publish(ctx, o.uri, o.args, o.kwargs, !o.noAck)
}
