package session

import (
	"context"
	"errors"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// Invocation is one call to a procedure that this session registered.
type Invocation struct {
	Procedure string
	Args      []any
	Kwargs    map[string]any
	Caller    wamp.ID // the caller's session
	AuthID    string  // who the router says the caller is
	AuthRole  string
	Scopes    []any // to which the caller has lowered its rights, nil where it has not
	// Progress sends what there is before the result; nil unless the caller
	// asks for it. Where the caller reads slowly it waits.
	Progress func(context.Context, Result) error
}

// Handler answers invocations, each on a goroutine of its own. Its ctx ends
// when the caller cancels, leaves or runs out of time, and when the session
// ends. An error that is a *wire.Error reaches the caller as it is, any other
// as an application error with its text.
type Handler func(ctx context.Context, call *Invocation) (Result, error)

// registration is a procedure of this session.
type registration struct {
	procedure string
	handle    Handler
}

// Register registers a procedure. Its handler learns who calls, where the router
// is willing to say.
func (s *Session) Register(ctx context.Context, procedure string, handle Handler) error {
	return s.RegisterShared(ctx, procedure, "single", handle)
}

// RegisterShared registers a procedure that others may register too. policy says who
// of them gets a call: "roundrobin", "random", "first" or "last"; "single" is that
// nobody else may register it (WAMP specification, section "Shared Registration").
func (s *Session) RegisterShared(ctx context.Context, procedure, policy string, handle Handler) error {
	options := wamp.Dict{"disclose_caller": true}
	if policy != wamp.InvokeSingle {
		options["invoke"] = policy
	}
	err := s.register(ctx, procedure, handle, options)
	if e, ok := errors.AsType[*wire.Error](err); ok && e.URI == string(wamp.ErrOptionDisallowedDiscloseMe) {
		delete(options, "disclose_caller")
		return s.register(ctx, procedure, handle, options)
	}
	return err
}

func (s *Session) register(ctx context.Context, procedure string, handle Handler, options wamp.Dict) error {
	id, r := s.newRequest(func(answer wamp.Message) {
		if m, ok := answer.(*wamp.Registered); ok {
			s.mu.Lock()
			s.registrations[m.Registration] = registration{procedure, handle}
			s.mu.Unlock()
		}
	})
	msg := &wamp.Register{Request: id, Options: options, Procedure: wamp.URI(procedure)}
	answer, err := s.ask(ctx, id, r, msg)
	if err != nil {
		return err
	}
	_, err = as[*wamp.Registered](answer)
	return err
}

// invoke notes an invocation. run, which must be called, has its handler answer it; nil
// is that the session has left.
func (s *Session) invoke(m *wamp.Invocation) (run func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return nil
	}
	ctx, cancel := context.WithCancelCause(s.end)
	registered := s.registrations[m.Registration]
	s.invocations[m.Request] = cancel
	call := &Invocation{Procedure: registered.procedure, Args: m.Arguments, Kwargs: m.ArgumentsKw}
	call.Caller, _ = wamp.AsID(m.Details["caller"])
	call.AuthID, _ = wamp.AsString(m.Details["caller_authid"])
	call.AuthRole, _ = wamp.AsString(m.Details["caller_authrole"])
	call.Scopes, _ = m.Details["caller_scopes"].([]any)
	if m.Details["receive_progress"] == true {
		call.Progress = func(ctx context.Context, r Result) error {
			if ctx.Err() != nil { // nobody waits for it
				return context.Cause(ctx)
			}
			return s.link.Send(ctx, yieldOf(m.Request, r, true))
		}
	}
	s.handlers.Add(1)
	return func() {
		defer s.handlers.Done()
		defer func() {
			s.mu.Lock()
			delete(s.invocations, m.Request)
			s.mu.Unlock()
			cancel(nil)
		}()
		if registered.handle == nil {
			s.yield(m.Request, Result{}, wire.Errorf(wire.ErrNoSuchProcedure, "no such procedure"))
			return
		}
		result, err := registered.handle(ctx, call)
		if err != nil && errors.Is(err, ctx.Err()) {
			err = context.Cause(ctx) // the answer to an INTERRUPT
		}
		s.yield(m.Request, result, err)
	}
}

// yield answers an invocation. What cannot be sent becomes an error, so that
// the caller never waits for nothing.
func (s *Session) yield(id wamp.ID, result Result, err error) {
	s.mu.Lock()
	alone := len(s.invocations) == 1
	s.mu.Unlock()
	if err == nil {
		err = s.push(s.end, yieldOf(id, result, false), alone)
		if err == nil || s.end.Err() != nil {
			return
		}
		err = wire.Errorf(wire.ErrLimit, "the result cannot be sent: %v", err)
	}
	e, ok := err.(*wire.Error)
	if !ok {
		e = wire.Errorf(wire.ErrApplication, "%v", err)
	}
	_ = s.push(s.end, &wamp.Error{
		Type: wamp.INVOCATION, Request: id, Details: wamp.Dict{},
		Error: wamp.URI(e.URI), Arguments: e.Args, ArgumentsKw: e.Kwargs,
	}, alone)
}

func yieldOf(id wamp.ID, r Result, more bool) *wamp.Yield {
	options := wamp.Dict{}
	if more {
		options["progress"] = true
	}
	return &wamp.Yield{Request: id, Options: options, Arguments: r.Args, ArgumentsKw: r.Kwargs}
}

// ErrCanceled is the cause of a handler's ctx when its caller gave up.
var ErrCanceled = wire.Errorf(wire.ErrCanceled, "the call was canceled")

func (s *Session) interrupt(m *wamp.Interrupt) {
	s.mu.Lock()
	cancel := s.invocations[m.Request]
	s.mu.Unlock()
	if cancel != nil {
		cancel(ErrCanceled)
	}
}
