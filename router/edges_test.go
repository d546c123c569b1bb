package router

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// What is said before WELCOME comes from nobody: it is refused, or it waits until
// the session has its id. No callee hears of caller 0.
func TestNothingBeforeWelcome(t *testing.T) {
	b := start(t)
	if err := b.join(transport.CBOR).Register(b.ctx(), "org.t.who", func(_ context.Context, call *session.Invocation) (session.Result, error) {
		return session.Result{Args: []any{int64(call.Caller)}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		w := b.wild(ways[1], transport.CBOR)
		w.write(append(w.encoded(wamp.HELLO, wire.Realm, everyRole), w.encoded(wamp.CALL, 1, none, "org.t.who")...))
		m := w.hear()
		if id := m[1]; kindOf(m) == wamp.WELCOME {
			if m = w.hear(); kindOf(m) == wamp.RESULT && m[3].([]any)[0] != id {
				t.Errorf("the callee is told of caller %v, want %v", m[3], id)
			}
		}
		if kindOf(m) != wamp.RESULT && (kindOf(m) != wamp.ABORT || m[2] != wire.ErrProtocolViolation) {
			t.Errorf("got %v, want RESULT or ABORT", m)
		}
	}
}

// A topic that no event can have is refused, and so is a wildcard that takes long to
// compare with one; everything is a prefix.
func TestUnclearTopic(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		w := start(t).stranger(ways[0], c)
		for match, topics := range map[string][]string{
			"exact":    {"", "org.t\x00x", "org..x", "org.t x", "org.t."},
			"prefix":   {"org\x00", "org..t", "org #"},
			"wildcard": {"", "org\x00.t", strings.Repeat(".", wire.MaxComponents)},
		} {
			for _, topic := range topics {
				w.refused(wire.ErrInvalidURI, wamp.SUBSCRIBE, 1, wamp.Dict{"match": match}, topic)
			}
		}
		w.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 2, wamp.Dict{"match": "prefix"}, "")
		w.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 3, wamp.Dict{"match": "wildcard"}, strings.Repeat(".", wire.MaxComponents-1))
	})
}

// A list of whom an event is for that is empty, or is none, is refused: it is not
// for everybody.
func TestUnclearEligible(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		witness, w := b.stranger(ways[0], c), b.stranger(ways[1], c)
		witness.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 1, none, "org.t.secret")
		for name, lists := range map[string][]any{
			"eligible":        {wamp.List{}, wamp.List{"x"}, wamp.List{1, nil}, "x", 5, wamp.Dict{}},
			"eligible_authid": {wamp.List{}, wamp.List{1}, wamp.List{"x", 1}, "x", 5},
			"exclude":         {wamp.List{"x"}, "x"},
		} {
			for _, list := range lists {
				w.say(wamp.PUBLISH, 1, wamp.Dict{name: list}, "org.t.secret", wamp.List{"boo"})
				w.refused(wire.ErrInvalidArgument, wamp.PUBLISH, 2, wamp.Dict{name: list, "acknowledge": true}, "org.t.secret", wamp.List{"boo"})
			}
		}
		w.neverSaid(witness, "org.t.secret")
	})
}

// One URI may be a topic and a procedure, asked for in one breath.
func TestTopicAndProcedureOfOneName(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		w := start(t).stranger(ways[1], c)
		w.write(append(w.encoded(wamp.SUBSCRIBE, 1, none, "org.t.both"), w.encoded(wamp.REGISTER, 2, none, "org.t.both")...))
		for range 2 {
			if m := w.hear(); kindOf(m) != wamp.SUBSCRIBED && kindOf(m) != wamp.REGISTERED {
				t.Errorf("got %v", m)
			}
		}
	})
}

