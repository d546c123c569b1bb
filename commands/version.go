package commands

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/wire"
)

// version of dconn; the Makefile sets it.
var version = "0.1.0-dev"

func newVersion(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  atMost(0),
		RunE: func(*cobra.Command, []string) error {
			return s.print(fmt.Appendf(nil, "dconn %s (protocol %d)\n", version, wire.Protocol))
		},
	}
}
