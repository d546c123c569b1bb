package commands

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/client"
)

// newMan writes manual pages, for the Makefile.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "write the manual pages into a directory",
		Hidden: true,
		Args:   cobra.MatchAll(atLeast(1, "DIR"), atMost(1)),
		RunE: func(cmd *cobra.Command, words []string) error {
			for name, text := range manual(cmd.Root()) {
				if err := os.WriteFile(filepath.Join(words[0], name), []byte(text), 0o644); err != nil {
					return own("%v", err)
				}
			}
			return nil
		},
	}
}

// manual is every page by file name, made from the tree of commands.
func manual(root *cobra.Command) map[string]string {
	pages := map[string]string{"dconn.toml.5": configPage(root)}
	for _, cmd := range append([]*cobra.Command{root}, everyCommand(root)...) {
		if cmd == root || cmd.IsAvailableCommand() {
			pages[manName(cmd)+".1"] = commandPage(cmd)
		}
	}
	for _, t := range topics {
		p := newPage("dconn-"+t.name, "7", t.short)
		p.section("DESCRIPTION")
		p.prose(t.text(root))
		p.seeAlso("dconn(1)", "dconn.toml(5)")
		pages["dconn-"+t.name+".7"] = p.String()
	}
	return pages
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func commandPage(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	p := newPage(manName(cmd), "1", cmd.Short)
	p.section("SYNOPSIS")
	p.line(bold(cmd.CommandPath()) + roff(synopsis(cmd)))
	p.section("DESCRIPTION")
	p.prose(cmp.Or(cmd.Long, strings.ToUpper(cmd.Short[:1])+cmd.Short[1:]+"."))
	p.subcommands(cmd)
	p.options(cmd)
	if cmd.Example != "" {
		p.section("EXAMPLES")
		p.prose(cmd.Example)
	}
	p.exitStatus()
	p.surroundings(cmd)
	related := []string{"dconn.toml(5)", "dconn-environment(7)", "dconn-exit-codes(7)", "dconn-formatting(7)", "dconn-limits(7)"}
	if cmd.HasParent() {
		related = append([]string{strings.ReplaceAll(cmd.Parent().CommandPath(), " ", "-") + "(1)"}, related...)
	}
	p.seeAlso(related...)
	return p.String()
}

func synopsis(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return " COMMAND [ARG...]"
	}
	return strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath())
}

func (p *page) subcommands(cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	p.section("COMMANDS")
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			p.tagged(bold(manName(c))+"(1)", c.Short)
		}
	}
}

func (p *page) options(cmd *cobra.Command) {
	p.section("OPTIONS")
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		tag, usage := flagTag(f)
		p.tagged(tag, sentence(usage), defaultOf(f))
		if isSetting(cmd, f) {
			p.line("Environment: " + bold(envName(f.Name)) + ".")
		}
	})
}

// flagTag is how a flag is written, and what it means.
func flagTag(f *pflag.Flag) (tag, usage string) {
	value, usage := pflag.UnquoteUsage(f)
	tag = bold("--" + f.Name)
	if f.Shorthand != "" {
		tag = bold("-"+f.Shorthand) + ", " + tag
	}
	if value != "" { // a bool has none
		tag += " " + italic(strings.ToUpper(value))
	}
	return tag, usage
}

func sentence(t string) string { return strings.TrimSuffix(t, ".") + "." }

// defaultOf says what a flag is unless it is set, where that is something.
func defaultOf(f *pflag.Flag) string {
	if slices.Contains([]string{"", "0", "0s", "-1", "[]", "false"}, f.DefValue) {
		return ""
	}
	return "Default: " + f.DefValue + "."
}

func (p *page) exitStatus() {
	p.section("EXIT STATUS")
	for _, row := range codes {
		p.tagged(bold(fmt.Sprint(row.code)), sentence(row.meaning))
	}
	p.macro(".PP")
	p.line("SIGINT and SIGTERM end a command by that signal.")
}

// surroundings are the variables and files of a command with settings.
func (p *page) surroundings(cmd *cobra.Command) {
	configures := false
	cmd.Flags().VisitAll(func(f *pflag.Flag) { configures = configures || isSetting(cmd, f) })
	if !configures {
		return
	}
	p.section("ENVIRONMENT")
	p.line("Options have variables, named above; an option that is given wins.")
	p.line("See " + bold("dconn-environment") + "(7).")
	p.files(cmd.Flags().Lookup("socket") != nil)
}

func (p *page) files(socket bool) {
	p.section("FILES")
	p.tagged(italic("$XDG_CONFIG_HOME/dconn/config.toml")+", "+italic("/etc/dconn/config.toml"),
		"Settings, see dconn.toml(5).")
	if socket {
		p.tagged(italic("$XDG_RUNTIME_DIR/dconn/dconn.sock")+", "+italic(client.SystemSocket),
			"Where the daemon listens.")
	}
}

func (p *page) seeAlso(pages ...string) {
	p.section("SEE ALSO")
	for i, name := range pages {
		title, section, _ := strings.Cut(name, "(")
		comma := ","
		if i == len(pages)-1 {
			comma = ""
		}
		p.line(bold(title) + "(" + section + comma)
	}
}

// configPage is dconn.toml(5).
func configPage(root *cobra.Command) string {
	p := newPage("dconn.toml", "5", "settings of dconn")
	p.section("SYNOPSIS")
	p.line(italic("$XDG_CONFIG_HOME/dconn/config.toml"))
	p.macro(".br")
	p.line(italic("/etc/dconn/config.toml"))
	p.section("DESCRIPTION")
	p.prose(lines(
		"Every option has a setting of the same name, without the dashes, in TOML. A",
		"setting is for all the commands that have the option; in a table that is named",
		"after a command, it is for that command alone and wins there. A setting that no",
		"command has is an error.",
		"",
		"An option on the command line wins over its environment variable, that over the",
		"user's file, that over the system's, that over the default."))
	p.section("SETTINGS")
	for _, s := range options(root) {
		p.setting(s)
	}
	p.section("EXAMPLES")
	p.prose("  # wherever a socket is needed\n  socket = \"/run/dconn/dconn.sock\"\n  disable = [\"brightness\"]\n\n  [call]\n  wait = \"30s\"")
	p.section("FILES")
	p.tagged(italic("$XDG_CONFIG_HOME/dconn/config.toml"), "The user's; ~/.config stands for the variable where it is not set.")
	p.tagged(italic("/etc/dconn/config.toml"), "The system's.")
	p.seeAlso("dconn(1)", "dconn-environment(7)")
	return p.String()
}

// setting writes what a setting means, to each of its commands.
func (p *page) setting(s option) {
	p.tagged(bold(s.name) + " = " + italic(valueOf(s.uses[0].flag)))
	for i, u := range s.uses {
		if i > 0 {
			p.macro(".br")
		}
		_, usage := pflag.UnquoteUsage(u.flag)
		p.line(roff(strings.TrimSpace(sentence(usage) + " " + defaultOf(u.flag))))
		p.line(roff("Commands: " + strings.Join(u.commands, ", ") + "."))
	}
}

// valueOf is how the value of a setting is written.
func valueOf(f *pflag.Flag) string {
	value, _ := pflag.UnquoteUsage(f)
	switch _, list := f.Value.(pflag.SliceValue); {
	case list:
		return "[" + value + "]"
	case value == "":
		return "true or false"
	}
	return strings.ToUpper(value)
}
