package transport

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/budget"
	"github.com/deskconn/dconn/router/wire"
)

// Limits bounds what one connection may cost.
type Limits struct {
	Message   int                  // bytes of one message that is accepted, at most 2^24-1
	Greeting  int                  // bytes of one message until Welcomed, 0 is as Message
	Depth     int                  // how deep the payload of a message may nest
	Queue     int                  // bytes that may wait to be written
	Share     *Share               // of the device, whose sessions rest together; nil is of this connection
	Values    int                  // that one message may hold; 0 is maxValues
	Pace      *Pace                // which connections keep together; nil is none
	Backlog   *Backlog             // and on all connections together; nil is no bound
	Input     *budget.Budget       // of bytes, for the messages that are being read; nil is no bound
	Over      func(*budget.Budget) // is told when a message waits for Input
	Assembly  time.Duration        // how long a message may take to arrive over a network; 0 is for ever
	Handshake time.Duration        // for the rawsocket handshake
	Stall     time.Duration        // how long the peer may read nothing of what is written
	Flush     time.Duration        // for what is still queued when the connection closes
	Keepalive time.Duration        // how long the peer may be silent until it is asked, over a network; 0 is for ever
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
		Keepalive: 25 * time.Second,
		Assembly:  60 * time.Second,
	}
}

// ErrClosed is the error of a connection that this end closed.
var ErrClosed = errors.New("connection closed")

// errGoingAway is the farewell of a router that is going down.
var errGoingAway = errors.New("going away")

// Guard stands between the messages of a session and the router. Its methods are
// called from different goroutines.
type Guard interface {
	// Inbound takes a message from the session: pass goes on to nexus, answer back
	// to the session (either may be nil), and an error ends the session: a
	// *wire.Error is said to its peer first, any other ends it without a word.
	Inbound(msg wamp.Message) (pass, answer wamp.Message, err error)
	// Outbound sees what nexus sends, and has it queued, or something else, or
	// nothing.
	Outbound(msg wamp.Message, queue func(wamp.Message))
	// Closed is called when nothing more is read from the session.
	Closed()
}

// Conn is one WAMP connection over a byte stream. Reads are buffered; writes
// are queued by their bytes and leave in one system call when several wait.
type Conn struct {
	nc        net.Conn
	sock      net.Conn        // that carries nc, and may be nc
	raw       syscall.RawConn // of sock; nil: nothing can be written without waiting
	veil      *veil           // nil: what is queued is written as it is
	framing   framing
	codec     Codec
	decoder   decoder // of the reader
	in        *ear
	received  atomic.Int64 // messages
	asking    asking       // of the reader, but for its debt
	serving   serving      // of the reader
	put       puts         // of the reader
	greeted   bool         // of the reader: a first message has come
	lim       Limits
	guard     Guard // nil on a client's end
	peerLimit atomic.Int64
	accepts   accepted
	recv      feed
	parting   sync.Once

	mu      sync.Mutex
	out     outbox
	pending int       // bytes that are not written yet, in out or on their way
	held    int       // of these, what the backlog knows of
	writing bool      // somebody moves out to the socket, for all
	gathers bool      // a sender lets others queue before it writes
	running int       // the reader, and whoever writes
	budget  int       // what pending may reach
	closing time.Time // when the end may wait no longer for the peer; zero while it need not
	curt    bool      // what waited is dropped, but for the last word
	hungUp  bool      // nothing more is said
	drops   bool      // the reader only waits for the peer to close
	doubted time.Time // last: see Doubt
	err     error
	leaving wamp.URI // why this end has said GOODBYE
	sent    Traffic

	// of flush, while writing is set
	going   outbox
	try     func(fd uintptr) bool // c.tryWrite, bound once
	took    int                   // bytes of the last try
	tookErr error

	room chan struct{} // something was written
	done chan struct{} // closed when the connection has ended
}

