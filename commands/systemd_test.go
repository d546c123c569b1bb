package commands

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dconn is the command line under the name that makes this test binary dconn,
// see TestMain.
func dconn(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	link := filepath.Join(dir, "dconn")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(link, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	return cmd
}

// socketDir has a path short enough for a unix socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// systemd hands over a socket and is told when the daemon is ready and when it
// stops: sd_listen_fds(3), sd_notify(3).
func TestSystemd(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, "sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	handed, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = notify.Close() }()
	serve := dconn(t, "serve")
	// LISTEN_PID is the daemon's own, so a shell must exec it
	serve.Args = []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve`, serve.Path}
	serve.Path = "/bin/sh"
	serve.Env = append(serve.Env, "NOTIFY_SOCKET="+notify.LocalAddr().String(), "WATCHDOG_USEC=200000")
	serve.ExtraFiles = []*os.File{handed}
	serve.Stderr = os.Stderr
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	expectState(t, notify, "READY=1")
	out, err := dconn(t, "call", "--socket", path, "wamp.session.count").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) == "" {
		t.Errorf("call over the handed socket: %v: %s", err, out)
	}
	expectState(t, notify, "WATCHDOG=1")
	if err := serve.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	expectState(t, notify, "RELOADING=1\nMONOTONIC_USEC=")
	expectState(t, notify, "READY=1")
	expectState(t, notify, "WATCHDOG=1")
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expectState(t, notify, "STOPPING=1")
	if err := serve.Wait(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("systemd's socket is gone: %v", err)
	}
}

// expectState waits until systemd is told want, or what begins so. The watchdog
// may be fed in between.
func expectState(t *testing.T, notify *net.UnixConn, want string) {
	t.Helper()
	_ = notify.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		b := make([]byte, 256)
		n, err := notify.Read(b)
		switch got := string(b[:n]); {
		case err == nil && strings.HasPrefix(got, want):
			return
		case err != nil || got != "WATCHDOG=1":
			t.Fatalf("systemd is told %q, %v; want %q", got, err, want)
		}
	}
}

func TestReadyFD(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	serve := dconn(t, "serve", "--ready-fd", "3", "--socket", filepath.Join(socketDir(t), "sock"))
	serve.ExtraFiles = []*os.File{write}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	b := make([]byte, 8)
	n, err := read.Read(b)
	if string(b[:n]) != "\n" {
		t.Errorf("read %q, %v; want a newline", b[:n], err)
	}
	if n, err := read.Read(b); n != 0 || err == nil {
		t.Errorf("the descriptor stays open: %q, %v", b[:n], err)
	}
	_ = serve.Process.Signal(syscall.SIGTERM)
	if err := serve.Wait(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	out, err := dconn(t, "serve", "--ready-fd", "77", "--socket", filepath.Join(socketDir(t), "sock")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--ready-fd 77") {
		t.Errorf("a descriptor that is not open: %v: %s", err, out)
	}
}
