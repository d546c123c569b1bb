package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
	gorilla "github.com/gorilla/websocket"

	"github.com/deskconn/dconn/router/wire"
)

// hub is a web server whose every request is a websocket.
type hub struct {
	url   string
	conns chan *Conn
}

func serveWebsockets(t testing.TB, lim Limits, guard Guard) *hub {
	t.Helper()
	h := &hub{conns: make(chan *Conn, 100)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if conn, err := AcceptWebsocket(w, req, lim, guard); err == nil {
			h.conns <- conn
		}
	}))
	h.url = "ws" + strings.TrimPrefix(server.URL, "http")
	t.Cleanup(func() {
		server.Close()
		close(h.conns)
		for conn := range h.conns {
			end(conn)
		}
	})
	return h
}

func end(conn *Conn) {
	conn.Abandon()
	<-conn.Done()
	drainRecv(conn)
}

func (h *hub) next(t testing.TB) *Conn {
	t.Helper()
	select {
	case conn := <-h.conns:
		t.Cleanup(func() { end(conn) })
		return conn
	case <-time.After(10 * time.Second):
		t.Fatal("waited 10 s for a connection")
		return nil
	}
}

// tcp connects to the server, without a word.
func (h *hub) tcp(t testing.TB) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(h.url, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	return nc.(*net.TCPConn)
}

// dial is both ends of a connection of ours.
func (h *hub) dial(t testing.TB, c Codec, lim Limits) (client, server *Conn) {
	t.Helper()
	client, err := DialWebsocket(t.Context(), h.tcp(t), h.url, c, lim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(client) })
	return client, h.next(t)
}

// foreign is a client of gorilla's, and our end of it.
func (h *hub) foreign(t testing.TB, protocols ...string) (*gorilla.Conn, *Conn) {
	t.Helper()
	d := gorilla.Dialer{Subprotocols: protocols, WriteBufferSize: 300, HandshakeTimeout: 10 * time.Second}
	ws, resp, err := d.DialContext(t.Context(), h.url, nil)
	if err != nil {
		t.Fatalf("%v: %+v", err, resp)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	return ws, h.next(t)
}

// received is the next message of conn.
func received(t testing.TB, conn *Conn) wamp.Message {
	t.Helper()
	select {
	case msg, open := <-conn.Recv():
		if !open {
			t.Fatalf("the connection ended: %v", conn.Err())
		}
		return msg
	case <-time.After(10 * time.Second):
		t.Fatal("waited 10 s for a message")
	}
	return nil
}

func longLimits() Limits {
	lim := testLimits()
	lim.Message, lim.Queue = 4<<20, 8<<20
	return lim
}

// Every length has its own head, and clients mask: all must arrive unchanged.
func TestWebsocketSizes(t *testing.T) {
	sizes := []int{0, 1, 7, 60, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 120, 126, 1000, 65480, 65535, 65536, 3 << 20}
	for _, c := range allCodecs {
		t.Run(c.Name(), func(t *testing.T) {
			client, server := serveWebsockets(t, longLimits(), nil).dial(t, c, longLimits())
			for _, way := range []struct{ from, to *Conn }{{client, server}, {server, client}} {
				go func() {
					for i, size := range sizes {
						if err := way.from.Send(t.Context(), event(i, size)); err != nil {
							t.Error(err)
						}
					}
				}()
				for i, size := range sizes {
					e, ok := received(t, way.to).(*wamp.Event)
					if !ok || e.Publication != wamp.ID(i) || e.Arguments[0] != strings.Repeat("x", size) {
						t.Fatalf("event %d of %d bytes is damaged", i, size)
					}
				}
			}
		})
	}
}

// A client of somebody else's: fragments, pings between them, the right kind of
// frame, and a close frame for a close frame.
func TestWebsocketForeignClient(t *testing.T) {
	for _, c := range allCodecs {
		t.Run(c.Name(), func(t *testing.T) {
			ws, conn := serveWebsockets(t, longLimits(), nil).foreign(t, "soap", subprotocol+c.Name(), "wamp.2.flatbuffers")
			kind := gorilla.BinaryMessage
			if c == JSON {
				kind = gorilla.TextMessage
			}
			b, err := encoded(c, event(7, 5000))
			if err != nil {
				t.Fatal(err)
			}
			pong := ""
			ws.SetPongHandler(func(payload string) error { pong = payload; return nil })
			w, err := ws.NextWriter(kind)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(b[:1000]) // fragments of 300 bytes
			if err := ws.WriteControl(gorilla.PingMessage, []byte("between"), time.Time{}); err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(b[1000:])
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if e, ok := received(t, conn).(*wamp.Event); !ok || e.Publication != 7 {
				t.Errorf("got %+v", e)
			}
			if err := conn.Send(t.Context(), event(8, 70000)); err != nil {
				t.Fatal(err)
			}
			got, b, err := ws.ReadMessage()
			if err != nil || got != kind || pong != "between" {
				t.Fatalf("frame type %d, %v, pong %q", got, err, pong)
			}
			if msg, err := decode(c, b, 32); err != nil || msg.(*wamp.Event).Publication != 8 {
				t.Errorf("got %+v, %v", msg, err)
			}
			_ = ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseGoingAway, "bye"), time.Time{})
			if _, _, err := ws.ReadMessage(); !gorilla.IsCloseError(err, gorilla.CloseGoingAway) {
				t.Errorf("answered with %v, want 1001", err)
			}
			wait(t, conn.Done(), "the end of the connection")
			if !errors.Is(conn.Err(), io.EOF) {
				t.Errorf("got %v, want %v", conn.Err(), io.EOF)
			}
		})
	}
}

