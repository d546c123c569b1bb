package commands

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newHelp is cobra's own, but an unknown topic is an error.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "show how a command is used",
		RunE: func(cmd *cobra.Command, words []string) error {
			about, rest, err := cmd.Root().Find(words)
			if err != nil || len(rest) > 0 {
				return known(cmd.Root(), words)
			}
			return about.Help()
		},
	}
}

// newExitCodes is the help topic `dconn help exit-codes`, made from the table.
func newExitCodes(*streams) *cobra.Command {
	var b strings.Builder
	b.WriteString("Exit codes, the same for every command, and the WAMP errors that end in them:\n\n")
	for _, row := range codes {
		fmt.Fprintf(&b, "  %3d  %s\n", row.code, row.meaning)
		for _, u := range row.uris {
			if strings.HasSuffix(u, ".") {
				u += "*"
			}
			fmt.Fprintf(&b, "         %s\n", u)
		}
	}
	b.WriteString(lines("",
		"Any other WAMP error is 1. SIGINT and SIGTERM cancel what is under way and then",
		"end the command by that signal (a shell shows 130 and 143); serve and register",
		"end with 0 then."))
	return &cobra.Command{Use: "exit-codes", Short: "what the exit codes mean", Long: b.String()}
}
