package commands

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newConfig(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "show the settings and where they come from",
		Long: lines("Every flag is also a setting. The first that is there wins: the flag, the",
			"environment (DCONN_WAIT), $XDG_CONFIG_HOME/dconn/config.toml,",
			"/etc/dconn/config.toml, the default. A setting may be for one command only, which",
			"wins over one for all of the same place: DCONN_CALL_WAIT, and in a file",
			"",
			"    wait = \"5s\"",
			"    [call]",
			"    wait = \"30s\""),
		Args: known,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigShow(s))
	return cmd
}

type configShowOptions struct {
	*streams

	output
	origin  bool
	command []string
}

func newConfigShow(s *streams) *cobra.Command {
	o := &configShowOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "show [flags] [COMMAND]",
		Short: "show what is set, or every setting of a command",
		Long: lines("Show what is set by the environment and by files; with COMMAND, every setting of",
			"that command with the value in force, defaults too."),
		Example: "  dconn config show --origin\n  dconn config show call",
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			o.command = words
			return runConfigShow(o)
		},
	}
	f := cmd.Flags()
	o.output.addFlags(s, f, "table", "json", "ndjson", "template")
	f.BoolVar(&o.origin, "origin", false, "say what set each: a variable, a file or default (always with json)")
	return cmd
}

func runConfigShow(o *configShowOptions) error {
	settings, err := settingsSet(newRoot(&streams{}, nil))
	if err == nil && len(o.command) > 0 {
		settings, err = settingsOf(newRoot(&streams{}, nil), o.command)
	}
	if err != nil {
		return err
	}
	columns := []string{"key", "value"}
	if o.origin {
		columns = append(columns, "origin")
	}
	rows := make([]map[string]any, len(settings))
	for i, s := range settings {
		rows[i] = map[string]any{"key": s.key, "value": s.value, "origin": s.origin}
	}
	return o.list(columns, rows)
}

// settingsSet are the settings that the environment or a file has, by key,
// with the values that win. Any that is wrong is an error. It sets the flags of
// root on the way.
func settingsSet(root *cobra.Command) ([]setting, error) {
	layers, bad := readLayers(configFiles())
	var set []setting
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		flags := flagsBelow(cmd)
		for _, name := range slices.Sorted(maps.Keys(flags)) {
			key := keyIn(cmd, name)
			if _, ok := find(layers, []string{key}); !ok || !slices.ContainsFunc(flags[name], configurable) {
				continue
			}
			s, _ := find(layers, keysOf(cmd, name))
			bad = cmp.Or(bad, acceptedByAny(flags[name], s))
			set = append(set, setting{key, s.value, s.origin})
		}
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(root)
	slices.SortFunc(set, func(a, b setting) int { return cmp.Compare(a.key, b.key) })
	return set, bad
}

// acceptedByAny is nil if one of flags takes the value of s.
func acceptedByAny(flags []*pflag.Flag, s setting) (refused error) {
	for _, f := range flags {
		err := accept(f, s.value)
		if err == nil {
			return nil
		}
		refused = cmp.Or(refused, s.refused(err))
	}
	return refused
}

// settingsOf are all settings of the command that words name, as it would
// find them.
func settingsOf(root *cobra.Command, words []string) ([]setting, error) {
	cmd, rest, err := root.Find(words)
	if err != nil || cmd == root || len(rest) > 0 {
		return nil, known(cmd, rest)
	}
	if err := configure(cmd); err != nil {
		return nil, err
	}
	var settings []setting
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		origin := f.Annotations[originKey]
		switch {
		case configurable(f) && origin != nil:
			settings = append(settings, setting{f.Name, valueText(f), origin[0]})
		case configurable(f) && !f.Hidden:
			settings = append(settings, setting{f.Name, valueText(f), "default"})
		}
	})
	return settings, nil
}

// valueText is the value of f as it would stand on the command line.
func valueText(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return strings.Join(list.GetSlice(), ",")
	}
	return f.Value.String()
}
