package transport

import (
	"context"
	"sync"

	"github.com/gammazero/nexus/v3/wamp"
)

// Pipe joins a session inside the daemon to the router without a socket. The
// near end is for session.Join, the far end for the router.
func Pipe() (near *PipeEnd, far wamp.Peer) {
	p := &PipeEnd{
		toRouter: make(chan wamp.Message),
		toNear:   make(chan wamp.Message, peerQueue),
		recv:     make(chan wamp.Message),
		done:     make(chan struct{}),
	}
	go p.forward()
	return p, pipePeer{p}
}

// PipeEnd is the near end of a Pipe. Neither of its channels that others send
// to is ever closed.
type PipeEnd struct {
	toRouter chan wamp.Message
	toNear   chan wamp.Message
	recv     chan wamp.Message // what nexus reads; closed by forward alone
	done     chan struct{}
	once     sync.Once
}

func (p *PipeEnd) forward() {
	defer close(p.recv)
	for {
		select {
		case msg := <-p.toRouter:
			select {
			case p.recv <- msg:
			case <-p.done:
				return
			}
		case <-p.done:
			return
		}
	}
}

// Send hands msg to the router.
func (p *PipeEnd) Send(ctx context.Context, msg wamp.Message) error {
	select {
	case p.toRouter <- msg:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.done:
		return ErrClosed
	}
}

// Recv delivers what the router sends. It is never closed: watch Done.
func (p *PipeEnd) Recv() <-chan wamp.Message { return p.toNear }

// Done is closed when either end was closed.
func (p *PipeEnd) Done() <-chan struct{} { return p.done }

// Err is ErrClosed once the pipe is closed.
func (p *PipeEnd) Err() error {
	select {
	case <-p.done:
		return ErrClosed
	default:
		return nil
	}
}

// Close ends the pipe; it may be called often.
func (p *PipeEnd) Close() { p.once.Do(func() { close(p.done) }) }

type pipePeer struct{ p *PipeEnd }

func (e pipePeer) Send() chan<- wamp.Message { return e.p.toNear }
func (e pipePeer) Recv() <-chan wamp.Message { return e.p.recv }
func (e pipePeer) IsLocal() bool             { return true }
func (e pipePeer) Close()                    { e.p.Close() }
