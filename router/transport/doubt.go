package transport

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// LocalAddr is the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.sock.LocalAddr() }

// RemoteAddr is the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.sock.RemoteAddr() }

// Doubt asks whether the peer can still be reached, and gives the connection up if
// not even its kernel answers within d. One that only is busy, or was stopped, is
// still there. It does nothing where no network is in between.
func (c *Conn) Doubt(d time.Duration) {
	if c.raw == nil || c.LocalAddr().Network() == "unix" {
		return
	}
	began := time.Now()
	c.mu.Lock()
	enough := c.err != nil || began.Sub(c.doubted) < doubtAgain
	if !enough {
		c.doubted = began
	}
	c.mu.Unlock()
	if enough {
		return
	}
	c.signOfLife()
	time.AfterFunc(d, func() {
		if since := time.Since(began); unheard(c.raw, since) {
			c.fail(c.silent(since.Round(time.Millisecond)))
		}
	})
}

// doubtAgain is how soon a peer is asked again: anybody may raise doubts.
const doubtAgain = 200 * time.Millisecond

// unheard reports whether what was written to a socket is not acknowledged, or finds
// no way out, and nothing else was acknowledged since: tcp(7), TCP_INFO. Where the
// peer's buffer is full it waits as well, but then there are answers to probes.
func unheard(raw syscall.RawConn, since time.Duration) (dead bool) {
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || time.Duration(info.Last_ack_recv)*time.Millisecond < since {
			return
		}
		dead = info.Unacked > 0 || info.Probes > 0 || info.Notsent_bytes > 0 && info.Snd_wnd > 0
	})
	return dead
}
