package commands

import (
	"context"
	"errors"
	"os/exec"
	"syscall"

	"github.com/deskconn/dconn/commands/runner"
)

// execute runs --exec for a record. A command that fails is said and counted,
// and the subscription goes on.
func (w *watch) execute(args []any, kwargs, doc map[string]any) error {
	err := w.hook(args, kwargs, doc)
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if errors.Is(err, syscall.EPIPE) {
		return errReaderGone
	}
	if err != nil {
		w.failed, w.last = w.failed+1, err
		w.say("--exec: %v", err)
	}
	return nil
}

func (w *watch) hook(values []any, kwargs, doc map[string]any) error {
	event := occasion{args: values, kwargs: kwargs}
	if event.uri, _ = doc["topic"].(string); event.uri == "" {
		event.uri = w.get
	}
	event.peer, _ = doc["publisher"].(string)
	args, _, err := event.texts()
	if err != nil {
		return err
	}
	spec := runner.Spec{Stdout: w.out}
	if spec.Argv, err = runner.Shell(w.exec, args, w.allowDash); err != nil {
		return err
	}
	document, err := event.document()
	if err != nil {
		return err
	}
	spec.Env = event.environment(document)
	if spec.Stdin, err = jsonLine(doc); err != nil {
		return err
	}
	return w.shell(w.ctx, spec)
}

// announce runs --on-ready, which may go on while there are events enough. What
// it prints is talk.
func (w *watch) announce() error {
	argv, err := runner.Shell(w.onReady, nil, false)
	if err != nil {
		return err
	}
	about := occasion{uri: w.uri}
	return w.shell(w.outer, runner.Spec{Argv: argv, Stdout: w.err, Env: about.environment(nil)})
}

// shell runs spec by sh.
func (w *watch) shell(ctx context.Context, spec runner.Spec) (err error) {
	if spec.Path, err = exec.LookPath("sh"); err != nil {
		return err
	}
	spec.Stderr = w.err
	out, err := runner.Run(ctx, spec)
	if err != nil {
		return err
	}
	return out.Err()
}
