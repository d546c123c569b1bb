package transport

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// Peer gives the router's end of a Conn the form nexus wants. nexus sends
// into a channel and drops what finds it full, saying so to nobody. Therefore
// the channel is emptied by a pump that never waits for the peer, and the
// session ends the moment the channel was found full: nothing is lost
// silently. The channel is never closed: nexus may send after Close. The pump
// rests while there is nothing to do, so that an idle session has no goroutine
// for it.
type Peer struct {
	*Conn
	inbox
	pumping   atomic.Bool
	announced atomic.Int64 // messages that nexus has sent, or is about to
	marked    atomic.Bool  // somebody will write what was put
	patience  atomic.Int64 // of publishers with its peer, in ns
	renewed   atomic.Int64 // bytes that had been written when it was last renewed
	abreast   atomic.Int64 // bytes that had been written when little waited
	told      atomic.Int64 // what the router is told in the session's name
	closeOnce sync.Once
	closed    chan struct{} // by nexus
	onEnd     func()
	restAfter time.Duration // how long the pump waits for more to do
}

// NewPeer makes the Peer of c, which calls onEnd when both the connection has
// ended and Close was called.
func NewPeer(c *Conn, onEnd func()) *Peer {
	return &Peer{
		Conn: c, inbox: newInbox(), onEnd: onEnd, restAfter: time.Second,
		closed: make(chan struct{}),
	}
}

// Send is the channel for one message of nexus.
func (p *Peer) Send() chan<- wamp.Message {
	p.announced.Add(1)
	p.pump()
	return p.inbox.Send()
}

// IsLocal makes nexus copy what it hands to several sessions: without that,
// pattern subscribers share one dict and the process dies of a map race.
// Authentication and authorisation are switched on for local peers.
func (p *Peer) IsLocal() bool { return true }

// Close sends what is queued and ends the connection; it may be called often
// and does not wait. nexus calls it when it reads no more.
func (p *Peer) Close() {
	p.closeOnce.Do(func() {
		p.recv.turnDeaf()
		close(p.closed)
		p.pump()
	})
}

// batchBytes is how much may wait before it is written although more comes.
const batchBytes = 128 << 10

// pump sees to it that the pump runs.
func (p *Peer) pump() {
	if p.pumping.CompareAndSwap(false, true) {
		go p.run()
	}
}

// run moves what nexus sends to the queue of the connection.
func (p *Peer) run() {
	rest, busy := time.NewTimer(p.restAfter), true
	defer rest.Stop()
	for {
		select {
		case msg := <-p.ch:
			p.take(msg)
			busy = true
		case <-p.closed:
			p.finish()
			return
		case <-rest.C:
			if !busy && p.rests() {
				return
			}
			busy = false
			rest.Reset(p.restAfter)
		}
	}
}

// NexusIDs is what is added to the ids of invocations that come from nexus, so that
// those of its guard, from 1, are others.
const NexusIDs = 1 << 52

// renumbered adds to the id of an invocation.
func renumbered(msg wamp.Message, by int64) wamp.Message {
	switch m := msg.(type) {
	case *wamp.Invocation:
		m.Request = wamp.ID(int64(m.Request) + by)
	case *wamp.Interrupt:
		m.Request = wamp.ID(int64(m.Request) + by)
	case *wamp.Yield:
		m.Request = wamp.ID(int64(m.Request) + by)
	case *wamp.Error:
		if m.Type == wamp.INVOCATION {
			m.Request = wamp.ID(int64(m.Request) + by)
		}
	}
	return msg
}

func (p *Peer) take(msg wamp.Message) {
	p.announced.Add(-1)
	// The channel only fills between two receives. If it was full then, at
	// most one place is free now.
	if len(p.ch) >= cap(p.ch)-1 {
		p.cut(p.slow())
	}
	p.deliver(msg)
	if len(p.ch) == 0 {
		p.late.Store(false)
		p.Flush()
	}
}

// rests ends the pump if there is nothing to do. Whoever has something to do
// says so before it looks whether the pump runs; the pump looks for it after it
// has said that it does not.
func (p *Peer) rests() bool {
	p.pumping.Store(false)
	isClosed := false
	select {
	case <-p.closed:
		isClosed = true
	default:
	}
	if p.announced.Load() == 0 && !isClosed {
		return true
	}
	return !p.pumping.CompareAndSwap(false, true)
}

// finish ends the connection with what nexus has still sent.
func (p *Peer) finish() {
	p.drain(p.deliver)
	p.Conn.Close()
	<-p.done
	p.drain(func(wamp.Message) {}) // a last blocking send of nexus finds room
	p.onEnd()
}

func (p *Peer) drain(deliver func(wamp.Message)) {
	for {
		select {
		case msg := <-p.ch:
			deliver(msg)
		default:
			return
		}
	}
}

// deliver queues msg or ends the session: nothing is skipped.
func (p *Peer) deliver(msg wamp.Message) {
	queue := func(msg wamp.Message) { p.queue(msg) }
	if p.guard == nil {
		queue(msg)
		return
	}
	p.guard.Outbound(renumbered(msg, NexusIDs), queue)
}

// Deliver queues an event without nexus and the guard, as Put does. What cannot be
// delivered ends the session. It reports whether the event was queued.
func (p *Peer) Deliver(msg *Event) bool { return p.queue(msg) }

