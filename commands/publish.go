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
	output
	noAck     bool
	lines     bool
	jsonLines bool
}

func newPublish(s *streams) *cobra.Command {
	o := &publishOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "publish [flags] URI [ARG...]",
		Short: "publish an event",
		Long: lines("Publish an event. Exit code 0 says that the router has it, not that anybody",
			"listens. Arguments are typed as for call.",
			"",
			"With --lines each line of stdin, or of --input, is an event: its only argument, a",
			"JSON value or else text. With --json-lines it is a {\"args\":[],\"kwargs\":{}}. A line",
			"that cannot be sent is said on stderr, the others are sent, and the exit code is 2."),
		Example: lines("  dconn publish org.example.door open",
			"  tail -F /var/log/syslog | dconn publish --lines -s org.example.log"),
		Args: atLeast(1, "a URI"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := o.prepare(cmd, words); err != nil {
				return err
			}
			if o.lines || o.jsonLines {
				return runFeed(cmd.Context(), o)
			}
			return runPublish(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	o.target.addFlags(f, 10*time.Second, "give up if the router does not answer for this long; 0 waits for ever")
	o.addDeviceFlags(f)
	o.message.addFlags(f)
	o.output.addFormat(s, f, "raw", "json", "ndjson")
	f.BoolVar(&o.noAck, "no-ack", false, "do not wait until the router has the event")
	f.BoolVar(&o.lines, "lines", false, "one event for each line of input")
	f.BoolVar(&o.jsonLines, "json-lines", false, "one event for each line of input, a JSON document with args and kwargs")
	return cmd
}

// prepare checks the command line and gives the arguments their types.
func (o *publishOptions) prepare(cmd *cobra.Command, words []string) (err error) {
	switch {
	case !o.lines && !o.jsonLines:
		return o.parse(cmd, o.streams, words)
	case o.lines && o.jsonLines:
		return usage("--lines and --json-lines do not go together")
	case len(words) > 1 || len(o.named) > 0:
		return usage("the arguments come from the lines: %d words and %d -k are given too", len(words)-1, len(o.named))
	case o.jsonLines && o.strings:
		return usage("--json-lines reads JSON documents: -s does not go with it")
	}
	o.uri, err = uriOf(cmd, words[0])
	return err
}

func runPublish(ctx context.Context, o *publishOptions) error {
	return o.join(ctx, func(ctx context.Context, s *session.Session) error {
		if o.noAck {
			return s.Publish(ctx, o.uri, o.args, o.kwargs, false)
		}
		receipt, err := s.PublishAcknowledged(ctx, o.uri, o.args, o.kwargs)
		if err != nil {
			return err
		}
		publication, err := receipt.Wait(ctx)
		if err != nil {
			return err
		}
		return o.record(map[string]any{"publication": publication})
	})
}
