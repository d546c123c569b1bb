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

	cmd     *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Reader
	stderr  *tail
	answers chan answer     // of the goroutine that reads stdout
	exited  <-chan struct{} // closed when the worker has ended
}

// answer is a line of stdout, or why there is none.
type answer struct {
	line []byte
	err  error
}

// Ended says that a worker ended instead of answering.
type Ended struct{ *Outcome }

// Error says how the worker ended.
func (e *Ended) Error() string { return "the worker ended: " + e.How() }

// Ask writes line, which ends in a newline, and returns the answer without its
// newline. When ctx ends first the worker is ended, because its answer would
// be taken for the next one, and the error is the cause of ctx.
func (w *Worker) Ask(ctx context.Context, line []byte) ([]byte, error) {
	w.dropUnfit()
	if w.cmd == nil {
		if err := w.start(); err != nil {
			return nil, err
		}
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = w.stdin.Write(line) // an error is an end, which the answer tells
	}()
	defer func() { <-written }()
	select {
	case a := <-w.answers:
		if a.err == nil {
			return a.line, nil
		}
		out := w.stop(grace)
		if errors.Is(a.err, ErrTooMuch) {
			return nil, a.err
		}
		return nil, &Ended{out}
	case <-ctx.Done():
		w.stop(grace)
		return nil, context.Cause(ctx)
	}
}

// dropUnfit ends a worker that has ended since it was asked last, or that said
// something nobody asked for: its lines would answer the wrong questions.
func (w *Worker) dropUnfit() {
	if w.cmd == nil {
		return
	}
	select {
	case <-w.answers:
	case <-w.exited:
	default:
		return
	}
	w.stop(grace)
}

func (w *Worker) start() error {
	cmd := exec.Command(w.Path)
	cmd.Args, cmd.Env = w.Argv, w.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // for what has left the group and holds stderr
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
	w.answers, w.exited = make(chan answer, 1), exitOf(cmd)
	go listen(w.stdout, w.answers, w.MaxOutput)
	return nil
}

// listen reads answers of at most limit bytes, one ahead, until there are no
// more.
func listen(stdout *bufio.Reader, answers chan<- answer, limit int) {
	for {
		line, err := readLine(stdout, limit)
		answers <- answer{line, err}
		if err != nil {
			return
		}
	}
}

func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > limit+1:
			return nil, ErrTooMuch
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, err
		default:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		}
	}
}

// Close ends the worker within 3 s: its stdin is closed, then it gets SIGTERM,
// then SIGKILL.
func (w *Worker) Close() {
	if w.cmd == nil {
		return
	}
	_ = w.stdin.Close()
	select {
	case <-w.exited:
	case <-time.After(closing):
	}
	w.stop(closing)
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
	exited := w.exited
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
