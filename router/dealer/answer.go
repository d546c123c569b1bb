package dealer

import (
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// Yield takes a YIELD of s. An answer that comes too late is dropped.
func (s *Session) Yield(m *wamp.Yield) {
	more := m.Options["progress"] == true
	c := s.take(m.Request, !more)
	if c == nil {
		return
	}
	var details wamp.Dict
	if more {
		details = progress
	}
	c.answer(s, &wamp.Result{
		Request: c.request, Details: details, Arguments: m.Arguments, ArgumentsKw: m.ArgumentsKw,
	}, !more)
}

// progress are the details of every result that others follow.
var progress = wamp.Dict{"progress": true}

// Error takes an ERROR of s that answers an invocation. An answer that comes too late
// is dropped.
func (s *Session) Error(m *wamp.Error) {
	c := s.take(m.Request, true)
	if c == nil {
		return
	}
	e := &wamp.Error{
		Type: wamp.CALL, Request: c.request, Details: wamp.Dict{},
		Error: m.Error, Arguments: m.Arguments, ArgumentsKw: m.ArgumentsKw,
	}
	if !s.Trusted && !c.mayFailWith(m.Error) {
		e.Error = wire.ErrApplication
		if p := transport.PayloadOf(m); (p == nil || p.Empty()) && utf8.ValidString(string(m.Error)) {
			e.Arguments, e.ArgumentsKw = wamp.List{string(m.Error)}, nil
		}
	}
	c.answer(s, e, true)
}

// routersErrors are what a script takes for the router's own word, by its exit code:
// no callee may say them.
var routersErrors = []wamp.URI{
	wire.ErrNoSuchProcedure, wire.ErrNoSuchRegistration, // exit 3
	wire.ErrAuthentication, wire.ErrNoAuthMethod, // 4
	wire.ErrNotAuthorized, wire.ErrAuthorization, // 5
	wire.ErrProtocolViolation, // 9
}

// mayFailWith reports whether a callee may answer the call with an error of this URI.
// "canceled" is an answer to an INTERRUPT.
func (c *call) mayFailWith(uri wamp.URI) bool {
	switch {
	case wire.CheckURI(string(uri)) != nil, slices.Contains(routersErrors, uri):
		return false
	case uri != wire.ErrCanceled:
		return true
	}
	c.caller.mu.Lock()
	defer c.caller.mu.Unlock()
	return c.killed
}

// take is the call that an invocation of s is for, nil where no answer is due. The
// last answer ends the invocation.
func (s *Session) take(invocation wamp.ID, last bool) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.invocations[invocation]
	if c != nil && last {
		delete(s.invocations, invocation)
	}
	return c
}

// answer gives the caller a result or an error, if it still waits for one. by is the
// callee whose reader calls, nil where none does.
func (c *call) answer(by *Session, msg wamp.Message, last bool) {
	to := c.caller
	var reader *transport.Peer
	if by != nil {
		reader = by.peer
		if last { // for parts of a result the callee pays
			reader.Serves(to.peer)
		}
	}
	err := to.peer.Prepare(msg)
	to.mu.Lock()
	waits := to.calls[c.request] == c
	if waits && err == nil {
		err = to.peer.Answer(msg)
	}
	fails := waits && err != nil && !errors.Is(err, transport.ErrClosed)
	if fails {
		_ = to.peer.Answer(unanswerable(c.request, err))
	}
	if waits && (last || fails) {
		c.end()
	}
	to.mu.Unlock()
	if waits {
		reader.WriteLater(to.peer)
	}
	if fails && !last {
		c.interrupt(reader, wire.ErrCanceled, wamp.CancelModeKillNoWait)
	}
}

// unanswerable says to a caller why it does not get a result.
func unanswerable(request wamp.ID, err error) wamp.Message {
	uri := wire.ErrLimit
	if isUnsupported(err) {
		uri = wire.ErrApplication
	}
	return transport.Refuse(&wamp.Call{}, request, uri, "the result cannot be delivered: "+err.Error())
}
