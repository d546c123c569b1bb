package router

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// exceed goes over a limit, through a socket. It returns what the router said
// about it, nil if that peer is one that cannot be told.
type exceed struct {
	set    string // the limit, so low that it can be exceeded
	by     func(*bench) wamp.Message
	hits   int64  // how often
	reason string // of the session's end, "" if it goes on
}

var exceeds = map[string]exceed{
	"door_connections":     {"2", (*bench).crowds, 1, "limit"},
	"door_per_address":     {"2", (*bench).crowds, 1, "limit"},
	"door_reserved":        {"2", (*bench).crowds, 1, "limit"},
	"door_failures":        {"2", (*bench).failsTooOften, 1, "limit"},
	"door_deadline":        {"500ms", (*bench).lingers, 1, "limit"},
	"door_bytes":           {"1KiB", (*bench).greetsTooMuch, 1, "limit"},
	"keepalive":            {"200ms", (*bench).fallsSilent, 1, "network_failure"},
	"handshake":            {"1s", (*bench).saysNothing, 1, "timeout"},
	"message":              {"4KiB", (*bench).saysTooMuch, 1, "limit"},
	"depth":                {"8", (*bench).nestsTooDeep, 1, "limit"},
	"device_sessions":      {"2", (*bench).comesAgain, 1, "limit"},
	"device_subscriptions": {"2", (*bench).subscribesAsDevice, 5, ""},
	"device_registrations": {"2", (*bench).registersAsDevice, 5, ""},
	"device_calls":         {"2", (*bench).callsAsDevice, 5, ""},
	"device_input":         {"64KiB", (*bench).sendsAsDevice, 1, ""},
	"device_queue":         {"64KiB", (*bench).deviceReadsNothing, 1, "slow_consumer"},
	"busy_devices":         {"1", (*bench).anotherSubscribes, 7, ""},
	"message_time":         {"300ms", (*bench).neverFinishes, 1, "limit"},
	"calls":                {"2", (*bench).callsTooMuch, 5, ""},
	"stream_bytes":         {"64KiB", (*bench).streamsTooMuch, 1, ""},
	"stream_idle":          {"200ms", (*bench).streamsNothing, 1, ""},
	"registrations":        {"2", (*bench).registersTooMuch, 5, ""},
	"subscriptions":        {"2", (*bench).subscribesTooMuch, 5, ""},
	"queue":                {"64KiB", (*bench).readsNothing, 1, "slow_consumer"},
	"backlog":              {"1MiB", (*bench).readsNothing, 1, "slow_consumer"},
	"stall":                {"100ms", (*bench).stalls, 1, "slow_consumer"},
}

// Every limit there is can be exceeded: the answer names it, the owner's status
// counts it, and the log has one line.
func TestLimitsExceeded(t *testing.T) {
	for _, limit := range Limits {
		t.Run(limit.Name, func(t *testing.T) {
			t.Parallel()
			test, ok := exceeds[limit.Name]
			if !ok {
				t.Fatal("nothing exceeds this limit")
			}
			log := &lines{}
			opts := DefaultOptions()
			opts.Log = slog.New(slog.NewTextHandler(log, nil))
			opts.Door.Forgiven = time.Hour // none of them meanwhile
			if limit.Name == "door_reserved" {
				opts.Certificate, opts.Trust = &server().Certificate, pairedStore(t, netip.MustParseAddr("127.0.0.1"))
				opts.admitAll = true
			}
			if limit.Name == "busy_devices" {
				opts.Certificate, opts.Trust = &server().Certificate, storeOf(t,
					&trust.Device{ID: device().id, Name: "desk", Paired: time.Now().UTC()},
					&trust.Device{ID: outsider().id, Name: "pi", Paired: time.Now().UTC()})
				opts.admitAll, opts.Devices.Subscriptions = true, 1
			}
			opts.Transport.Flush = 200 * time.Millisecond
			if err := limit.Set(&opts, test.set); err != nil {
				t.Fatal(err)
			}
			b := startWith(t, opts)
			owner := b.join(transport.JSON)
			if answer := test.by(b); answer != nil {
				checkAnswer(t, limit, &opts, answer)
			}
			b.await(owner, "limits", "limit", limit.Name, "hits", test.hits)
			if test.reason != "" {
				b.await(owner, "ended", "reason", test.reason, "count", 1)
			}
			for _, row := range b.status(owner, "limits") {
				if row["limit"] != limit.Name && row["hits"] != int64(0) {
					t.Errorf("another limit is exceeded: %v", row)
				}
			}
			if n := strings.Count(log.String(), `msg="over a limit" limit=`); n != 1 || !strings.Contains(log.String(), "limit="+limit.Name+" ") {
				t.Errorf("%d lines in the log, want one about %s: %s", n, limit.Name, log)
			}
			b.alive()
		})
	}
}