// Whoever leaves says so in a close frame, after what was sent before.
func TestWebsocketClose(t *testing.T) {
	ws, conn := serveWebsockets(t, testLimits(), nil).foreign(t, "wamp.2.cbor")
	if err := conn.Send(t.Context(), event(1, 1)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, _, err := ws.ReadMessage(); err != nil {
		t.Error(err)
	}
	if _, _, err := ws.ReadMessage(); !gorilla.IsCloseError(err, gorilla.CloseNormalClosure) {
		t.Errorf("got %v, want 1000", err)
	}
}

// A router that is going down says so in its close frame.
func TestWebsocketShutdown(t *testing.T) {
	ws, conn := serveWebsockets(t, testLimits(), nil).foreign(t, "wamp.2.cbor")
	if err := conn.Send(t.Context(), &wamp.Goodbye{Reason: wamp.CloseSystemShutdown, Details: wamp.Dict{}}); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, _, err := ws.ReadMessage(); err != nil {
		t.Error(err)
	}
	if _, _, err := ws.ReadMessage(); !gorilla.IsCloseError(err, gorilla.CloseGoingAway) {
		t.Errorf("got %v, want 1001", err)
	}
}

func TestWebsocketSlowConsumer(t *testing.T) {
	ws, conn := serveWebsockets(t, testLimits(), nil).foreign(t, "wamp.2.cbor")
	newPeer(t, conn).cut(conn.slow())
	_, b, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if bye, err := decode(CBOR, b, 32); err != nil || bye.(*wamp.Goodbye).Reason != wire.ErrSlowConsumer {
		t.Errorf("got %+v, %v", bye, err)
	}
	if _, _, err := ws.ReadMessage(); !gorilla.IsCloseError(err, gorilla.ClosePolicyViolation) {
		t.Errorf("got %v, want 1008", err)
	}
}

// A peer that ends the websocket with a complaint is answered, and quoted.
func TestWebsocketPeerComplains(t *testing.T) {
	ws, conn := serveWebsockets(t, testLimits(), nil).foreign(t, "wamp.2.cbor")
	_ = ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.ClosePolicyViolation, "too rude"), time.Time{})
	if _, _, err := ws.ReadMessage(); !gorilla.IsCloseError(err, gorilla.ClosePolicyViolation) {
		t.Errorf("answered with %v, want 1008", err)
	}
	wait(t, conn.Done(), "the end of the connection")
	if err := conn.Err(); err == nil || !strings.Contains(err.Error(), "1008 too rude") {
		t.Errorf("got %v", err)
	}
}

// clientFrame is a masked frame; its head is given, without the mask's bit.
func clientFrame(head string, payload string) []byte {
	b := []byte(head)
	b[1] |= maskBit
	b = append(b, 0, 0, 0, 0) // a mask that changes nothing
	return append(b, payload...)
}

const upgradeRequest = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

