//go:build netns

// Package net tests dconn between hosts: network namespaces on a bridge that each
// test makes for itself. It runs by `make test-net`, and needs root.
package net

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// binary is the dconn under test.
var binary string

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dconn-net")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "dconn")
	build := exec.Command("go", "build", "-tags", "codec.notfastpath", "-o", binary, "../../cmd/dconn")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		return 1
	}
	return m.Run()
}

// roleEnv makes this test binary play somebody in a namespace: see roles.
const roleEnv = "DCONN_TEST_ROLE"

// roles are who can be played, each by a function that gets the words behind it.
var roles = map[string]func(args []string) error{}

func play(role string, args []string) int {
	if err := roles[role](args); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

// labs numbers them, for names that no other test has.
var labs atomic.Int32

// lab is a bridge in a namespace of its own.
type lab struct {
	*testing.T
	number int
	hosts  int
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, number: int(labs.Add(1))}
	l.ip("netns", "add", l.space("S"))
	t.Cleanup(func() { l.ip("netns", "del", l.space("S")) })
	l.ip("-n", l.space("S"), "link", "add", "br0", "type", "bridge")
	l.ip("-n", l.space("S"), "link", "set", "br0", "up")
	return l
}

// space is the name of a namespace of this lab.
func (l *lab) space(name string) string {
	return fmt.Sprintf("dcn%d-%d%s", os.Getpid(), l.number, name)
}

func (l *lab) ip(args ...string) {
	l.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// host is a machine on the bridge, with directories of its own.
type host struct {
	lab     *lab
	name    string
	space   string
	port    string // of the bridge, where its cable is
	address string // IPv4
	dir     string
}

// host connects another machine to the bridge.
func (l *lab) host(name string) *host {
	l.Helper()
	l.hosts++
	h := &host{lab: l, name: name, space: l.space(name), address: fmt.Sprintf("10.99.0.%d", l.hosts), dir: l.TempDir()}
	h.port = fmt.Sprintf("p%d", l.hosts)
	l.ip("netns", "add", h.space)
	l.Cleanup(func() { l.ip("netns", "del", h.space) })
	l.ip("-n", h.space, "link", "set", "lo", "up")
	h.plug("e0", h.port, "br0", h.address)
	return h
}

// plug gives the host an interface, whose cable ends at a port of a bridge.
func (h *host) plug(name, port, bridge, address string) {
	l := h.lab
	l.Helper()
	l.ip("link", "add", name, "netns", h.space, "type", "veth", "peer", "name", port, "netns", l.space("S"))
	l.ip("-n", l.space("S"), "link", "set", port, "master", bridge)
	l.ip("-n", l.space("S"), "link", "set", port, "up")
	l.ip("-n", h.space, "link", "set", name, "up")
	l.ip("-n", h.space, "addr", "add", address+"/24", "dev", name)
}

// bridge makes another network.
func (l *lab) bridge(name string) {
	l.Helper()
	l.ip("-n", l.space("S"), "link", "add", name, "type", "bridge")
	l.ip("-n", l.space("S"), "link", "set", name, "up")
}

// addAddress gives the host another address on the bridge's network.
func (h *host) addAddress(address string) {
	h.lab.Helper()
	h.lab.ip("-n", h.space, "addr", "add", address+"/24", "dev", "e0")
}

// command is a program on this host.
func (h *host) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.space, name}, args...)...)
	cmd.Env = append(os.Environ(),
		"HOME="+h.dir, "XDG_RUNTIME_DIR="+filepath.Join(h.dir, "run"), "XDG_STATE_HOME="+filepath.Join(h.dir, "state"),
		"PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// role is this test binary on that host, as one of roles.
func (h *host) role(ctx context.Context, role string, args ...string) *exec.Cmd {
	cmd := h.command(ctx, os.Args[0], args...)
	cmd.Env = append(cmd.Env, roleEnv+"="+role)
	return cmd
}

// outcome is how a command ended.
type outcome struct {
	out, err string
	code     int
}

// dconn runs a command line of dconn to its end, for a minute and a half at most.
func (h *host) dconn(args ...string) outcome {
	h.lab.Helper()
	return h.with(nil, args...)
}

// with is dconn with something added to its environment.
func (h *host) with(env []string, args ...string) outcome {
	h.lab.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	cmd := h.command(ctx, binary, args...)
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		h.lab.Fatalf("%s: dconn %v: %v", h.name, args, err)
	}
	return outcome{out.String(), errs.String(), code}
}

