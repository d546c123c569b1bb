package transport

import (
	"sync"
	"sync/atomic"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// Peer gives the router's end of a Conn the form nexus wants. nexus sends
// into a channel and drops what finds it full, saying so to nobody. Therefore
// the channel is emptied by Pump, which never waits for the peer, and the
// session ends the moment the channel was found full: nothing is lost
// silently. The channel is never closed: nexus may send after Close.
type Peer struct {
	*Conn
	inbox
	dirty     atomic.Bool   // something was delivered that is not yet written
	wake      chan struct{} // and the pump is told
	closeOnce sync.Once
	closed    chan struct{} // by nexus
}

// NewPeer makes the Peer of c. Pump must be called.
func NewPeer(c *Conn) *Peer {
	return &Peer{Conn: c, inbox: newInbox(), wake: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Send is the channel nexus writes to.
func (p *Peer) Send() chan<- wamp.Message { return p.inbox.Send() }

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
	})
}

// batchBytes is how much may wait before it is written although more comes.
const batchBytes = 128 << 10

// Pump moves what nexus sends to the queue of the connection. It returns once
// the connection has ended and Close was called.
func (p *Peer) Pump() {
	for {
		select {
		case msg := <-p.ch:
			// The channel only fills between two receives. If it was full
			// then, at most one place is free now.
			if len(p.ch) >= cap(p.ch)-1 {
				p.cut(p.slow())
			}
			p.deliver(msg)
			if len(p.ch) == 0 {
				p.late.Store(false)
				p.Flush()
			}
		case <-p.wake:
			p.dirty.Store(false)
			p.Flush()
		case <-p.closed:
			p.drain(p.deliver)
			p.Conn.Close()
			<-p.done
			p.drain(discard)
			return
		case <-p.done:
			p.outlive()
			return
		}
	}
}

// outlive takes what nexus sends to a connection that has ended until it has
// noticed: the broker and callees would wait for room.
func (p *Peer) outlive() {
	for {
		select {
		case <-p.ch:
		case <-p.closed:
			p.drain(discard)
			return
		}
	}
}

// drain empties the channel so that a last blocking send of nexus finds room.
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

func discard(wamp.Message) {}

// deliver queues msg or ends the session: nothing is skipped.
func (p *Peer) deliver(msg wamp.Message) {
	if p.guard != nil {
		msg = p.guard.Outbound(msg)
	}
	if p.queue(msg) && p.guard != nil {
		p.guard.Queued(msg)
	}
}

// Deliver queues msg without nexus and the guard, in the place where it is
// called. Nobody keeps msg.
func (p *Peer) Deliver(msg wamp.Message) {
	if p.queue(msg) && p.dirty.CompareAndSwap(false, true) {
		signal(p.wake)
	}
}

// queue queues msg, or ends the session, or leaves it where it has ended.
func (p *Peer) queue(msg wamp.Message) bool {
	switch ok, err := p.offer(msg, p.writeMuch); {
	case ok && err == nil:
		return true
	case !ok && err == nil:
		p.cut(p.slow())
	case !ok: // the connection has ended
	case err != nil:
		p.undeliverable(msg, err)
	}
	return false
}

// writeMuch writes what waits if that is much. The Conn is locked.
func (p *Peer) writeMuch() {
	if p.pending >= batchBytes {
		p.flush()
	}
}

// undeliverable answers for a message that its receiver cannot take: too long
// for what it announced, or not to be said in its serializer. The caller gets
// an error; anything else that is lost ends the session.
func (p *Peer) undeliverable(msg wamp.Message, why error) {
	var call wamp.ID
	isAnswer := false
	switch m := msg.(type) {
	case *wamp.Invocation:
		_ = p.hand(0, &wamp.Error{
			Type: wamp.INVOCATION, Request: m.Request, Details: wamp.Dict{},
			Error: wire.ErrLimit, Arguments: wamp.List{"the call cannot be delivered: " + why.Error()},
		})
		return
	case *wamp.Result:
		call, isAnswer = m.Request, true
	case *wamp.Error:
		call, isAnswer = m.Request, m.Type == wamp.CALL
	}
	instead := &wamp.Error{
		Type: wamp.CALL, Request: call, Details: wamp.Dict{},
		Error: wire.ErrLimit, Arguments: wamp.List{"the result cannot be delivered: " + why.Error()},
	}
	if isAnswer {
		if _, err := p.offer(instead, nil); err == nil {
			return
		}
	}
	p.cut(wire.Errorf(wire.ErrLimit, "%s cannot be delivered: %v", msg.MessageType(), why))
}

// cut ends the session with a reason, which is said to the peer.
func (p *Peer) cut(why *wire.Error) {
	p.endWith(why, &wamp.Goodbye{Reason: wamp.URI(why.URI), Details: why.Details()})
}
