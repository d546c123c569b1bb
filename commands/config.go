package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// configure gives every flag that the command line does not set its value from
// the environment (DCONN_<FLAG>), else from the user's config file, else from
// the system's. This is the only place that knows where settings come from.
func configure(cmd *cobra.Command) error {
	settable := false
	cmd.Flags().VisitAll(func(f *pflag.Flag) { settable = settable || configurable(f) })
	if !settable {
		return nil // help and version work whatever a config file says
	}
	files := configFiles()
	if len(files) == 0 && !anyEnv() {
		return nil // the usual case, and a tenth of a short command's own time
	}
	settings, err := readSettings(files)
	if err != nil {
		return err
	}
	if err := checkKeys(settings); err != nil {
		return err
	}
	var bad error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || !configurable(f) || !settings.IsSet(f.Name) || bad != nil {
			return
		}
		value := asFlag(settings.Get(f.Name))
		if err := f.Value.Set(value); err != nil {
			bad = own("%s = %q: %v", f.Name, value, err).hint("it comes from the environment (%s) or a config file", envName(f.Name))
		}
	})
	return bad
}

// asFlag writes a setting as it would stand on the command line.
func asFlag(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	words := make([]string, len(list))
	for i, e := range list {
		words[i] = fmt.Sprint(e)
	}
	return strings.Join(words, ",")
}

func configurable(f *pflag.Flag) bool {
	return !slices.Contains([]string{"help", "version", "input", "kwarg"}, f.Name)
}

func envName(flag string) string {
	return "DCONN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// configFiles are the files with settings that exist; a later one wins.
func configFiles() []string {
	files := []string{"/etc/dconn/config.toml"}
	if dir, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(dir, "dconn", "config.toml"))
	}
	return slices.DeleteFunc(files, func(file string) bool {
		_, err := os.Stat(file)
		return err != nil // also in a home that this user may not look into
	})
}

func anyEnv() bool {
	return slices.ContainsFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "DCONN_") })
}

func readSettings(files []string) (*viper.Viper, error) {
	v := viper.New()
	v.SetEnvPrefix("dconn")
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	v.SetConfigType("toml")
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, own("config: %v", err)
		}
		err = v.MergeConfig(f)
		_ = f.Close()
		if err != nil {
			return nil, own("config: %s: %v", file, err)
		}
	}
	return v, nil
}

// checkKeys refuses a setting that no command has: a typo would be silent.
func checkKeys(settings *viper.Viper) error {
	keys := settings.AllKeys()
	if len(keys) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, cmd := range newRoot(&streams{}, nil).Commands() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = configurable(f) })
	}
	slices.Sort(keys)
	for _, key := range keys {
		if !known[key] {
			return own("config: unknown setting %q", key).hint("settings have the names of flags, without the dashes")
		}
	}
	return nil
}
