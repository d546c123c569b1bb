package commands

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/client"
)

// option is what a config file and the environment may set: a flag, as all
// the commands that have it see it.
type option struct {
	name string
	uses []use
}

// use is one meaning of a setting.
type use struct {
	flag     *pflag.Flag
	commands []string
}

// commands are those that take it, in any meaning.
func (o option) commands() string {
	var names []string
	for _, u := range o.uses {
		names = append(names, u.commands...)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// options lists those of every command, by name.
func options(root *cobra.Command) []option {
	byName := map[string]*option{}
	for _, cmd := range everyCommand(root) {
		command := strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ")
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !isSetting(cmd, f) {
				return
			}
			if byName[f.Name] == nil {
				byName[f.Name] = &option{name: f.Name}
			}
			byName[f.Name].add(command, f)
		})
	}
	var list []option
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, *byName[name])
	}
	return list
}

// isSetting reports whether a flag is more than a word on a command line. cobra
// adds the completion commands when a config file has been read already.
func isSetting(cmd *cobra.Command, f *pflag.Flag) bool {
	return cmd.HasParent() && cmd.IsAvailableCommand() && cmd.Parent().Name() != "completion" && !f.Hidden && configurable(f)
}

func (o *option) add(command string, f *pflag.Flag) {
	i := slices.IndexFunc(o.uses, func(u use) bool { return u.flag.Usage == f.Usage && u.flag.DefValue == f.DefValue })
	if i < 0 {
		i = len(o.uses)
		o.uses = append(o.uses, use{flag: f})
	}
	o.uses[i].commands = append(o.uses[i].commands, command)
}

// environmentText is made from the flags of the tree.
func environmentText(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(lines(
		"A flag on the command line wins over its variable, that over a line in the user's",
		"config file, that over one in the system's, that over the default. An empty variable",
		"counts as none; only an empty DCONN_SCOPES counts: as no right.",
		"",
		"Read, each as if its flag were given:",
		"", ""))
	for _, s := range options(root) {
		fmt.Fprintf(&b, "  %s\n      --%s of %s\n", envName(s.name), s.name, s.commands())
	}
	b.WriteString(lines("",
		"Read as well:",
		"",
		"  XDG_RUNTIME_DIR   its dconn/dconn.sock is the daemon's socket; without it,",
		"                    "+client.SystemSocket,
		"  XDG_CONFIG_HOME   its dconn/config.toml is the user's config file (~/.config)",
		"  XDG_CACHE_HOME    its dconn/ keeps what completion learnt (~/.cache)",
		"  NO_COLOR          if set and not empty, no colour",
		"  TERM              dumb is no colour",
		"",
		"Set for the commands that register runs:",
		"",
		"  DCONN_URI             the procedure that was called",
		"  DCONN_CALLER          who called it, as the router says: uid:1000",
		"  DCONN_CALLER_DEVICE   the paired device that called, empty on one machine",
		"  DCONN_ARGS_JSON       {\"args\":[],\"kwargs\":{}}, the arguments",
		"  DCONN_ARGS_TRUNCATED  1 if they are too long for that (64 KiB)",
		""))
	return b.String()
}
