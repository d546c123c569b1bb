package commands

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/session"
)

type publishOptions struct {
	*streams

	target
	message
	noAck bool
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
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := o.parse(cmd, s, words); err != nil {
				return err
			}
			return runPublish(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	o.target.addFlags(f, 10*time.Second, "give up after this long; 0 waits for ever")
	o.message.addFlags(f)
	f.BoolVar(&o.noAck, "no-ack", false, "do not wait until the router has the event")
	return cmd
}

func runPublish(ctx context.Context, o *publishOptions) error {
	return o.join(ctx, func(ctx context.Context, s *session.Session) error {
		return s.Publish(ctx, o.uri, o.args, o.kwargs, !o.noAck)
	})
}
