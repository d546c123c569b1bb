package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// ear is the side of a socket that a Conn reads. It pings a peer that was silent
// for Limits.Keepalive, and gives it up when nothing comes for as long again. A
// read deadline is its clock: while the peer talks there is nothing to do.
type ear struct {
	net.Conn
	c     *Conn         // nil during a handshake
	every time.Duration // 0: the peer may be silent for ever
	heard time.Time
	asked bool // a ping, since then
	bytes atomic.Int64
}

// attend begins the watch. On a unix socket the kernel tells when the peer is
// gone.
func (e *ear) attend(c *Conn) {
	e.c = c
	if e.LocalAddr().Network() == "unix" || c.lim.Keepalive <= 0 {
		return
	}
	e.every, e.heard = c.lim.Keepalive, time.Now()
	_ = e.SetReadDeadline(e.heard.Add(e.every))
}

func (e *ear) Read(b []byte) (int, error) {
	for {
		n, err := e.Conn.Read(b)
		if again, err := e.after(n, err); !again {
			return n, err
		}
	}
}

// after says what a read of n bytes means, and whether to read again.
func (e *ear) after(n int, err error) (again bool, _ error) {
	if n > 0 {
		e.bytes.Add(int64(n))
	}
	switch {
	case e.every == 0:
		return false, err
	case n > 0:
		e.heard, e.asked = time.Now(), false
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
	c, now := e.c, time.Now()
	next := now.Add(e.every)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch silent := now.Sub(e.heard); {
	case c.err != nil: // it ends, and may still flush
		if !now.Before(c.closing) {
			return err
		}
		next = c.closing
	case silent < e.every:
		next = e.heard.Add(e.every)
	case !e.asked:
		e.asked = true
		c.control(framePing, nil)
	case c.pending == 0: // else the ping has not left: Limits.Stall is for that
		return fmt.Errorf("nothing was heard for %v, not even the answer to a ping", silent.Round(time.Millisecond))
	}
	return c.nc.SetReadDeadline(next)
}
