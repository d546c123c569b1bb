package transport

import (
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// link is what carries the messages of a session: a Conn, or a Local.
type link interface {
	// Recv delivers what nexus is to read; it is closed when the session ends.
	Recv() <-chan wamp.Message
	// Flush writes what is queued, as far as that needs no waiting.
	Flush()
	// Asks charges one request to the session's fair share: see Conn.Asks.
	Asks()

	// guarded is what stands before the router, nil if nothing does.
	guarded() Guard
	// enqueue queues msg unless the queue is over its budget. An error is that of
	// msg, or says that the session has ended.
	enqueue(msg wamp.Message) (queued bool, err error)
	// prepare encodes p as the session reads it, which may take long; prepared
	// reports whether there is nothing to do.
	prepare(p *Payload) error
	prepared(p *Payload) bool
	// standing is how many bytes wait, and how many the session has read so far.
	standing() (waiting int, read int64)
	// queueLimit is how many bytes may wait.
	queueLimit() int
	// puts is what the reader of this session has put for others.
	puts() *puts
	// serves charges whom for the message that the reader is at.
	serves(whom link)
	// cut ends a session that reads too slowly; slow says why.
	cut(why *wire.Error)
	slow() *wire.Error
	// deafen has nothing more read for nexus; finish ends the session and waits
	// for that.
	deafen()
	finish()
}

// batchBytes is how much may wait before it is written although more comes.
const batchBytes = 128 << 10

func (c *Conn) enqueue(msg wamp.Message) (queued bool, err error) { return c.offer(msg, c.writeMuch) }

// writeMuch writes what waits if that is much. The Conn is locked.
func (c *Conn) writeMuch() {
	if c.pending >= batchBytes {
		c.flush()
	}
}

func (c *Conn) prepare(p *Payload) error {
	_, err := p.in(c.codec)
	return err
}

func (c *Conn) prepared(p *Payload) bool {
	return p.codec == c.codec || p.forms[index(c.codec)].Load() != nil
}

func (c *Conn) standing() (waiting int, read int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.sent.Bytes
	}
	return c.pending, c.sent.Bytes
}

func (c *Conn) guarded() Guard  { return c.guard }
func (c *Conn) queueLimit() int { return c.lim.Queue }
func (c *Conn) puts() *puts     { return &c.put }
func (c *Conn) deafen()         { c.recv.turnDeaf() }

func (c *Conn) finish() {
	c.Close()
	<-c.done
}

func (c *Conn) serves(whom link) {
	if other, ok := whom.(*Conn); ok {
		c.Serves(other)
	}
}

// puts are the sessions for which one reader has put something that is not written
// yet. Only that reader uses it.
type puts struct {
	peers []*Peer
	due   []func() // the calls to the daemon's own that it has put
	taken []func() // those that take returned last
	payer *Conn    // whose reader this is, nil for a session inside the daemon
}

// detach takes what was put for others, to be flushed by another goroutine.
func (l *puts) detach() puts {
	put := puts{peers: l.peers, due: l.due, payer: l.payer}
	l.peers, l.due = nil, nil
	return put
}

// flush writes what was put for others.
func (l *puts) flush() {
	if due := l.take(); len(due) > 0 {
		l.payer.start(due)
	}
}

// take is flush but for the calls to the daemon's own, which it returns. They are valid
// until the next take.
func (l *puts) take() (due []func()) {
	clear(l.taken)
	l.due, l.taken = l.taken[:0], l.due
	for i, p := range l.peers {
		l.peers[i] = nil
		p.marked.Store(false)
		p.Flush()
	}
	l.peers = l.peers[:0]
	return l.taken
}

// WriteLater has what was put for to written when the reader of p has nothing more
// to do, or waits. A nil p is no reader: then it is written now. A call to the daemon's
// own stays with whoever put it: another reader that has put many would run it last.
func (p *Peer) WriteLater(to *Peer) {
	if p == nil {
		to.Flush()
		return
	}
	l := p.puts()
	if local, ok := to.link.(*Local); ok {
		l.due = local.takeDue(l.due)
	} else if to.marked.CompareAndSwap(false, true) { // else another reader does it soon
		l.peers = append(l.peers, to)
	}
}

// WriteNow writes what the reader of p has put for others.
func (p *Peer) WriteNow() { p.puts().flush() }