// checkAnswer wants the limit's name for programs, and its value for people.
func checkAnswer(t *testing.T, limit Limit, opts *Options, answer wamp.Message) {
	t.Helper()
	var name, message any
	switch m := answer.(type) {
	case *wamp.Abort:
		name, message = m.Details[wire.LimitKey], m.Details["message"]
	case *wamp.Goodbye:
		name, message = m.Details[wire.LimitKey], m.Details["message"]
	case *wamp.Error:
		name, message = m.ArgumentsKw[wire.LimitKey], m.Arguments[0]
	}
	most := fmt.Sprint(limit.Of(opts))
	if limit.Unit == Duration {
		most = time.Duration(limit.Of(opts)).String()
	}
	if text, _ := message.(string); name != limit.Name || !strings.Contains(text, most) {
		t.Errorf("got %#v, want the name of the limit, and %s in the message", answer, most)
	}
}

// status asks for a part of the status.
func (b *bench) status(owner *session.Session, part string) []map[string]any {
	b.t.Helper()
	result, err := owner.Call(b.ctx(), wire.Status, nil, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	var rows []map[string]any
	for _, row := range result.Args[0].(map[string]any)[part].([]any) {
		rows = append(rows, row.(map[string]any))
	}
	return rows
}

// await waits until a row of the status has a count.
func (b *bench) await(owner *session.Session, part, key, name, count string, want int64) {
	b.t.Helper()
	var got []map[string]any
	for range 40 {
		got = b.status(owner, part)
		for _, row := range got {
			if row[key] == name && row[count] == want {
				return
			}
		}
	}
	b.t.Fatalf("status has %v, want %s %s %d", got, name, count, want)
}

func (b *bench) saysNothing() wamp.Message {
	nc := b.dial()
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := nc.Read(make([]byte, 1)); n != 0 || err == nil || isTimeout(err) {
		b.t.Errorf("read %d bytes, %v, want the end", n, err)
	}
	return nil
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// generous is a socket whose router seems to accept the longest messages.
type generous struct{ net.Conn }

func (g generous) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if n >= 4 && b[0] == 0x7f && b[2] == 0 && b[3] == 0 {
		b[1] |= 0xf0
	}
	return n, err
}

func (b *bench) saysTooMuch() wamp.Message {
	conn, err := transport.Dial(generous{b.dial()}, transport.CBOR, transport.DefaultLimits())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Abandon(); drain(conn) })
	b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
	b.receive(conn)
	b.send(conn, &wamp.Publish{Request: 1, Topic: "org.t.x", Arguments: wamp.List{strings.Repeat("x", 5000)}})
	return b.receive(conn)
}

func (b *bench) nestsTooDeep() wamp.Message {
	conn := b.raw(transport.CBOR, everyRole)
	deep := any(1)
	for range 20 {
		deep = []any{deep}
	}
	b.send(conn, &wamp.Publish{Request: 1, Topic: "org.t.x", Arguments: wamp.List{deep}})
	return b.receive(conn)
}

func (b *bench) callsTooMuch() (answer wamp.Message) {
	conn := b.raw(transport.CBOR, everyRole)
	for i := range 7 {
		b.send(conn, &wamp.Call{Request: wamp.ID(i + 1), Procedure: "org.deskconn.test.slow"})
	}
	for range 5 {
		answer = b.receive(conn)
	}
	return answer
}

// streams has a callee and a caller that has begun a progressive call, in chunks of
// 1 KB.
func (b *bench) streams() (caller *transport.Conn, chunk *wamp.Call) {
	callee, caller := b.raw(transport.CBOR, everyFeature), b.raw(transport.CBOR, everyFeature)
	b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.streams"})
	b.receive(callee)
	chunk = &wamp.Call{
		Request: 1, Procedure: "org.t.streams", Options: wamp.Dict{"progress": true},
		Arguments: wamp.List{strings.Repeat("x", 1000)},
	}
	b.send(caller, chunk)
	b.receive(callee)
	return caller, chunk
}

func (b *bench) streamsTooMuch() wamp.Message {
	caller, chunk := b.streams()
	for range 99 {
		b.send(caller, chunk)
	}
	return b.receive(caller)
}

func (b *bench) streamsNothing() wamp.Message {
	caller, _ := b.streams()
	return b.receive(caller)
}

