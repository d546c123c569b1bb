package commands

import (
	"github.com/spf13/cobra"
)

type idOptions struct {
	*streams

	output
	state string
}

func newID(s *streams) *cobra.Command {
	o := &idOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "id [flags]",
		Short: "print this machine's id",
		Long: lines("Print the id that paired devices know this machine by: the SHA-256 of its public",
			"key, in base32 with check characters. The key is made at its first use."),
		Example: "  dconn id",
		Args:    atMost(0),
		RunE: func(*cobra.Command, []string) error {
			home, err := openHome(o.state)
			if err != nil {
				return err
			}
			id := home.Identity.ID()
			return o.record(map[string]any{"id": id.String(), "short": id.Short()}, id.String())
		},
	}
	o.addFormat(s, cmd.Flags(), "raw", "json", "ndjson")
	addState(cmd.Flags(), &o.state)
	return cmd
}
