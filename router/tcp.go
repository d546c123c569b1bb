package router

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
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

// ListenTCP listens on a URL like tcp://127.0.0.1:5020 or tcp://[::1]:0; port 0
// is any free one. Who connects there proves nothing, so that an address that
// others than this machine can reach is an *AddressError.
func ListenTCP(url string) (net.Listener, error) {
	address, ok := strings.CutPrefix(url, "tcp://")
	if !ok {
		return nil, &AddressError{url, "expected tcp://127.0.0.1:PORT"}
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, &AddressError{url, "expected an IP address and a port, as in tcp://127.0.0.1:PORT"}
	}
	if !at.Addr().IsLoopback() {
		return nil, &AddressError{url, "peers are not authenticated there, so only a loopback address is allowed: 127.0.0.1 or [::1]"}
	}
	return net.Listen("tcp", at.String())
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
	spoken := make(chan struct{})
	var conn *transport.Conn
	own := r.newGuard(a)
	guard := greeter{
		Guard: own, visitor: v,
		spoken:  sync.OnceFunc(func() { close(spoken) }),
		welcome: func() { conn.Welcomed() },
	}
	switch protocolOf(first) {
	case speaksRawsocket:
		conn, err = r.rawsocket(v, guard)
	case speaksHTTP:
		conn, err = r.upgrade(v, guard)
	case speaksTLS:
		err = errors.New("a TLS handshake, which is not spoken here")
	default:
		err = fmt.Errorf("the first byte is %#x, which no protocol here begins with", first)
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

// strangerLimits are those of a connection that comes through the door.
func (r *Router) strangerLimits() transport.Limits {
	lim := r.limits.Transport
	lim.Greeting = min(r.limits.Door.Bytes, lim.Message)
	return lim
}

// rawsocket shakes hands, or says in the handshake that there are too many.
func (r *Router) rawsocket(v *visitor, guard transport.Guard) (*transport.Conn, error) {
	v.speaks(func(*wire.Error) {
		_ = transport.RefuseCount(v.nc)
		_ = v.nc.Close()
	})
	if v.barred {
		return nil, errors.Join(r.door.overFailures(), transport.RefuseCount(v.nc))
	}
	return transport.Accept(v.nc, r.strangerLimits(), guard)
}
