package router

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "sub", "s")
}

func TestListenUnix(t *testing.T) {
	path := socketPath(t)
	ln, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %o", p, info.Mode(), err, want)
		}
	}
	_, err = ListenUnix(path)
	held, ok := errors.AsType[*HeldError](err)
	if !ok || held.PID != os.Getpid() || held.UID != os.Geteuid() || held.Path != path {
		t.Errorf("a live socket: %v", err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket stays behind")
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	ln, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.(*ownSocket).Listener.Close() // as if it had died
	ln, err = ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
}

func TestNoSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenUnix(path); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("the file is gone")
	}
}

// Of several that start at once over a stale socket, one wins.
func TestOneListenerWins(t *testing.T) {
	path := socketPath(t)
	ln, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.(*ownSocket).Listener.Close() // as if it had died
	var won atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			ln, err := ListenUnix(path)
			if err == nil {
				won.Add(1)
				t.Cleanup(func() { _ = ln.Close() })
			} else if _, held := errors.AsType[*HeldError](err); !held {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d listeners", won.Load())
	}
}

// Somebody who holds the lock for ever is named, not waited for.
func TestForeignLock(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(socketPath(t))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenUnix(filepath.Join(dir, "s")); err == nil || !strings.Contains(err.Error(), "another process holds it") {
		t.Errorf("got %v", err)
	}
}

// A socket that another daemon has put in place of ours stays.
func TestCloseLeavesAnothersSocket(t *testing.T) {
	path := socketPath(t)
	first, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the second socket is gone: %v", err)
	}
	_ = second.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the second socket stays behind")
	}
}
