package transport

import (
	stdbytes "bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

func testLimits() Limits {
	lim := Limits{
		Message: 4096, Depth: 32, Queue: 64 << 10,
		Handshake: 10 * time.Second, Stall: 10 * time.Second, Flush: 10 * time.Second,
	}
	if carrier != "unix" { // a peer is given so long to close
		lim.Flush = time.Second
	}
	return lim
}

func frame(kind byte, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(kind)<<24|uint32(len(payload)))
	return append(b, payload...)
}

// accept is a server's Conn and the raw socket of its client, which has said
// CBOR and the length code it takes.
func accept(t *testing.T, lim Limits, code byte, guard Guard) (*Conn, farEnd) {
	t.Helper()
	client, server := pair(t)
	if _, err := client.Write([]byte{magic, code<<4 | 3, 0, 0}); err != nil {
		t.Fatal(err)
	}
	conn, err := Accept(server, lim, guard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Abandon(); <-conn.Done(); drainRecv(conn) })
	if reply := readN(t, client, 4); reply[0] != magic || reply[1]&0x0f != 3 {
		t.Fatalf("handshake answered with % x", reply)
	}
	return conn, client
}

func drainRecv(c *Conn) {
	for range c.Recv() { // until the reader has ended
	}
}

func readN(t *testing.T, r io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// receive reads the next message.
func receive(t *testing.T, r io.Reader) wamp.Message {
	t.Helper()
	kind, payload, err := readFrame(r)
	if err != nil || kind != frameMessage {
		t.Fatalf("frame of type %d: %v", kind, err)
	}
	msg, err := decode(CBOR, payload, 32)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// receiveAll reads messages until the connection ends, by EOF or, where the
// other end left bytes unread, by a reset.
func receiveAll(t *testing.T, r io.Reader) (all []wamp.Message) {
	t.Helper()
	for {
		_, payload, err := readFrame(r)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("after %d messages: %v", len(all), err)
			}
			return all
		}
		msg, err := decode(CBOR, payload, 32)
		if err != nil {
			t.Fatalf("message %d is damaged: %v", len(all), err)
		}
		all = append(all, msg)
	}
}

func event(n int, size int) *wamp.Event {
	return &wamp.Event{Subscription: 1, Publication: wamp.ID(n), Details: wamp.Dict{},
		Arguments: wamp.List{strings.Repeat("x", size)}}
}

// inOrder checks that events are 0, 1, 2... and returns their number and what
// came after them.
func inOrder(t *testing.T, all []wamp.Message) (n int, rest []wamp.Message) {
	t.Helper()
	for i, msg := range all {
		e, ok := msg.(*wamp.Event)
		if !ok {
			return i, all[i:]
		}
		if e.Publication != wamp.ID(i) {
			t.Fatalf("event %d at place %d", e.Publication, i)
		}
	}
	return len(all), nil
}

func wait(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("waited 10 s for %s", what)
	}
}

func TestHandshakeRefusals(t *testing.T) {
	for _, row := range []struct {
		name  string
		send  []byte
		reply []byte // nothing: the connection ends without a word
	}{
		{"not rawsocket", []byte("GET "), nil},
		{"serializer 0", []byte{magic, 0xf0, 0, 0}, []byte{magic, 0x10, 0, 0}},
		{"serializer 4", []byte{magic, 0xf4, 0, 0}, []byte{magic, 0x10, 0, 0}},
		{"serializer 15", []byte{magic, 0xff, 0, 0}, []byte{magic, 0x10, 0, 0}},
		{"reserved octet 3", []byte{magic, 0xf1, 1, 0}, []byte{magic, 0x30, 0, 0}},
		{"reserved octet 4", []byte{magic, 0xf1, 0, 1}, []byte{magic, 0x30, 0, 0}},
		{"half of it, then gone", []byte{magic, 0xf1}, nil},
		{"nothing", nil, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			client, server := pair(t)
			if _, err := client.Write(row.send); err != nil {
				t.Fatal(err)
			}
			if err := client.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, err := Accept(server, testLimits(), nil); err == nil {
				t.Fatal("accepted")
			}
			_ = server.Close()
			reply, err := io.ReadAll(client)
			if err != nil || string(reply) != string(row.reply) {
				t.Errorf("answered % x, %v; want % x", reply, err, row.reply)
			}
		})
	}
}

