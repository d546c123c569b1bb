package dealer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// call is a call in flight.
type call struct {
	caller  *Session
	request wamp.ID // of the caller

	// with the caller's lock
	callee  *Session    // nil where nexus answers: a call to the meta API
	killed  bool        // CANCEL with "kill": the callee's answer is awaited
	timeout *time.Timer // of the option timeout, nil if there is none
	stream  *stream     // of a progressive call that its caller has not ended, else nil

	// with the callee's lock
	registration wamp.ID // that it was made to
	invocation   wamp.ID // 0 until there is one
	over         bool    // the caller wants no answer any more
}

// Call takes a CALL of s, called by its reader, with the arguments of m as a Payload
// whose Sender says who calls. It returns what answers m at once, if anything does.
func (s *Session) Call(m *wamp.Call) (answer wamp.Message) {
	c, answer := s.open(m)
	if c == nil || answer != nil {
		return answer
	}
	return c.begin(m)
}

// Forward takes a CALL that nexus answers, one to the meta API. It returns what
// answers m instead of nexus, if anything does.
func (s *Session) Forward(m *wamp.Call) (answer wamp.Message) {
	if m.Options["progress"] == true {
		return undelivered(m.Request, errNoStreams)
	}
	_, answer = s.open(m)
	return answer
}

// Forwarded reports whether a call that nexus answers is still open, and ends it.
func (s *Session) Forwarded(request wamp.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[request]
	if c == nil || c.callee != nil {
		return false
	}
	delete(s.calls, request)
	s.Calls.Give(1)
	return true
}

// open notes a call of s, unless it is refused or goes on with one that is open.
func (s *Session) open(m *wamp.Call) (*call, wamp.Message) {
	s.mu.Lock()
	known := s.calls[m.Request]
	switch {
	case s.gone, s.isLate(m):
		s.mu.Unlock()
		return nil, nil
	case known != nil && known.stream != nil:
		known.chunk(m) // which unlocks
		return nil, nil
	}
	defer s.mu.Unlock()
	switch {
	case known != nil:
		return nil, transport.Refuse(m, m.Request, wire.ErrInvalidArgument, "this request id is in flight already")
	case len(s.calls) >= s.Limits.Calls:
		return nil, s.tooMany(m, LimitCalls, "calls in flight in this session", s.Limits.Calls)
	}
	if over := s.Calls.Take(1); over != nil {
		return nil, s.tooMany(m, over.Limit(), "calls in flight of this device, or of all devices", over.Most())
	}
	c := &call{caller: s, request: m.Request}
	if m.Options["progress"] == true {
		c.stream = c.newStream(m)
	}
	put(&s.calls, m.Request, c)
	return c, nil
}

func (s *Session) tooMany(m *wamp.Call, limit, what string, most int) wamp.Message {
	message := fmt.Sprintf("too many %s: at most %d", what, most)
	s.Over(limit, message)
	return overLimit(m.Request, limit, message)
}

func overLimit(request wamp.ID, limit, message string) *wamp.Error {
	e := transport.Refuse(&wamp.Call{}, request, wire.ErrLimit, message)
	e.ArgumentsKw = wamp.Dict{wire.LimitKey: limit}
	return e
}

// begin has a callee invoked. If that cannot be, the error is the answer.
func (c *call) begin(m *wamp.Call) (answer wamp.Message) {
	for {
		r, to := c.caller.dealer.find(m.Procedure)
		if r == nil {
			return c.refuse(&wamp.Error{Type: wamp.CALL, Request: m.Request, Details: wamp.Dict{}, Error: wire.ErrNoSuchProcedure})
		}
		if !c.goesTo(to, m) {
			return nil
		}
		err := errNoStreams
		if m.Options["progress"] != true || to.streams {
			if err = to.peer.Prepare(m); err == nil {
				err = to.invoke(c, r, m)
			}
		}
		switch err {
		case nil:
			c.caller.peer.WriteLater(to.peer)
			return nil
		case errUnregistered: // meanwhile: another may have the procedure now
			continue
		}
		return c.refuse(undelivered(m.Request, err))
	}
}

var (
	errUnregistered = errors.New("the procedure is not registered any more")
	errNoStreams    = errors.New("the callee takes no progressive call invocations")
)

// undelivered answers a call that its callee cannot be told of.
func undelivered(request wamp.ID, err error) wamp.Message {
	uri := wire.ErrLimit
	_, isSlow := err.(*wire.Error)
	switch {
	case err == transport.ErrClosed:
		return calleeLost(request)
	case isUnsupported(err):
		uri = wire.ErrInvalidArgument
	case err == errNoStreams:
		uri = wire.ErrNotSupported
	case isSlow:
		uri = wire.ErrBusy
	}
	return transport.Refuse(&wamp.Call{}, request, uri, "the call cannot be delivered: "+err.Error())
}

// isUnsupported reports whether a message has a value that the serializer of its
// receiver cannot say.
func isUnsupported(err error) bool {
	_, unsupported := errors.AsType[*transport.UnsupportedValueError](err)
	return unsupported
}

// goesTo notes who the callee is, and begins to measure time. It is false where the
// caller has left.
func (c *call) goesTo(to *Session, m *wamp.Call) bool {
	c.caller.mu.Lock()
	defer c.caller.mu.Unlock()
	if c.caller.calls[c.request] != c {
		return false
	}
	c.callee = to
	if ms, _ := wamp.AsInt64(m.Options["timeout"]); ms > 0 && c.timeout == nil {
		c.timeout = time.AfterFunc(time.Duration(ms)*time.Millisecond, c.expire)
	}
	return true
}

