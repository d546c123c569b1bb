package commands

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/deskconn/dconn/commands/runner"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

// command is the argv of a worker.
func (o *registerOptions) command() []string {
	if o.shell {
		return []string{"sh", "-c", o.argv[0], "sh"}
	}
	return o.argv
}

// ask answers a call by a line of a worker.
func (r *responder) ask(ctx context.Context, w *runner.Worker, call *session.Invocation) (session.Result, error) {
	none := session.Result{}
	question, err := jsonLine(map[string]any{
		"args": orEmptyList(call.Args), "kwargs": orEmptyDict(call.Kwargs), "uri": r.uri, "caller": call.AuthID,
	})
	if err != nil {
		return none, wire.Errorf(wire.ErrInvalidArgument, "%v", err)
	}
	line, err := w.Ask(ctx, question)
	if e, ok := errors.AsType[*runner.Ended](err); ok {
		return none, execFailed(e.How(), e.Outcome)
	}
	if err != nil {
		return none, r.broken(err)
	}
	if e := workerError(line); e != nil {
		return none, e
	}
	args, kwargs, at, err := parseDocument(line)
	if err != nil {
		return none, wire.Errorf(wire.ErrExecFailed, "the worker's answer: %s%v; %s", at, err, expectedDocument)
	}
	return session.Result{Args: args, Kwargs: kwargs}, nil
}

// workerError is the error that a worker answers with, nil if line is none.
func workerError(line []byte) *wire.Error {
	var answer struct {
		Error *struct {
			URI     string `json:"uri"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(line, &answer) != nil || answer.Error == nil {
		return nil
	}
	uri := wire.Expand(answer.Error.URI)
	if wire.CheckURI(uri) != nil {
		uri = wire.ErrApplication
	}
	return wire.Errorf(uri, "%s", answer.Error.Message)
}
