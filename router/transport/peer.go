package transport

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// Peer is the router's end of a session. The dealer and the broker queue messages
// on it, and nexus sends the answers of the control plane into its channel: there
// nexus drops what finds the channel full, and tells nobody. Therefore a pump that
// never waits for the session empties the channel, and the session ends the moment
// the channel was found full: nothing is lost silently. The channel is never closed:
// nexus may send after Close. The pump rests while there is nothing to do, so that
// an idle session has no goroutine for it.
type Peer struct {
	link
	inbox
	pumping   atomic.Bool
	announced atomic.Int64 // messages that nexus has sent, or is about to
	marked    atomic.Bool  // a reader will write what was put
	patience  atomic.Int64 // of publishers with its session, in ns
	renewed   atomic.Int64 // bytes that had been written when it was last renewed
	abreast   atomic.Int64 // bytes that had been written when little waited
	closeOnce sync.Once
	closed    chan struct{} // by nexus
	onEnd     func()
	restAfter time.Duration // how long the pump waits for more to do
}

// NewPeer makes the Peer of l, a Conn or a Local, which calls onEnd when both l has
// ended and nexus has called Close.
func NewPeer(l link, onEnd func()) *Peer {
	return &Peer{
		link: l, inbox: newInbox(), onEnd: onEnd, restAfter: time.Second,
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
		p.deafen()
		close(p.closed)
		p.pump()
	})
}

// Closed is closed when nexus has let go of the session: what it had registered is free.
func (p *Peer) Closed() <-chan struct{} { return p.closed }

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

// rests ends the pump if there is nothing to do. Send and Close raise announced and
// closed before they check pumping; the pump clears pumping before it checks both. So
// one of the two always sees the other.
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
	p.link.finish()
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

// deliver queues a message of nexus, after the guard has seen it.
func (p *Peer) deliver(msg wamp.Message) {
	guard := p.guarded()
	if guard == nil {
		p.queue(msg)
		return
	}
	guard.Outbound(msg, func(msg wamp.Message) { p.queue(msg) })
}

// queue queues a message of nexus. A result that the session cannot take becomes an
// error; anything else that cannot be queued ends the session: nothing is skipped.
func (p *Peer) queue(msg wamp.Message) {
	err := p.put(msg)
	if result, ok := msg.(*wamp.Result); ok && err != nil && err != ErrClosed {
		err = p.put(Refuse(&wamp.Call{}, result.Request, wire.ErrLimit, "the result cannot be delivered: "+err.Error()))
	}
	if err != nil && err != ErrClosed {
		p.cut(asFault(err, msg))
	}
}

// Deliver queues an event. Where it cannot be queued, the session ends, unless the
// event is one that its serializer cannot say: whoever publishes asks Prepare before,
// and this is a session that has subscribed since. It reports whether the event was
// queued.
func (p *Peer) Deliver(msg *Event) bool {
	err := p.put(msg)
	if err == nil || err == ErrClosed {
		return err == nil
	}
	if _, unsupported := errors.AsType[*UnsupportedValueError](err); !unsupported {
		p.cut(asFault(err, msg))
	}
	return false
}

// Prepare encodes the arguments of msg as the session reads them, which may take
// long.
func (p *Peer) Prepare(msg wamp.Message) error {
	if payload := PayloadOf(msg); payload != nil {
		return p.prepare(payload)
	}
	return nil
}

// Prepared reports whether Prepare has nothing to do.
func (p *Peer) Prepared(msg wamp.Message) bool {
	payload := PayloadOf(msg)
	return payload == nil || p.prepared(payload)
}

// Put queues msg, to be written by Flush or by WriteLater of whoever puts it. Nobody
// keeps msg. It is ErrClosed where the session has ended, and a *wire.Error where
// three quarters of what may wait do: a request leaves room for what the session
// cannot do without.
func (p *Peer) Put(msg wamp.Message) error {
	if waiting, _ := p.standing(); waiting >= p.queueLimit()/4*3 {
		return p.slow()
	}
	return p.put(msg)
}

func (p *Peer) put(msg wamp.Message) error {
	ok, err := p.enqueue(msg)
	switch {
	case ok:
		return err
	case err == nil:
		return p.slow()
	}
	return ErrClosed
}

// Answer is Put for what the session cannot do without: a session for which too much
// waits ends.
func (p *Peer) Answer(msg wamp.Message) error {
	err := p.put(msg)
	if fault, isSlow := err.(*wire.Error); isSlow {
		p.cut(fault)
		return ErrClosed
	}
	return err
}

// Serves notes that the message the reader of p is at answers a request of to.
func (p *Peer) Serves(to *Peer) { p.serves(to.link) }

// Refuse answers a request with an ERROR whose argument is a sentence.
func Refuse(of wamp.Message, request wamp.ID, uri, sentence string) *wamp.Error {
	return &wamp.Error{
		Type: of.MessageType(), Request: request, Details: wamp.Dict{},
		Error: wamp.URI(uri), Arguments: wamp.List{sentence},
	}
}

// asFault is why a session ends that cannot take msg.
func asFault(err error, msg wamp.Message) *wire.Error {
	if fault, ok := err.(*wire.Error); ok {
		return fault
	}
	return wire.Over(wire.ErrLimit, LimitMessage, "%s cannot be delivered: %v", msg.MessageType(), err)
}
