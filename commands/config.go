package commands

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/deskconn/dconn/capabilities"
)

// Annotations of a flag.
const (
	commandLineKey = "dconn.perCommandLine" // neither a file nor the environment sets it
	originKey      = "dconn.origin"         // what set it, other than the command line
)

// onlyOnCommandLine marks the flags that neither a file nor the environment
// may set, because they belong to one command line or are secret.
func onlyOnCommandLine(f *pflag.FlagSet, names ...string) {
	for _, name := range names {
		if err := f.SetAnnotation(name, commandLineKey, []string{"true"}); err != nil {
			panic(err) // there is no such flag
		}
	}
}

func configurable(f *pflag.Flag) bool {
	return f.Annotations[commandLineKey] == nil && f.Name != "help" && f.Name != "version"
}

// configure gives every flag that the command line does not set its value
// from the first layer that has one. What is wrong in one layer does not keep
// the others from being used: doctor goes on with them.
func configure(cmd *cobra.Command) error {
	settable := false
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { settable = settable || configurable(f) })
	if !settable {
		return nil // help and version work whatever a config file says
	}
	if err := oneTarget(cmd); err != nil {
		return err
	}
	defer ownTarget(cmd)
	layers, bad := readLayers(configFiles())
	if len(layers) == 0 {
		return bad // the usual case, and a tenth of a short command's own time
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		s, found := find(layers, keysOf(cmd, f.Name))
		if f.Changed || !configurable(f) || !found {
			return
		}
		if err := accept(f, s.value); err != nil {
			bad = cmp.Or(bad, s.refused(err))
			return
		}
		_ = cmd.Flags().SetAnnotation(f.Name, originKey, []string{s.origin})
	})
	return bad
}

// oneTarget refuses a command line that says twice where it goes.
func oneTarget(cmd *cobra.Command) error {
	device, socket := cmd.Flags().Lookup("device"), cmd.Flags().Lookup("socket")
	if device != nil && socket != nil && device.Changed && socket.Changed {
		return usage("--socket does not go with --device").hint("--device %s", capabilities.ShellWord(device.Value.String()))
	}
	return nil
}

// ownTarget makes the command line say where a command goes, if it does: a device
// that is set elsewhere is for those that do not.
func ownTarget(cmd *cobra.Command) {
	device := cmd.Flags().Lookup("device")
	if device == nil || device.Changed {
		return
	}
	for _, name := range []string{"socket", "router"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			_ = device.Value.Set("")
		}
	}
}

// A setting's key is the name of its flag, behind the commands whose table it
// stands in: wait, call.wait. keysOf are those that flag of cmd may have, the
// most special first.
func keysOf(cmd *cobra.Command, flag string) []string {
	var keys []string
	for ; cmd.HasParent(); cmd = cmd.Parent() {
		keys = append(keys, keyIn(cmd, flag))
	}
	return append(keys, flag)
}

func keyIn(cmd *cobra.Command, flag string) string {
	words := strings.Fields(cmd.CommandPath())[1:]
	return strings.Join(append(words, flag), ".")
}

func envName(key string) string {
	return "DCONN_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(key))
}

// setting is a value as it would stand on the command line, and what set it.
type setting struct{ key, value, origin string }

// layer is one source of settings.
type layer struct {
	file   string            // "" is the environment
	values map[string]string // of the file, by key
}

func (l layer) get(key string) (setting, bool) {
	if l.file == "" {
		name := envName(key)
		value, there := os.LookupEnv(name)
		emptyCounts := key == scopesFlag || strings.HasSuffix(key, "."+scopesFlag) // it is no right, not every right
		return setting{name, value, name}, value != "" || there && emptyCounts
	}
	value, ok := l.values[key]
	return setting{key, value, l.file}, ok
}

// find looks for the first of keys in the first layer that has any.
func find(layers []layer, keys []string) (setting, bool) {
	for _, l := range layers {
		for _, key := range keys {
			if s, ok := l.get(key); ok {
				return s, true
			}
		}
	}
	return setting{}, false
}

