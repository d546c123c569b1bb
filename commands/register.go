package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/commands/runner"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

type registerOptions struct {
	*streams

	target
	allowDash   bool
	stdin       string
	result      string
	timeout     seconds
	concurrency int
	queue       int
	maxOutput   int
	readyFD     int
	uri         string
	path        string // of argv[0]
	argv        []string

	running atomic.Int64
	slots   chan struct{}
}

func newRegister(s *streams) *cobra.Command {
	o := &registerOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "register [flags] URI -- CMD [ARG...]",
		Short: "make a command callable",
		Long: lines("Make a command callable until this one is ended. No shell is involved.",
			"",
			"{0} and {name} in an ARG are replaced by the call's arguments, {{name}} stands for",
			"{name}. The arguments also arrive as JSON on stdin, {\"args\":[],\"kwargs\":{}}, and",
			"in the environment: DCONN_URI, DCONN_CALLER, DCONN_DEVICE, DCONN_ARGS_JSON (left",
			"out above 64 KiB, DCONN_ARGS_TRUNCATED=1 then). What the command prints is the",
			"result, less a last newline; bytes if it is no UTF-8. A status other than 0 is the",
			"error "+wire.ErrExecFailed+" with exit_code, signal and stderr_tail.",
			"When the caller gives up, the command's process group is ended."),
		Example: "  dconn register org.example.disk -- df -h {0}\n  dconn register --stdin none org.example.lock -- loginctl lock-session",
		Args:    atLeast(1, "a URI"),
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			if o.uri, err = uriOf(cmd, words[0]); err != nil {
				return err
			}
			o.argv = words[1:]
			if len(o.argv) > 0 && o.argv[0] == "--" {
				o.argv = o.argv[1:]
			}
			return runRegister(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	o.target.addFlags(f, 10*time.Second, "give up if not registered after this long; 0 waits for ever")
	f.BoolVar(&o.allowDash, "allow-dash", false, "let a call's argument begin with a dash, where the command may take it for an option")
	f.Var(newChoice(&o.stdin, "json", "raw", "none"), "stdin", "what the command reads: json, raw (the first argument) or none")
	f.Var(newChoice(&o.result, "raw", "json"), "result", "what its output is: raw (text) or json")
	f.Var(&o.timeout, "timeout", "end the command after this long; 0 lets it run")
	f.IntVar(&o.concurrency, "concurrency", 8, "how many may run at once")
	f.IntVar(&o.queue, "queue", 64, "how many calls may wait for that, before the answer is "+wire.ErrBusy)
	f.IntVar(&o.maxOutput, "max-output", 4<<20-4<<10, "bytes of output that are accepted")
	f.IntVar(&o.readyFD, "ready-fd", -1, "write a newline to this file descriptor once registered")
	onlyOnCommandLine(f, "ready-fd")
	return cmd
}

func (o *registerOptions) check() error {
	switch {
	case len(o.argv) == 0:
		return usage("a command is missing").hint("dconn register %s -- CMD [ARG...]", o.uri)
	case o.concurrency < 1:
		return usage("--concurrency must be 1 or more, got %d", o.concurrency)
	case o.queue < 0:
		return usage("--queue must be 0 or more, got %d", o.queue)
	case o.maxOutput < 1:
		return usage("--max-output must be 1 or more bytes, got %d", o.maxOutput)
	}
	var err error
	if o.path, err = exec.LookPath(o.argv[0]); err != nil {
		return own("cannot run %q: %v", o.argv[0], errors.Unwrap(err))
	}
	return nil
}

func runRegister(ctx context.Context, o *registerOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	o.slots = make(chan struct{}, o.concurrency)
	joining, cancel := within(ctx, time.Duration(o.wait))
	defer cancel()
	s, err := o.dial(joining)
	if err != nil {
		return err
	}
	defer leave(s)
	if err := s.Register(joining, o.uri, o.handle); err != nil {
		return err
	}
	if err := ready(o.readyFD); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil // a signal is how this command ends
	case <-s.Done():
		return s.Err()
	}
}

