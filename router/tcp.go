package router

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// AddressError refuses an address to listen on.
type AddressError struct{ Address, Why string }

// Error says the address, and why it is refused.
func (e *AddressError) Error() string {
	return fmt.Sprintf("cannot listen on %q: %s", e.Address, e.Why)
}

// ListenTCP listens on HOST:PORT, where HOST is an IP address, or nothing for every
// interface, IPv4 and IPv6. Port 0 is any free one; of any other that is taken the
// next free one is found, next of them at most. What is no address is an
// *AddressError.
func ListenTCP(address string, next int) (net.Listener, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &AddressError{address, "expected an IP address and a port, as in 127.0.0.1:5020, or a port alone, as in :5020"}
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		return nil, &AddressError{address, "expected an IP address before the port, or nothing for every interface"}
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, &AddressError{address, fmt.Sprintf("a port is a number from 0 to 65535, got %q", text)}
	}
	last := min(int(port)+next, math.MaxUint16)
	for at := int(port); ; at++ {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(at)))
		switch {
		case err == nil:
			return ln, nil
		case port == 0 || at == last || !errors.Is(err, syscall.EADDRINUSE):
			return nil, taken(err, int(port), at)
		}
	}
}

func taken(err error, first, last int) error {
	if first == last {
		return err
	}
	return fmt.Errorf("the ports from %d to %d are taken: %w", first, last, err)
}

// protocol is what a connection speaks, by its first byte.
type protocol int

const (
	speaksUnknown protocol = iota
	speaksRawsocket
	speaksHTTP
	speaksTLS
)

// tlsHandshake is the content type of a TLS record with a ClientHello, RFC 8446
// section 5.1.
const tlsHandshake = 0x16

func protocolOf(first byte) protocol {
	switch {
	case first == transport.Magic:
		return speaksRawsocket
	case first >= 'A' && first <= 'Z' || first >= 'a' && first <= 'z':
		return speaksHTTP
	case first == tlsHandshake:
		return speaksTLS
	}
	return speaksUnknown
}

// firstByte waits for the first byte of nc and leaves it there.
func firstByte(nc net.Conn) (byte, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("no socket behind a %T", nc)
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var first [1]byte
	var n int
	var peekErr error
	err = rc.Read(func(fd uintptr) bool {
		n, _, peekErr = unix.Recvfrom(int(fd), first[:], unix.MSG_PEEK)
		return !errors.Is(peekErr, unix.EAGAIN)
	})
	if err = errors.Join(err, peekErr); err == nil && n == 0 {
		err = errors.New("closed without a byte")
	}
	return first[0], err
}

// greetStranger takes a TCP connection through the door, as far as its first
// message.
func (r *Router) greetStranger(nc net.Conn) (*transport.Conn, *account, error) {
	v := r.door.enter(nc)
	a := r.ledger.begin(Identity{AuthID: "tcp:" + remote(nc).String(), Role: roleGuest, Method: wire.AuthAnonymous})
	conn, err := r.receive(v, a)
	if err != nil {
		v.leave(false)
	}
	if why := v.sentAway(); err != nil && why != nil {
		err = why
	}
	return conn, a, err
}

func (r *Router) receive(v *visitor, a *account) (*transport.Conn, error) {
	first, err := firstByte(v.nc)
	if err != nil {
		return nil, err
	}
	speaks := protocolOf(first)
	if speaks != speaksTLS { // a handshake is no word yet: it may be somebody else's
		v.speaksUp()
	}
	switch {
	case speaks == speaksUnknown:
		return nil, fmt.Errorf("the first byte is %#x, which no protocol here begins with", first)
	case speaks == speaksTLS:
		return r.receiveTLS(v, a)
	case isLocal(v.nc) || r.opts.admitAll:
		return r.converse(v, a, speaks, r.nobody())
	case speaks == speaksHTTP && r.opts.Certificate != nil && v.barred == nil:
		return nil, r.redirect(v)
	}
	return nil, errors.New("plaintext, which is spoken on this machine only")
}

// nobody is why who has proved nothing may not come in.
func (r *Router) nobody() error {
	if r.opts.admitAll {
		return nil
	}
	return wire.Errorf(wire.ErrNoAuthMethod, "no way to authenticate here yet")
}

// isLocal reports whether both ends of nc are on this machine.
func isLocal(nc net.Conn) bool {
	return addrOf(nc.RemoteAddr()).IsLoopback() && addrOf(nc.LocalAddr()).IsLoopback()
}

// converse begins WAMP, and waits for the first message. denied is what it is
// answered with, nil if the visitor may come in.
func (r *Router) converse(v *visitor, a *account, speaks protocol, denied error) (conn *transport.Conn, err error) {
	spoken := make(chan struct{})
	own := r.newGuard(a)
	guard := greeter{
		Guard: own, visitor: v,
		spoken:  sync.OnceFunc(func() { close(spoken) }),
		welcome: func() { conn.Welcomed() },
	}
	if denied != nil {
		guard.Guard = doorkeeper{denied}
	}
	if speaks == speaksHTTP {
		conn, err = r.upgrade(v, r.strangerLimits(a, own), guard)
	} else {
		conn, err = r.rawsocket(v, r.strangerLimits(a, own), guard)
	}
	if err != nil {
		return nil, err
	}
	v.speaks(conn.Abort)
	a.attach(conn, own)
	select {
	case <-spoken:
		return conn, nil
	case <-conn.Done():
		return nil, conn.Err()
	}
}

// strangerLimits are those of a connection that comes through the door. What it holds
// is a part of the holdings of its device.
func (r *Router) strangerLimits(a *account, g *guard) transport.Limits {
	lim := r.opts.Transport
	lim.Backlog, lim.Input, lim.Over = g.holdings.backlog, g.holdings.input, a.waits
	if lim.Share = g.holdings.share; lim.Share != nil {
		lim.Values = deviceValues
	}
	lim.Greeting = min(r.opts.Door.Bytes, lim.Message)
	return lim
}

// rawsocket shakes hands, or says in the handshake that there are too many.
func (r *Router) rawsocket(v *visitor, lim transport.Limits, guard transport.Guard) (*transport.Conn, error) {
	v.speaks(func(*wire.Error) {
		_ = transport.RefuseCount(v.stream)
		_ = v.nc.Close()
	})
	if v.barred != nil && !v.overTLS() {
		return nil, errors.Join(v.barred, transport.RefuseCount(v.stream))
	}
	return transport.Accept(v.stream, lim, guard)
}
