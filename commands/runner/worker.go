package runner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// Worker is a command that stays alive and answers a line of stdin by a line
// of stdout. It is started by the first Ask, and again by the next one after it
// has ended. One Ask runs at a time.
type Worker struct {
	Spec // Stdin is not used; MaxOutput bounds an answer

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *tail
}

// Ended says that a worker ended instead of answering.
type Ended struct{ *Outcome }

func (e *Ended) Error() string {
	if e.Signal != "" {
		return "the worker was ended by signal: " + e.Signal
	}
	return fmt.Sprintf("the worker ended with exit status %d", e.ExitCode)
}

// Ask writes line, which ends in a newline, and returns the answer without its
// newline. When ctx ends first the worker is ended, because its answer would
// be taken for the next one, and the error is the cause of ctx.
func (w *Worker) Ask(ctx context.Context, line []byte) ([]byte, error) {
	if w.cmd == nil {
		if err := w.start(); err != nil {
			return nil, err
		}
	}
	type answer struct {
		line []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		_, err := w.stdin.Write(line)
		if err != nil {
			answered <- answer{nil, err}
			return
		}
		b, err := w.read()
		answered <- answer{b, err}
	}()
	select {
	case a := <-answered:
		if a.err == nil {
			return a.line, nil
		}
		if errors.Is(a.err, ErrTooMuch) {
			w.stop(grace)
			return nil, a.err
		}
		return nil, &Ended{w.stop(grace)}
	case <-ctx.Done():
		w.stop(grace)
		<-answered
		return nil, context.Cause(ctx)
	}
}

func (w *Worker) start() error {
	cmd := exec.Command(w.Path)
	cmd.Args, cmd.Env = w.Argv, w.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	w.stderr = &tail{}
	cmd.Stderr = w.stderr
	if w.Stderr != nil {
		cmd.Stderr = io.MultiWriter(w.stderr, w.Stderr)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	w.cmd, w.stdin, w.stdout = cmd, stdin, bufio.NewReader(stdout)
	return nil
}

// read reads an answer.
func (w *Worker) read() ([]byte, error) {
	var line []byte
	for {
		part, err := w.stdout.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > w.MaxOutput+1:
			return nil, ErrTooMuch
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, err
		default:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		}
	}
}

// Close ends the worker: its stdin is closed, and what still runs after grace
// is ended.
func (w *Worker) Close() {
	if w.cmd == nil {
		return
	}
	_ = w.stdin.Close()
	select {
	case <-exitOf(w.cmd):
	case <-time.After(closing):
	}
	w.stop(grace)
}

// exitOf is closed when cmd has ended; it is not reaped then.
func exitOf(cmd *exec.Cmd) <-chan struct{} {
	pid, exited := cmd.Process.Pid, make(chan struct{})
	go func() {
		awaitExit(pid)
		close(exited)
	}()
	return exited
}

// closing is how long a worker may take to notice that nobody asks any more.
const closing = time.Second

// stop ends the process group and says how the worker itself ended.
func (w *Worker) stop(grace time.Duration) *Outcome {
	cmd := w.cmd
	w.cmd = nil
	pid := cmd.Process.Pid
	// A worker that closed its output may be about to end by itself.
	exited := exitOf(cmd)
	_ = w.stdin.Close()
	select {
	case <-exited:
	case <-time.After(50 * time.Millisecond):
		_ = syscall.Kill(-pid, syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(grace):
		}
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	<-exited
	_ = cmd.Wait()
	return outcome(cmd, nil, w.stderr.String())
}