// handle answers one call by running the command.
func (o *registerOptions) handle(ctx context.Context, call *session.Invocation) (session.Result, error) {
	none := session.Result{}
	if o.running.Add(1) > int64(o.concurrency+o.queue) {
		o.running.Add(-1)
		return none, wire.Errorf(wire.ErrBusy, "%d calls run and %d wait already", o.concurrency, o.queue)
	}
	defer o.running.Add(-1)
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	spec, err := o.spec(call)
	if err != nil {
		return none, wire.Errorf(wire.ErrInvalidArgument, "%v", err)
	}
	ctx, cancel := within(ctx, time.Duration(o.timeout))
	defer cancel()
	out, err := runner.Run(ctx, spec)
	switch {
	case errors.Is(err, runner.ErrTooMuch):
		return none, wire.Errorf(wire.ErrLimit, "the output exceeds %d bytes (--max-output)", o.maxOutput)
	case errors.Is(err, context.DeadlineExceeded):
		return none, o.failed(fmt.Sprintf("still running after %v, ended", time.Duration(o.timeout)), &runner.Outcome{ExitCode: 124})
	case err != nil:
		return none, o.failed(err.Error(), &runner.Outcome{ExitCode: 127})
	case out.Signal != "":
		return none, o.failed("ended by signal: "+out.Signal, out)
	case out.ExitCode != 0:
		return none, o.failed(fmt.Sprintf("exit status %d", out.ExitCode), out)
	}
	return o.yield(out.Stdout)
}

func (o *registerOptions) failed(how string, out *runner.Outcome) error {
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
func (o *registerOptions) yield(stdout []byte) (session.Result, error) {
	if o.result == "json" {
		v, err := decodeJSON(stdout)
		if err != nil {
			return session.Result{}, wire.Errorf(wire.ErrExecFailed, "the output of %s is not JSON: %v", o.argv[0], err)
		}
		return session.Result{Args: []any{v}}, nil
	}
	switch {
	case len(stdout) == 0:
		return session.Result{}, nil
	case !utf8.Valid(stdout):
		return session.Result{Args: []any{stdout}}, nil
	}
	return session.Result{Args: []any{strings.TrimSuffix(string(stdout), "\n")}}, nil
}

// spec is the run that a call asks for.
func (o *registerOptions) spec(call *session.Invocation) (runner.Spec, error) {
	args, kwargs, err := texts(call)
	if err != nil {
		return runner.Spec{}, err
	}
	spec := runner.Spec{Path: o.path, MaxOutput: o.maxOutput}
	if spec.Argv, err = runner.Fill(o.argv, args, kwargs, o.allowDash); err != nil {
		return spec, err
	}
	document, err := jsonLine(map[string]any{"args": orEmptyList(call.Args), "kwargs": orEmptyDict(call.Kwargs)})
	if err != nil {
		return spec, err
	}
	switch {
	case o.stdin == "json":
		spec.Stdin = document
	case o.stdin == "raw" && len(args) > 0:
		spec.Stdin = []byte(args[0])
	}
	spec.Env = o.environment(call, document)
	return spec, nil
}

// maxArgsEnv is how much JSON is handed over in the environment.
const maxArgsEnv = 64 << 10

func (o *registerOptions) environment(call *session.Invocation, document []byte) []string {
	env := slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "DCONN_ARGS_")
	})
	env = append(env, "DCONN_URI="+o.uri, "DCONN_CALLER="+call.AuthID, "DCONN_DEVICE=")
	if len(document) > maxArgsEnv {
		return append(env, "DCONN_ARGS_TRUNCATED=1")
	}
	return append(env, "DCONN_ARGS_JSON="+strings.TrimSuffix(string(document), "\n"))
}

// texts are the arguments of a call as placeholders show them.
func texts(call *session.Invocation) (args []string, kwargs map[string]string, err error) {
	for _, v := range call.Args {
		t, err := plainText(v)
		if err != nil {
			return nil, nil, err
		}
		args = append(args, t)
	}
	kwargs = map[string]string{}
	for k, v := range call.Kwargs {
		if kwargs[k], err = plainText(v); err != nil {
			return nil, nil, err
		}
	}
	return args, kwargs, nil
}
