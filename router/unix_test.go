package router

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// A process of this user that holds the lock for ever is waited for, but not for long.
func TestOwnLockIsHeld(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := ListenUnix(path); err == nil || !strings.Contains(err.Error(), "another process holds it") {
		t.Errorf("got %v", err)
	}
}

// What others have put in the place of the lock is left alone, and is in nobody's way.
func TestPlaceOfLockIsTaken(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a directory":   func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":        func(path string) error { return os.Symlink("/etc/passwd", path) },
		"a fifo":        func(path string) error { return unix.Mkfifo(path, 0o600) },
		"an open file":  func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o666)) },
		"another's own": func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), disownFile(path)) },
		"an old one":    func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		if name == "another's own" && os.Geteuid() != 0 {
			continue // only root can give a file away
		}
		path := socketPath(t)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := put(path + ".lock"); err != nil {
			t.Fatal(err)
		}
		ln, err := ListenUnix(path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = ln.Close()
		if _, err := os.Lstat(path + ".lock"); (err == nil) == (name == "an old one") {
			t.Errorf("%s: afterwards %v", name, err)
		}
	}
}

func disownFile(path string) error { return os.Chown(path, otherUID, otherUID) }

// otherUID is another user, as whom a test that root runs can act.
const otherUID = 65534

// holdsEnv makes this test binary lock what it names, a colon between two, hold that
// until its stdin ends, and say what it could lock.
const holdsEnv = "DCONN_TEST_HOLDS"

// holdLocks is the program of another user who wants to keep a daemon from starting.
func holdLocks(paths string) {
	for path := range strings.SplitSeq(paths, ":") {
		f, err := os.Open(path)
		if err == nil {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if err == nil {
			fmt.Println(path)
		}
	}
	fmt.Println("done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func needsTwoUsers(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can act as two users")
	}
}

// anotherHolds has another user lock all of the paths that it can, until the test ends,
// and returns those.
func anotherHolds(t *testing.T, paths ...string) (held []string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{holdsEnv + "=" + strings.Join(paths, ":")}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: otherUID, Gid: otherUID}}
	in, inErr := cmd.StdinPipe()
	out, err := cmd.StdoutPipe()
	if err := errors.Join(inErr, err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = in.Close(), cmd.Wait() })
	said := bufio.NewScanner(out)
	for said.Scan() {
		if said.Text() == "done" {
			return held
		}
		held = append(held, said.Text())
	}
	t.Fatal("the other user could not try")
	return nil
}

// Another user who locks all that he can open keeps no daemon from starting: neither
// in a directory that all may read, nor in one where all may write.
func TestAnotherUserHoldsLocks(t *testing.T) {
	needsTwoUsers(t)
	for _, mode := range []os.FileMode{0o755, 0o777 | os.ModeSticky} {
		path := socketPath(t)
		dir := filepath.Dir(path)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chmod(dir, mode), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
			t.Fatal(err)
		}
		mine := []string{dir}
		if mode&0o002 != 0 {
			if err := errors.Join(os.WriteFile(path+".lock", nil, 0o666), disownFile(path+".lock")); err != nil {
				t.Fatal(err)
			}
			mine = append(mine, path+".lock")
		}
		held := anotherHolds(t, dir, path+".lock")
		if !slices.Equal(held, mine) {
			t.Errorf("%v: the other user holds %v, expected %v", mode, held, mine)
		}
		ln, err := ListenUnix(path)
		if err != nil {
			t.Errorf("%v: %v", mode, err)
			continue
		}
		_ = ln.Close()
	}
}

// The lock is nothing that another user can open while it is held.
func TestLockIsPrivate(t *testing.T) {
	needsTwoUsers(t)
	path := socketPath(t)
	dir := filepath.Dir(path)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	old := syscall.Umask(0)
	unlock, err := lockSocket(path)
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if info, err := os.Stat(path + ".lock"); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if held := anotherHolds(t, path+".lock"); len(held) > 0 {
		t.Errorf("another user holds %v", held)
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