// upgraded has shaken hands by hand; both ends are returned.
func (h *hub) upgraded(t testing.TB, protocol string) (*net.TCPConn, *Conn) {
	t.Helper()
	nc := h.tcp(t)
	if _, err := io.WriteString(nc, upgradeRequest+"Sec-WebSocket-Protocol: "+protocol+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var head []byte
	for !strings.HasSuffix(string(head), "\r\n\r\n") {
		b := make([]byte, 1)
		if _, err := io.ReadFull(nc, b); err != nil {
			t.Fatalf("%v after %q", err, head)
		}
		head = append(head, b...)
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") || !strings.Contains(string(head), "\r\nSec-WebSocket-Protocol: "+protocol+"\r\n") {
		t.Fatalf("answered with %q", head)
	}
	return nc, h.next(t)
}

// serverFrame reads an unmasked frame.
func serverFrame(t testing.TB, r io.Reader) (opcode byte, payload []byte) {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	n := int(head[1])
	if n == length16 {
		var long [2]byte
		_, _ = io.ReadFull(r, long[:])
		n = int(binary.BigEndian.Uint16(long[:]))
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		t.Fatal(err)
	}
	return head[0] &^ finBit, payload
}

// What a peer does wrong is said to it in an ABORT, then in a close frame.
func TestWebsocketViolations(t *testing.T) {
	h := serveWebsockets(t, testLimits(), nil)
	for _, row := range []struct {
		name string
		send []byte
		uri  string
		code int
	}{
		{"no mask", []byte("\x82\x01\x80"), wire.ErrProtocolViolation, 1002},
		{"reserved bit 1", clientFrame("\xc2\x01", "\x80"), wire.ErrProtocolViolation, 1002},
		{"reserved bit 2", clientFrame("\xa2\x01", "\x80"), wire.ErrProtocolViolation, 1002},
		{"reserved bit 3", clientFrame("\x92\x01", "\x80"), wire.ErrProtocolViolation, 1002},
		{"opcode 3", clientFrame("\x83\x01", "\x80"), wire.ErrProtocolViolation, 1002},
		{"opcode 11", clientFrame("\x8b\x01", "\x80"), wire.ErrProtocolViolation, 1002},
		{"continues nothing", clientFrame("\x80\x01", "\x80"), wire.ErrProtocolViolation, 1002},
		{"message within a message", append(clientFrame("\x02\x01", "\x80"), clientFrame("\x82\x01", "\x80")...), wire.ErrProtocolViolation, 1002},
		{"ping in fragments", clientFrame("\x09\x01", "x"), wire.ErrProtocolViolation, 1002},
		{"ping of 126 bytes", clientFrame("\x89\x7e\x00\x7e", strings.Repeat("x", 126)), wire.ErrProtocolViolation, 1002},
		{"close code 1", clientFrame("\x88\x02", "\x00\x01"), wire.ErrProtocolViolation, 1002},
		{"close code 1006", clientFrame("\x88\x02", "\x03\xee"), wire.ErrProtocolViolation, 1002},
		{"close reason is not UTF-8", clientFrame("\x88\x03", "\x03\xe8\xff"), wire.ErrProtocolViolation, 1002},
		{"text for CBOR", clientFrame("\x81\x02", "[]"), wire.ErrProtocolViolation, 1003},
		{"not CBOR", clientFrame("\x82\x01", "\xff"), wire.ErrProtocolViolation, 1002},
		{"empty", clientFrame("\x82\x00", ""), wire.ErrProtocolViolation, 1002},
		{"4097 bytes", clientFrame("\x82\x7e\x10\x01", ""), wire.ErrLimit, 1009},
		{"4097 bytes in fragments", append(clientFrame("\x02\x7e\x10\x00", strings.Repeat("x", 4096)), clientFrame("\x80\x01", "x")...), wire.ErrLimit, 1009},
		{"2^63-1 bytes", clientFrame("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", ""), wire.ErrLimit, 1009},
		{"2^64-1 bytes", clientFrame("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", ""), wire.ErrLimit, 1009},
	} {
		t.Run(row.name, func(t *testing.T) {
			nc, conn := h.upgraded(t, "wamp.2.cbor")
			if _, err := nc.Write(row.send); err != nil {
				t.Fatal(err)
			}
			opcode, b := serverFrame(t, nc)
			msg, err := decode(CBOR, b, 32)
			if abort, ok := msg.(*wamp.Abort); err != nil || opcode != gorilla.BinaryMessage || !ok || string(abort.Reason) != row.uri {
				t.Errorf("got %+v, %v, want ABORT %s", msg, err, row.uri)
			}
			if opcode, b = serverFrame(t, nc); opcode != gorilla.CloseMessage || int(binary.BigEndian.Uint16(b)) != row.code {
				t.Errorf("frame type %d, % x; want code %d", opcode, b, row.code)
			}
			_ = nc.Close()
			wait(t, conn.Done(), "the end of the connection")
		})
	}
	for name, send := range map[string][]byte{
		"binary for JSON": clientFrame("\x82\x02", "[]"), "not UTF-8": clientFrame("\x81\x04", "[\"\xff\""),
	} {
		nc, _ := h.upgraded(t, "wamp.2.json")
		if _, err := nc.Write(send); err != nil {
			t.Fatal(err)
		}
		_, abort := serverFrame(t, nc)
		_, closed := serverFrame(t, nc)
		want := map[string]uint16{"binary for JSON": 1003, "not UTF-8": 1007}[name]
		if msg, err := decode(JSON, abort, 32); err != nil || binary.BigEndian.Uint16(closed) != want {
			t.Errorf("%s: got %+v, %v, then % x; want code %d", name, msg, err, closed, want)
		}
	}
}

func TestWebsocketRefusals(t *testing.T) {
	h := serveWebsockets(t, testLimits(), nil)
	cbor := "Sec-WebSocket-Protocol: wamp.2.cbor\r\n\r\n"
	for name, row := range map[string]struct{ request, status, body string }{
		"no subprotocol":      {upgradeRequest + "\r\n", "400", "wamp.2.cbor, wamp.2.msgpack, wamp.2.json"},
		"another subprotocol": {upgradeRequest + "Sec-WebSocket-Protocol: mqtt, wamp.2.cbor.batched\r\n\r\n", "400", "wamp.2.json"},
		"no upgrade":          {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "400", "\r\na websocket is expected here\n"},
		"version 8":           {strings.Replace(upgradeRequest, "13", "8", 1) + cbor, "400", "version"},
		"a POST":              {strings.Replace(upgradeRequest, "GET", "POST", 1) + cbor, "405", "GET"},
		"a short key":         {strings.Replace(upgradeRequest, "AAAA", "", 1) + cbor, "400", "Key"},
	} {
		t.Run(name, func(t *testing.T) {
			nc := h.tcp(t)
			_, _ = io.WriteString(nc, row.request)
			_ = nc.CloseWrite()
			answer, err := io.ReadAll(nc)
			if text := string(answer); err != nil || !strings.HasPrefix(text, "HTTP/1.1 "+row.status) || !strings.Contains(text, row.body) {
				t.Errorf("got %q, %v; want %s with %q", answer, err, row.status, row.body)
			}
		})
	}
}

// The client's order decides, however many lines it takes.
func TestWebsocketOrder(t *testing.T) {
	h := serveWebsockets(t, testLimits(), nil)
	nc := h.tcp(t)
	_, _ = io.WriteString(nc, upgradeRequest+"Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: wamp.2.msgpack, wamp.2.cbor\r\n\r\n")
	if conn := h.next(t); conn.codec != MsgPack {
		t.Errorf("got %s, want msgpack", conn.codec.Name())
	}
}

// A head that promises much costs nothing until the bytes are here.
func TestWebsocketPromises(t *testing.T) {
	lim := longLimits()
	lim.Message = maxFrame
	h := serveWebsockets(t, lim, nil)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for range 20 {
		nc, _ := h.upgraded(t, "wamp.2.cbor")
		_, _ = nc.Write(clientFrame("\x89\x00", ""))
		if opcode, _ := serverFrame(t, nc); opcode != gorilla.PongMessage {
			t.Fatal("no pong")
		}
		_, _ = nc.Write(clientFrame("\x82\x7f\x00\x00\x00\x00\x00\xff\xff\xff", "much"))
	}
	time.Sleep(50 * time.Millisecond) // for it to reserve too much
	if grown := heap() - before; grown > maxFrame {
		t.Errorf("20 promises of 16 MiB cost %d bytes", grown)
	}
}

// A peer that sends but never reads stops nobody, and is cut off.
func TestWebsocketDeafPeer(t *testing.T) {
	lim := testLimits()
	lim.Flush = 50 * time.Millisecond
	nc, conn := serveWebsockets(t, lim, nil).upgraded(t, "wamp.2.cbor")
	flood := slices.Repeat(clientFrame("\x89\x7d", strings.Repeat("x", 125)), 1000)
	for range 1000 {
		if _, err := nc.Write(flood); err != nil {
			break
		}
	}
	wait(t, conn.Done(), "the end of the connection")
	if !errors.Is(conn.Err(), &wire.Error{URI: wire.ErrSlowConsumer}) {
		t.Errorf("got %v, want %s", conn.Err(), wire.ErrSlowConsumer)
	}
}

// gate is a socket whose writes wait until it is open, and are counted.
type gate struct {
	net.Conn
	begun chan struct{}
	open  chan struct{}
}

func (g *gate) Write(b []byte) (int, error) {
	g.begun <- struct{}{}
	<-g.open
	return g.Conn.Write(b)
}

// What waits leaves in one system call.
func TestWebsocketBurst(t *testing.T) {
	h := serveWebsockets(t, longLimits(), nil)
	g := &gate{Conn: h.tcp(t), begun: make(chan struct{}, 1000), open: make(chan struct{}, 1)}
	g.open <- struct{}{} // for the handshake
	client, err := DialWebsocket(t.Context(), g, h.url, CBOR, longLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer end(client)
	server := h.next(t)
	<-g.begun
	const burst = 100
	for i := range burst {
		if err := client.Send(t.Context(), event(i, 100)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-g.begun // the writer has taken it
		}
	}
	close(g.open)
	for range burst {
		received(t, server)
	}
	if n := len(g.begun); n != 1 {
		t.Errorf("%d messages left in %d more writes, want 1", burst-1, n)
	}
}

func TestDialWebsocketRefused(t *testing.T) {
	const yes = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
	for name, row := range map[string]struct {
		answer func(w http.ResponseWriter, req *http.Request)
		want   string
	}{
		"not there": {http.NotFound, "404 Not Found"},
		"another subprotocol": {func(w http.ResponseWriter, req *http.Request) {
			up := gorilla.Upgrader{}
			if ws, err := up.Upgrade(w, req, nil); err == nil {
				_ = ws.Close()
			}
		}, "does not speak wamp.2.cbor"},
		"compression": {func(w http.ResponseWriter, req *http.Request) {
			up := gorilla.Upgrader{Subprotocols: []string{"wamp.2.cbor"}, EnableCompression: true}
			req.Header.Set("Sec-Websocket-Extensions", "permessage-deflate")
			if ws, err := up.Upgrade(w, req, nil); err == nil {
				_ = ws.Close()
			}
		}, "extension"},
		"a wrong key": {func(w http.ResponseWriter, _ *http.Request) {
			nc, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(nc, yes+"AAAA\r\n\r\n")
			_ = nc.Close()
		}, "101"},
		"no HTTP": {func(w http.ResponseWriter, _ *http.Request) {
			nc, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(nc, "\x7f\x10\x00\x00")
			_ = nc.Close()
		}, "websocket handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(row.answer))
			defer server.Close()
			nc, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			conn, err := DialWebsocket(t.Context(), nc, "ws"+strings.TrimPrefix(server.URL, "http"), CBOR, testLimits())
			if err == nil {
				end(conn)
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want an error with %q", err, row.want)
			}
			if _, err := nc.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the socket is still open: %v", err)
			}
		})
	}
}