func TestHalfHandshakeTimesOut(t *testing.T) {
	client, server := pair(t)
	if _, err := client.Write([]byte{magic, 0xf1}); err != nil {
		t.Fatal(err)
	}
	lim := testLimits()
	lim.Handshake = 20 * time.Millisecond
	_, err := Accept(server, lim, nil)
	exceeds(t, err, wire.ErrTimeout, LimitHandshake)
}

// sayHello sends the first message: the handshake travels with it.
func sayHello(t *testing.T, conn *Conn) {
	t.Helper()
	if err := conn.Send(t.Context(), &wamp.Hello{Realm: "r", Details: wamp.Dict{}}); err != nil {
		t.Fatal(err)
	}
}

func TestDialRefused(t *testing.T) {
	for _, row := range []struct {
		name, reply, want string
	}{
		{"serializer", "\x7f\x10\x00\x00", "serializer unsupported"},
		{"length", "\x7f\x20\x00\x00", "maximum message length"},
		{"connections", "\x7f\x40\x00\x00", "connection count"},
		{"unknown code", "\x7f\x90\x00\x00", "code 9"},
		{"another serializer", "\x7f\xf1\x00\x00", "another serializer"},
		{"a web server", "HTTP/1.1 400 Bad Request\r\n", "not a WAMP rawsocket"},
		{"half a reply", "\x7f", "handshake"},
		{"no reply", "", "handshake"},
	} {
		t.Run(row.name, func(t *testing.T) {
			client, server := pair(t)
			conn, err := Dial(client, CBOR, testLimits())
			if err != nil {
				t.Fatal(err)
			}
			sayHello(t, conn)
			readN(t, server, 4)
			if _, err := io.WriteString(server, row.reply); err != nil {
				t.Fatal(err)
			}
			_ = server.CloseWrite()
			drainRecv(conn)
			wait(t, conn.Done(), "the end of the connection")
			if err := conn.Err(); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want an error with %q", err, row.want)
			}
		})
	}
}

func TestDialAnnounces(t *testing.T) {
	for _, row := range []struct {
		codec  Codec
		limit  int
		second byte
	}{
		{JSON, 512, 0x01}, {MsgPack, 1023, 0x02}, {CBOR, 1024, 0x13},
		{CBOR, 4 << 20, 0xd3}, {CBOR, maxFrame, 0xf3},
	} {
		client, server := pair(t)
		lim := testLimits()
		lim.Message = row.limit
		conn, err := Dial(client, row.codec, lim)
		if err != nil {
			t.Fatal(err)
		}
		sayHello(t, conn)
		if got := readN(t, server, 4); got[0] != magic || got[1] != row.second || got[2] != 0 || got[3] != 0 {
			t.Errorf("%s, limit %d: sent % x, want second octet %x", row.codec.Name(), row.limit, got, row.second)
		}
		conn.Abandon()
		wait(t, conn.Done(), "the end of the connection")
		drainRecv(conn)
	}
}

func TestFrameOverLimit(t *testing.T) {
	lim := testLimits()
	conn, client := accept(t, lim, 15, nil)
	head := []byte{frameMessage, 0, 0x10, 0x01} // 4097 bytes
	if _, err := client.Write(head); err != nil {
		t.Fatal(err)
	}
	all := receiveAll(t, client)
	if len(all) != 1 {
		t.Fatalf("got %d messages, want one ABORT", len(all))
	}
	abort, ok := all[0].(*wamp.Abort)
	message := ""
	if ok {
		message, _ = abort.Details["message"].(string)
	}
	if !ok || abort.Reason != wire.ErrLimit || !strings.Contains(message, "4096") {
		t.Errorf("got %+v, want ABORT %s that names 4096", all[0], wire.ErrLimit)
	}
	wait(t, conn.Done(), "the end of the connection")
}

