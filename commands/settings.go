package commands

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// read takes the settings of a table, which are for cmd and all below it.
func (l layer) read(cmd *cobra.Command, table map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		var err error
		if inner, ok := table[key].(map[string]any); ok {
			err = l.readTable(cmd, key, inner)
		} else {
			err = l.readValue(cmd, key, table[key])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l layer) readTable(parent *cobra.Command, name string, table map[string]any) error {
	var names []string
	for _, cmd := range parent.Commands() {
		switch {
		case cmd.IsAdditionalHelpTopicCommand():
			continue
		case cmd.Name() == name:
			return l.read(cmd, table)
		}
		names = append(names, cmd.Name())
	}
	wrong := wrongSetting(l.file, "unknown table [%s]", keyIn(parent, name))
	flags := flagsBelow(parent)
	flag := name
	if len(flags[name]) == 0 {
		if near := nearest(name, names); near != "" {
			return wrong.hint("did you mean: [%s]", keyIn(parent, near))
		}
		flag = nearest(name, slices.Sorted(maps.Keys(flags)))
	}
	if slices.ContainsFunc(flags[flag], configurable) {
		return wrong.hint("a setting is a line, not a table: %s", asLine(flags[flag][0], table))
	}
	return wrong.hint("tables have the names of commands: dconn --help")
}

// asLine is a setting as it stands in a file: with what was found in a table of
// its name, if it is a list, else with its default.
func asLine(f *pflag.Flag, found map[string]any) string {
	switch f.Value.Type() {
	case "int", "bool":
		return f.Name + " = " + f.DefValue
	case "stringSlice":
		words := []string{}
		for _, key := range slices.Sorted(maps.Keys(found)) {
			words = append(words, strconv.Quote(fmt.Sprintf("%s=%v", key, found[key])))
		}
		return f.Name + " = [" + cmp.Or(strings.Join(words, ", "), `"..."`) + "]"
	}
	return fmt.Sprintf("%s = %q", f.Name, cmp.Or(f.DefValue, "..."))
}

func (l layer) readValue(cmd *cobra.Command, name string, v any) error {
	flags := flagsBelow(cmd)
	if !slices.ContainsFunc(flags[name], configurable) {
		return unknownSetting(l.file, cmd, name, flags)
	}
	var refused error
	for _, f := range flags[name] {
		text, err := asFlag(f, v)
		if err == nil {
			err = accept(f, text)
		}
		if err == nil {
			l.values[keyIn(cmd, name)] = text
			return nil
		}
		refused = cmp.Or(refused, err)
	}
	return wrongSetting(l.file, "%s = %s: %v", keyIn(cmd, name), literal(v), refused)
}

// flagsBelow are the flags of cmd and all below it, by their names.
func flagsBelow(cmd *cobra.Command) map[string][]*pflag.Flag {
	flags := map[string][]*pflag.Flag{}
	_ = cmd.LocalFlags() // makes Flags have those of its parents too
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		flags[f.Name] = append(flags[f.Name], f)
	})
	for _, sub := range cmd.Commands() {
		for name, more := range flagsBelow(sub) {
			flags[name] = append(flags[name], more...)
		}
	}
	return flags
}

func unknownSetting(file string, cmd *cobra.Command, name string, flags map[string][]*pflag.Flag) error {
	wrong := wrongSetting(file, "unknown setting %q", name)
	hint := "settings have the names of flags, without the dashes"
	if cmd.HasParent() {
		wrong = wrongSetting(file, "%s has no setting %q", cmd.CommandPath(), name)
		hint = "dconn config show" + strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name())
	}
	if len(flags[name]) > 0 {
		hint = "--" + name + " is for the command line only"
	} else if near := nearest(name, slices.Sorted(maps.Keys(flags))); near != "" {
		hint = "did you mean: " + near
	}
	return wrong.hint("%s", hint)
}

// accept sets f, or says what it takes.
func accept(f *pflag.Flag, text string) error {
	err := f.Value.Set(text)
	if rule, ok := rules[f.Value.Type()]; ok && err != nil {
		return errors.New(rule)
	}
	return err
}

// rules are what flags take whose own errors are about strconv.
var rules = map[string]string{
	"int": "must be a whole number", "bool": "must be true or false",
	"string": "must be text, in quotes", "stringSlice": `must be a list: ["a", "b"]`,
}

// asFlag writes a value of a file as it would stand on the command line.
func asFlag(f *pflag.Flag, v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []any:
		return listAsFlag(f, v)
	}
	if kind := f.Value.Type(); kind == "string" || kind == "stringSlice" {
		return "", errors.New(rules[kind])
	}
	return fmt.Sprint(v), nil
}

func listAsFlag(f *pflag.Flag, list []any) (string, error) {
	words := make([]string, len(list))
	for i, e := range list {
		word, ok := e.(string)
		if _, takesList := f.Value.(pflag.SliceValue); !ok || !takesList {
			return "", errors.New(cmp.Or(rules[f.Value.Type()], "must be one value, not a list"))
		}
		words[i] = word
	}
	return strings.Join(words, ","), nil
}

// literal shows a value for an error.
func literal(v any) string {
	if text, ok := v.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprint(v)
}
