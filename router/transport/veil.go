package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A tls.Conn whose Write was cut short is dead for ever: nobody knows how much
// of a record has left. So TLS here never meets the socket. It writes into
// memory, where nothing is ever cut short, and what it has written leaves as the
// bytes of a plain connection do: as many as the socket takes now, and the rest
// when it has room. A peer that reads nothing holds up nobody, and an answer
// leaves without a goroutine for it. Reading is the same the other way round:
// where the socket has nothing, TLS is told to try again, which it can.

// veil is the socket as TLS sees it.
type veil struct {
	net.Conn
	raw  syscall.RawConn
	tls  *tls.Conn
	left atomic.Int64 // bytes that may be read until worn
	worn atomic.Bool  // a Conn reads and writes now

	fd uintptr // while TLS reads

	mu     sync.Mutex
	sealed *[]byte // what TLS has written, nil if there is nothing
	grown  int     // by so many bytes more than were to be sealed
	fills  bool    // somebody seals, and will write all there is

	// of whoever writes
	going *[]byte // what was sealed before, nil if there is nothing
	sent  int     // bytes of it that have left
	whole bool    // the last chunk of an outbox was sealed to its end

	parted bool // with the lock of the Conn
}

// TLSServer is tls.Server for a connection that Accept, or AcceptWebsocket, will
// get: these write to it without waiting for the peer. The handshake may have so
// many bytes, and what follows it at once is counted with it; then the connection
// fails with an error that says so. A nc that is no TCP connection or unix socket
// is served as tls.Server does.
func TLSServer(nc net.Conn, cfg *tls.Config, handshake int) *tls.Conn {
	return wear(nc, handshake, func(nc net.Conn) *tls.Conn { return tls.Server(nc, cfg) })
}

// TLSClient is tls.Client for a connection that Dial, or DialWebsocket, will get;
// see TLSServer.
func TLSClient(nc net.Conn, cfg *tls.Config) *tls.Conn {
	return wear(nc, 1<<30, func(nc net.Conn) *tls.Conn { return tls.Client(nc, cfg) })
}

func wear(nc net.Conn, handshake int, begin func(net.Conn) *tls.Conn) *tls.Conn {
	v := &veil{Conn: nc, raw: rawOf(nc)}
	v.left.Store(int64(handshake))
	v.tls = begin(v)
	return v.tls
}

// veilOf is that of nc, nil if it has none that is of use.
func veilOf(nc net.Conn) *veil {
	if t, ok := nc.(*tls.Conn); ok {
		if v, ok := t.NetConn().(*veil); ok && v.raw != nil {
			return v
		}
	}
	return nil
}

// socketOf is what carries nc, and may be nc.
func socketOf(nc net.Conn) net.Conn {
	if v := veilOf(nc); v != nil {
		return v.Conn
	}
	return nc
}

// errLongHandshake ends a handshake that is longer than any of ours.
var errLongHandshake = errors.New("the TLS handshake is too long")

// errAgain tells TLS that the socket has nothing now. TLS remembers any other
// error for ever.
type errAgain struct{}

func (errAgain) Error() string   { return "nothing to read now" }
func (errAgain) Timeout() bool   { return true }
func (errAgain) Temporary() bool { return true }

// Read is how TLS reads the socket.
func (v *veil) Read(b []byte) (int, error) {
	if v.worn.Load() {
		return readSocket(v.fd, b)
	}
	n, err := v.Conn.Read(b)
	if v.left.Add(int64(-n)) < 0 {
		return 0, errLongHandshake
	}
	return n, err
}

// readNow reads what has arrived, or says errAgain. It is 0 and no error where TLS
// has only been asked for something, and its answer waits.
func (v *veil) readNow(fd uintptr, b []byte) (int, error) {
	v.fd = fd
	n, err := v.tls.Read(b)
	if err == error(errAgain{}) && v.spoke() {
		return 0, nil
	}
	return n, err
}