func (b *bench) registersTooMuch() wamp.Message {
	return b.asks(func(id wamp.ID) wamp.Message {
		return &wamp.Register{Request: id, Procedure: wamp.URI(fmt.Sprintf("org.t.r%d", id))}
	})
}

func (b *bench) subscribesTooMuch() wamp.Message {
	return b.asks(func(id wamp.ID) wamp.Message {
		return &wamp.Subscribe{Request: id, Topic: wamp.URI(fmt.Sprintf("org.t.s%d", id))}
	})
}

// asks makes seven requests of which two are granted.
func (b *bench) asks(request func(wamp.ID) wamp.Message) (answer wamp.Message) {
	return b.asksAs([]*transport.Conn{b.raw(transport.CBOR, everyRole)}, request)
}

// asksAs is asks in turn by several sessions.
func (b *bench) asksAs(sessions []*transport.Conn, request func(wamp.ID) wamp.Message) (answer wamp.Message) {
	for i := range 7 {
		conn := sessions[i%len(sessions)]
		b.send(conn, request(wamp.ID(i+1)))
		answer = b.receive(conn)
	}
	return answer
}

// guests are sessions of a paired machine.
func (b *bench) guests(m *machine, n int) (sessions []*transport.Conn) {
	b.t.Helper()
	for range n {
		tc := transport.TLSClient(b.dialTCP(), m.config(wire.ALPN))
		if err := tc.HandshakeContext(b.ctx()); err != nil {
			b.t.Fatal(err)
		}
		conn, err := transport.Dial(tc, transport.CBOR, transport.DefaultLimits())
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { conn.Abandon(); drain(conn) })
		b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
		if m := b.receive(conn); m.MessageType() != wamp.WELCOME {
			b.t.Fatalf("got %+v, want WELCOME", m)
		}
		sessions = append(sessions, conn)
	}
	return sessions
}

func (b *bench) subscribesAsDevice() wamp.Message {
	match := []string{"exact", "prefix", "wildcard"}
	return b.asksAs(b.guests(device(), 2), func(id wamp.ID) wamp.Message {
		return &wamp.Subscribe{Request: id, Topic: wamp.URI(fmt.Sprintf("org.t.s%d", id)), Options: wamp.Dict{"match": match[id%3]}}
	})
}

// anotherSubscribes finds no room beside a device that is at its limits.
func (b *bench) anotherSubscribes() wamp.Message {
	subscribe := func(id wamp.ID) wamp.Message {
		return &wamp.Subscribe{Request: id, Topic: wamp.URI(fmt.Sprintf("org.t.s%d", id))}
	}
	first := b.guests(device(), 1)[0]
	b.send(first, subscribe(1))
	b.receive(first)
	return b.asksAs(b.guests(outsider(), 1), subscribe)
}

func (b *bench) registersAsDevice() wamp.Message {
	return b.asksAs(b.guests(device(), 2), func(id wamp.ID) wamp.Message {
		return &wamp.Register{Request: id, Procedure: wamp.URI(fmt.Sprintf("org.t.r%d", id))}
	})
}

// callsAsDevice makes seven calls in two sessions, of which two go on.
func (b *bench) callsAsDevice() (answer wamp.Message) {
	sessions := b.guests(device(), 2)
	for i := range 7 {
		conn := sessions[i%2]
		b.send(conn, &wamp.Call{Request: wamp.ID(i + 1), Procedure: "org.deskconn.test.slow"})
		if i >= 2 {
			answer = b.receive(conn)
		}
	}
	return answer
}

// sendsAsDevice begins a message of 64 KiB that leaves no room for another, which
// arrives once the first has.
func (b *bench) sendsAsDevice() wamp.Message {
	first, second := b.wild(ways[2], transport.CBOR), b.wild(ways[2], transport.CBOR)
	first.greet(everyRole)
	second.greet(everyRole)
	long := first.encoded(wamp.PUBLISH, 1, ack, "org.t.long", wamp.List{strings.Repeat("x", 64<<10)})
	first.write(long[:100])
	time.Sleep(50 * time.Millisecond) // the router has its head
	second.write(long)
	_ = second.nc.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if m, err := second.next(); err == nil {
		b.t.Errorf("two messages are read at once: %v", m)
	}
	first.write(long[100:])
	if m := first.hear(); kindOf(m) != wamp.PUBLISHED {
		b.t.Errorf("got %v, want PUBLISHED", m)
	}
	_ = second.nc.SetReadDeadline(time.Now().Add(patienceOfTests))
	if m := second.hear(); kindOf(m) != wamp.PUBLISHED {
		b.t.Errorf("got %v, want PUBLISHED", m)
	}
	return nil
}