// invoke queues the INVOCATION of c, unless its caller has left meanwhile.
func (s *Session) invoke(c *call, r *registration, m *wamp.Call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, registered := s.registrations[r.id]
	switch {
	case c.over:
		return nil
	case !registered:
		return errUnregistered
	}
	s.lastInvocation++
	c.invocation, c.registration = s.lastInvocation, r.id
	put(&s.invocations, c.invocation, c)
	err := s.peer.Put(&wamp.Invocation{
		Request: c.invocation, Registration: r.id, Details: s.details(own, m),
		Arguments: m.Arguments, ArgumentsKw: m.ArgumentsKw,
	})
	if err != nil {
		delete(s.invocations, c.invocation)
		return err
	}
	if s.outstanding.Load() < maxOutstanding {
		s.outstanding.Add(1)
	}
	return nil
}

// details are those of the INVOCATION for m, nil where there are none.
func (s *Session) details(p Procedure, m *wamp.Call) (details wamp.Dict) {
	if p.DiscloseCaller || s.identifies && m.Options["disclose_me"] == true {
		details = transport.PayloadOf(m).Sender.Dict()
	}
	progressive := s.progresses && m.Options["receive_progress"] == true
	more := m.Options["progress"] == true
	if !progressive && !more && p.Match == wamp.MatchExact {
		return details // of all calls of this caller: it is not to be written to
	}
	own := wamp.Dict{}
	maps.Copy(own, details)
	if progressive {
		own["receive_progress"] = true
	}
	if more {
		own["progress"] = true
	}
	if p.Match != wamp.MatchExact {
		own["procedure"] = m.Procedure
	}
	return own
}

// refuse is the answer to a call that nobody was invoked for, nil where its caller
// waits for none any more.
func (c *call) refuse(answer wamp.Message) wamp.Message {
	c.caller.mu.Lock()
	defer c.caller.mu.Unlock()
	if c.caller.calls[c.request] != c {
		return nil
	}
	c.end()
	return answer
}

// end ends the call for its caller. Chunks that the caller may still have under way go
// nowhere. The caller's lock is held.
func (c *call) end() {
	c.stopTimers()
	delete(c.caller.calls, c.request)
	c.caller.Calls.Give(1)
	if c.stream == nil {
		return
	}
	late := &c.caller.late
	if len(*late) == maxLate {
		*late = slices.Delete(*late, 0, 1)
	}
	*late = append(*late, c.request)
}

// stopTimers is called with the caller's lock.
func (c *call) stopTimers() {
	if c.timeout != nil {
		c.timeout.Stop()
	}
	if c.stream != nil {
		c.stream.idle.Stop()
	}
}

// Cancel takes a CANCEL of s. It returns what answers it at once, if anything does.
func (s *Session) Cancel(m *wamp.Cancel) (answer wamp.Message) {
	mode := wamp.CancelModeKillNoWait
	if given, ok := m.Options["mode"]; ok && given != nil {
		mode, _ = given.(string)
	}
	switch mode {
	case wamp.CancelModeKill, wamp.CancelModeKillNoWait, wamp.CancelModeSkip:
	default:
		return transport.Refuse(m, m.Request, wire.ErrInvalidArgument, "mode is skip, kill or killnowait")
	}
	s.mu.Lock()
	c := s.calls[m.Request]
	if c == nil || c.killed {
		s.mu.Unlock()
		return nil
	}
	kill := mode == wamp.CancelModeKill && c.callee != nil && c.callee.interruptible
	if c.killed = kill; !kill {
		c.end()
	}
	s.mu.Unlock()
	c.interrupt(s.peer, wire.ErrCanceled, mode)
	if kill {
		return nil
	}
	return &wamp.Error{Type: wamp.CALL, Request: m.Request, Details: wamp.Dict{}, Error: wire.ErrCanceled}
}

// expire ends the call when its time is up (WAMP specification, section "Call
// Timeouts").
func (c *call) expire() {
	c.fail(nil, transport.Refuse(&wamp.Call{}, c.request, wire.ErrTimeout, "call timeout"), wire.ErrTimeout)
}

// fail ends a call with an error for its caller, and tells the callee why, unless the
// call was answered already. by is the session whose reader calls, nil where none
// does.
func (c *call) fail(by *transport.Peer, why wamp.Message, reason wamp.URI) (failed bool) {
	to := c.caller
	to.mu.Lock()
	waits := to.calls[c.request] == c
	if waits {
		c.end()
		_ = to.peer.Answer(why)
	}
	to.mu.Unlock()
	if waits {
		by.WriteLater(to.peer)
		c.interrupt(by, reason, wamp.CancelModeKillNoWait)
	}
	return waits
}

// interrupt tells the callee that the caller has canceled the call. But for mode
// "kill" the callee's answer is not awaited any more; with "skip" the callee is not
// told. by is the session whose reader calls, nil where none does.
func (c *call) interrupt(by *transport.Peer, reason wamp.URI, mode string) {
	to := c.callee
	if to == nil {
		return
	}
	to.mu.Lock()
	open := c.invocation != 0 && to.invocations[c.invocation] == c
	if mode != wamp.CancelModeKill {
		c.over = true
		delete(to.invocations, c.invocation)
	}
	tell := open && to.interruptible && mode != wamp.CancelModeSkip
	if tell {
		_ = to.peer.Answer(&wamp.Interrupt{Request: c.invocation, Options: wamp.Dict{"reason": reason, "mode": mode}})
	}
	to.mu.Unlock()
	if tell {
		by.WriteLater(to.peer)
	}
}
