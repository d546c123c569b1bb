package transport

import (
	"context"
	"runtime"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
)

// Send queues msg, to be written with what else is queued. Where the queue is
// full it waits for room until ctx ends. A message that the peer would not
// accept is a *TooLongError.
func (c *Conn) Send(ctx context.Context, msg wamp.Message) error {
	if isStreamed(msg) {
		return c.send(ctx, msg, c.writeBehind)
	}
	return c.send(ctx, msg, c.writeTogether)
}

// isStreamed reports whether the sender of msg makes the next message without
// waiting for an answer: an event, or a result before the last.
func isStreamed(msg wamp.Message) bool {
	switch m := msg.(type) {
	case *wamp.Publish:
		return true
	case *wamp.Yield:
		return m.Options["progress"] == true
	}
	return false
}

// SendNow is Send for a message that no other will soon follow: the socket gets
// it before SendNow returns, if it has room.
func (c *Conn) SendNow(ctx context.Context, msg wamp.Message) error {
	return c.send(ctx, msg, c.flush)
}

func (c *Conn) send(ctx context.Context, msg wamp.Message, write func()) error {
	for {
		ok, err := c.offer(msg, write)
		if err != nil {
			signal(c.room) // for the next who waits: this one did not fill it
		}
		if ok || err != nil {
			return err
		}
		select {
		case <-c.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.done:
			return c.Err()
		}
	}
}

// offer queues msg unless the queue is over its budget, and has it written.
func (c *Conn) offer(msg wamp.Message, write func()) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return false, c.err
	case c.pending >= c.budget:
		return false, nil
	}
	err := c.append(msg)
	if err == nil && write != nil {
		write()
	}
	return true, err
}

// append encodes msg at the end of the queue. c.mu is held.
func (c *Conn) append(msg wamp.Message) error {
	if c.guard == nil {
		if err := sendable(msg, c.lim.Depth); err != nil {
			return err
		}
	}
	b := c.out.open()
	at := len(b)
	b, long, err := encode(c.codec, append(b, headroom[:c.framing.headroom()]...), msg)
	if err != nil {
		return err
	}
	if n, limit := len(b)-at-c.framing.headroom()+len(long), int(c.peerLimit.Load()); n > limit {
		return &TooLongError{Size: n, Limit: limit}
	}
	b = c.framing.seal(b, at, frameMessage, len(long))
	c.out.add(b, long)
	c.waits(len(b) - at + len(long))
	c.sent.Messages++
	if bye, ok := msg.(*wamp.Goodbye); ok {
		c.leaving = bye.Reason
	}
	return nil
}

var headroom [maxHeadroom]byte

// begin makes the caller the one who writes, if nobody does and there is
// something to do. c.mu is held.
func (c *Conn) begin() bool {
	if c.writing || c.out.empty() && !c.veil.waits() && c.err == nil {
		return false
	}
	c.writing = true
	c.running++
	return true
}

// stop ends what begin began, with the connection if nothing is left to say.
// c.mu is held.
func (c *Conn) stop() {
	c.writing = false
	c.running--
	if c.err != nil {
		c.hangUp()
	}
	c.settle()
}

// writeBehind has another goroutine write what is queued, unless one writes already:
// the sender makes its next message meanwhile. c.mu is held.
func (c *Conn) writeBehind() {
	if !c.begin() {
		return
	}
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.writeBegun()
	}()
}

// writeTogether lets the goroutines that are ready to run queue their messages too,
// and then writes them all. Only the first sender does so; the others return at once.
// c.mu is held, but not meanwhile.
func (c *Conn) writeTogether() {
	if c.gathers || c.writing {
		return
	}
	c.gathers = true
	c.mu.Unlock()
	runtime.Gosched()
	c.mu.Lock()
	c.gathers = false
	c.flush()
}

// maxRounds is how often who writes looks for what others have queued meanwhile: it
// has something else to do.
const maxRounds = 16

// flush writes what is queued as far as the socket takes it without waiting,
// and leaves the rest to somebody else. c.mu is held, but not meanwhile.
func (c *Conn) flush() {
	if c.begin() {
		c.writeBegun()
	}
}

// writeBegun is flush after begin.
func (c *Conn) writeBegun() {
	for rounds := 1; !c.spent(); rounds++ {
		c.going = c.out.take()
		c.mu.Unlock()
		n, err := c.writeNow()
		c.mu.Lock()
		c.wrote(n)
		if err == nil && c.going.empty() && !c.veil.unsent() && rounds < maxRounds {
			continue
		}
		go c.write(c.going.take()) // an error is met there again
		return
	}
	c.stop()
}

// spent reports whether there is nothing left to write. TLS says that it ends only
// then. c.mu is held.
func (c *Conn) spent() bool {
	return c.out.empty() && !c.veil.waits() && !(c.err != nil && !c.closing.IsZero() && c.veil.part())
}

// answered has written what TLS said when it read: a new key is answered by one.
func (c *Conn) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits(c.veil.grew())
	c.flush()
}

// Flush writes what is queued, as far as the socket takes it now.
func (c *Conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
}

func (c *Conn) writeNow() (n int, err error) {
	if c.raw == nil {
		return 0, nil
	}
	if c.veil != nil {
		return c.veil.writeNow(&c.going)
	}
	if err := c.raw.Write(c.try); err != nil {
		return 0, err
	}
	return c.took, c.tookErr
}

func (c *Conn) tryWrite(fd uintptr) bool {
	c.took, c.tookErr = c.going.writeNow(int(fd))
	return true
}

// wrote counts n bytes that the socket took. c.mu is held.
func (c *Conn) wrote(n int) {
	c.waits(c.veil.grew() - n)
	c.sent.Bytes += int64(n)
	signal(c.room)
}

// write writes o and whatever is queued meanwhile.
func (c *Conn) write(o outbox) {
	for {
		err := c.writeAll(&o)
		c.mu.Lock()
		switch {
		case err != nil:
			c.broken(err) // and c.writing stays, so that nobody tries again
			c.running--
			c.settle()
		case c.spent():
			if c.err == nil {
				_ = c.sock.SetWriteDeadline(time.Time{})
			}
			c.stop()
		default:
			o = c.out.take()
			c.mu.Unlock()
			continue
		}
		c.mu.Unlock()
		return
	}
}

// chunkBytes is what must leave within Limits.Stall.
const chunkBytes = 256 << 10

func (c *Conn) writeAll(o *outbox) error {
	for !o.empty() || c.veil.waits() {
		c.mu.Lock()
		if c.closing.IsZero() { // else Close has set a deadline already
			_ = c.sock.SetWriteDeadline(time.Now().Add(c.lim.Stall))
		}
		c.mu.Unlock()
		n, whole, err := c.writeChunk(o)
		c.mu.Lock()
		c.wrote(n)
		if c.curt && whole {
			c.waits(-o.abridge())
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// writeChunk writes a part of o, and waits until the socket has taken it. It says
// how many bytes that were, and whether the rest of o begins with a chunk.
func (c *Conn) writeChunk(o *outbox) (n int, whole bool, err error) {
	if c.veil != nil {
		return c.veil.writeChunk(o)
	}
	chunk := o.chunk()
	n, err = c.nc.Write(chunk[:min(len(chunk), chunkBytes)])
	o.wrote(n)
	return n, n == len(chunk), err
}
