package runner

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func worker(t *testing.T, script string) *Worker {
	t.Helper()
	w := &Worker{Spec: sh(t, script)}
	t.Cleanup(w.Close)
	return w
}

func TestWorker(t *testing.T) {
	t.Parallel()
	w := worker(t, `n=0; while read -r line; do n=$((n+1)); case $line in die) echo gone >&2; exit 3;; kill) kill -9 $$;; hang) sleep 600;; *) echo "$n $line";; esac; done`)
	ask := func(line, want string) {
		t.Helper()
		got, err := w.Ask(t.Context(), []byte(line+"\n"))
		if err != nil || string(got) != want {
			t.Errorf("%q got %q, %v; want %q", line, got, err, want)
		}
	}
	ask("a", "1 a")
	ask("b", "2 b")
	_, err := w.Ask(t.Context(), []byte("die\n"))
	if e, ok := errors.AsType[*Ended](err); !ok || e.ExitCode != 3 || e.StderrTail != "gone\n" {
		t.Errorf("got %v", err)
	}
	ask("c", "1 c")
	_, err = w.Ask(t.Context(), []byte("kill\n"))
	if e, ok := errors.AsType[*Ended](err); !ok || e.ExitCode != 137 || e.Signal != "killed" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := w.Ask(ctx, []byte("hang\n")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	ask("d", "1 d")
}

func TestWorkerAnswersAreBounded(t *testing.T) {
	t.Parallel()
	w := worker(t, `while read -r line; do head -c 3000000 /dev/zero | tr '\0' x; echo; done`)
	if _, err := w.Ask(t.Context(), []byte("a\n")); !errors.Is(err, ErrTooMuch) {
		t.Errorf("got %v, want %v", err, ErrTooMuch)
	}
	w.MaxOutput = 3000000
	got, err := w.Ask(t.Context(), []byte("a\n"))
	if err != nil || len(got) != 3000000 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// A worker that does not read what it is asked does not hang its asker.
func TestWorkerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	w := worker(t, `exec sleep 600`)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	question := []byte(strings.Repeat("x", 1<<20) + "\n")
	if _, err := w.Ask(ctx, question); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Close gives a worker time to notice, and ends what does not.
func TestWorkerCloses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, script := range map[string]string{
		"at the end of its input": `echo $$ >$DIR/pid; while read -r l; do echo; done; touch $DIR/noticed`,
		"by force":                `echo $$ >$DIR/pid; trap "" TERM; while :; do read -r l && echo; sleep 0.1; done`,
	} {
		w := &Worker{Spec: sh(t, script)}
		w.Env = append(w.Env, "DIR="+dir)
		if _, err := w.Ask(t.Context(), []byte("a\n")); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if pid := awaitPid(t, dir+"/pid"); running(pid) {
			t.Errorf("%s: process %d still runs", name, pid)
		}
	}
}
