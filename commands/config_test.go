package commands

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configHome gives the test a user's config file and no DCONN_ variable.
func configHome(t *testing.T, config string) (file string) {
	t.Helper()
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "DCONN_") {
			t.Setenv(name, "")
		}
	}
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	file = filepath.Join(dir, "dconn", "config.toml")
	if config != "" {
		writeFile(t, file, config)
	}
	return file
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// everyCommandLine calls visit with the words of each command that has flags.
func everyCommandLine(visit func(words []string)) {
	for _, cmd := range everyCommand(newRoot(&streams{}, nil)) {
		if cmd.HasFlags() {
			visit(strings.Fields(cmd.CommandPath())[1:])
		}
	}
}

func freshCommand(t *testing.T, words ...string) *cobra.Command {
	t.Helper()
	cmd, rest, err := newRoot(&streams{}, nil).Find(words)
	if err != nil || len(rest) > 0 {
		t.Fatalf("no command %v: %v", words, err)
	}
	return cmd
}

// sample is a value of f other than its default, as a user writes it and as f
// shows it.
func sample(t *testing.T, f *pflag.Flag) (text, shown string) {
	t.Helper()
	if c, ok := f.Value.(chooser); ok {
		return c.offers()[1], c.offers()[1]
	}
	switch kind := f.Value.Type(); kind {
	case "string":
		return "sample", "sample"
	case "bool":
		return "true", "true"
	case "int":
		return "7", "7"
	case "stringArray":
		return "a=b", "[a=b]"
	case "stringSlice":
		return "a,b", "[a,b]"
	case "LIST":
		return "system,call:org.example", "system,call:org.example"
	case "DURATION":
		return "7", "7s"
	case "WHEN":
		return "2199-01-01T00:00:00Z", "2199-01-01T00:00:00Z"
	case "FORMAT":
		return "json", "json"
	default:
		t.Fatalf("--%s is a %s: add a sample of it", f.Name, kind)
		return "", ""
	}
}

// Every flag can be set by the environment and by a file, for all commands and
// for one, except those of one command line.
func TestEveryFlagIsASetting(t *testing.T) {
	file := configHome(t, "")
	count := 0
	everyCommandLine(func(words []string) {
		freshCommand(t, words...).Flags().VisitAll(func(f *pflag.Flag) {
			count++
			text, shown := sample(t, f)
			one := "DCONN_" + strings.ToUpper(strings.ReplaceAll(strings.Join(append(words, f.Name), "_"), "-", "_"))
			all := "DCONN_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
			only := slices.Contains([]string{"input", "kwarg", "ready-fd", "expires", "address", "no-announce", "clear", "inside"}, f.Name) ||
				words[0] == "pair" && slices.Contains([]string{"name", "code-file", "reset"}, f.Name)
			if only {
				shown = f.DefValue
			}
			for _, name := range []string{all, one} {
				t.Setenv(name, text)
				cmd := freshCommand(t, words...)
				err := configure(cmd)
				if got := cmd.Flags().Lookup(f.Name).Value.String(); err != nil || got != shown {
					t.Errorf("%s=%s makes --%s of %v %q, %v; want %q", name, text, f.Name, words, got, err, shown)
				}
				if err := os.Unsetenv(name); err != nil { // empty would be a value of --scopes
					t.Fatal(err)
				}
			}
			for _, table := range []string{"", "[" + strings.Join(words, ".") + "]\n"} {
				writeFile(t, file, table+f.Name+" = \""+text+"\"\n")
				cmd := freshCommand(t, words...)
				err := configure(cmd)
				wrong := only && (table != "" || f.Name != "name") // that of all is for serve
				if got := cmd.Flags().Lookup(f.Name).Value.String(); got != shown || (err != nil) != wrong {
					t.Errorf("%s%s makes --%s of %v %q, %v; want %q", table, f.Name, f.Name, words, got, err, shown)
				}
			}
			writeFile(t, file, "")
		})
	})
	if count < 40 {
		t.Errorf("only %d flags were tried", count)
	}
}