// must runs a command line that succeeds, and returns its output.
func (h *host) must(args ...string) string {
	h.lab.Helper()
	o := h.dconn(args...)
	if o.code != 0 {
		h.lab.Fatalf("%s: dconn %s: exit code %d: %s", h.name, strings.Join(args, " "), o.code, o.err)
	}
	return strings.TrimSpace(o.out)
}

// fails runs a command line that ends with code, and says so in these words.
func (h *host) fails(code int, words string, args ...string) {
	h.lab.Helper()
	if o := h.dconn(args...); o.code != code || !strings.Contains(o.err, words) {
		h.lab.Errorf("%s: dconn %s: exit code %d, %q; want %d, %q", h.name, strings.Join(args, " "), o.code, o.err, code, words)
	}
}

// process is a command that goes on.
type process struct {
	lab  *lab
	cmd  *exec.Cmd
	done chan struct{}
	code int

	mu    sync.Mutex
	out   strings.Builder
	err   strings.Builder
	moved chan struct{} // something was written, or it has ended
}

// sink is one of the two streams of a process.
type sink struct {
	p    *process
	into *strings.Builder
}

func (s sink) Write(b []byte) (int, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.into.Write(b)
	s.p.wake()
	return len(b), nil
}

// wake tells whoever waits. p.mu is held.
func (p *process) wake() {
	close(p.moved)
	p.moved = make(chan struct{})
}

// start starts a command line of dconn; it ends with the test.
func (h *host) start(args ...string) *process {
	h.lab.Helper()
	return h.launch(func(ctx context.Context) *exec.Cmd { return h.command(ctx, binary, args...) })
}

func (h *host) launch(command func(context.Context) *exec.Cmd) *process {
	h.lab.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{lab: h.lab, cmd: command(ctx), done: make(chan struct{}), moved: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = sink{p, &p.out}, sink{p, &p.err}
	if err := p.cmd.Start(); err != nil {
		h.lab.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.done)
		p.wake()
	}()
	h.lab.Cleanup(func() { cancel(); <-p.done })
	return p
}

// texts are what the process has written so far.
func (p *process) texts() (out, err string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String(), p.err.String()
}

// until waits until what the process has written is what is wanted.
func (p *process) until(what string, wanted func(out, err string) bool) {
	p.lab.Helper()
	limit := time.After(90 * time.Second)
	for {
		p.mu.Lock()
		ok, moved := wanted(p.out.String(), p.err.String()), p.moved
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-moved:
			continue
		case <-limit:
		case <-p.done:
			if wanted(p.texts()) {
				return
			}
		}
		out, err := p.texts()
		p.lab.Fatalf("no %s; stdout %q, stderr %q", what, out, err)
	}
}

// says waits for words on stderr.
func (p *process) says(words string) {
	p.lab.Helper()
	p.until(fmt.Sprintf("%q on stderr", words), func(_, err string) bool { return strings.Contains(err, words) })
}

// line waits for the n-th line of stdout, counted from 0.
func (p *process) line(n int) string {
	p.lab.Helper()
	var lines []string
	p.until(fmt.Sprintf("line %d on stdout", n), func(out, _ string) bool {
		lines = strings.Split(out, "\n")
		return len(lines) > n+1
	})
	return lines[n]
}

// ends waits for the end of the process, which is with this code.
func (p *process) ends(code int) {
	p.lab.Helper()
	select {
	case <-p.done:
	case <-time.After(90 * time.Second):
		p.lab.Fatal("it does not end")
	}
	if out, err := p.texts(); p.code != code {
		p.lab.Errorf("exit code %d, expected %d; stdout %q, stderr %q", p.code, code, out, err)
	}
}

// kill ends the process with a signal.
func (p *process) kill(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal)
	<-p.done
}

// serve starts a daemon there, and returns once it serves.
func (h *host) serve(args ...string) *process {
	h.lab.Helper()
	p := h.start(append([]string{"serve", "--name", h.name}, args...)...)
	p.says("msg=serving")
	return p
}