// Write is how TLS writes to the socket.
func (v *veil) Write(b []byte) (int, error) {
	if !v.worn.Load() {
		return v.Conn.Write(b)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.sealed == nil {
		v.sealed = buffers.Get().(*[]byte)
	}
	*v.sealed = append(*v.sealed, b...)
	v.grown += len(b)
	return len(b), nil
}

// SetWriteDeadline is that of a handshake. Later it is up to the Conn: TLS sets
// one of its own where it ends.
func (v *veil) SetWriteDeadline(t time.Time) error {
	if v.worn.Load() {
		return nil
	}
	return v.Conn.SetWriteDeadline(t)
}

// SetDeadline is both, as above.
func (v *veil) SetDeadline(t time.Time) error {
	return errors.Join(v.SetReadDeadline(t), v.SetWriteDeadline(t))
}

// sealBytes is how much is sealed before it is written: what waits longer can
// still be dropped, and belongs to several connections where it is an event.
const sealBytes = 32 << 10

// waits reports whether something sealed waits to be written. Nobody writes
// meanwhile.
func (v *veil) waits() bool {
	if v == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.going != nil || v.sealed != nil
}

// spoke reports whether TLS has said something of its own accord.
func (v *veil) spoke() bool {
	if v == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sealed != nil && !v.fills
}

// unsent is waits, for whoever writes.
func (v *veil) unsent() bool { return v != nil && v.going != nil }

// grew is by how many bytes what waits has become more, since the last time.
func (v *veil) grew() int {
	if v == nil {
		return 0
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.grown
	v.grown = 0
	return n
}

// fill sees to it that something sealed can be written, if there is anything.
func (v *veil) fill(o *outbox) error {
	v.mu.Lock()
	v.fills = true
	v.mu.Unlock()
	for sealed := 0; v.going == nil && !o.empty() && sealed < sealBytes; {
		chunk := o.chunk()
		n := min(len(chunk), sealBytes-sealed)
		if _, err := v.tls.Write(chunk[:n]); err != nil {
			return err
		}
		v.whole = n == len(chunk)
		o.wrote(n)
		sealed += n
		v.mu.Lock()
		v.grown -= n
		v.mu.Unlock()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fills = false
	if v.going == nil {
		v.going, v.sealed, v.sent = v.sealed, nil, 0
	}
	return nil
}

// ready is what waits of what was filled.
func (v *veil) ready() []byte {
	if v.going == nil {
		return nil
	}
	return (*v.going)[v.sent:]
}

// took notes that the socket took n bytes.
func (v *veil) took(n int) {
	if v.sent += max(n, 0); v.going != nil && v.sent == len(*v.going) {
		recycle(v.going)
		v.going = nil
	}
}

// writeNow writes what the socket takes now of o.
func (v *veil) writeNow(o *outbox) (n int, err error) {
	for {
		if err := v.fill(o); err != nil || v.going == nil {
			return n, err
		}
		var wrote int
		rawErr := v.raw.Write(func(fd uintptr) bool {
			wrote, err = writeNow(int(fd), v.ready())
			return true
		})
		v.took(wrote)
		n += max(wrote, 0)
		switch {
		case rawErr != nil:
			return n, rawErr
		case err == unix.EAGAIN:
			return n, nil
		case err != nil && err != unix.EINTR:
			return n, err
		}
	}
}

// writeChunk writes a part of o, and waits until the socket has taken it. It says
// how many bytes that were, and whether the rest of o begins with a chunk.
func (v *veil) writeChunk(o *outbox) (n int, whole bool, err error) {
	if err := v.fill(o); err != nil || v.going == nil {
		return 0, false, err
	}
	n, err = v.Conn.Write(v.ready())
	v.took(n)
	return n, v.whole && err == nil, err
}

// part has TLS say that nothing follows, and reports whether it does so now.
func (v *veil) part() bool {
	if v == nil || v.parted {
		return false
	}
	v.parted = true
	return v.tls.CloseWrite() == nil
}