// No two settings share a variable.
func TestVariablesAreUnique(t *testing.T) {
	meant := map[string]string{}
	everyCommandLine(func(words []string) {
		cmd := freshCommand(t, words...)
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			for _, key := range keysOf(cmd, f.Name) {
				if other, taken := meant[envName(key)]; taken && other != key {
					t.Errorf("%s is both %s and %s", envName(key), key, other)
				}
				meant[envName(key)] = key
			}
		})
	})
}

// The first layer that has a value wins, and in one layer the table.
func TestLayers(t *testing.T) {
	configHome(t, "")
	dir := t.TempDir()
	user, system := filepath.Join(dir, "user.toml"), filepath.Join(dir, "etc.toml")
	for _, c := range []struct {
		user, system, all, one string
		want                   string
	}{
		{"", "", "", "", ""},
		{"", "wait = 1", "", "", "1"},
		{"", "wait = 1\n[call]\nwait = 2", "", "", "2"},
		{"wait = 3", "wait = 1\n[call]\nwait = 2", "", "", "3"},
		{"wait = 3\n[call]\nwait = 4", "wait = 1\n[call]\nwait = 2", "", "", "4"},
		{"[publish]\nwait = 4", "wait = 1", "", "", "1"},
		{"wait = 3\n[call]\nwait = 4", "wait = 1", "5", "", "5"},
		{"wait = 3\n[call]\nwait = 4", "wait = 1", "5", "6", "6"},
		{"wait = 3", "", "", "6", "6"},
	} {
		writeFile(t, user, c.user)
		writeFile(t, system, c.system)
		t.Setenv("DCONN_WAIT", c.all)
		t.Setenv("DCONN_CALL_WAIT", c.one)
		layers, err := readLayers([]string{user, system})
		s, _ := find(layers, keysOf(freshCommand(t, "call"), "wait"))
		if err != nil || s.value != c.want {
			t.Errorf("%+v: wait is %q by %s, %v", c, s.value, s.origin, err)
		}
	}
}

func TestConfigFiles(t *testing.T) {
	file := configHome(t, "wait = 1")
	if files := configFiles(); len(files) == 0 || files[0] != file || len(files) > 1 && files[1] != "/etc/dconn/config.toml" {
		t.Errorf("files are %v, want %s and the system's behind it", files, file)
	}
}

// With no file and no variable there is nothing to read.
func TestNothingIsRead(t *testing.T) {
	configHome(t, "")
	for _, e := range os.Environ() { // an empty one counts as a variable here
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "DCONN_") {
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if layers, err := readLayers(nil); layers != nil || err != nil {
		t.Errorf("got %v, %v", layers, err)
	}
}

func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"socket = \"a\"\n[call]\nwait = 30\n[config.show]\norigin = true", "enable = [\"a\", 1]", "wait.x = 1", "[[call]]\n",
		"\"\" = 1\n\".\" = 2\n\"call.wait\" = 3", "wait = 1979-05-27T07:32:00Z", "name = {a = [{}]}", "ready-fd = 1", "\xff",
	} {
		f.Add([]byte(seed))
	}
	root := newRoot(&streams{}, nil)
	known := map[string]bool{}
	everyCommandLine(func(words []string) {
		cmd, _, _ := root.Find(words)
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			for _, key := range keysOf(cmd, f.Name) {
				known[key] = known[key] || !slices.Contains([]string{"input", "kwarg", "ready-fd"}, f.Name)
			}
		})
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseFile(root, "/the/config.toml", data)
		if err != nil {
			wrong, ok := errors.AsType[*failure](err)
			if !ok || wrong.Code != exitOwn || !strings.HasPrefix(wrong.Message, "config: /the/config.toml: ") {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		for key := range l.values {
			if !known[key] {
				t.Fatalf("%q: %q is no setting", data, key)
			}
		}
	})
}
