package transport

import (
	"context"
	"sync"

	"github.com/gammazero/nexus/v3/wamp"
)

// Pipe joins a session inside the daemon to the router without a socket. The
// near end is for session.Join, the far end for the router.
func Pipe() (near *PipeEnd, far wamp.Peer) {
	p := &PipeEnd{toRouter: newFeed(), toNear: newInbox(), done: make(chan struct{})}
	return p, pipePeer{&p.toNear, p}
}

// PipeEnd is the near end of a Pipe.
type PipeEnd struct {
	toRouter feed
	toNear   inbox
	done     chan struct{}
	once     sync.Once
}

// Send hands msg to the router.
func (p *PipeEnd) Send(ctx context.Context, msg wamp.Message) error {
	switch {
	case p.toRouter.give(ctx, msg):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return ErrClosed
}

// SendNow is Send: nothing is held back.
func (p *PipeEnd) SendNow(ctx context.Context, msg wamp.Message) error { return p.Send(ctx, msg) }

// Recv delivers what the router sends. It is never closed: watch Done.
func (p *PipeEnd) Recv() <-chan wamp.Message { return p.toNear.ch }

// Done is closed when the router has let go of its end: what the session had
// there is gone.
func (p *PipeEnd) Done() <-chan struct{} { return p.done }

// Err is ErrClosed once either end is closed.
func (p *PipeEnd) Err() error {
	select {
	case <-p.toRouter.deaf:
		return ErrClosed
	default:
		return nil
	}
}

// Close ends the pipe; it may be called often. What was sent is still received.
func (p *PipeEnd) Close() {
	p.toRouter.turnDeaf()
	p.toRouter.end()
}

// pipePeer is the far end.
type pipePeer struct {
	*inbox
	p *PipeEnd
}

func (e pipePeer) Recv() <-chan wamp.Message { return e.p.toRouter.ch }
func (e pipePeer) IsLocal() bool             { return true }

func (e pipePeer) Close() {
	e.p.Close()
	e.p.once.Do(func() { close(e.p.done) })
}
