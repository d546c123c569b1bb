// Package runner runs a child process for a call or an event: argv filled from
// its arguments, input on stdin, bounded output, and the whole process group
// ended when the call ends first.
package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Spec is one run of a command.
type Spec struct {
	Path      string   // of the executable
	Argv      []string // Argv[0] is what it is called
	Env       []string
	Stdin     []byte
	MaxOutput int       // bytes of stdout that are kept for Outcome
	Stdout    io.Writer // takes stdout instead; its error ends the command
	Stderr    io.Writer // takes stderr as well, nil if only its tail is wanted
}

// Outcome is how a command ended that could be started.
type Outcome struct {
	Stdout     []byte
	StderrTail string // its last bytes
	ExitCode   int    // 128 plus the signal if one ended it
	Signal     string // "" or the name of that signal
}

// How says in words how the command ended.
func (o *Outcome) How() string {
	if o.Signal != "" {
		return "ended by signal: " + o.Signal
	}
	return fmt.Sprintf("exit status %d", o.ExitCode)
}

// Err is nil if the command ended well.
func (o *Outcome) Err() error {
	if o.ExitCode == 0 {
		return nil
	}
	return errors.New(o.How())
}

const (
	// stderrTail is how many bytes of stderr are kept.
	stderrTail = 4 << 10
	// grace is how long a process group has between SIGTERM and SIGKILL.
	grace = 5 * time.Second
)

// ErrTooMuch says that a command wrote more than MaxOutput and was ended.
var ErrTooMuch = errors.New("too much output")

// Run runs spec until it ends. When ctx ends first, the process group gets
// SIGTERM, after grace SIGKILL, and the error is the cause of ctx. What a
// command leaves behind when it ends by itself is killed at once, so that
// nothing that was started for a call outlives it.
func Run(ctx context.Context, spec Spec) (*Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stdout := &capped{max: spec.MaxOutput}
	stderr := &tail{}
	cmd := exec.CommandContext(ctx, spec.Path)
	cmd.Args = spec.Argv
	cmd.Env = spec.Env
	cmd.Stdin = bytes.NewReader(spec.Stdin)
	cmd.Stdout = ending{stdout, cancel}
	if spec.Stdout != nil {
		cmd.Stdout = ending{spec.Stdout, cancel}
	}
	cmd.Stderr = stderr
	if spec.Stderr != nil {
		cmd.Stderr = io.MultiWriter(stderr, spec.Stderr)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var deadline time.Time
	cmd.Cancel = func() error {
		deadline = time.Now().Add(grace)
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	}
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start: %w", err)
	}
	awaitExit(cmd.Process.Pid)
	if ctx.Err() == nil {
		// The leader is not reaped yet, so the group is still ours.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		endGroup(cmd.Process.Pid, deadline)
		return nil, context.Cause(ctx)
	}
	_, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && !failed && !errors.Is(err, exec.ErrWaitDelay) { // what left the group may hold its output
		return nil, err
	}
	return outcome(cmd, stdout.b.Bytes(), stderr.String()), nil
}

// awaitExit waits until pid has ended, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// endGroup gives the rest of a group until deadline to follow its SIGTERM.
func endGroup(group int, deadline time.Time) {
	for lives(group) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(-group, syscall.SIGKILL)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func outcome(cmd *exec.Cmd, stdout []byte, stderr string) *Outcome {
	o := &Outcome{Stdout: stdout, StderrTail: stderr, ExitCode: cmd.ProcessState.ExitCode()}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		o.ExitCode = 128 + int(status.Signal())
		o.Signal = status.Signal().String()
	}
	return o
}

// ending ends the command when its output cannot be taken.
type ending struct {
	io.Writer
	cancel context.CancelCauseFunc
}

func (e ending) Write(p []byte) (int, error) {
	n, err := e.Writer.Write(p)
	if err != nil {
		e.cancel(err)
	}
	return n, err
}

// capped keeps what is written, up to max bytes.
type capped struct {
	b   bytes.Buffer
	max int
}

func (c *capped) Write(p []byte) (int, error) {
	if c.b.Len()+len(p) > c.max {
		return 0, ErrTooMuch
	}
	return c.b.Write(p)
}

// tail keeps the last stderrTail bytes of what is written.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if extra := len(t.b) - stderrTail; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(bytes.ToValidUTF8(t.b, []byte("\uFFFD"))) }
