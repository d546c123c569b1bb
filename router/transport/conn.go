package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// Limits bounds what one connection may cost.
type Limits struct {
	Message   int           // bytes of one message that is accepted, at most 2^24-1
	Depth     int           // how deep the payload of a message may nest
	Queue     int           // bytes that may wait to be written
	Handshake time.Duration // for the rawsocket handshake
	Stall     time.Duration // how long the peer may read nothing of what is written
	Flush     time.Duration // for what is still queued when the connection closes
}

// DefaultLimits are those of a router; a client accepts longer messages,
// because a RESULT may grow on its way.
func DefaultLimits() Limits {
	return Limits{
		Message:   4 << 20,
		Depth:     32,
		Queue:     8 << 20,
		Handshake: 10 * time.Second,
		Stall:     60 * time.Second,
		Flush:     2 * time.Second,
	}
}

// ErrClosed is the error of a connection that this end closed.
var ErrClosed = errors.New("connection closed")

// Guard stands between the wire and the router. Its methods are called from
// different goroutines.
type Guard interface {
	// Inbound judges a message from the peer: pass goes on to the router,
	// answer back to the peer (either may be nil), and an error ends the
	// connection; a *wire.Error is said to the peer first.
	Inbound(msg wamp.Message) (pass []wamp.Message, answer wamp.Message, err error)
	// Outbound sees what the router sends and may replace it.
	Outbound(msg wamp.Message) wamp.Message
	// Closed returns what the router must still hear once the peer is gone.
	Closed() []wamp.Message
}

// Conn is one WAMP connection over a byte stream. Reads are buffered; writes
// are queued by their bytes and leave in one system call when several wait.
type Conn struct {
	nc        net.Conn
	framing   framing
	codec     Codec
	elements  elements // of the reader
	lim       Limits
	guard     Guard // nil on a client's end
	peerLimit atomic.Int64
	recv      chan wamp.Message

	recvMu     sync.RWMutex // taken to close recv
	recvClosed bool

	mu      sync.Mutex
	queue   []byte // whole frames
	closing time.Time
	err     error

	wake chan struct{} // the writer has something to do
	room chan struct{} // the queue was emptied
	deaf chan struct{} // closed when nobody reads recv any more
	done chan struct{} // closed when the connection has ended

	deafOnce sync.Once
	halves   atomic.Int32 // reader and writer, as far as they have ended
}

func newConn(nc net.Conn, f framing, codec Codec, lim Limits) *Conn {
	c := &Conn{
		nc: nc, framing: f, codec: codec, elements: codec.newElements(), lim: lim,
		recv: make(chan wamp.Message, recvAhead),
		wake: make(chan struct{}, 1),
		room: make(chan struct{}, 1),
		deaf: make(chan struct{}),
		done: make(chan struct{}),
	}
	c.peerLimit.Store(maxFrame)
	return c
}

func (c *Conn) start() {
	go c.read()
	go c.write()
}

// Recv delivers the peer's messages; it is closed when the connection ends, and
// may hold some even then.
func (c *Conn) Recv() <-chan wamp.Message { return c.recv }

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection ended: io.EOF when the peer closed it.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Send queues msg. Where the queue is full it waits for room until ctx ends.
// A message that the peer would not accept is a *TooLongError.
func (c *Conn) Send(ctx context.Context, msg wamp.Message) error {
	for {
		ok, err := c.offer(msg)
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

// offer queues msg unless the queue is over its budget.
func (c *Conn) offer(msg wamp.Message) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return false, c.err
	case len(c.queue) >= c.lim.Queue:
		return false, nil
	}
	return true, c.append(msg)
}

// append encodes msg at the end of the queue. c.mu is held.
func (c *Conn) append(msg wamp.Message) error {
	if c.guard == nil {
		if err := sendable(msg, c.lim.Depth); err != nil {
			return err
		}
	}
	at := len(c.queue)
	b, err := encode(c.codec, c.headroom(), msg)
	if err != nil {
		return err
	}
	if n, limit := len(b)-at-c.framing.headroom(), int(c.peerLimit.Load()); n > limit {
		return &TooLongError{Size: n, Limit: limit}
	}
	c.queue = c.framing.seal(b, at, frameMessage)
	signal(c.wake)
	return nil
}

// headroom is the queue with room for the head of another frame.
func (c *Conn) headroom() []byte {
	var room [maxHeadroom]byte
	return append(c.queue, room[:c.framing.headroom()]...)
}

// Close sends what is queued, for Limits.Flush at most, and ends the
// connection. It does not wait, and nothing is received any more.
func (c *Conn) Close() {
	c.endWith(ErrClosed, nil)
	c.turnDeaf()
}

func (c *Conn) turnDeaf() { c.deafOnce.Do(func() { close(c.deaf) }) }

// half counts a half that has ended; the second one ends the connection.
func (c *Conn) half() {
	if c.halves.Add(1) == 2 {
		close(c.done)
	}
}

// endWith drops what waits, sends last instead and ends the connection with
// err, if it has not ended already. A nil last keeps what waits.
func (c *Conn) endWith(err error, last wamp.Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	if last != nil {
		c.queue = c.queue[:0]
		_ = c.append(last)
	}
	c.queue = c.framing.farewell(c.queue, err)
	c.err = err
	c.closing = time.Now().Add(c.lim.Flush)
	_ = c.nc.SetWriteDeadline(c.closing)
	signal(c.wake)
	return true
}