// newConn makes a connection whose framing f reads from in.
func newConn(in *ear, f framing, codec Codec, lim Limits, guard Guard) *Conn {
	c := &Conn{
		in: in, nc: in.Conn, sock: socketOf(in.Conn), veil: in.veil, framing: f, codec: codec, lim: lim,
		decoder: decoder{codec: codec, elements: codec.newElements(), depth: lim.Depth, values: cmp.Or(lim.Values, maxValues)},
		running: 1,
		budget:  lim.Queue,
		room:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	if guard != nil {
		c.recv = newFeed(nexusAhead)
	} else {
		c.recv = newFeed(recvAhead)
	}
	c.put.payer = c
	c.raw, c.try = rawOf(c.sock), c.tryWrite
	c.peerLimit.Store(maxFrame)
	c.accepts.most = lim.Message
	c.accepts.now.Store(int64(cmp.Or(lim.Greeting, lim.Message)))
	if lim.Greeting > 0 {
		c.budget = min(c.budget, strangerBudget)
	}
	in.attend(c)
	return c
}

// strangerBudget is what may wait for a peer until Welcomed, where Limits.Greeting
// is set, in bytes.
const strangerBudget = 64 << 10

// Welcomed lifts the limit of a message from Limits.Greeting to Limits.Message,
// and lets as much wait as Limits.Queue says.
func (c *Conn) Welcomed() {
	c.accepts.now.Store(int64(c.lim.Message))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget = c.lim.Queue
}

// welcomed reports whether Welcomed was called, or need not be.
func (c *Conn) welcomed() bool { return c.accepts.now.Load() == int64(c.accepts.most) }

// serve starts a router's end behind guard, which has shaken hands but for the
// answer.
func (c *Conn) serve(guard Guard, answer []byte) {
	c.guard, c.decoder.packed = guard, guard != nil
	c.waits(c.out.append(answer))
	c.Flush() // before anything that is read can end the connection
	go c.read()
}

// Recv delivers the peer's messages; it is closed when the connection ends, and
// may hold some even then.
func (c *Conn) Recv() <-chan wamp.Message { return c.recv.ch }

// Receive returns the peer's next message, also one that came before the connection
// ended, or why it has ended.
func (c *Conn) Receive(ctx context.Context) (wamp.Message, error) {
	select {
	case msg, open := <-c.recv.ch: // of a burst, without a look at the other channels
		if open {
			return msg, nil
		}
	default:
	}
	var msg wamp.Message
	var open bool
	select {
	case msg, open = <-c.recv.ch:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.done:
		select {
		case msg, open = <-c.recv.ch:
		default:
		}
	}
	if !open {
		return nil, cmp.Or(c.Err(), io.EOF)
	}
	return msg, nil
}

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection ended: io.EOF when the peer closed it.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close sends what is queued, for Limits.Flush at most, and ends the
// connection. It does not wait, and nothing is received any more.
func (c *Conn) Close() {
	c.endWith(ErrClosed, nil, c.lim.Flush)
	c.recv.turnDeaf()
}

// Abandon ends the connection at once; what is queued is lost.
func (c *Conn) Abandon() {
	c.fail(ErrClosed)
	c.recv.turnDeaf()
}

// endWith drops what waits, sends last instead and ends the connection with
// err, if it has not ended already. A nil last keeps what waits. The peer has
// patience to read it.
func (c *Conn) endWith(err error, last wamp.Message, patience time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	c.err = err
	signal(c.room)
	if last != nil {
		c.curt = true
		c.waits(-c.out.drop())
		_ = c.append(last)
	}
	if c.leaving == wamp.CloseSystemShutdown {
		err = errors.Join(err, errGoingAway)
	}
	c.waits(c.out.append(c.framing.farewell(nil, err)))
	c.closing = time.Now().Add(patience)
	_ = c.sock.SetWriteDeadline(c.closing)
	if c.drops {
		_ = c.nc.SetReadDeadline(c.closing)
	}
	c.flush()
	return true
}

// Abort refuses the peer with a reason, which is all that is still sent to it.
func (c *Conn) Abort(why *wire.Error) {
	c.endWith(why, &wamp.Abort{Reason: wamp.URI(why.URI), Details: why.Details()}, c.lim.Flush)
}

// cut ends a session whose peer reads too slowly, and says so. Whoever reads a
// pipe now and then shall still hear of it, so there is time for that.
func (c *Conn) cut(why *wire.Error) { c.dismiss(why, c.lim.Stall) }

// Dismiss ends a session with a reason, which is all that is still sent to it.
// It reports whether the session had not ended before.
func (c *Conn) Dismiss(why *wire.Error) bool { return c.dismiss(why, c.lim.Flush) }

// dismiss says GOODBYE, and lets the peer have patience to read it. nexus hears of
// it at once: nobody may wait for a callee that is cut off.
func (c *Conn) dismiss(why *wire.Error, patience time.Duration) bool {
	ends := c.endWith(why, &wamp.Goodbye{Reason: wamp.URI(why.URI), Details: why.Details()}, patience)
	if ends {
		go c.part()
	}
	return ends
}

// fail ends the connection at once.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		signal(c.room)
	}
	_ = c.nc.Close()
	c.settle()
}

// broken notes that nothing can be sent any more. What the peer had sent before
// it closed is still read, for Limits.Flush at most. c.mu is held.
func (c *Conn) broken(err error) {
	if c.err == nil {
		c.err = c.unwritten(err)
		signal(c.room)
	}
	until := c.closing
	if until.IsZero() {
		until = time.Now().Add(c.lim.Flush)
	}
	_ = c.nc.SetReadDeadline(until)
}

// settle ends a connection that nobody reads or writes any more. c.mu is held.
func (c *Conn) settle() {
	if c.running > 0 || c.err == nil {
		return
	}
	select {
	case <-c.done:
	default:
		_ = c.nc.Close()
		c.lim.Backlog.leave(c)
		close(c.done)
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