func (b *bench) deviceReadsNothing() wamp.Message {
	conn := b.guests(device(), 1)[0]
	b.send(conn, &wamp.Subscribe{Request: 1, Topic: "org.t.flood"})
	b.receive(conn)
	b.publishMuch(32 << 10) // more than the kernel holds
	return b.endOf(conn)
}

// neverFinishes sends a message byte by byte.
func (b *bench) neverFinishes() wamp.Message {
	w := b.stranger(ways[2], transport.CBOR)
	long := w.encoded(wamp.PUBLISH, 1, ack, "org.t.long", wamp.List{strings.Repeat("x", 1<<20)})
	go func() {
		for i := range long {
			if _, err := w.nc.Write(long[i : i+1]); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	m := w.hear()
	if details, _ := m[1].(map[string]any); kindOf(m) != wamp.ABORT || details[wire.LimitKey] != "message_time" {
		b.t.Errorf("got %v, want ABORT for message_time", m)
	}
	return nil
}

// deaf subscribes and reads no event of many.
func (b *bench) deaf() *transport.Conn {
	conn := b.raw(transport.CBOR, everyRole)
	b.send(conn, &wamp.Subscribe{Request: 1, Topic: "org.t.flood"})
	b.receive(conn)
	b.publishMuch(4000)
	return conn
}

// publishMuch publishes 500 events of so many bytes.
func (b *bench) publishMuch(size int) {
	publisher := b.join(transport.CBOR)
	for range 500 {
		if err := publisher.Publish(b.ctx(), "org.t.flood", []any{strings.Repeat("x", size)}, nil, true); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) readsNothing() wamp.Message { return b.endOf(b.deaf()) }

// endOf is what comes after the events.
func (b *bench) endOf(conn *transport.Conn) wamp.Message {
	for {
		if msg := b.receive(conn); msg.MessageType() != wamp.EVENT {
			return msg
		}
	}
}

func (b *bench) stalls() wamp.Message {
	b.deaf()
	return nil
}

// comesAgain has three sessions of one device.
func (b *bench) comesAgain() wamp.Message {
	for n := 0; ; n++ {
		conn, err := transport.Dial(b.dialTLS(), transport.JSON, transport.DefaultLimits())
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { conn.Abandon(); drain(conn) })
		b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
		if msg := b.receive(conn); n == 2 {
			return msg
		}
	}
}

// lingers shakes hands at the door and says no HELLO.
func (b *bench) lingers() wamp.Message {
	conn, _ := b.stands()
	return b.receive(conn)
}

// crowds has two more come while one waits at the door.
func (b *bench) crowds() wamp.Message {
	conn, s := b.stands()
	for range 2 {
		s.walk("127.0.0.1", rawHello)
	}
	return b.receive(conn)
}

// stands is a connection that waits at the door for its HELLO.
func (b *bench) stands() (*transport.Conn, *street) {
	s := b.street()
	conn, err := transport.Dial(s.walk("127.0.0.1", ""), transport.JSON, transport.DefaultLimits())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Abandon(); drain(conn) })
	conn.Flush()
	for limit := b.ctx(); !b.router.ledger.waits(); time.Sleep(time.Millisecond) {
		if limit.Err() != nil {
			b.t.Fatal("nobody waits at the door")
		}
	}
	return conn, s
}

// waits reports whether a connection has shaken hands and is no session yet.
func (l *ledger) waits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a := range l.open {
		if a.conn != nil && a.session == 0 {
			return true
		}
	}
	return false
}

func (b *bench) greetsTooMuch() wamp.Message {
	conn, _ := b.stands()
	b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: wamp.Dict{"roles": everyRole["roles"], "x": strings.Repeat("x", 2000)}})
	return b.receive(conn)
}

// failsTooOften is told in HTTP: a rawsocket has no word for it.
func (b *bench) failsTooOften() wamp.Message {
	s := b.street()
	for i := range 2 {
		s.hears(s.walk("127.0.0.1", "\x00"))
		s.failed(i + 1)
	}
	got := s.hears(s.walk("127.0.0.1", "GET /ws HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n"))
	if !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "limit door_failures: more than 2 ") {
		b.t.Errorf("it is told %q", got)
	}
	return nil
}

// fallsSilent joins, and answers no ping.
func (b *bench) fallsSilent() wamp.Message {
	s := b.street()
	got := s.hears(s.walk("127.0.0.1", rawHello+jsonFrame(`[1,"deskconn",{"roles":{"caller":{}}}]`)))
	if !strings.Contains(got, `"limit":"keepalive"`) || !strings.Contains(got, "not even the answer to a ping after 200ms") {
		b.t.Errorf("it is told %q", got)
	}
	return nil
}
