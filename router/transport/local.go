package transport

import (
	"context"
	"sync"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// Local joins a session inside the daemon to the router without a socket. The same
// guard, dealer and broker serve it as any Conn: whoever sends is its reader
// meanwhile, and what the router says waits in a queue that is bounded by bytes. What
// it sends is encoded once, as CBOR; what it receives is decoded by whoever puts it
// there, so that arguments which Go cannot hold are refused to their sender.
type Local struct {
	guard Guard
	lim   Limits
	recv  feed // for nexus

	sending sync.Mutex // held by whoever sends
	put     puts       // of whoever sends

	mu      sync.Mutex
	take    Take     // of the session: see Direct
	idle    bool     // the session waits for the next message
	due     []func() // that take has left to do
	queue   []waitingMessage
	waiting int   // bytes in queue
	taken   int64 // bytes that the session has received
	err     error // why it has ended

	wake   chan struct{} // something was queued, or the session has ended
	parted sync.Once
	done   chan struct{}
}

// waitingMessage is a message and about how many bytes it holds.
type waitingMessage struct {
	msg  wamp.Message
	size int
}

// NewLocal makes a Local behind guard. Of lim it keeps Message, Depth and Queue.
func NewLocal(guard Guard, lim Limits) *Local {
	return &Local{
		guard: guard, lim: lim, recv: newFeed(nexusAhead),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// Send hands msg to the router, which has acted on it when Send returns. A message
// that is too long or nests too deep is an error, and the session goes on.
func (l *Local) Send(ctx context.Context, msg wamp.Message) error {
	if err := l.pack(msg); err != nil {
		return err
	}
	l.sending.Lock()
	defer func() {
		put := l.put.detach()
		l.sending.Unlock()
		put.flush() // others send meanwhile
	}()
	if err := l.Err(); err != nil {
		return err
	}
	pass, answer, err := l.guard.Inbound(msg)
	switch {
	case err != nil:
		l.end(err)
		return err
	case answer != nil:
		if _, err := l.enqueue(answer); err != nil {
			return err
		}
	}
	if pass == nil {
		return nil
	}
	l.put.flush()
	switch {
	case l.recv.give(ctx, pass):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return ErrClosed
}

// SendNow is Send: nothing is held back.
func (l *Local) SendNow(ctx context.Context, msg wamp.Message) error { return l.Send(ctx, msg) }

// pack encodes the arguments of msg.
func (l *Local) pack(msg wamp.Message) error {
	if err := sendable(msg, l.lim.Depth); err != nil {
		return err
	}
	args, kwargs := arguments(msg)
	if args == nil {
		return nil
	}
	p := &Payload{codec: CBOR, depth: l.lim.Depth}
	var err error
	if len(*args) > 0 || len(*kwargs) > 0 {
		p.count = 1
		p.raw, err = CBOR.Append(p.inline[:0], []any(*args))
	}
	if len(*kwargs) > 0 && err == nil {
		p.count = 2
		p.raw, err = CBOR.Append(p.raw, map[string]any(*kwargs))
	}
	if err == nil && p.Len() > l.lim.Message {
		err = &TooLongError{Size: p.Len(), Limit: l.lim.Message}
	}
	p.carrier[0] = p
	*args, *kwargs = p.carrier[:], nil
	return err
}

// Receive returns the next message, or why the session has ended.
func (l *Local) Receive(ctx context.Context) (wamp.Message, error) {
	for {
		msg, err := l.next()
		if msg != nil || err != nil {
			return msg, err
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Take looks at a message in the place of who receives, without waiting. ok says that
// the message needs nothing else but run, which may take long and may be nil.
type Take func(msg wamp.Message) (run func(), ok bool)

// Direct has take see each message that comes while the session waits for the next
// one: the goroutine that receives is not woken for what take does.
func (l *Local) Direct(take Take) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take = take
}

// next returns the first message of the queue, neither it nor an error where the
// queue is empty.
func (l *Local) next() (wamp.Message, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle = len(l.queue) == 0; l.idle {
		return nil, l.err
	}
	next := l.queue[0]
	l.queue[0] = waitingMessage{}
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue = nil
	}
	l.waiting -= next.size
	l.taken += int64(next.size)
	return next.msg, nil
}

// Done is closed when nexus has let go of the session: what it had registered is
// free.
func (l *Local) Done() <-chan struct{} { return l.done }

// Err is why the session has ended, nil while it lives.
func (l *Local) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close ends the session; it may be called often. What was queued is still received.
func (l *Local) Close() { l.end(ErrClosed) }

func (l *Local) end(why error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = why
	}
	l.mu.Unlock()
	signal(l.wake)
	l.parted.Do(func() {
		l.guard.Closed()
		l.recv.end()
	})
}

// Recv implements wamp.Peer.
func (l *Local) Recv() <-chan wamp.Message { return l.recv.ch }

// Flush starts what is due. What is queued can be received without it.
func (l *Local) Flush() {
	for _, run := range l.takeDue(nil) {
		go run()
	}
}

// takeDue adds what is due to list.
func (l *Local) takeDue(list []func()) []func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	list = append(list, l.due...)
	clear(l.due)
	l.due = l.due[:0]
	return list
}

// Asks does nothing: the daemon's own sessions have no fair share to exceed.
func (l *Local) Asks() {}

// messageBytes is about what a message holds beside its arguments.
const messageBytes = 64

func (l *Local) enqueue(msg wamp.Message) (queued bool, err error) {
	own, size, err := unpacked(msg)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return false, l.err
	case err != nil:
		return true, err
	case l.waiting >= l.lim.Queue:
		return false, nil
	}
	if l.idle && l.take != nil {
		if run, ok := l.take(own); ok {
			l.taken += int64(size)
			if run != nil {
				l.due = append(l.due, run)
			}
			return true, nil
		}
	}
	l.idle = false
	l.queue = append(l.queue, waitingMessage{own, size})
	l.waiting += size
	signal(l.wake)
	return true, nil
}

// unpacked is msg with arguments of its own, and about how many bytes it holds.
func unpacked(msg wamp.Message) (own wamp.Message, size int, err error) {
	p := PayloadOf(msg)
	if event, ok := msg.(*Event); ok {
		m := &wamp.Event{Subscription: event.Subscription, Publication: event.Publication, Details: event.Details.Dict()}
		p, msg = event.Payload, m
		m.Arguments, m.ArgumentsKw, err = p.decode()
	} else {
		err = Unpack(msg)
	}
	if p != nil {
		size = p.Len()
	}
	return msg, size + messageBytes, err
}

// prepare refuses what Go cannot hold: enqueue decodes.
func (l *Local) prepare(p *Payload) error {
	if !p.Portable() {
		return &UnsupportedValueError{Value: p.foreign}
	}
	return nil
}

func (l *Local) prepared(*Payload) bool { return true }

func (l *Local) standing() (waiting int, read int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.taken
	}
	return l.waiting, l.taken
}

func (l *Local) guarded() Guard  { return l.guard }
func (l *Local) queueLimit() int { return l.lim.Queue }
func (l *Local) puts() *puts     { return &l.put }
func (l *Local) serves(link)     {}
func (l *Local) deafen()         { l.recv.turnDeaf() }

// cut ends the session in place of its queue.
func (l *Local) cut(why *wire.Error) { go l.end(why) } // who cuts may hold locks of a session

func (l *Local) slow() *wire.Error {
	return wire.Over(wire.ErrSlowConsumer, LimitQueue,
		"a session of the daemon's own reads too slowly: at most %d bytes may wait for it", l.lim.Queue)
}

// finish is called by nexus once, when it has let go of the session.
func (l *Local) finish() {
	l.end(ErrClosed)
	close(l.done)
}