func TestFrameOfTheLimit(t *testing.T) {
	conn, client := accept(t, testLimits(), 15, nil)
	msg := &wamp.Yield{Request: 1, Arguments: wamp.List{""}}
	b, err := encoded(CBOR, msg)
	if err != nil {
		t.Fatal(err)
	}
	msg.Arguments[0] = strings.Repeat("x", 4096-len(b)-2) // a longer text has two more bytes of head
	if b, err = encoded(CBOR, msg); err != nil || len(b) != 4096 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if _, err := client.Write(frame(frameMessage, b)); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-conn.Recv():
		if y, ok := got.(*wamp.Yield); !ok || y.Request != 1 {
			t.Errorf("got %+v", got)
		}
	case <-conn.Done():
		t.Errorf("connection ended: %v", conn.Err())
	}
}

func TestGarbageGetsAbort(t *testing.T) {
	for name, payload := range map[string]string{
		"not CBOR": "\xff", "empty": "", "not a message": "\x80", "message type -7": "\x83\x26\x01\xa0",
	} {
		t.Run(name, func(t *testing.T) {
			_, client := accept(t, testLimits(), 15, nil)
			if _, err := client.Write(frame(frameMessage, []byte(payload))); err != nil {
				t.Fatal(err)
			}
			all := receiveAll(t, client)
			if len(all) != 1 {
				t.Fatalf("got %v, want one ABORT", all)
			}
			if abort, ok := all[0].(*wamp.Abort); !ok || abort.Reason != wire.ErrProtocolViolation {
				t.Errorf("got %+v, want ABORT %s", all[0], wire.ErrProtocolViolation)
			}
		})
	}
}

