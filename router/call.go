package router

import (
	"errors"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// call is a call in flight. Where its procedure has one callee, on a connection,
// the reader of each end queues what it has to say at the other end. nexus says who
// has registered what, but its dealer does not see the call: there it would go from
// goroutine to goroutine eight times. To nexus go calls to what the daemon answers
// itself, to what several share, and to what nobody has registered.
//
// No two guards are locked at once. That of the caller knows whether the call still
// waits for an answer, that of the callee whether it has still to give one.
type call struct {
	caller  *guard
	request wamp.ID  // of the caller
	callee  listener // nobody: nexus has the call
	shared  bool     // several may have registered the procedure

	// with the lock of the callee
	invocation wamp.ID // 0 until there is one
	over       bool    // the caller wants no answer any more
}

// direct reports whether the call goes past nexus.
func (c *call) direct() bool { return c.callee.guard != nil }

// carry brings a message about the call to its other end. by is the guard of whose
// message it is.
func (c *call) carry(by *guard, msg wamp.Message) (answer wamp.Message) {
	switch m := msg.(type) {
	case *wamp.Call:
		return c.begin(m)
	case *wamp.Cancel:
		c.interrupt(by)
		return &wamp.Error{Type: wamp.CALL, Request: c.request, Details: wamp.Dict{}, Error: wire.ErrCanceled}
	case *wamp.Yield:
		c.answer(by, &wamp.Result{
			Request: c.request, Details: m.Options, Arguments: m.Arguments, ArgumentsKw: m.ArgumentsKw,
		}, m.Options == nil)
	case *wamp.Error:
		c.answer(by, &wamp.Error{
			Type: wamp.CALL, Request: c.request, Details: m.Details,
			Error: m.Error, Arguments: m.Arguments, ArgumentsKw: m.ArgumentsKw,
		}, true)
	}
	return nil
}

// begin has the callee invoked. If that cannot be, it is the answer.
func (c *call) begin(m *wamp.Call) (answer wamp.Message) {
	err := c.callee.peer.Prepare(m)
	if err == nil {
		err = c.callee.invoke(c, m)
	}
	if err == nil {
		c.caller.wrote(c.callee.peer)
		return nil
	}
	if !c.caller.ends(c) {
		return nil
	}
	switch err {
	case errUnregistered:
		return &wamp.Error{Type: wamp.CALL, Request: c.request, Details: wamp.Dict{}, Error: wire.ErrNoSuchProcedure}
	case transport.ErrClosed:
		return calleeLost(c.request)
	}
	return transport.CallUndelivered(wamp.CALL, c.request, err)
}

// ends reports whether c still waited for an answer. Now it does not.
func (g *guard) ends(c *call) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	waited := g.calls[c.request] == c
	if waited {
		delete(g.calls, c.request)
	}
	return waited
}

// errUnregistered is that the procedure was registered when it was looked for.
var errUnregistered = errors.New("the procedure is not registered any more")

// invoke queues the INVOCATION for c, unless its caller has left meanwhile.
func (g *guard) invoke(c *call, m *wamp.Call) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, registered := g.registrations[c.callee.id]
	switch {
	case c.over:
		return nil
	case !registered:
		return errUnregistered
	}
	var details wamp.Dict
	if g.streams && m.Options["receive_progress"] == true {
		details = wamp.Dict{"receive_progress": true}
	}
	if r.caller {
		details = with(details, transport.PayloadOf(m).Sender)
	}
	g.invoked++
	g.owe()
	c.invocation = g.invoked
	put(&g.invocations, c.invocation, c)
	err := g.peer.Put(&wamp.Invocation{
		Request: c.invocation, Registration: c.callee.id, Details: details,
		Arguments: m.Arguments, ArgumentsKw: m.ArgumentsKw,
	})
	if err != nil {
		delete(g.invocations, c.invocation)
	}
	return err
}

// maxOwed bounds what a callee may save up that answers nothing.
const maxOwed = 4096

// owe notes that somebody waits for an answer.
func (g *guard) owe() { g.owes = min(g.owes+1, maxOwed) }

// answer gives the caller a result or an error, if it still waits for one. A nil by
// is nobody's reader.
func (c *call) answer(by *guard, msg wamp.Message, last bool) {
	to := c.caller
	if by != nil && last { // for parts its callee rests
		by.peer.Serves(to.peer.Conn)
	}
	err := to.peer.Prepare(msg)
	to.mu.Lock()
	waits := to.calls[c.request] == c
	if waits && err == nil {
		err = to.peer.Answer(msg)
	}
	fails := waits && err != nil && !errors.Is(err, transport.ErrClosed)
	if fails {
		_ = to.peer.Answer(transport.ResultUndelivered(c.request, err))
	}
	if waits && (last || fails) {
		delete(to.calls, c.request)
	}
	to.mu.Unlock()
	if waits {
		by.wrote(to.peer)
	}
	if fails && !last {
		c.interrupt(by)
	}
}

// interruption are the options of every INTERRUPT.
var interruption = wamp.Dict{"reason": wire.ErrCanceled, "mode": wamp.CancelModeKillNoWait}

// interrupt tells the callee that nobody waits any more.
func (c *call) interrupt(by *guard) {
	to := c.callee.guard
	to.mu.Lock()
	c.over = true
	open := to.invocations[c.invocation] == c
	delete(to.invocations, c.invocation)
	if open && to.interruptible {
		_ = to.peer.Answer(&wamp.Interrupt{Request: c.invocation, Options: interruption})
	}
	to.mu.Unlock()
	if open {
		by.wrote(to.peer)
	}
}

// calleeLost answers a call whose callee has left.
func calleeLost(request wamp.ID) wamp.Message {
	return refuse(&wamp.Call{}, request, wire.ErrCalleeLost, "the callee went away during the call")
}

// wrote has what was put for p written when the reader of g has nothing more to do;
// a nil g has no reader, and does it now.
func (g *guard) wrote(p *transport.Peer) {
	if g == nil {
		p.Flush()
	} else if p.Mark() {
		g.marked = append(g.marked, p)
	}
}

// Drained implements transport.Guard.
func (g *guard) Drained() {
	for i, p := range g.marked {
		g.marked[i] = nil
		p.FlushMarked()
	}
	g.marked = g.marked[:0]
}

// depart ends the calls of a session that leaves, those that it has made and those
// that it was to answer, and returns what nexus must hear of that: it tells callees
// nothing when their caller leaves. It may be called again.
func (g *guard) depart() (cancels []wamp.Message) {
	g.mu.Lock()
	g.parted = true
	calls, invocations := g.calls, g.invocations
	g.calls, g.invocations = nil, nil
	for _, r := range g.registrations {
		g.directory.remove(r.uri, g)
	}
	clear(g.registrations)
	for id := range g.subscriptions {
		g.unsubscribed(id)
	}
	g.mu.Unlock()
	for id, c := range calls {
		if c.direct() {
			c.interrupt(nil)
		} else {
			cancels = append(cancels, &wamp.Cancel{Request: id, Options: cancelMode})
		}
	}
	for _, c := range invocations {
		c.answer(nil, calleeLost(c.request), true)
	}
	return cancels
}
