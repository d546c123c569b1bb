package commands

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The files in completions/ are what the binary generates.
func TestCompletionsAreCurrent(t *testing.T) {
	files := map[string]string{}
	for shell, file := range map[string]string{"bash": "dconn.bash", "zsh": "_dconn", "fish": "dconn.fish"} {
		s, out := testStreams()
		if err := run(context.Background(), s, []string{"completion", shell}); err != nil {
			t.Fatal(err)
		}
		files[file] = out.String()
	}
	expectCurrent(t, "../completions", files, "make completions")
}

// So are those in docs/man/.
func TestManIsCurrent(t *testing.T) {
	expectCurrent(t, "../docs/man", readAll(t, writeManual(t)), "make man")
}

// expectCurrent insists that dir holds files, which remake makes, and nothing
// else.
func expectCurrent(t *testing.T, dir string, files map[string]string, remake string) {
	t.Helper()
	kept := readAll(t, dir)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if kept[name] != files[name] {
			t.Errorf("%s/%s is not what the binary makes: %s", dir, name, remake)
		}
		delete(kept, name)
	}
	for name := range kept {
		t.Errorf("%s/%s is left over: %s", dir, name, remake)
	}
}

func readAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

func writeManual(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, out := testStreams()
	if err := run(context.Background(), s, []string{"man", dir}); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// Every page renders without a warning, and shows what it is about.
func TestManRenders(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is missing")
	}
	shown := map[string]string{}
	for name, text := range readAll(t, writeManual(t)) {
		var warnings bytes.Buffer
		cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-P-cbou")
		cmd.Stdin, cmd.Stderr = strings.NewReader(text), &warnings
		out, err := cmd.Output()
		if err != nil || warnings.Len() > 0 {
			t.Errorf("%s: %v: %s", name, err, &warnings)
		}
		shown[name] = string(out)
	}
	everyFlag(func(cmd *cobra.Command, f *pflag.Flag) {
		page := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		if !strings.Contains(shown[page], "--"+f.Name) {
			t.Errorf("%s does not show --%s", page, f.Name)
		}
		if isSetting(cmd, f) {
			for page, what := range map[string]string{page: envName(f.Name), "dconn-environment.7": envName(f.Name), "dconn.toml.5": f.Name + " = "} {
				if !strings.Contains(shown[page], what) {
					t.Errorf("%s does not show %q", page, what)
				}
			}
		}
	})
	for _, c := range subcommands() {
		page := "dconn-" + c.name
		if !strings.Contains(shown["dconn.1"], page+"(1)") || !strings.Contains(shown[page+".1"], "dconn "+c.name) {
			t.Errorf("%s has no page, or dconn.1 does not name it", page)
		}
	}
	for page, text := range map[string]string{
		"dconn-exit-codes.7": "wamp.error.timeout", "dconn-formatting.7": `{"$bytes":"BASE64"}`, "dconn-environment.7": "DCONN_ARGS_TRUNCATED", "dconn-limits.7": "4MiB",
	} {
		if !strings.Contains(shown[page], text) {
			t.Errorf("%s does not show %s", page, text)
		}
	}
}

// everyFlag visits the flags that a user can see.
func everyFlag(visit func(*cobra.Command, *pflag.Flag)) {
	root := newRoot(&streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}, nil)
	for _, cmd := range everyCommand(root) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && cmd.IsAvailableCommand() {
				visit(cmd, f)
			}
		})
	}
}

// What stands in a text survives the roff around it.
func TestRoff(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is missing")
	}
	text := `.dot 'quote' "double" back\slash \fB --flag-name ~/.config ^caret ` + "`tick` … ö"
	p := newPage("x", "1", "y")
	p.prose("  " + text + "\n  'first\n\n  .second\n")
	p.macro(".SH", text)
	cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-P-cbou", "-rLL=200n")
	cmd.Stdin = strings.NewReader(p.String())
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), text) != 2 || !strings.Contains(string(out), "    'first\n") || !strings.Contains(string(out), "    .second\n") {
		t.Errorf("%v: %s\nlacks %s", err, out, text)
	}
}
