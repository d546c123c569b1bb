package transport

import (
	"io"
	"net"
	"time"
)

// Over TCP the kernel resets a connection that is closed while input waits, and
// then the peer may never see what was said last. So this end stops sending, and
// the reader drops what still comes until the peer closes too, or until
// Conn.closing.

// hangUp ends the connection once the last word is said. c.mu is held.
func (c *Conn) hangUp() {
	tcp, ok := c.sock.(*net.TCPConn)
	if !ok || c.closing.IsZero() {
		_ = c.nc.Close()
		return
	}
	c.hungUp = true
	_ = tcp.CloseWrite()
	if !c.drops {
		_ = tcp.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	}
}

func (c *Conn) hasHungUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hungUp
}

// drop is the last that the reader does. It begins early where nobody listens
// any more: then the end is near.
func (c *Conn) drop() {
	tcp, ok := c.sock.(*net.TCPConn)
	if !ok {
		return
	}
	c.mu.Lock()
	c.drops = c.err == nil || !c.closing.IsZero() // else nothing can be said any more
	drops := c.drops
	if drops {
		_ = tcp.SetReadDeadline(c.closing)
	}
	c.mu.Unlock()
	if drops {
		_, _ = io.Copy(io.Discard, tcp)
	}
}
