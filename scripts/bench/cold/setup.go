package main

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	module    = "github.com/deskconn/dconn"
	procedure = ".system.name"
	fullURI   = "org.deskconn.system.name"
)

// The names of the programs that the bars compare.
const (
	nameEmpty  = "empty Go program"
	nameFloor  = "floor: stdlib-only Go, unix, JSON"
	nameNexus  = "nexus client package alone, unix, CBOR"
	nameCLI    = "nexus client with cobra, viper, go-pretty"
	nameBusctl = "busctl call"
	nameCall   = "dconn call " + procedure
	nameStart  = "dconn version (no network)"
)

// program is one row of the table.
type program struct {
	name  string
	paths []string // copies of the one file, taken in turn
	args  []string
}

// bench holds what a run has built and started.
type bench struct {
	dir      string // of binaries, sockets and the home of every program
	tags     string // build tags of dconn; its peers are built without
	programs []program
	daemons  []*exec.Cmd
}

// env keeps the settings and sockets of whoever runs this out of it.
func (b *bench) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "XDG_RUNTIME_DIR=" + b.runtimeDir()}
}

// copies is how often each program is installed: two copies of one file were
// seen to differ by up to 5 %.
const copies = 3

func (b *bench) binaries(name string) []string {
	paths := make([]string, copies)
	for i := range paths {
		paths[i] = filepath.Join(b.dir, fmt.Sprint(name, ".", i))
	}
	return paths
}

// dconn is the file that serves and is called, as on any machine.
func (b *bench) dconn() string { return b.binaries("dconn")[0] }

func (b *bench) runtimeDir() string { return filepath.Join(b.dir, "run") }

// prepare builds the programs, starts the daemons and lets each program
// run once, so that all of it is warm.
func (b *bench) prepare(ctx context.Context) error {
	if err := b.install(ctx, "cmd/dconn", b.tags, "dconn", "dconn-version"); err != nil {
		return err
	}
	for _, name := range []string{"empty", "floor", "nexusclient", "nexuscli"} {
		if err := b.install(ctx, "scripts/bench/cold/"+name, "", name); err != nil {
			return err
		}
	}
	socket := filepath.Join(b.runtimeDir(), "dconn", "dconn.sock") // where dconn looks without --socket
	if err := b.startDconn(ctx, socket); err != nil {
		return err
	}
	b.programs = []program{
		{nameEmpty, b.binaries("empty"), nil},
		{nameFloor, b.binaries("floor"), []string{socket, fullURI}},
		{nameNexus, b.binaries("nexusclient"), []string{socket, fullURI}},
		{nameCLI, b.binaries("nexuscli"), []string{"call", socket, fullURI}},
		{nameCall, b.binaries("dconn"), []string{"call", procedure}},
		{nameStart, b.binaries("dconn-version"), []string{"version"}},
	}
	if err := b.addBusctl(ctx); err != nil {
		return err
	}
	return b.check(ctx)
}

// install builds pkg and copies it to names. A program of this size was seen to
// take a fifth longer from the linker's own file than from a copy of it, as
// install(1) makes one; and what runs twice a round is found warmer, so that no
// two rows may share a file.
func (b *bench) install(ctx context.Context, pkg, tags string, names ...string) error {
	linked := filepath.Join(b.dir, "linked")
	err := runGently(ctx, []string{"CGO_ENABLED=0", "GOTMPDIR=" + b.dir}, "go", "build", "-trimpath",
		"-ldflags", "-s -w", "-tags", tags, "-o", linked, module+"/"+pkg)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(linked)
	for _, name := range names {
		for _, path := range b.binaries(name) {
			err = errors.Join(err, os.WriteFile(path, content, 0o755))
		}
	}
	return errors.Join(err, os.Remove(linked))
}