// A message of the most values that a router takes breaks no receiver, whatever
// the router adds to it. One more is refused.
func TestMostValues(t *testing.T) {
	most := make([]any, 1<<19-16-6) // without what the router may add, and what is in the message beside them
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		receiver, events := b.join(c), make(chan int, 1)
		if err := receiver.Subscribe(b.ctx(), "org.t.most", session.Exact, func(e *session.Event) { events <- len(e.Args) }); err != nil {
			t.Fatal(err)
		}
		if err := receiver.Register(b.ctx(), "org.t.most", func(_ context.Context, call *session.Invocation) (session.Result, error) {
			return session.Result{Args: []any{len(call.Args)}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		w := b.stranger(ways[1], transport.MsgPack)
		w.say(wamp.PUBLISH, 1, none, "org.t.most", most)
		if m := w.ask(wamp.RESULT, wamp.CALL, 2, none, "org.t.most", most); m[3].([]any)[0] != int64(len(most)) {
			t.Errorf("the callee got %v, want %d", m[3], len(most))
		}
		select {
		case n := <-events:
			if n != len(most) {
				t.Errorf("the subscriber got %d, want %d", n, len(most))
			}
		case <-receiver.Done():
			t.Errorf("the receiver's session ended: %v", receiver.Err())
		}
		w.say(wamp.CALL, 3, none, "org.t.most", append(most, nil))
		w.turnedAway()
	})
}

// What only one serializer has arrives as it was sent where the receiver speaks it, and
// half of a surrogate pair, which many decoders refuse, as U+FFFD. The argument list
// itself is untagged.
func TestOddArguments(t *testing.T) {
	for name, odd := range map[string]struct {
		codec        transport.Codec
		args, arrive string
	}{
		"tag 0 on a number":     {transport.CBOR, "\x81\xc0\x01", "\xa0\x81\xc0\x01"},
		"tags of a cycle":       {transport.CBOR, "\x81\xd8\x1c\x81\xd8\x1d\x00", "\xa0\x81\xd8\x1c\x81\xd8\x1d\x00"},
		"2^64":                  {transport.CBOR, "\x81\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00", "\xa0\x81\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00"},
		"an integer as key":     {transport.CBOR, "\x81\xa1\x01\x02", "\xa0\x81\xa1\x01\x02"},
		"tag on the arguments":  {transport.CBOR, "\xc0\x81\x01", "\xa0\x81\x01"},
		"text in chunks":        {transport.CBOR, "\x81\x7f\x62\u00e9\x61x\xff", "\xa0\x81\x7f\x62\u00e9\x61x\xff"},
		"an extension":          {transport.MsgPack, "\x91\xd4\x05\x06", "\x80\x91\xd4\x05\x06"},
		"2^64 in JSON":          {transport.JSON, `[18446744073709551616]`, "{},[18446744073709551616],{}]"},
		"half a surrogate pair": {transport.JSON, `["\ud800","\udc00x"]`, "{},[\"\ufffd\",\"\ufffdx\"],{}]"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			subscriber, w := b.stranger(ways[0], odd.codec), b.stranger(ways[1], odd.codec)
			subscriber.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 1, none, "org.t.odd")
			message, _ := odd.codec.Append(nil, []any{wamp.PUBLISH, 1, none, "org.t.odd"})
			if odd.codec == transport.JSON {
				message = []byte(strings.TrimSuffix(string(message), "]") + "," + odd.args + ",null]")
			} else {
				message[0]++ // a list of one more
				message = append(message, odd.args...)
			}
			w.write(w.way.frame(w, message))
			got, err := subscriber.way.next(subscriber)
			if err != nil || !bytes.HasSuffix(got, []byte(odd.arrive)) {
				t.Errorf("%q arrives in %q, %v; want %q", odd.args, got, err, odd.arrive)
			}
		})
	}
}

// A byte string in the place of the arguments, as older clients send an encrypted
// payload, is an error of that call, whoever answers it, and the session goes on.
func TestOpaqueArguments(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		callee, w := b.stranger(ways[0], c), b.stranger(ways[0], c)
		callee.ask(wamp.REGISTERED, wamp.REGISTER, 1, none, "org.t.opaque")
		for i, uri := range []string{"org.t.opaque", "org.deskconn.test.set"} {
			w.refused(wire.ErrInvalidArgument, wamp.CALL, i+1, none, uri, []byte{1, 2})
		}
		w.say(wamp.PUBLISH, 3, none, "org.t.opaque", []byte{1, 2})
		w.ask(wamp.PUBLISHED, wamp.PUBLISH, 4, wamp.Dict{"acknowledge": true}, "org.t.x")
		b.alive()
	})
}

// heldBy is by how many bytes do leaves the heap larger.
func heldBy(do func()) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	do()
	runtime.GC()
	runtime.GC() // what a sync.Pool keeps goes with the second
	runtime.ReadMemStats(&after)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}

// A small payload that waits for a subscriber holds none of the long message in
// which it came: what is counted is what is held.
func TestSmallPayloadOfLongMessage(t *testing.T) {
	const messages = 16
	b := start(t)
	stalled, w := b.stranger(ways[0], transport.CBOR), b.stranger(ways[0], transport.CBOR)
	stalled.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 1, none, "org.t.small")
	long := w.encoded(wamp.PUBLISH, 1, wamp.Dict{"x": strings.Repeat("x", 3<<20)}, "org.t.small", wamp.List{filler})
	if held := heldBy(func() {
		for range messages {
			w.write(long)
		}
		w.ask(wamp.PUBLISHED, wamp.PUBLISH, 2, ack, "org.t.other")
	}); held > messages<<20 {
		t.Errorf("%d messages of 3 MiB hold %d KiB, with payloads of 32 KiB", messages, held>>10)
	}
}

// A session that is idle holds nothing of its last message.
func TestIdleSessionsHoldNothing(t *testing.T) {
	const sessions = 10
	text := strings.Repeat("x", 1<<20)
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		if held := heldBy(func() {
			for range sessions {
				b.stranger(ways[0], c).ask(wamp.PUBLISHED, wamp.PUBLISH, 1, ack, "org.t.idle", wamp.List{text})
			}
		}); held > sessions*len(text)/2 {
			t.Errorf("%d idle sessions hold %d KiB", sessions, held>>10)
		}
	})
}

// Before WELCOME no more than 64 KiB of pongs wait for who does not read them.
func TestPongsBeforeWelcome(t *testing.T) {
	b := start(t)
	nc := b.dialTCP()
	defer nc.Close()
	_ = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	ping := append([]byte{1, 0, 0x1f, 0xff}, make([]byte, 0x1fff)...)
	_, err := nc.Write([]byte{0x7f, 0xf3, 0, 0})
	for sent := 0; err == nil && sent < 32<<20; sent += len(ping) { // more than sockets hold
		_ = nc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		_, err = nc.Write(ping)
	}
	if err == nil {
		t.Error("the router reads on")
	}
	b.router.ledger.mu.Lock()
	defer b.router.ledger.mu.Unlock()
	for a := range b.router.ledger.open {
		if a.conn == nil || a.session != 0 {
			continue
		}
		if n := a.conn.Stats().Queue; n > 64<<10+len(ping) {
			t.Errorf("%d KiB wait for a stranger", n>>10)
		}
	}
}