func TestReservedFrameEndsConnection(t *testing.T) {
	for kind := byte(3); kind < 8; kind++ {
		conn, client := accept(t, testLimits(), 15, nil)
		if _, err := client.Write([]byte{kind, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		wait(t, conn.Done(), "the end of the connection")
		if err := conn.Err(); err == nil || !strings.Contains(err.Error(), "frame type") {
			t.Errorf("frame type %d: %v", kind, err)
		}
	}
}

func TestPing(t *testing.T) {
	_, client := accept(t, testLimits(), 15, nil)
	for _, payload := range []string{"", "ping", strings.Repeat("x", 4096)} {
		if _, err := client.Write(frame(framePing, []byte(payload))); err != nil {
			t.Fatal(err)
		}
		kind, got, err := readFrame(client)
		if err != nil || kind != framePong || string(got) != payload {
			t.Errorf("ping of %d bytes: frame type %d of %d bytes, %v", len(payload), kind, len(got), err)
		}
	}
	if _, err := client.Write(frame(framePong, []byte("unasked"))); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write(frame(framePing, []byte("still here"))); err != nil {
		t.Fatal(err)
	}
	if kind, got, err := readFrame(client); err != nil || kind != framePong || string(got) != "still here" {
		t.Errorf("after a pong: frame type %d, %q, %v", kind, got, err)
	}
}

// A peer that only sends pings and never reads is not read any more, and then cut
// off: the answers would pile up.
func TestPingFlood(t *testing.T) {
	lim := testLimits()
	lim.Flush, lim.Stall = 20*time.Millisecond, 200*time.Millisecond
	conn, client := accept(t, lim, 15, passing{})
	flood := frame(framePing, make([]byte, 4096))
	for range 10000 {
		if _, err := client.Write(flood); err != nil {
			break
		}
	}
	wait(t, conn.Done(), "the end of the connection")
	exceeds(t, conn.Err(), wire.ErrSlowConsumer, LimitStall)
}

// slowConsumer checks the GOODBYE that ends a session that did not read.
func slowConsumer(t *testing.T, rest []wamp.Message) {
	t.Helper()
	if len(rest) != 1 {
		t.Fatalf("got %d messages after the events, want one GOODBYE", len(rest))
	}
	if bye, ok := rest[0].(*wamp.Goodbye); !ok || bye.Reason != wire.ErrSlowConsumer {
		t.Errorf("got %+v, want GOODBYE %s", rest[0], wire.ErrSlowConsumer)
	}
}

func TestSlowConsumer(t *testing.T) {
	lim := testLimits()
	lim.Queue = 4096
	conn, client := accept(t, lim, 15, nil)
	peer := newPeer(t, conn)
	sent := 0
	for ; conn.Err() == nil && sent < 100000; sent++ {
		peer.Send() <- event(sent, 500)
	}
	if !errors.Is(conn.Err(), &wire.Error{URI: wire.ErrSlowConsumer}) {
		t.Errorf("cut off with %v", conn.Err())
	}
	n, rest := inOrder(t, receiveAll(t, client))
	if n >= sent {
		t.Errorf("all of %d events were delivered", n)
	}
	slowConsumer(t, rest)
	wait(t, conn.Done(), "the end of the connection")
}

// nexus drops an event that finds the channel full. The pump must notice,
// also where it does not run in time.
func TestPumpLosesNothingSilently(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, burst := range []int{inboxSize / 2, inboxSize, 3 * inboxSize, 20 * inboxSize} {
		lim := testLimits()
		lim.Queue = 64 << 20
		conn, client := accept(t, lim, 15, nil)
		got := make(chan []wamp.Message, 1)
		go func() { got <- receiveAll(t, client) }()
		peer := newPeer(t, conn)
		peer.pump()
		dropped := 0
		for i := range burst {
			select { // as nexus does it, had it no patience
			case peer.ch <- event(i-dropped, 1):
			default:
				dropped++
			}
		}
		if dropped == 0 {
			peer.Close()
		}
		wait(t, conn.Done(), "the end of the connection")
		n, rest := inOrder(t, <-got)
		switch {
		case len(rest) > 0:
			slowConsumer(t, rest)
		case dropped > 0:
			t.Errorf("burst of %d: %d lost, %d delivered, and nobody was told", burst, dropped, n)
		case n != burst:
			t.Errorf("burst of %d: %d delivered, and nobody was told", burst, n)
		}
		if burst < inboxSize-1 && n != burst {
			t.Errorf("burst of %d fits the channel, but %d arrived", burst, n)
		}
	}
}

func TestSendGivesUpWithContext(t *testing.T) {
	lim := testLimits()
	lim.Queue = 4096
	conn, _ := accept(t, lim, 15, nil)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	var err error
	for i := 0; err == nil && i < 1000000; i++ {
		err = conn.Send(ctx, event(i, 100))
	}
	if !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
	if conn.Err() != nil {
		t.Errorf("the connection ended: %v", conn.Err())
	}
}

// A Send that waits for room goes on when the peer reads again.
func TestSendWaitsForRoom(t *testing.T) {
	lim := testLimits()
	lim.Queue = 4096
	conn, client := accept(t, lim, 15, nil)
	const many = 5000
	sent := make(chan error, 1)
	go func() {
		for i := range many {
			if err := conn.Send(t.Context(), event(i, 100)); err != nil {
				sent <- err
				return
			}
		}
		conn.Close()
		sent <- nil
	}()
	n, rest := inOrder(t, receiveAll(t, client))
	if err := <-sent; err != nil || n != many || len(rest) > 0 {
		t.Errorf("%d of %d arrived, then %v; Send: %v", n, many, rest, err)
	}
}

func TestSendAfterEnd(t *testing.T) {
	conn, _ := accept(t, testLimits(), 15, nil)
	conn.Close()
	wait(t, conn.Done(), "the end of the connection")
	if err := conn.Send(t.Context(), event(0, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want %v", err, ErrClosed)
	}
}

func TestResultOverPeersLimit(t *testing.T) {
	conn, client := accept(t, testLimits(), 0, nil) // 512 bytes
	peer := newPeer(t, conn)
	peer.Send() <- &wamp.Result{Request: 7, Details: wamp.Dict{}, Arguments: wamp.List{strings.Repeat("x", 600)}}
	peer.Send() <- &wamp.Result{Request: 8, Details: wamp.Dict{}, Arguments: wamp.List{"short"}}
	fault, ok := receive(t, client).(*wamp.Error)
	if !ok || fault.Type != wamp.CALL || fault.Request != 7 || fault.Error != wire.ErrLimit {
		t.Errorf("got %+v, want ERROR %s for call 7", fault, wire.ErrLimit)
	}
	if r, ok := receive(t, client).(*wamp.Result); !ok || r.Request != 8 {
		t.Errorf("got %+v, want RESULT 8", r)
	}
}

// The answer to a call must not vanish because it cannot be said.
func TestResultThatDoesNotEncode(t *testing.T) {
	client, server := pair(t)
	if _, err := client.Write([]byte{magic, 0xf1, 0, 0}); err != nil {
		t.Fatal(err)
	}
	conn, err := Accept(server, testLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { conn.Abandon(); drainRecv(conn); <-conn.Done() }()
	readN(t, client, 4)
	peer := newPeer(t, conn)
	peer.Send() <- &wamp.Result{Request: 7, Details: wamp.Dict{}, Arguments: wamp.List{make(chan int)}}
	peer.Send() <- &wamp.Result{Request: 8, Details: wamp.Dict{}}
	_, payload, err := readFrame(client)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := decode(JSON, payload, 32)
	if fault, ok := msg.(*wamp.Error); err != nil || !ok || fault.Request != 7 {
		t.Errorf("got %+v, %v; want an ERROR for call 7", msg, err)
	}
}

func TestEventOverPeersLimit(t *testing.T) {
	conn, client := accept(t, testLimits(), 0, nil)
	peer := newPeer(t, conn)
	peer.Send() <- event(0, 600)
	all := receiveAll(t, client)
	if len(all) != 1 {
		t.Fatalf("got %v, want one GOODBYE", all)
	}
	if bye, ok := all[0].(*wamp.Goodbye); !ok || bye.Reason != wire.ErrLimit {
		t.Errorf("got %+v, want GOODBYE %s", all[0], wire.ErrLimit)
	}
}

func TestSendOverPeersLimit(t *testing.T) {
	conn, client := accept(t, testLimits(), 0, nil)
	err := conn.Send(t.Context(), event(0, 600))
	if long, ok := errors.AsType[*TooLongError](err); !ok || long.Limit != 512 || long.Size <= 600 {
		t.Errorf("got %v, want a TooLongError with limit 512", err)
	}
	if err := conn.Send(t.Context(), event(1, 1)); err != nil {
		t.Fatal(err)
	}
	if e, ok := receive(t, client).(*wamp.Event); !ok || e.Publication != 1 {
		t.Errorf("got %+v, want event 1", e)
	}
}

func TestCloseFlushes(t *testing.T) {
	const many = 3000
	lim := testLimits()
	lim.Queue = 8 << 20
	for name, end := range map[string]func(*Conn, *Peer){
		"Conn": func(c *Conn, _ *Peer) {
			for i := range many {
				if err := c.Send(context.Background(), event(i, 500)); err != nil {
					t.Error(err)
				}
			}
			c.Close()
		},
		"Peer": func(_ *Conn, p *Peer) {
			for i := range many {
				p.Send() <- event(i, 500)
			}
			p.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, client := accept(t, lim, 15, nil)
			peer := newPeer(t, conn)
			end(conn, peer)
			if n, rest := inOrder(t, receiveAll(t, client)); n != many || len(rest) > 0 {
				t.Errorf("%d of %d arrived, then %v", n, many, rest)
			}
			wait(t, conn.Done(), "the end of the connection")
		})
	}
}

// Close gives up on a peer that does not read, after Limits.Flush.
func TestCloseOnDeafPeer(t *testing.T) {
	lim := testLimits()
	lim.Flush = 20 * time.Millisecond
	lim.Queue = 8 << 20
	conn, _ := accept(t, lim, 15, nil)
	for i := range 3000 {
		if err := conn.Send(t.Context(), event(i, 500)); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	wait(t, conn.Done(), "the end of the connection")
}

func TestStall(t *testing.T) {
	lim := testLimits()
	lim.Stall = 20 * time.Millisecond
	lim.Flush = 20 * time.Millisecond
	lim.Queue = 8 << 20
	conn, _ := accept(t, lim, 15, nil)
	for i := range 3000 {
		if err := conn.Send(t.Context(), event(i, 500)); err != nil {
			break // cut off already
		}
	}
	wait(t, conn.Done(), "the end of the connection")
	exceeds(t, conn.Err(), wire.ErrSlowConsumer, LimitStall)
}

func exceeds(t *testing.T, err error, uri, limit string) {
	t.Helper()
	if e, ok := errors.AsType[*wire.Error](err); !ok || e.URI != uri || e.Limit() != limit {
		t.Errorf("got %v, want %s about the limit %s", err, uri, limit)
	}
}

// What waits in the kernel and in the writer must not change when more is
// sent: the write buffers are used again.
func TestWriteBuffersAreApart(t *testing.T) {
	client, server := pair(t)
	if err := shrink(server); err != nil { // the kernel's minimum
		t.Fatal(err)
	}
	if _, err := client.Write([]byte{magic, 0xf3, 0, 0}); err != nil {
		t.Fatal(err)
	}
	lim := testLimits()
	lim.Queue = 8 << 20
	conn, err := Accept(server, lim, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { conn.Abandon(); drainRecv(conn); <-conn.Done() }()
	readN(t, client, 4)
	const size = 50000
	send := func(n int) {
		t.Helper()
		if err := conn.Send(t.Context(), event(n, size)); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < 100; n += 4 {
		send(n)
		checkEvent(t, client, n, size) // the writer rests again
		send(n + 1)
		begun := readN(t, client, 1) // and now it waits for the socket
		send(n + 2)
		send(n + 3)
		rest := io.MultiReader(stdbytes.NewReader(begun), client)
		for i := 1; i < 4; i++ {
			checkEvent(t, rest, n+i, size)
		}
	}
}

func checkEvent(t *testing.T, r io.Reader, n, size int) {
	t.Helper()
	e, ok := receive(t, r).(*wamp.Event)
	if !ok || e.Publication != wamp.ID(n) || e.Arguments[0] != strings.Repeat("x", size) {
		t.Fatalf("event %d is damaged", n)
	}
}

// passing is a guard that lets everything pass, and notes the end.
type passing struct{ closed chan struct{} }

func (passing) Inbound(m wamp.Message) (pass, answer wamp.Message, err error) { return m, nil, nil }
func (passing) Outbound(m wamp.Message, queue func(wamp.Message))             { queue(m) }
func (g passing) Closed() {
	if g.closed != nil {
		close(g.closed)
	}
}

// A guard hears once that its peer is gone, also where nobody reads any more.
func TestGuardHearsTheEnd(t *testing.T) {
	for name, deaf := range map[string]bool{"read": false, "unread": true} {
		t.Run(name, func(t *testing.T) {
			guard := passing{make(chan struct{})}
			conn, client := accept(t, testLimits(), 15, guard)
			if deaf {
				newPeer(t, conn).Close()
			}
			_ = client.Close()
			wait(t, guard.closed, "the end of the session")
			wait(t, conn.Done(), "the end of the connection")
		})
	}
}

// What is read ahead is bounded by its bytes, and nothing of it is lost when the
// peer goes away.
func TestReadAhead(t *testing.T) {
	for _, c := range []struct{ count, size, ahead int }{
		{1000, 10, recvAhead + 1}, {40, 16 << 10, recvAheadBytes/(16<<10) + 2}, {5, 1 << 20, 2},
	} {
		lim := testLimits()
		lim.Message = 2 << 20
		conn, client := accept(t, lim, 15, nil)
		go func() {
			for i := range c.count {
				b, _ := encoded(CBOR, event(i, c.size))
				_, _ = client.Write(frame(frameMessage, b))
			}
			_ = client.Close()
		}()
		time.Sleep(50 * time.Millisecond) // for it to read too much
		var all []wamp.Message
		most := 0
		for msg := range conn.Recv() {
			most = max(most, len(conn.Recv())+1)
			all = append(all, msg)
		}
		if most > c.ahead {
			t.Errorf("%d messages of %d bytes were read ahead, want %d at most", most, c.size, c.ahead)
		}
		if n, _ := inOrder(t, all); n != c.count {
			t.Errorf("%d messages of %d bytes arrived, want %d", n, c.size, c.count)
		}
	}
}
