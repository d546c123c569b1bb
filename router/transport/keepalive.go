package transport

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
)

// ear is the side of a socket that a Conn reads. It pings a peer that was silent
// for Limits.Keepalive, and gives it up when nothing comes for as long again. A
// read deadline is its clock: while the peer talks there is nothing to do.
type ear struct {
	net.Conn
	raw   syscall.RawConn // nil: Conn tells nobody when something can be read
	veil  *veil           // nil: Conn is no TLS, or one that reads for itself
	c     *Conn           // nil during a handshake
	heard time.Time
	asked bool      // by a ping, since then
	last  bool      // the last look has begun
	began time.Time // when the first part of an unfinished message came, else zero
	taken int       // of the input budget, for that message
	bytes atomic.Int64
}

func newEar(nc net.Conn) *ear { return &ear{Conn: nc, raw: rawOf(socketOf(nc)), veil: veilOf(nc)} }

// attend begins the watch. On a unix socket the kernel tells when the peer is
// gone.
func (e *ear) attend(c *Conn) {
	e.c = c
	if e.veil != nil {
		e.veil.worn.Store(true)
	}
	if e.LocalAddr().Network() == "unix" {
		c.lim.Keepalive, c.lim.Assembly = 0, 0
	}
	if every := c.lim.Keepalive; every > 0 {
		e.heard = time.Now()
		_ = e.SetReadDeadline(e.heard.Add(every))
	}
}

func (e *ear) Read(b []byte) (int, error) {
	for len(b) > 0 {
		e.drained()
		n, err := e.read(b)
		if again, err := e.after(n, err); !again {
			return n, err
		}
	}
	return 0, nil
}

// drained is before anything is awaited.
func (e *ear) drained() {
	if e.c != nil {
		e.c.put.flush()
	}
}

// paused is when there is nothing to read.
func (e *ear) paused() {
	if e.c != nil {
		e.c.paused()
	}
}

// read reads as soon as something arrives.
func (e *ear) read(b []byte) (n int, err error) {
	if e.c == nil || e.raw == nil {
		return e.Conn.Read(b)
	}
	rawErr := e.raw.Read(func(fd uintptr) bool {
		if n, err = e.readNow(fd, b); err != error(errAgain{}) {
			return true
		}
		e.paused()
		return false
	})
	if rawErr != nil {
		return 0, rawErr
	}
	return n, err
}

// readNow reads what the socket fd has now, or says errAgain.
func (e *ear) readNow(fd uintptr, b []byte) (int, error) {
	if e.veil != nil {
		return e.veil.readNow(fd, b)
	}
	return readSocket(fd, b)
}

// after says what a read of n bytes means, and whether to read again.
func (e *ear) after(n int, err error) (again bool, _ error) {
	if n > 0 {
		e.bytes.Add(int64(n))
	}
	if e.c != nil && e.veil.spoke() {
		e.c.answered()
	}
	if n > 0 && e.overdue() {
		return false, e.c.unfinished()
	}
	switch {
	case n == 0 && err == nil: // that was all
		return true, nil
	case e.c == nil || e.c.lim.Keepalive <= 0:
		return false, err
	case n > 0:
		e.heard, e.asked, e.last = time.Now(), false, false
		return false, err
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return false, err
	}
	err = e.expired(err)
	return err == nil, err
}

// expired says what it means that the read deadline has passed; nil is that
// there is another.
func (e *ear) expired(err error) error {
	c, now, every := e.c, time.Now(), e.c.lim.Keepalive
	next := now.Add(every)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch silent := now.Sub(e.heard); {
	case c.err == nil && e.overdue():
		return c.unfinished()
	case c.err != nil: // it ends, and may still flush
		if c.hungUp || !now.Before(c.closing) {
			return err
		}
		next = c.closing
	case silent < every:
		next = e.heard.Add(every)
	case !e.asked:
		e.asked = true
		if c.control(framePing, nil); c.err != nil { // it has ended meanwhile
			return err
		}
	case c.pending > 0: // the ping has not left: Limits.Stall is for that
	case !e.last: // a deadline that has passed hides what came too late
		e.last = true
		next = now.Add(every / 8)
	default:
		return c.silent(silent.Round(time.Millisecond))
	}
	return c.nc.SetReadDeadline(next)
}

// give gives msg to whoever receives, who may be busy. Meanwhile nothing is
// read, not even a ping: the peer must not take this end for dead.
func (c *Conn) give(msg wamp.Message) error {
	for every := c.lim.Keepalive; ; c.signOfLife() {
		ctx, cancel := context.Background(), func() {}
		if every > 0 && !c.recv.hasRoom() {
			ctx, cancel = context.WithTimeout(ctx, every)
		}
		given := c.recv.give(ctx, msg)
		late := ctx.Err() != nil
		cancel()
		switch {
		case given:
			return nil
		case !late:
			return ErrDeaf
		}
	}
}

// signOfLife pings, that the peer may hear something.
func (c *Conn) signOfLife() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.pending < c.budget {
		c.control(framePing, nil)
	}
}
