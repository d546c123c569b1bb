package runner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFill(t *testing.T) {
	args := []string{"a b", "-x", "", "$(id)"}
	kwargs := map[string]string{"name": "v", "dash": "-v"}
	for _, c := range []struct {
		template, want []string
		wrong          string
	}{
		{[]string{"df", "{0}"}, []string{"df", "a b"}, ""},
		{[]string{"p={0},{name}", "{3}"}, []string{"p=a b,v", "$(id)"}, ""},
		{[]string{"{2}"}, []string{""}, ""},
		{[]string{"{{0}}", "{{name}}", "{}", "{a b}", "{", "}"}, []string{"{0}", "{name}", "{}", "{a b}", "{", "}"}, ""},
		{[]string{"-{1}", "x{1}"}, []string{"--x", "x-x"}, ""},
		{[]string{"{1}"}, nil, "begins with a dash"},
		{[]string{"{dash}"}, nil, "begins with a dash"},
		{[]string{"{4}"}, nil, "argument {4} is missing"},
		{[]string{"{nope}"}, nil, "argument {nope} is missing"},
	} {
		got, err := Fill(c.template, args, kwargs, false)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("Fill(%q) = %q, %v; want an error with %q", c.template, got, err, c.wrong)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("Fill(%q) = %q, %v; want %q", c.template, got, err, c.want)
		}
	}
	if got, err := Fill([]string{"{1}"}, args, kwargs, true); err != nil || got[0] != "-x" {
		t.Errorf("allowDash: %q, %v", got, err)
	}
	if _, err := Fill([]string{"{0}"}, []string{"a\x00b"}, nil, true); err == nil {
		t.Error("a NUL byte got through")
	}
	if _, err := Fill([]string{"{0}"}, []string{strings.Repeat("x", maxElement+1)}, nil, true); err == nil {
		t.Error("an element that execve refuses got through")
	}
}

// A value never makes more elements than the template has.
func FuzzFill(f *testing.F) {
	f.Add("df {0}", "a b")
	f.Fuzz(func(t *testing.T, template, value string) {
		words := strings.Fields(template)
		got, err := Fill(words, []string{value}, map[string]string{"a": value}, false)
		if err == nil && len(got) != len(words) {
			t.Errorf("%q with %q became %q", words, value, got)
		}
	})
}

func sh(t *testing.T, script string) Spec {
	t.Helper()
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	return Spec{Path: path, Argv: []string{"sh", "-c", script}, Env: os.Environ(), MaxOutput: 1 << 20}
}

func TestOutcome(t *testing.T) {
	spec := sh(t, `cat; echo err >&2; exit 3`)
	spec.Stdin = []byte("in")
	got, err := Run(context.Background(), spec)
	want := &Outcome{Stdout: []byte("in"), StderrTail: "err\n", ExitCode: 3}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	got, err = Run(context.Background(), sh(t, `kill -TERM $$`))
	if err != nil || got.ExitCode != 143 || got.Signal != "terminated" {
		t.Errorf("got %+v, %v; want exit code 143 by terminated", got, err)
	}
	got, err = Run(context.Background(), sh(t, `head -c 9000 /dev/zero | tr '\0' x >&2; echo end >&2`))
	if err != nil || len(got.StderrTail) != stderrTail || !strings.HasSuffix(got.StderrTail, "xend\n") {
		t.Errorf("stderr tail has %d bytes, %v", len(got.StderrTail), err)
	}
}

func TestTooMuchOutput(t *testing.T) {
	spec := sh(t, `yes`)
	spec.MaxOutput = 1000
	if _, err := Run(context.Background(), spec); !errors.Is(err, ErrTooMuch) {
		t.Errorf("got %v, want %v", err, ErrTooMuch)
	}
}

func TestCannotStart(t *testing.T) {
	spec := sh(t, "")
	spec.Path = filepath.Join(t.TempDir(), "nothing")
	if _, err := Run(context.Background(), spec); err == nil || !strings.Contains(err.Error(), "cannot start") {
		t.Errorf("got %v", err)
	}
}

// running reports whether pid lives; a zombie does not.
func running(pid int) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}

func awaitPid(t *testing.T, file string) int {
	t.Helper()
	for range 1000 {
		text, _ := os.ReadFile(file)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return pid
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the command did not start")
	return 0
}

// When the call ends, so does everything the command started, also what
// ignores SIGTERM, and also after the command itself has ended.
func TestGroupEnds(t *testing.T) {
	for name, script := range map[string]string{
		"child of a waiting command": `sleep 600 & echo $! >"$PIDFILE"; wait`,
		"that ignores SIGTERM":       `trap "" TERM; (trap "" TERM; sleep 600) & echo $! >"$PIDFILE"; sleep 600`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pid")
			spec := sh(t, script)
			spec.Env = append(spec.Env, "PIDFILE="+file)
			ctx, cancel := context.WithCancelCause(context.Background())
			why := errors.New("the caller has gone")
			go func() {
				awaitPid(t, file)
				cancel(why)
			}()
			if _, err := Run(ctx, spec); !errors.Is(err, why) {
				t.Errorf("got %v, want %v", err, why)
			}
			expectGone(t, awaitPid(t, file))
		})
	}
	t.Run("left behind", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "pid")
		spec := sh(t, `sleep 600 & echo $! >"$PIDFILE"; echo done`) // it holds stdout open
		spec.Env = append(spec.Env, "PIDFILE="+file)
		out, err := Run(context.Background(), spec)
		if err != nil || string(out.Stdout) != "done\n" {
			t.Errorf("got %+v, %v", out, err)
		}
		expectGone(t, awaitPid(t, file))
	})
}

// The rest of a group may clean up after its leader has gone.
func TestGraceIsForTheWholeGroup(t *testing.T) {
	dir := t.TempDir()
	spec := sh(t, `(trap "sleep 0.3; touch $DIR/cleaned; exit" TERM; echo $$ >"$DIR/pid"; while :; do sleep 0.05; done) & wait`)
	spec.Env = append(spec.Env, "DIR="+dir)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		awaitPid(t, filepath.Join(dir, "pid"))
		time.Sleep(100 * time.Millisecond)
		cancel()
	}()
	if _, err := Run(ctx, spec); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cleaned")); err != nil {
		t.Error("a process of the group was killed before it had cleaned up")
	}
}

func expectGone(t *testing.T, pid int) {
	t.Helper()
	for range 200 {
		if !running(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Errorf("process %d still runs", pid)
}
