package session

import (
	"context"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// request waits for the router's answer. accept runs on the receiving
// goroutine before any later message is looked at, so that no event or
// invocation can slip in between.
type request struct {
	accept   func(wamp.Message)
	progress func(Result) // of a call, nil if only its result is wanted
	answer   chan wamp.Message
}

// answered is the request that msg belongs to; 0 if it is no answer.
func answered(msg wamp.Message) wamp.ID {
	switch m := msg.(type) {
	case *wamp.Result:
		return m.Request
	case *wamp.Error:
		if m.Type != wamp.INVOCATION {
			return m.Request
		}
	case *wamp.Subscribed:
		return m.Request
	case *wamp.Unsubscribed:
		return m.Request
	case *wamp.Registered:
		return m.Request
	case *wamp.Unregistered:
		return m.Request
	case *wamp.Published:
		return m.Request
	}
	return 0
}

func (s *Session) answer(msg wamp.Message) {
	id := answered(msg)
	result, _ := msg.(*wamp.Result)
	more := result != nil && result.Details["progress"] == true
	s.mu.Lock()
	r := s.pending[id]
	if !more {
		delete(s.pending, id)
	}
	s.mu.Unlock()
	switch {
	case r == nil:
		return // late: its caller gave up
	case more:
		if r.progress != nil { // else it was not asked for
			r.progress(Result{Args: result.Arguments, Kwargs: result.ArgumentsKw})
		}
		return
	}
	if r.accept != nil {
		r.accept(msg)
	}
	r.answer <- msg
}

// newRequest reserves an id and a place for its answer.
func (s *Session) newRequest(accept func(wamp.Message)) (wamp.ID, *request) {
	r := &request{accept: accept, answer: make(chan wamp.Message, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastRequest++
	s.pending[s.lastRequest] = r
	return s.lastRequest, r
}

// ask sends msg, whose request id is id, and waits for the answer.
func (s *Session) ask(ctx context.Context, id wamp.ID, r *request, msg wamp.Message) (wamp.Message, error) {
	if err := s.send(ctx, id, msg); err != nil {
		return nil, err
	}
	return s.await(ctx, id, r)
}

// push sends msg: at once if it is alone, else with what is under way too.
func (s *Session) push(ctx context.Context, msg wamp.Message, alone bool) error {
	if alone {
		return s.link.SendNow(ctx, msg)
	}
	return s.link.Send(ctx, msg)
}

// send sends the message of a request, which is forgotten on error.
func (s *Session) send(ctx context.Context, id wamp.ID, msg wamp.Message) error {
	s.mu.Lock()
	alone := len(s.pending) == 1 && s.pending[id] != nil
	s.mu.Unlock()
	err := s.push(ctx, msg, alone)
	if err == nil {
		return nil
	}
	s.forget(id)
	if s.Err() != nil {
		return s.Err()
	}
	return sendError(s.link, err)
}

// await waits for the answer to a request that was sent, until ctx ends.
func (s *Session) await(ctx context.Context, id wamp.ID, r *request) (wamp.Message, error) {
	select {
	case answer := <-r.answer:
		return answer, failure(answer)
	case <-ctx.Done():
	case <-s.end.Done():
	}
	select {
	case answer := <-r.answer: // it came first, or with the end
		return answer, failure(answer)
	default:
	}
	s.forget(id)
	if s.Err() != nil {
		return nil, s.Err()
	}
	return nil, context.Cause(ctx)
}

// failure is the error in an answer, if it is one.
func failure(answer wamp.Message) error {
	if e, ok := answer.(*wamp.Error); ok {
		return &wire.Error{URI: string(e.Error), Args: e.Arguments, Kwargs: e.ArgumentsKw}
	}
	return nil
}

func (s *Session) forget(id wamp.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, id)
}

func as[M wamp.Message](answer wamp.Message) (M, error) {
	m, ok := answer.(M)
	if !ok {
		return m, wire.Errorf(wire.ErrProtocolViolation, "%s answers the wrong request", answer.MessageType())
	}
	return m, nil
}
