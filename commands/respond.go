package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/deskconn/dconn/commands/runner"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

// responder answers the calls of a registration by its command. It outlives
// the sessions they come over.
type responder struct {
	*registerOptions

	calls   atomic.Int64        // that run or wait
	slots   chan *runner.Worker // one for each that may run; nil without --worker
	workers []*runner.Worker
}

func newResponder(o *registerOptions) *responder {
	r := &responder{registerOptions: o, slots: make(chan *runner.Worker, o.concurrency)}
	for range o.concurrency {
		var w *runner.Worker
		if o.worker {
			w = &runner.Worker{Spec: runner.Spec{
				Path: o.path, Argv: o.command(), MaxOutput: o.maxOutput, Stderr: o.err,
				Env: append(os.Environ(), "DCONN_URI="+o.uri),
			}}
			r.workers = append(r.workers, w)
		}
		r.slots <- w
	}
	return r
}

// close ends the workers; no call is under way any more.
func (r *responder) close() {
	var ended sync.WaitGroup
	for _, w := range r.workers {
		ended.Go(w.Close)
	}
	ended.Wait()
}

// handle answers one call.
func (r *responder) handle(ctx context.Context, call *session.Invocation) (session.Result, error) {
	none := session.Result{}
	if r.calls.Add(1) > int64(r.concurrency+r.queue) {
		r.calls.Add(-1)
		return none, wire.Errorf(wire.ErrBusy, "%d calls run and %d wait already", r.concurrency, r.queue)
	}
	defer r.calls.Add(-1)
	select {
	case slot := <-r.slots:
		defer func() { r.slots <- slot }()
		ctx, cancel := within(ctx, time.Duration(r.timeout))
		defer cancel()
		if slot != nil {
			return r.ask(ctx, slot, call)
		}
		return r.run(ctx, call)
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// run answers a call by a run of the command.
func (r *responder) run(ctx context.Context, call *session.Invocation) (session.Result, error) {
	none := session.Result{}
	spec, err := r.spec(call)
	if err != nil {
		return none, wire.Errorf(wire.ErrInvalidArgument, "%v", err)
	}
	var printed *lineSender
	if r.result == "lines" {
		printed = &lineSender{ctx: ctx, call: call, max: r.maxOutput}
		spec.Stdout = printed
	}
	out, err := runner.Run(ctx, spec)
	switch {
	case err != nil:
		return none, r.broken(err)
	case out.Err() != nil:
		return none, execFailed(out.How(), out)
	case printed != nil:
		return printed.rest()
	}
	return r.yield(out.Stdout)
}

// broken is the error of a command that did not end by itself.
func (r *responder) broken(err error) error {
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, runner.ErrTooMuch):
		return wire.Errorf(wire.ErrLimit, "the output exceeds %d bytes (--max-output)", r.maxOutput)
	case errors.Is(err, context.DeadlineExceeded):
		return execFailed(fmt.Sprintf("still running after %v, ended", time.Duration(r.timeout)), &runner.Outcome{ExitCode: 124})
	}
	return execFailed(err.Error(), &runner.Outcome{ExitCode: 127})
}

// execFailed is the error of a command that ended badly, how in words.
func execFailed(how string, out *runner.Outcome) error {
	message := how
	if last := lastLine(out.StderrTail); last != "" {
		message += ": " + last
	}
	e := wire.Errorf(wire.ErrExecFailed, "%s", message)
	e.Kwargs = map[string]any{"exit_code": out.ExitCode, "signal": out.Signal, "stderr_tail": out.StderrTail}
	return e
}

func lastLine(t string) string {
	t = strings.TrimSpace(t)
	return t[strings.LastIndexByte(t, '\n')+1:]
}

// yield turns output into a result.
func (r *responder) yield(stdout []byte) (session.Result, error) {
	switch {
	case r.result == "bytes":
		return session.Result{Args: []any{stdout}}, nil
	case r.result == "json":
		v, err := decodeJSON(stdout)
		if err != nil {
			return session.Result{}, wire.Errorf(wire.ErrExecFailed, "the output of %s is not JSON: %v", r.argv[0], err)
		}
		return session.Result{Args: []any{v}}, nil
	case len(stdout) == 0:
		return session.Result{}, nil
	}
	return session.Result{Args: []any{textOf(bytes.TrimSuffix(stdout, []byte("\n")), stdout)}}, nil
}

// textOf is output as text, or all of it as bytes where it is no UTF-8.
func textOf(trimmed, all []byte) any {
	if utf8.Valid(trimmed) {
		return string(trimmed)
	}
	return bytes.Clone(all)
}

func occasionOf(uri string, call *session.Invocation) *occasion {
	return &occasion{uri: uri, peer: call.AuthID, args: call.Args, kwargs: call.Kwargs}
}

// spec is the run that a call asks for.
func (r *responder) spec(call *session.Invocation) (runner.Spec, error) {
	about := occasionOf(r.uri, call)
	args, kwargs, err := about.texts()
	if err != nil {
		return runner.Spec{}, err
	}
	spec := runner.Spec{Path: r.path, MaxOutput: r.maxOutput}
	if r.shell {
		spec.Argv, err = runner.Shell(r.argv[0], args, r.allowDash)
	} else {
		spec.Argv, err = runner.Fill(r.argv, args, kwargs, r.allowDash)
	}
	if err != nil {
		return spec, err
	}
	document, err := about.document()
	if err != nil {
		return spec, err
	}
	switch {
	case r.stdin == "json":
		spec.Stdin = document
	case r.stdin == "raw" && len(args) > 0:
		spec.Stdin = []byte(args[0])
	}
	spec.Env = about.environment(document)
	return spec, nil
}
