package commands

import (
	"bytes"
	"context"

	"github.com/deskconn/dconn/commands/runner"
	"github.com/deskconn/dconn/router/session"
)

// lineSender sends a command's output line by line to a caller that asks for
// progress, and keeps it for the result of any other: register --result lines.
type lineSender struct {
	ctx  context.Context
	call *session.Invocation
	max  int // bytes of a line, or of all lines that are kept

	line []byte
	kept []any
	size int
}

func (l *lineSender) Write(p []byte) (int, error) {
	n := len(p)
	for {
		part, rest, found := bytes.Cut(p, []byte("\n"))
		if l.size += len(part) + 1; l.size > l.max {
			return 0, runner.ErrTooMuch
		}
		l.line = append(l.line, part...)
		if !found {
			return n, nil
		}
		if err := l.send(); err != nil {
			return 0, err
		}
		p = rest
	}
}

// send takes the line as complete.
func (l *lineSender) send() error {
	v := textOf(l.line, l.line)
	l.line = l.line[:0]
	if l.call.Progress == nil {
		l.kept = append(l.kept, v)
		return nil
	}
	l.size = 0
	return l.call.Progress(l.ctx, session.Result{Args: []any{v}})
}

// rest is the result, after the end of the output.
func (l *lineSender) rest() (session.Result, error) {
	if len(l.line) > 0 {
		if err := l.send(); err != nil {
			return session.Result{}, err
		}
	}
	return session.Result{Args: l.kept}, nil
}