// Prepare encodes the arguments of msg for the other end, which may take long.
func (p *Peer) Prepare(msg wamp.Message) error {
	if payload := PayloadOf(msg); payload != nil {
		_, err := payload.in(p.codec)
		return err
	}
	return nil
}

// Prepared reports whether Prepare has nothing to do.
func (p *Peer) Prepared(msg wamp.Message) bool {
	payload := PayloadOf(msg)
	return payload == nil || payload.codec == p.codec || payload.forms[index(p.codec)].Load() != nil
}

// Put queues msg without nexus and the guard, to be written by FlushMarked or
// Flush. Nobody keeps msg. It is ErrClosed where the connection has ended, and a
// *wire.Error where three quarters of what may wait do: who asks for something leaves
// room for what the session cannot do without.
func (p *Peer) Put(msg wamp.Message) error {
	if waiting, _ := p.standing(); waiting >= p.lim.Queue/4*3 {
		return p.slow()
	}
	return p.put(msg)
}

func (p *Peer) put(msg wamp.Message) error {
	ok, err := p.offer(msg, p.writeMuch)
	switch {
	case ok:
		return err
	case err == nil:
		return p.slow()
	}
	return ErrClosed
}

// Answer is Put for what the session cannot do without: where too much waits for
// it, that ends it.
func (p *Peer) Answer(msg wamp.Message) error {
	err := p.put(msg)
	if fault, isSlow := err.(*wire.Error); isSlow {
		p.cut(fault)
		return ErrClosed
	}
	return err
}

// Mark reports whether it is up to who asks to call FlushMarked: else somebody does
// that soon.
func (p *Peer) Mark() bool { return p.marked.CompareAndSwap(false, true) }

// FlushMarked writes what was put before.
func (p *Peer) FlushMarked() {
	p.marked.Store(false)
	p.Flush()
}

// queue queues msg. What cannot be delivered is answered to its caller, or ends
// the session; a session that has ended takes nothing.
func (p *Peer) queue(msg wamp.Message) bool {
	err := p.put(msg)
	if err == nil || err == ErrClosed {
		return err == nil
	}
	switch m := msg.(type) {
	case *wamp.Invocation:
		p.refuse(m, err)
	case *wamp.Result:
		p.fail(m.Request, m.Details["progress"] == true, err)
	case *wamp.Error:
		p.fail(m.Request, false, err)
	default:
		p.cut(asFault(err, msg))
	}
	return false
}

// writeMuch writes what waits if that is much. The Conn is locked.
func (p *Peer) writeMuch() {
	if p.pending >= batchBytes {
		p.flush()
	}
}

// refuse answers a call in the callee's name: no caller can end the session of
// a callee.
func (p *Peer) refuse(m *wamp.Invocation, why error) {
	p.tellRouter(CallUndelivered(wamp.INVOCATION, m.Request, why))
}

// CallUndelivered says in an ERROR for a message of type as, a CALL or an INVOCATION,
// why the callee does not get it: no caller can end the session of a callee.
func CallUndelivered(as wamp.MessageType, request wamp.ID, why error) *wamp.Error {
	uri := wire.ErrLimit
	if _, isSlow := why.(*wire.Error); isSlow {
		uri = wire.ErrBusy
	}
	return &wamp.Error{
		Type: as, Request: request, Details: wamp.Dict{},
		Error: wamp.URI(uri), Arguments: wamp.List{"the call cannot be delivered: " + why.Error()},
	}
}

// ResultUndelivered says to the caller of a call why it does not get a result.
func ResultUndelivered(call wamp.ID, why error) *wamp.Error {
	return &wamp.Error{
		Type: wamp.CALL, Request: call, Details: wamp.Dict{},
		Error: wire.ErrLimit, Arguments: wamp.List{"the result cannot be delivered: " + why.Error()},
	}
}

// fail ends a call whose answer its caller cannot take, also at the router: there
// may be more answers to come.
func (p *Peer) fail(call wamp.ID, more bool, why error) {
	if fault, isSlow := why.(*wire.Error); isSlow {
		p.cut(fault)
		return
	}
	instead := ResultUndelivered(call, why)
	end := func(instead wamp.Message) {
		switch _, err := p.offer(instead, nil); {
		case err != nil:
			p.cut(asFault(err, instead))
		case more:
			p.tellRouter(&wamp.Cancel{Request: call, Options: wamp.Dict{"mode": wamp.CancelModeKillNoWait}})
		}
	}
	if p.guard == nil || !more { // for the guard it has ended
		end(instead)
		return
	}
	p.guard.Outbound(instead, end)
}

// maxTold bounds the messages of tellRouter that wait.
const maxTold = 4096

// tellRouter says something in the session's name. The router may be waiting for
// the pump, so the pump does not wait for the router.
func (p *Peer) tellRouter(msg wamp.Message) {
	if p.told.Add(1) > maxTold {
		p.told.Add(-1)
		p.cut(p.slow())
		return
	}
	go func() {
		defer p.told.Add(-1)
		_ = p.hand(0, msg)
	}()
}

// asFault is why a session ends that cannot take msg.
func asFault(err error, msg wamp.Message) *wire.Error {
	if fault, ok := err.(*wire.Error); ok {
		return fault
	}
	return wire.Over(wire.ErrLimit, LimitMessage, "%s cannot be delivered: %v", msg.MessageType(), err)
}
