package commands

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/session"
)

type callOptions struct {
	*streams

	target
	message
	output
}

func newCall(s *streams) *cobra.Command {
	o := &callOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "call [flags] URI [ARG...]",
		Short: "call a procedure and print its result",
		Long: lines("Call a procedure and print its result.",
			"",
			"An ARG that is a JSON value is that value (80, 0.5, true, null, [1,2], {\"a\":1},",
			"'\"80\"'), anything else is text. Flags come before the URI; whatever follows it is",
			"an argument, -1 and --x too."),
		Example: "  dconn call .brightness.set 80\n  dconn call -k device=acpi_video0 .brightness.get",
		Args:    atLeast(1, "a URI"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := o.parse(cmd, s, words); err != nil {
				return err
			}
			return runCall(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	o.target.addFlags(f, 10*time.Second, "give up after this long; 0 waits for ever")
	o.message.addFlags(f)
	o.output.addFlags(f, "raw", "json", "ndjson", "table")
	return cmd
}

func runCall(ctx context.Context, o *callOptions) error {
	return o.join(ctx, func(ctx context.Context, s *session.Session) error {
		result, err := s.Call(ctx, o.uri, o.args, o.kwargs)
		if err != nil {
			return err
		}
		return o.printResult(o.format, result.Args, result.Kwargs)
	})
}
