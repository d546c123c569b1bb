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
			if err != nil {
				return known(cmd.Root(), words)
			}
			if len(rest) > 0 {
				return known(about, rest)
			}
			return about.Help()
		},
		ValidArgsFunction: helpWords,
	}
}

// helpWords completes commands, nested ones too, and topics.
func helpWords(cmd *cobra.Command, words []string, typed string) ([]string, cobra.ShellCompDirective) {
	var list []string
	above, rest, err := cmd.Root().Find(words)
	if err == nil && len(rest) == 0 {
		for _, c := range above.Commands() {
			if strings.HasPrefix(c.Name(), typed) && (c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand()) {
				list = append(list, c.Name()+"\t"+c.Short)
			}
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// topic is a text that `dconn help NAME` shows.
type topic struct {
	name, short string
	text        func(root *cobra.Command) string
}

var topics = []topic{
	{"exit-codes", "what the exit codes mean", exitCodesText},
	{"formatting", "how arguments are typed and output is formatted", formattingText},
	{"limits", "what a peer may cost the daemon, and how to bound it", limitsText},
	{"environment", "the variables that dconn reads, and sets for commands", environmentText},
}

func (t topic) command() *cobra.Command {
	cmd := &cobra.Command{Use: t.name, Short: t.short}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		_, _ = fmt.Fprint(cmd.OutOrStdout(), t.text(cmd.Root()))
	})
	return cmd
}

// exitCodesText is made from the table.
func exitCodesText(*cobra.Command) string {
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
		"end with 0 then. call --exit-with-remote ends with the status of the command behind",
		"the procedure, and with 255 for any other failure. call --lines ends with the",
		"highest code of its calls. A stream that is closed (>&-) counts as /dev/null.", ""))
	return b.String()
}

func formattingText(*cobra.Command) string {
	return lines(
		"Arguments: a word that is a JSON value is that value, anything else is text.",
		"",
		`  80  0.5  true  null  [1,2]  {"a":1}   what they are in JSON`,
		`  007  t  nan  80%  '80 90'             text`,
		`  '"80"'                                text that looks like a number`,
		"",
		"-s takes every word as text: use it for data from elsewhere. -k NAME=VALUE names",
		`an argument. --input FILE, or - for stdin, reads {"args":[],"kwargs":{}} instead.`,
		"Flags come before the URI; what follows it is an argument, -1 and --x too.",
		"",
		"Output: data on stdout, talk on stderr. The format never depends on whether there",
		"is a terminal, only colour and progress do. -o chooses it:",
		"",
		"  raw       text and numbers bare, null as nothing, lists and dicts as JSON",
		"  json      one document with all there is, kwargs too; a stream is ndjson",
		"  ndjson    one document a line",
		"  table     rows in columns, for people",
		"  template  --template TEXT for each record, with its values filled in",
		"",
		"  dconn call .system.name                 pi",
		`  dconn call -o json .system.name         {"args":["pi"],"kwargs":{}}`,
		"  dconn describe -o ndjson | jq -r .uri   a URI a line",
		"  dconn subscribe -o json .brightness.on_changed | jq .kwargs.percent",
		"  dconn subscribe --template '{device} {percent}' .brightness.on_changed",
		"",
		"In a template {topic} is what json has under that key, {0} an argument, {percent} a",
		"keyword argument, {args.0.name} what is further inside, {{x}} stands for {x}; what is",
		"not there is nothing. --fields NAME,... keeps these keys of JSON and these columns of",
		"a table, in this order; --no-headers leaves out the columns' names. -0 ends a record",
		"with NUL instead of a newline, for xargs -0. Colour is for a terminal; --color,",
		"NO_COLOR and TERM=dumb turn it off.",
		"",
		"JSON is lossless. Integers keep all their digits, beyond 2^53 too; a float has a",
		`point (80.0). Bytes are {"$bytes":"BASE64"}, and --input reads that back; raw`,
		"prints them as they are. Control characters from a peer are escaped in JSON, and",
		"everywhere on a terminal.",
		"",
		"Errors are words on stderr and an exit code (dconn help exit-codes). With -o json",
		"or ndjson the last line there is for programs:",
		"",
		`  {"error":{"args":[],"exit":3,"kwargs":{},"message":"...","uri":"..."}}`,
		"",
		"call --lines prints the same in the place of a result.",
		"")
}
