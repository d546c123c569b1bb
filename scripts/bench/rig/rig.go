// Package rig is what stands around a benchmark: a directory of its own, the
// programs it built, the daemons it started and the tools it compares with.
package rig

import (
	"context"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

const module = "github.com/deskconn/dconn"

// Rig is that of one benchmark.
type Rig struct {
	Dir string // of binaries, sockets and the home of every program

	name    string // of the benchmark
	tags    string // build tags of dconn
	daemons []*exec.Cmd
	base    *Rig // that of the base binary, nil without one
}

// Main gives measure a rig, leaves nothing of it behind, and exits with 1 if
// measure failed. The command line takes no arguments.
func Main(name, tags string, measure func(context.Context, *Rig) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := with(ctx, &Rig{name: name, tags: tags}, measure)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // rather than what it broke
	}
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func with(ctx context.Context, r *Rig, measure func(context.Context, *Rig) error) (err error) {
	if flag.NArg() > 0 {
		return fmt.Errorf("expected no arguments, got %q", flag.Args())
	}
	if r.Dir, err = os.MkdirTemp("", "dconn-bench-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(r.Dir) }()
	defer r.StopDaemons()
	return measure(ctx, r)
}

// Say tells whoever runs the benchmark.
func (r *Rig) Say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", r.name, fmt.Sprintf(format, args...))
}

// Env keeps the settings and sockets of whoever runs this out of it. Programs in
// Dir are found by their name.
func (r *Rig) Env() []string {
	return []string{"PATH=" + r.Dir + ":" + os.Getenv("PATH"), "DCONN_LISTEN=none", "HOME=" + r.Dir, "XDG_RUNTIME_DIR=" + r.runtimeDir()}
}

func (r *Rig) runtimeDir() string { return filepath.Join(r.Dir, "run") }

// BuildDconn builds dconn as the Makefile does.
func (r *Rig) BuildDconn(ctx context.Context, paths ...string) error {
	return r.build(ctx, "cmd/dconn", r.tags, paths)
}

// Build builds the program in a folder of this repository.
func (r *Rig) Build(ctx context.Context, folder string, paths ...string) error {
	return r.build(ctx, folder, "", paths)
}

// build builds a program and copies it to paths. One of this size was seen to
// take a fifth longer from the linker's own file than from a copy of it, as
// install(1) makes one.
func (r *Rig) build(ctx context.Context, folder, tags string, paths []string) error {
	linked := filepath.Join(r.Dir, "linked")
	err := runGently(ctx, []string{"CGO_ENABLED=0", "GOTMPDIR=" + r.Dir}, "go", "build", "-trimpath",
		"-ldflags", "-s -w", "-tags", tags, "-o", linked, module+"/"+folder)
	if err != nil {
		return err
	}
	for _, path := range paths {
		err = errors.Join(err, duplicate(linked, path))
	}
	return errors.Join(err, os.Remove(linked))
}

func duplicate(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
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

// Need has tools, from Debian packages that it installs if it may. Its error
// says which is missing, and how to have it.
func (r *Rig) Need(ctx context.Context, tools []string, packages ...string) error {
	missing := lacking(tools)
	if missing == nil {
		return nil
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err == nil {
		err = runGently(ctx, nil, filepath.Join(strings.TrimSpace(string(root)), "scripts", "need.sh"), packages...)
	}
	if missing = lacking(tools); missing == nil {
		return nil
	}
	return fmt.Errorf("%w (apt-get install %s)", errors.Join(missing, err), strings.Join(packages, " "))
}

func lacking(tools []string) error {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	return nil
}

// Output runs a program and returns what it prints.
func (r *Rig) Output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = r.Env()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}

// Versions names what was measured: the machine, a dconn that was built, and
// what else there is.
func (r *Rig) Versions(dconn string, others ...string) (string, error) {
	info, err := buildinfo.ReadFile(dconn)
	if err != nil {
		return "", err
	}
	v := []string{runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, fmt.Sprintf("%d CPUs", runtime.NumCPU())}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		v = append(v, "kernel "+strings.TrimSpace(string(kernel)))
	}
	if r.tags != "" {
		v = append(v, "dconn built with -tags "+r.tags)
	}
	for _, dep := range info.Deps {
		if strings.HasPrefix(dep.Path, "github.com/gammazero/nexus/") {
			v = append(v, "nexus "+dep.Version)
		}
	}
	return strings.Join(append(v, others...), ", "), nil
}

// FirstLine is how most tools name themselves, and what they exit with then
// differs.
func (r *Rig) FirstLine(ctx context.Context, name string, args ...string) string {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = r.Env()
	out, _ := cmd.Output()
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}