// settingError says what is wrong with a setting, or with the file or
// variable that it comes from.
type settingError struct {
	*failure
	origin string
	cause  error // nil where the text says it all
}

func (e *settingError) Unwrap() []error { return []error{e.failure, e.cause} }

// refused says why the value of s is wrong.
func (s setting) refused(why error) error {
	return wrongSetting(s.origin, "%s = %q: %v", s.key, s.value, why)
}

func wrongSetting(origin, format string, a ...any) *settingError {
	what := fmt.Sprintf(format, a...)
	if filepath.IsAbs(origin) {
		what = origin + ": " + what
	}
	return &settingError{failure: own("config: %s", what), origin: origin}
}

func (e *settingError) hint(format string, a ...any) error {
	e.failure = e.failure.hint(format, a...)
	return e
}

// blame names what set a flag that a command then finds wrong, when that was
// not the command line.
func blame(cmd *cobra.Command, f *failure) *failure {
	if f.Code != exitUsage || f.WAMP != nil {
		return f
	}
	words := strings.FieldsFunc(f.Message, func(r rune) bool { return strings.ContainsRune(" :,", r) })
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		origin := flag.Annotations[originKey]
		short := flag.Shorthand != "" && slices.Contains(words, "-"+flag.Shorthand)
		if f.Code == exitUsage && origin != nil && (short || slices.Contains(words, "--"+flag.Name)) {
			f = &failure{Code: exitOwn, Message: fmt.Sprintf("config: %s: %s", origin[0], f.Message), Hint: asSetting(f.Hint, flag.Name)}
		}
	})
	return f
}

// asSetting is a hint about a flag alone as one about its setting.
func asSetting(hint, flag string) string {
	value, ok := strings.CutPrefix(hint, "--"+flag+" ")
	if !ok || strings.Contains(value, " ") {
		return hint
	}
	return value
}

// configFiles are the files with settings that exist; the first wins.
func configFiles() []string {
	files := []string{"/etc/dconn/config.toml"}
	if dir, err := os.UserConfigDir(); err == nil {
		files = []string{filepath.Join(dir, "dconn", "config.toml"), files[0]}
	}
	return slices.DeleteFunc(files, func(file string) bool {
		_, err := os.Stat(file)
		return err != nil // also in a home that this user may not look into
	})
}

// readLayers are the environment and the files, the first wins; none if there
// is nothing in them. A file with an error is left out.
func readLayers(files []string) (layers []layer, bad error) {
	env := slices.ContainsFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "DCONN_") })
	if len(files) == 0 && !env {
		return nil, nil
	}
	layers = []layer{{}}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			bad = cmp.Or[error](bad, &settingError{own("config: %v", err), file, err})
			continue
		}
		l, err := parseFile(newRoot(&streams{}, nil), file, data)
		if err != nil {
			bad = cmp.Or(bad, err)
			continue
		}
		layers = append(layers, l)
	}
	return layers, bad
}

// parseFile reads the TOML in data. A setting that no command has is an
// error, because a typo would be silent, and so is a value that none accepts.
// It sets the flags of root on the way.
func parseFile(root *cobra.Command, file string, data []byte) (layer, error) {
	decoder, err := viper.NewCodecRegistry().Decoder("toml")
	if err != nil {
		return layer{}, err
	}
	tree := map[string]any{}
	if err := decoder.Decode(data, tree); err != nil {
		return layer{}, wrongSetting(file, "%s%v", line(err), err)
	}
	l := layer{file, map[string]string{}}
	return l, l.read(root, tree)
}

// line is where in a file the decoder stopped, if it says so.
func line(err error) string {
	var at interface{ Position() (row, column int) }
	if !errors.As(err, &at) {
		return ""
	}
	row, column := at.Position()
	return fmt.Sprintf("line %d, column %d: ", row, column)
}