// runGently runs a tool that has children of its own, and interrupts it when
// ctx ends, so that it ends them too.
func runGently(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// start runs a daemon until stopDaemons. What it says goes to logOf(cmd).
func (b *bench) start(cmd *exec.Cmd) error {
	log, err := os.Create(b.logOf(cmd))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Env, cmd.Stderr = b.env(), log
	if err := cmd.Start(); err != nil {
		return err
	}
	b.daemons = append(b.daemons, cmd)
	return nil
}

func (b *bench) logOf(cmd *exec.Cmd) string {
	return filepath.Join(b.dir, filepath.Base(cmd.Path)+".log")
}

// notReady explains why a daemon is not.
func (b *bench) notReady(cmd *exec.Cmd, err error) error {
	said, _ := os.ReadFile(b.logOf(cmd))
	return fmt.Errorf("%s is not ready: %w\n%s", filepath.Base(cmd.Path), err, said)
}

// startDconn returns once a daemon of our own answers on socket.
func (b *bench) startDconn(ctx context.Context, socket string) error {
	daemon := exec.Command(b.dconn(), "serve", "--socket", socket)
	if err := b.start(daemon); err != nil {
		return err
	}
	if _, err := b.output(ctx, b.dconn(), "wait", "-W", "10s"); err != nil {
		return b.notReady(daemon, err)
	}
	return nil
}

// startBus returns once a bus of our own listens at address.
func (b *bench) startBus(ctx context.Context, address string) error {
	daemon := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--address="+address, "--print-address=1")
	out, err := daemon.StdoutPipe()
	if err != nil {
		return err
	}
	if err := b.start(daemon); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = out.Close() })()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return b.notReady(daemon, errors.Join(context.Cause(ctx), err))
	}
	return nil
}

// addBusctl adds the D-Bus peer: the bus itself answers, as our daemon does. It
// is left out, with a line that says so, where it is not to be had.
func (b *bench) addBusctl(ctx context.Context) error {
	missing := missingBus()
	if missing != nil && os.Geteuid() == 0 {
		if err := runGently(ctx, nil, "apt-get", "install", "-qq", "-y", "--no-install-recommends", "systemd", "dbus-daemon"); err == nil {
			missing = missingBus()
		}
	}
	if missing != nil {
		fmt.Fprintf(os.Stderr, "bench-cold: no row for busctl call: %v (apt-get install systemd dbus-daemon)\n", missing)
		return ctx.Err()
	}
	address := "unix:path=" + filepath.Join(b.dir, "bus")
	if err := b.startBus(ctx, address); err != nil {
		return err
	}
	busctl, err := exec.LookPath("busctl")
	b.programs = append(b.programs, program{nameBusctl, []string{busctl}, []string{"--address=" + address, "call",
		"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId"}})
	return err
}

func missingBus() error {
	for _, tool := range []string{"busctl", "dbus-daemon"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	return nil
}

// check runs each program once and compares what those print that make the
// same call.
func (b *bench) check(ctx context.Context) error {
	said := map[string]string{}
	for _, p := range b.programs {
		out, err := b.output(ctx, p.paths[0], p.args...)
		if err != nil {
			return err
		}
		said[p.name] = out
	}
	for _, name := range []string{nameFloor, nameNexus, nameCLI} {
		if said[name] != said[nameCall] || said[name] == "" {
			return fmt.Errorf("%s printed %q, %s printed %q", name, said[name], nameCall, said[nameCall])
		}
	}
	return nil
}

func (b *bench) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = b.env()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}

// stopDaemons ends what start began: politely, and after 5 seconds by force.
func (b *bench) stopDaemons() {
	for _, d := range b.daemons {
		force := time.AfterFunc(5*time.Second, func() { _ = d.Process.Kill() })
		_ = d.Process.Signal(syscall.SIGTERM)
		_ = d.Wait()
		force.Stop()
	}
}

// versions names what was measured.
func (b *bench) versions(ctx context.Context) (string, error) {
	info, err := buildinfo.ReadFile(b.binaries("nexusclient")[0])
	if err != nil {
		return "", err
	}
	v := []string{runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, fmt.Sprintf("%d CPUs", runtime.NumCPU())}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		v = append(v, "kernel "+strings.TrimSpace(string(kernel)))
	}
	if b.tags != "" {
		v = append(v, "dconn built with -tags "+b.tags)
	}
	for _, dep := range info.Deps {
		if strings.HasPrefix(dep.Path, "github.com/gammazero/nexus/") {
			v = append(v, "nexus "+dep.Version)
		}
	}
	for _, tool := range []string{"busctl", "dbus-daemon"} {
		if out, err := b.output(ctx, tool, "--version"); err == nil {
			first, _, _ := strings.Cut(out, "\n")
			v = append(v, first)
		}
	}
	return strings.Join(v, ", "), nil
}