// A server that says nothing is given up with the context, deadline or not.
func TestDialWebsocketGivesUp(t *testing.T) {
	enough := errors.New("enough")
	for name, bounded := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(t.Context(), 20*time.Millisecond, enough)
		},
		"cancel": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(20*time.Millisecond, func() { cancel(enough) })
			return ctx, func() { cancel(nil) }
		},
	} {
		client, _ := pair(t)
		ctx, cancel := bounded()
		conn, err := DialWebsocket(ctx, client, "ws://localhost/", CBOR, testLimits())
		cancel()
		if err == nil {
			end(conn)
		}
		if !errors.Is(err, enough) || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: got %v, want %v", name, err, enough)
		}
	}
}

// What is wrong is heard even by a peer that went on sending, though what it sent
// is not read.
func TestReasonReachesSender(t *testing.T) {
	h := serveWebsockets(t, testLimits(), nil)
	for range 50 {
		nc, _ := h.upgraded(t, "wamp.2.cbor")
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = nc.Write(clientFrame("\x82\x7f\x00\x00\x00\x00\x00\x20\x00\x00", strings.Repeat("x", 2<<20)))
		}()
		<-sent
		_, b := serverFrame(t, nc)
		if msg, err := decode(CBOR, b, 32); err != nil || msg.MessageType() != wamp.ABORT {
			t.Errorf("got %+v, %v; want ABORT", msg, err)
		}
		if opcode, b := serverFrame(t, nc); opcode != gorilla.CloseMessage || int(binary.BigEndian.Uint16(b)) != 1009 {
			t.Errorf("frame type %d, % x; want code 1009", opcode, b)
		}
	}
}
