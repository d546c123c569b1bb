package commands

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/deskconn/dconn/router/mdns"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dconn": func() {
			mute = os.Getenv("TEST_NETWORK") == ""
			os.Exit(Main())
		},
		"hold": hold,
	})
}

// hold takes the port of mDNS for itself, until it is killed.
func hold() {
	if _, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", mdns.Number)); err != nil {
		panic(err)
	}
	fmt.Println("held")
	select {}
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
			for name, dir := range map[string]string{"COMPLETIONS": "../completions", "EXAMPLES": "../scripts/examples"} {
				path, err := filepath.Abs(dir)
				if err != nil {
					return err
				}
				e.Setenv(name, path)
			}
			e.Values[fakeKey{}] = new(*fakeRouter)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each command sleeps a second at its end
			return buildFakeRoot(filepath.Join(e.WorkDir, "root"))
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			if file, ok := strings.CutPrefix(cond, "file:"); ok {
				_, err := os.Stat(file)
				return err == nil, nil
			}
			return false, errors.New("unknown condition " + cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"attack": attack, "exits": exits, "soon": soon, "hanging": hanging, "fake": fake, "shows": shows, "sets": sets,
		},
	})
}

// exits CODE COMMAND... runs a command and insists on its exit code, which is 128
// and the signal that ended it, as in a shell; stdout and stderr are kept for
// the lines that follow.
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
		if status := failed.Sys().(syscall.WaitStatus); status.Signaled() {
			got = 128 + int(status.Signal())
		}
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, expected %d", got, want)
	}
}

// hanging COMMAND... runs a command while the daemon, whose process id is in the
// file pid, is stopped: the command must not hang with it.
func hanging(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: hanging COMMAND [ARG...]")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile("pid")))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGSTOP))
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	ts.Check(ts.Exec("timeout", append([]string{"10"}, args...)...))
}

// soon REGEXP COMMAND... runs a command until its output matches: a daemon on a
// loaded machine may be too slow for one TAB.
func soon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: soon REGEXP COMMAND [ARG...]")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("the output still does not match %q", args[0])
		}
	}
}

// sets NAME FILE makes a variable of what is in a file.
func sets(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sets NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
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
