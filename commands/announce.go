package commands

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

type announceOptions struct {
	*streams

	target
	output
}

func newAnnounce(s *streams) *cobra.Command {
	o := &announceOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "announce [flags] [on|off|status]",
		Short: "tell the local network that this machine serves, or not",
		Long: lines("Turn the announcement (mDNS) of the running daemon on or off, or show what it",
			"announces: the name, another one than asked for where a machine on this network has",
			"that already, and the interfaces. It lasts until the daemon ends: see serve",
			"--announce for good."),
		Example: "  dconn announce off\n  dconn announce -o json | jq -r .name",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, words []string) error {
			do := append(words, "status")[0]
			if do != "on" && do != "off" && do != "status" {
				return usage("on, off or status, got %q", do).hint("%s", cmd.UseLine())
			}
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			return runAnnounce(cmd.Context(), o, do)
		},
	}
	cmd.ValidArgs = []string{"on", "off", "status"}
	o.target.addFlags(cmd.Flags(), 10*time.Second, "give up after this long; 0 waits for ever")
	o.output.addFlags(s, cmd.Flags(), "table", "json", "ndjson", "template")
	return cmd
}

func runAnnounce(ctx context.Context, o *announceOptions, do string) error {
	return o.join(ctx, func(ctx context.Context, s *session.Session) error {
		var args []any
		if do != "status" {
			args = []any{do}
		}
		result, err := s.Call(ctx, wire.Announce, args, nil)
		if err != nil {
			return err
		}
		docs := dicts(result.Args)
		if len(docs) != 1 {
			return wire.Errorf(wire.ErrProtocolViolation, "the daemon's answer has another form than expected")
		}
		switch {
		case do != "status" && o.format == "table":
			return nil
		case o.format != "table":
			return o.record(docs[0])
		}
		return o.table([]string{"state", "name", "port", "pairing", "links", "conflicts", "host"}, docs)
	})
}
