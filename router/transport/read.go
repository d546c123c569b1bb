package transport

import (
	"errors"
	"runtime"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// read delivers what the peer sends until the connection ends.
func (c *Conn) read() {
	err := c.readAll()
	if err == errHandedOn {
		return
	}
	c.put.flush()
	fault, isFault := errors.AsType[*wire.Error](err)
	parted, hasParted := errors.AsType[*partedError](err)
	switch {
	case errors.Is(err, ErrDeaf): // the writer still has something to say
	case isFault:
		c.Abort(fault)
	case hasParted:
		c.endWith(parted.error, nil, c.lim.Flush)
	case c.hasHungUp():
	default:
		c.fail(err)
	}
	c.in.release()
	c.part()
	if !hasParted { // who has, says no more
		c.drop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	c.settle()
}

// part ends what nexus receives, once the guard knows that nothing more is read.
func (c *Conn) part() {
	c.parting.Do(func() {
		if c.guard != nil {
			c.guard.Closed()
		}
		c.recv.end()
	})
}

// ErrDeaf ends the reader when nobody takes what it reads: a Guard says so of a
// session that has ended, and may still be told why.
var ErrDeaf = errors.New("nobody listens")

// Bounds of what is read ahead of whoever takes it: so many messages, or so
// many bytes of them.
const (
	recvAhead      = 32
	nexusAhead     = 4 // where nexus takes it: only the control plane is its
	recvAheadBytes = 256 << 10
)

// hand gives a message of size bytes to whoever receives, and waits for it.
func (c *Conn) hand(size int, msg wamp.Message) error {
	if size > recvAheadBytes/recvAhead {
		if err := c.awaitTaken(recvAheadBytes / size); err != nil {
			return err
		}
	}
	return c.give(msg)
}

// awaitTaken waits until at most n messages are read ahead: long ones may not
// pile up.
func (c *Conn) awaitTaken(n int) error {
	heard := time.Now()
	for pause := time.Duration(0); len(c.recv.ch) > n; pause = min(pause+10*time.Microsecond, time.Millisecond) {
		select {
		case <-c.recv.deaf:
			return ErrDeaf
		case <-time.After(pause):
		}
		if every := c.lim.Keepalive; every > 0 && time.Since(heard) > every {
			heard = time.Now()
			c.signOfLife()
		}
	}
	return nil
}

// violation is what is the peer's fault, and said to it in an ABORT.
func violation(err error) error { return wire.Errorf(wire.ErrProtocolViolation, "%v", err) }

func (c *Conn) readAll() error {
	for {
		c.awaitRead()
		if !c.runDue() {
			return errHandedOn
		}
		c.in.release()
		kind, payload, own, err := c.framing.read(&c.accepts)
		if _, long := errors.AsType[*TooLongError](err); long {
			return c.fault(err)
		}
		if err != nil {
			return err
		}
		if err := c.receive(kind, payload, own); err != nil {
			return err
		}
		if c.guard != nil && !c.greeted && c.received.Load() > 0 {
			// HELLO nests deep, and an idle session would keep the stack that it took.
			c.greeted = true
			go c.read()
			return errHandedOn
		}
	}
}

// awaitRead waits, at a router's end, for a peer that asks for more than it reads:
// half of what may wait for it is reached. One that never reads comes to
// Limits.Stall.
func (c *Conn) awaitRead() {
	for c.guard != nil && c.lags() {
		c.put.flush()
		c.served()
		select {
		case <-c.room:
		case <-c.recv.deaf:
			return
		}
	}
}

func (c *Conn) lags() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil && c.pending > c.budget/2
}

func (c *Conn) receive(kind byte, payload []byte, own bool) error {
	c.served()
	switch kind {
	case framePong:
		return nil
	case framePing:
		return c.pong(payload)
	}
	msg, err := c.decoder.decode(payload, own)
	if err == errUnknownType && c.welcomed() {
		c.received.Add(1)
		if c.guard != nil {
			c.Asks() // it is charged like a request
		}
		return nil
	}
	if err != nil {
		return c.fault(err)
	}
	c.received.Add(1)
	if c.guard == nil {
		return c.hand(len(payload), msg)
	}
	pass, answer, err := c.guard.Inbound(msg)
	if err != nil {
		return err
	}
	if answer != nil {
		if err := c.reply(answer); err != nil {
			return err
		}
		runtime.Gosched() // what is refused waits for nobody: it may not crowd out the others
	}
	if pass == nil {
		return nil
	}
	c.put.flush()
	return c.hand(len(payload), pass)
}

// reply queues an answer that the router never saw.
func (c *Conn) reply(msg wamp.Message) error {
	ok, err := c.offer(msg, c.flush)
	if err == nil && !ok {
		err = c.slow()
	}
	return err
}

func (c *Conn) pong(payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.pending < c.budget:
		c.control(framePong, payload)
	case c.guard != nil: // a router that pings a client can wait for the answer
		return c.slow()
	}
	return nil
}

// control sends a ping or a pong. c.mu is held.
func (c *Conn) control(kind byte, payload []byte) {
	b := c.out.open()
	at := len(b)
	b = append(append(b, headroom[:c.framing.headroom()]...), payload...)
	b = c.framing.seal(b, at, kind, 0)
	c.out.add(b, nil)
	c.waits(len(b) - at)
	c.flush()
}