// Abandon ends the connection at once; what is queued is lost.
func (c *Conn) Abandon() {
	c.fail(ErrClosed)
	c.turnDeaf()
}

// fail ends the connection at once.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	_ = c.nc.Close()
	signal(c.wake)
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// broken notes that nothing can be sent any more. What the peer had sent before
// it closed is still read, for Limits.Flush at most.
func (c *Conn) broken(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	until := c.closing
	if until.IsZero() {
		until = time.Now().Add(c.lim.Flush)
	}
	_ = c.nc.SetReadDeadline(until)
}

// write moves the queue to the socket until the connection ends.
func (c *Conn) write() {
	defer c.half()
	var spare []byte
	for range c.wake {
		for {
			c.mu.Lock()
			out, over, closing := c.queue, c.err != nil, c.closing
			c.queue = spare[:0]
			c.mu.Unlock()
			signal(c.room)
			spare = nil // the queue has it now
			if over && (len(out) == 0 || closing.IsZero()) {
				_ = c.nc.Close()
				return
			}
			if len(out) == 0 {
				spare = out
				break
			}
			if err := c.writeAll(out, closing); err != nil {
				c.broken(fmt.Errorf("write: %w", err))
				return
			}
			if cap(out) <= spareBytes {
				spare = out
			}
		}
	}
}

const (
	spareBytes = 64 << 10  // a larger write buffer is not kept
	chunkBytes = 256 << 10 // what must leave within Limits.Stall
)

func (c *Conn) writeAll(b []byte, closing time.Time) error {
	for len(b) > 0 {
		if closing.IsZero() {
			c.mu.Lock()
			if c.closing.IsZero() { // else Close has set a deadline already
				_ = c.nc.SetWriteDeadline(time.Now().Add(c.lim.Stall))
			}
			c.mu.Unlock()
		}
		n, err := c.nc.Write(b[:min(len(b), chunkBytes)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// read delivers what the peer sends until the connection ends; it alone
// closes c.recv.
func (c *Conn) read() {
	defer c.half()
	defer c.closeRecv()
	err := c.readAll()
	fault, isFault := errors.AsType[*wire.Error](err)
	switch {
	case errors.Is(err, errDeaf): // the writer still has something to say
	case isFault:
		c.endWith(err, &wamp.Abort{
			Reason:  wamp.URI(fault.URI),
			Details: wamp.Dict{"message": fault.Message()},
		})
	default:
		c.fail(err)
	}
	if c.guard != nil {
		_ = c.hand(0, c.guard.Closed()...)
	}
}

func (c *Conn) closeRecv() {
	c.recvMu.Lock()
	defer c.recvMu.Unlock()
	c.recvClosed = true
	close(c.recv)
}

// errDeaf ends the reader when nobody takes what it reads.
var errDeaf = errors.New("nobody listens")

// Bounds of what is read ahead of whoever takes it: so many messages, or so
// many bytes of them.
const (
	recvAhead      = 64
	recvAheadBytes = 256 << 10
)

// hand gives messages of size bytes in all to whoever reads recv. The pump of a
// Peer does so too, to answer for its session, so recv is not closed under its
// hands.
func (c *Conn) hand(size int, msgs ...wamp.Message) error {
	c.recvMu.RLock()
	defer c.recvMu.RUnlock()
	if c.recvClosed {
		return errDeaf
	}
	if size > recvAheadBytes/recvAhead {
		if err := c.awaitTaken(recvAheadBytes / size); err != nil {
			return err
		}
	}
	for _, msg := range msgs {
		select {
		case c.recv <- msg:
		case <-c.deaf:
			return errDeaf
		}
	}
	return nil
}

// awaitTaken waits until at most n messages are read ahead: long ones may not
// pile up.
func (c *Conn) awaitTaken(n int) error {
	for pause := time.Duration(0); len(c.recv) > n; pause = min(pause+10*time.Microsecond, time.Millisecond) {
		select {
		case <-c.deaf:
			return errDeaf
		case <-time.After(pause):
		}
	}
	return nil
}

// violation is what is the peer's fault, and said to it in an ABORT.
func violation(err error) error { return wire.Errorf(wire.ErrProtocolViolation, "%v", err) }

func (c *Conn) readAll() error {
	var buf []byte
	for {
		kind, payload, err := c.framing.read(buf, c.lim.Message)
		if _, long := errors.AsType[*TooLongError](err); long {
			return wire.Errorf(wire.ErrLimit, "%v", err)
		}
		if err != nil {
			return err
		}
		if buf = payload; cap(buf) > spareBytes {
			buf = nil
		}
		if err := c.receive(kind, payload); err != nil {
			return err
		}
	}
}

func (c *Conn) receive(kind byte, payload []byte) error {
	switch kind {
	case framePong:
		return nil
	case framePing:
		return c.pong(payload)
	}
	msg, err := decodeNext(c.codec, c.elements, payload, c.lim.Depth, c.guard != nil)
	if err != nil {
		return violation(err)
	}
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
	}
	return c.hand(len(payload), pass...)
}

var errFlood = errors.New("the peer sends but does not read")

// reply queues an answer that the router never saw.
func (c *Conn) reply(msg wamp.Message) error {
	ok, err := c.offer(msg)
	if err == nil && !ok {
		err = errFlood
	}
	return err
}

func (c *Conn) pong(payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) >= c.lim.Queue {
		return errFlood
	}
	at := len(c.queue)
	c.queue = c.framing.seal(append(c.headroom(), payload...), at, framePong)
	signal(c.wake)
	return nil
}
