package transport

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/leaks"
)

// No test may leave a goroutine behind.
func TestMain(m *testing.M) { leaks.Main(m) }

// allCodecs are the serializers every table runs over.
var allCodecs = []Codec{JSON, MsgPack, CBOR}

// encoded is msg on the wire.
func encoded(c Codec, msg wamp.Message) ([]byte, error) {
	head, long, err := encode(c, nil, msg)
	return append(head, long...), err
}

// decode is how a client decodes.
func decode(c Codec, data []byte, depth int) (wamp.Message, error) {
	d := decoder{codec: c, elements: c.newElements(), depth: depth}
	return d.decode(data, false)
}

// decodePacked is how a router decodes.
func decodePacked(c Codec, data []byte) (wamp.Message, error) {
	d := decoder{codec: c, elements: c.newElements(), depth: testDepth, packed: true}
	return d.decode(data, false)
}

// readFrame reads a rawsocket frame.
func readFrame(r io.Reader) (kind byte, payload []byte, err error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, binary.BigEndian.Uint32(head[:])&maxFrame)
	_, err = io.ReadFull(r, payload)
	return head[0], payload, err
}

// farEnd is an end of a connection in the hands of a test.
type farEnd interface {
	net.Conn
	CloseWrite() error
}

// pair is two ends of a connection that end with the test. carrier says of what
// kind.
func pair(t testing.TB) (near, far farEnd) {
	t.Helper()
	if carrier == "unix" {
		return unixPair(t)
	}
	server, client := tcpPair(t)
	_ = client.SetReadBuffer(32 << 10) // about what a unix socket takes
	_ = server.SetWriteBuffer(32 << 10)
	if carrier == "tcp" {
		return client, server
	}
	far, near = underTLS(t, server, client)
	return near, far
}

// carrier is what pair makes: "unix", "tcp" or "tls". Tests that run in parallel
// do not use it.
var carrier = "unix"

func unixPair(t testing.TB) (near, far *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far = socket(t, fds[0]), socket(t, fds[1])
	return near, far
}

// newPeer is a Peer that the router closes with the test.
func newPeer(t *testing.T, c *Conn) *Peer {
	t.Helper()
	p := NewPeer(c, func() {})
	t.Cleanup(p.Close)
	return p
}

func socket(t testing.TB, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }()
	nc, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	// A test that waits for what never comes fails here, with its own line.
	if err := nc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return nc.(*net.UnixConn)
}
