package router

import (
	"bufio"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// way is one of the router's public listeners, as a stranger finds it. What is
// tested over ways is tested over each listener and serializer.
type way struct {
	name  string
	owner bool // who comes this way is the owner, else a device
	dial  func(b *bench) net.Conn
	framing
	// upgrade makes nc a connection for a session of ours.
	upgrade func(b *bench, nc net.Conn, c transport.Codec) (*transport.Conn, error)
}

// framing is how messages travel, written down a second time.
type framing struct {
	shake func(w *wild) // the handshake before the first message
	frame func(w *wild, payload []byte) []byte
	next  func(w *wild) (payload []byte, err error) // of the next message
	// broken are frames that no peer may send.
	broken [][]byte
}

var ways = []way{
	{"unix", true, (*bench).dial, rawsocketFraming, dialRawsocket},
	{"tcp", false, (*bench).dialTCP, rawsocketFraming, dialRawsocket},
	{"tls", false, (*bench).dialTLS, rawsocketFraming, dialRawsocket},
	{"websocket", false, (*bench).dialTCP, websocketFraming, dialWebsocket},
}

func dialRawsocket(_ *bench, nc net.Conn, c transport.Codec) (*transport.Conn, error) {
	return transport.Dial(nc, c, transport.DefaultLimits())
}

func dialWebsocket(b *bench, nc net.Conn, c transport.Codec) (*transport.Conn, error) {
	return transport.DialWebsocket(b.ctx(), nc, "ws://"+b.tcp+websocketPath, c, transport.DefaultLimits())
}

// overWays runs a test over each listener and each serializer.
func overWays(t *testing.T, run func(t *testing.T, y way, c transport.Codec)) {
	for _, y := range ways {
		for _, c := range codecs {
			t.Run(y.name+"/"+c.Name(), func(t *testing.T) { run(t, y, c) })
		}
	}
}

// wild is a connection that can say what no client of ours would: messages are
// lists, and nothing is checked. Its methods may be called from two goroutines,
// one that says and one that hears.
type wild struct {
	t     testing.TB
	way   way
	codec transport.Codec
	nc    net.Conn
	r     *bufio.Reader
}

const patienceOfTests = 20 * time.Second

// wild connects and says nothing yet but the handshake.
func (b *bench) wild(y way, c transport.Codec) *wild {
	b.t.Helper()
	w := &wild{t: b.t, way: y, codec: c, nc: y.dial(b)}
	w.r = bufio.NewReader(w.nc)
	b.t.Cleanup(func() { _ = w.nc.Close() })
	_ = w.nc.SetDeadline(time.Now().Add(patienceOfTests))
	y.shake(w)
	return w
}

// stranger has joined.
func (b *bench) stranger(y way, c transport.Codec) *wild {
	b.t.Helper()
	w := b.wild(y, c)
	w.greet(everyRole)
	return w
}

// greet says HELLO and wants WELCOME.
func (w *wild) greet(details wamp.Dict) (id any) {
	w.t.Helper()
	w.say(wamp.HELLO, wire.Realm, details)
	m := w.hear()
	if kindOf(m) != wamp.WELCOME {
		w.t.Fatalf("HELLO is answered with %v", m)
	}
	return m[1]
}

func (w *wild) write(b []byte) {
	w.t.Helper()
	if _, err := w.nc.Write(b); err != nil {
		w.t.Fatal(err)
	}
}

// encoded is a message in its frame.
func (w *wild) encoded(message ...any) []byte {
	payload, err := w.codec.Append(nil, message)
	if err != nil { // an infinity, in JSON
		payload, _ = w.codec.Append(nil, []any{message[0]})
	}
	return w.way.frame(w, payload)
}

func (w *wild) say(message ...any) {
	w.t.Helper()
	w.write(w.encoded(message...))
}

// put is say where the connection may have ended.
func (w *wild) put(message ...any) error {
	_, err := w.nc.Write(w.encoded(message...))
	return err
}

// next is the next message, or why there is none.
func (w *wild) next() ([]any, error) {
	payload, err := w.way.next(w)
	if err != nil {
		return nil, err
	}
	v, err := w.codec.Decode(payload, 64)
	if err != nil {
		return nil, err
	}
	return v.([]any), nil
}

func (w *wild) hear() []any {
	w.t.Helper()
	m, err := w.next()
	if err != nil {
		w.t.Fatalf("no message: %v", err)
	}
	return m
}

// kindOf is what a message is.
func kindOf(m []any) wamp.MessageType { return wamp.MessageType(m[0].(int64)) }

// ask sends a request and wants an answer of a kind.
func (w *wild) ask(want wamp.MessageType, request ...any) []any {
	w.t.Helper()
	w.say(request...)
	m := w.hear()
	if kindOf(m) != want || kindOf(m) != wamp.GOODBYE && m[1] != int64(request[1].(int)) {
		w.t.Fatalf("%v is answered with %v, want %s", request, m, want)
	}
	return m
}

// refused sends a request and wants the ERROR uri.
func (w *wild) refused(uri string, request ...any) {
	w.t.Helper()
	w.say(request...)
	m := w.hear()
	if kindOf(m) != wamp.ERROR || m[1] != int64(request[0].(wamp.MessageType)) || m[2] != int64(request[1].(int)) || m[4] != uri {
		w.t.Errorf("%v is answered with %v, want ERROR %s", request, m, uri)
	}
}

// turnedAway wants the end of the connection, perhaps with an ABORT before it.
func (w *wild) turnedAway() {
	w.t.Helper()
	for {
		m, err := w.next()
		if errors.Is(err, os.ErrDeadlineExceeded) || m != nil && kindOf(m) != wamp.ABORT {
			w.t.Errorf("got %v, %v; want the end of the connection", m, err)
		}
		if err != nil {
			return
		}
	}
}

// gone wants nothing more but the end of the connection.
func (w *wild) gone() {
	w.t.Helper()
	m, err := w.next()
	if m != nil || errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Errorf("got %v, %v; want the end of the connection", m, err)
	}
}

// joinBy joins a session of ours by y.
func (b *bench) joinBy(y way, c transport.Codec) *session.Session {
	b.t.Helper()
	conn, err := y.upgrade(b, y.dial(b), c)
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := session.Join(b.ctx(), conn, "test")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Leave(b.ctx()) })
	return s
}
