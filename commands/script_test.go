package commands

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dconn": func() { os.Exit(Main()) },
	})
}

// TestScripts runs the binary as a user would, one script per story.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_RUNTIME_DIR", filepath.Join(e.WorkDir, "run"))
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each command sleeps a second at its end
			return buildFakeRoot(filepath.Join(e.WorkDir, "root"))
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, errors.New("unknown condition " + cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits CODE COMMAND... runs a command and insists on its exit code; stdout
// and stderr are kept for the lines that follow.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, expected %d", got, want)
	}
}

// buildFakeRoot makes a tree for --device-root: two backlights and /proc.
func buildFakeRoot(root string) error {
	files := map[string]string{
		"proc/uptime":               "350735.47 234388.90\n",
		"proc/loadavg":              "0.20 0.18 0.12 1/80 11206\n",
		"proc/sys/kernel/ostype":    "Linux\n",
		"proc/sys/kernel/osrelease": "6.1.0-test\n",
	}
	for name, kind := range map[string]string{"intel_backlight": "raw", "acpi_video0": "firmware"} {
		dir := "sys/class/backlight/" + name + "/"
		files[dir+"type"] = kind + "\n"
		files[dir+"max_brightness"] = "200\n"
		files[dir+"brightness"] = "100\n"
		files[dir+"bl_power"] = "0\n"
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
		if filepath.Base(name) == "brightness" {
			if err := os.Symlink("brightness", filepath.Join(filepath.Dir(path), "actual_brightness")); err != nil {
				return err
			}
		}
	}
	return nil
}
