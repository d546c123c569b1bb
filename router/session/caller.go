package session

import (
	"context"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
)

// Result is what a procedure returns.
type Result struct {
	Args   []any
	Kwargs map[string]any
}

// Call calls a procedure. When ctx ends first, the call is canceled at the
// router, which interrupts the callee, and the error is the cause of ctx.
func (s *Session) Call(ctx context.Context, procedure string, args []any, kwargs map[string]any) (Result, error) {
	return s.CallProgressive(ctx, procedure, args, kwargs, nil)
}

// CallProgressive is Call that asks the callee for what it has before its
// result. progress gets each of these, in order, on the receiving goroutine:
// while it runs, nothing else arrives.
func (s *Session) CallProgressive(ctx context.Context, procedure string, args []any, kwargs map[string]any, progress func(Result)) (Result, error) {
	id, r := s.newRequest(nil)
	call := &wamp.Call{Request: id, Options: wamp.Dict{}, Procedure: wamp.URI(procedure), Arguments: args, ArgumentsKw: kwargs}
	if progress != nil {
		r.progress = progress
		call.Options["receive_progress"] = true
	}
	if err := s.send(ctx, id, call); err != nil {
		return Result{}, err
	}
	answer, err := s.await(ctx, id, r)
	switch {
	case answer == nil && s.Err() == nil:
		s.cancel(ctx, id)
		return Result{}, err
	case err != nil:
		return Result{}, err
	}
	result, err := as[*wamp.Result](answer)
	if err != nil {
		return Result{}, err
	}
	return Result{Args: result.Arguments, Kwargs: result.ArgumentsKw}, nil
}

// cancel tells the router that nobody waits for a call any more.
func (s *Session) cancel(ctx context.Context, id wamp.ID) {
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	_ = s.link.Send(last, &wamp.Cancel{Request: id, Options: wamp.Dict{"mode": wamp.CancelModeKillNoWait}})
}
