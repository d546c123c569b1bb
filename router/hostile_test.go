package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// Row 1 of the crash table, every reserved frame type and every serializer.
func TestReservedFrames(t *testing.T) {
	b := start(t)
	for serializer := byte(1); serializer <= 3; serializer++ {
		for kind := byte(3); kind < 8; kind++ {
			nc := b.dial()
			if _, err := nc.Write([]byte{0x7f, 0xf0 | serializer, 0, 0, kind, 0, 0, 0}); err != nil {
				t.Fatal(err)
			}
			got := 0
			for buf := make([]byte, 64); ; {
				n, err := nc.Read(buf)
				got += n
				if err != nil {
					break
				}
			}
			if _ = nc.Close(); got != 4 {
				t.Errorf("serializer %d, frame type %d: %d bytes came back, want the handshake and the end", serializer, kind, got)
			}
		}
	}
	b.alive()
}

// Rows 11 and 12: our own session as the victim of payload passthru.
func TestOwnSessionAsVictim(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		victim, attacker := b.join(c), b.raw(transport.CBOR, everyRole)
		events := make(chan *session.Event, 2)
		if err := victim.Subscribe(b.ctx(), "org.t.topic", session.Exact, func(e *session.Event) { events <- e }); err != nil {
			t.Fatal(err)
		}
		if err := victim.Register(b.ctx(), "org.t.proc", func(_ context.Context, call *session.Invocation) (session.Result, error) {
			return session.Result{Args: call.Args}, nil
		}); err != nil {
			t.Fatal(err)
		}
		ppt := func() wamp.Dict { return wamp.Dict{"ppt_scheme": "wamp", "ppt_serializer": "cbor"} }
		b.send(attacker, &wamp.Publish{Request: 1, Options: ppt(), Topic: "org.t.topic"}) // no answer: not acknowledged
		b.refused(attacker, &wamp.Call{Request: 2, Options: ppt(), Procedure: "org.t.proc", Arguments: wamp.List{"x"}}, wire.ErrNotSupported)
		b.send(attacker, &wamp.Publish{Request: 3, Topic: "org.t.topic", Arguments: wamp.List{"after"}})
		if e := <-events; len(e.Args) != 1 || e.Args[0] != "after" {
			t.Errorf("event %+v, want only the one after", e)
		}
		b.send(attacker, &wamp.Call{Request: 4, Procedure: "org.t.proc", Arguments: wamp.List{"x"}})
		if r, ok := b.receive(attacker).(*wamp.Result); !ok || r.Request != 4 || r.Arguments[0] != "x" {
			t.Errorf("got %+v, want RESULT 4", r)
		}
		if victim.Err() != nil {
			t.Errorf("the victim's session ended: %v", victim.Err())
		}
	})
}

// junk is of every type a serializer has, and at its edges.
var junk = []any{
	nil, true, int64(-1), int64(math.MinInt64), uint64(math.MaxUint64), 0.5, math.Inf(-1), "", "x", "\x00x", []byte{0xff},
	wamp.List{}, wamp.List{nil, -1, "x", wamp.List{wamp.Dict{}}}, wamp.Dict{}, wamp.Dict{"x": wamp.Dict{"": nil}},
}

var junkOptions = []string{
	"acknowledge", "exclude_me", "exclude", "eligible", "exclude_authid", "exclude_authrole", "eligible_authid",
	"eligible_authrole", "disclose_me", "retain", "get_retained", "match", "invoke", "disclose_caller", "force_reregister",
	"receive_progress", "progress", "timeout", "mode", "reason", "rkey", "runmode", "ppt_scheme", "ppt_serializer",
	"ppt_cipher", "ppt_keyid", "x_own",
}

var junkURIs = []wamp.URI{"", "a..b", "org.t.junk", "wamp.session.get", "org.deskconn.test.set"}

// withJunk is every request with one odd option and odd arguments.
func withJunk(option string, v any, uri wamp.URI, id wamp.ID) []wamp.Message {
	o := func() wamp.Dict { return wamp.Dict{option: v} }
	args, kw := wamp.List{v, v}, wamp.Dict{option: v}
	return []wamp.Message{
		&wamp.Publish{Request: id, Options: o(), Topic: uri, Arguments: args, ArgumentsKw: kw},
		&wamp.Subscribe{Request: id + 1, Options: o(), Topic: uri},
		&wamp.Register{Request: id + 2, Options: o(), Procedure: uri},
		&wamp.Call{Request: id + 3, Options: o(), Procedure: uri, Arguments: args, ArgumentsKw: kw},
		&wamp.Cancel{Request: id + 3, Options: o()},
		&wamp.Yield{Request: id, Options: o(), Arguments: args, ArgumentsKw: kw},
		&wamp.Error{Type: wamp.INVOCATION, Request: id, Details: o(), Error: uri, Arguments: args},
		&wamp.Unsubscribe{Request: id + 4, Subscription: id},
		&wamp.Unregister{Request: id + 5, Registration: id},
	}
}

// Every option with every junk, in every request: the daemon lives, and so
// does the session, because none of it is a breach of the protocol.
func TestJunkOptions(t *testing.T) {
	b := start(t)
	conn := b.raw(transport.CBOR, everyRole)
	var reading sync.WaitGroup
	reading.Go(func() {
		for range conn.Recv() { // it must read, or it is cut off
		}
	})
	id := wamp.ID(1)
	for _, option := range junkOptions {
		for _, v := range junk {
			for _, uri := range junkURIs {
				b.send(conn, withJunk(option, v, uri, id)...)
				id += 6
			}
		}
	}
	if conn.Err() != nil {
		t.Errorf("the session ended: %v", conn.Err())
	}
	b.alive()
	conn.Close()
	reading.Wait()
}

// A HELLO of junk is answered or ends its connection, and nothing else.
func TestJunkHello(t *testing.T) {
	b := start(t)
	for _, v := range junk {
		for _, details := range []wamp.Dict{
			{"roles": v}, {"roles": wamp.Dict{"caller": v}}, {"roles": wamp.Dict{"caller": wamp.Dict{"features": v}}},
			{"roles": wamp.Dict{"caller": wamp.Dict{}}, "authmethods": v, "agent": v, "authextra": v, wire.ProtocolKey: v},
		} {
			conn := b.link(transport.CBOR)
			b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: details})
			switch m := b.receive(conn).(type) {
			case *wamp.Welcome, *wamp.Abort:
			default:
				t.Errorf("HELLO %v was answered with %s", details, m.MessageType())
			}
			conn.Abandon()
			drain(conn)
		}
	}
	b.alive()
}

// ERROR for anything but an invocation ends the session with an ABORT.
func TestErrorOfWrongType(t *testing.T) {
	b := start(t)
	conn := b.raw(transport.CBOR, everyRole)
	b.send(conn, &wamp.Error{Type: wamp.CALL, Request: 1, Details: wamp.Dict{}, Error: "a.b"})
	b.aborted(conn, wire.ErrProtocolViolation)
	b.alive()
}

// A request id in flight is refused whatever the first request named, so that
// the answers find the right one.
func TestGuardKeepsRequestsApart(t *testing.T) {
	for name, first := range map[string]wamp.Message{
		"SUBSCRIBE": &wamp.Subscribe{Request: 1, Topic: "org.t.topic"}, "REGISTER": &wamp.Register{Request: 1, Procedure: "org.t.first"},
		"SUBSCRIBE without a topic": &wamp.Subscribe{Request: 1}, "REGISTER without a procedure": &wamp.Register{Request: 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuard(newLedger(slog.New(slog.DiscardHandler)).begin(Identity{}), DefaultSessionLimits(), newDirectory())
			g.greeted = true
			if _, answer, err := g.Inbound(first); answer != nil || err != nil {
				t.Fatalf("refused: %+v, %v", answer, err)
			}
			pass, answer, err := g.Inbound(&wamp.Register{Request: 1, Procedure: "org.t.second"})
			if refused, ok := answer.(*wamp.Error); pass != nil || err != nil || !ok || refused.Error != wire.ErrInvalidArgument {
				t.Errorf("passed %+v, answered %+v, %v; want a refusal", pass, answer, err)
			}
		})
	}
}

// What vanishes is not described any more, and what stays is.
func TestDescribeFollowsRegistrations(t *testing.T) {
	b, begin := start(t), time.Now()
	s, stays := b.join(transport.CBOR), b.raw(transport.JSON, everyRole)
	register := func(conn *transport.Conn, id wamp.ID, uri wamp.URI) wamp.ID {
		t.Helper()
		b.send(conn, &wamp.Register{Request: id, Options: wamp.Dict{"invoke": "roundrobin"}, Procedure: uri})
		m, ok := b.receive(conn).(*wamp.Registered)
		if !ok {
			t.Fatalf("%s is not registered", uri)
		}
		return m.Registration
	}
	// A session that says GOODBYE is gone for callers a moment before its
	// registrations are gone from here.
	described := func(uri string, want int) {
		t.Helper()
		for {
			r, err := s.Call(b.ctx(), wire.Describe, []any{uri}, nil)
			if err != nil {
				t.Fatal(err)
			}
			list, ok := r.Args[0].([]any)
			if ok && len(list) == want {
				return
			}
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("describe %s: %v, want %d entries", uri, r.Args[0], want)
			}
			time.Sleep(time.Millisecond)
		}
	}
	leaves := b.raw(transport.MsgPack, everyRole)
	register(stays, 1, "org.t.shared")
	register(leaves, 1, "org.t.shared")
	own := register(stays, 2, "org.t.own")
	described("org.t.shared", 1)
	described("org.t.own", 1)
	b.send(leaves, &wamp.Goodbye{Reason: wamp.CloseNormal, Details: wamp.Dict{}})
	b.receive(leaves)
	leaves.Close()
	drain(leaves)
	described("org.t.shared", 1)
	b.send(stays, &wamp.Unregister{Request: 3, Registration: own})
	b.receive(stays)
	described("org.t.own", 0)
	b.refused(stays, &wamp.Unregister{Request: 4, Registration: own}, wire.ErrNoSuchRegistration)
	stays.Abandon()
	drain(stays)
	b.gone("org.t.shared")
	described("org.t.shared", 0)
	described("org.deskconn.test.set", 1)
}

// One caller must not be able to end the session of a callee, nor a publisher
// that of a subscriber, by sending what is too long for it.
func TestTooLongForTheReceiver(t *testing.T) {
	b := start(t)
	nc := b.dial()
	small := transport.DefaultLimits()
	small.Message = 512
	callee, err := transport.Dial(nc, transport.CBOR, small)
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.Join(b.ctx(), callee, "small")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Leave(b.ctx())
	if err := s.Register(b.ctx(), "org.t.small", func(_ context.Context, call *session.Invocation) (session.Result, error) {
		return session.Result{Args: call.Args}, nil
	}); err != nil {
		t.Fatal(err)
	}
	caller := b.join(transport.CBOR)
	_, err = caller.Call(b.ctx(), "org.t.small", []any{strings.Repeat("x", 600)}, nil)
	wantError(t, err, wire.ErrLimit)
	if r, err := caller.Call(b.ctx(), "org.t.small", []any{"x"}, nil); err != nil || r.Args[0] != "x" {
		t.Errorf("the next call: %v, %v", r, err)
	}
}

// Close while everybody calls, publishes, subscribes and comes and goes: every
// session ends with an error, and nothing stays behind (TestMain).
func TestCloseUnderLoad(t *testing.T) {
	for round := range 2 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			b := start(t)
			var all sync.WaitGroup
			busy := make(chan struct{}, 1000)
			for i := range 20 {
				s := b.join(codecs[i%len(codecs)])
				match := []string{session.Exact, session.Prefix, session.Wildcard}[i%3]
				topic := map[string]string{session.Exact: "org.t.load", session.Prefix: "org.t", session.Wildcard: "org..load"}[match]
				if err := s.Subscribe(b.ctx(), topic, match, func(*session.Event) {}); err != nil {
					t.Fatal(err)
				}
				all.Go(func() { load(b.ctx(), s, i, busy) })
			}
			all.Go(func() { comeAndGo(b.path, busy) })
			for range 500 {
				<-busy
			}
			b.router.Close()
			all.Wait()
		})
	}
}

// load calls and publishes until its session ends.
func load(ctx context.Context, s *session.Session, i int, busy chan<- struct{}) {
	for n := 0; s.Err() == nil; n++ {
		_ = s.Publish(ctx, "org.t.load", []any{n}, map[string]any{"n": n}, n%5 == 0)
		_, _ = s.Call(ctx, "org.deskconn.test.set", []any{n % 101}, nil)
		_ = s.Register(ctx, fmt.Sprintf("org.t.load%d", i), func(context.Context, *session.Invocation) (session.Result, error) {
			return session.Result{}, errors.New("no")
		})
		select {
		case busy <- struct{}{}:
		default:
		}
	}
}

// comeAndGo connects until nobody listens.
func comeAndGo(path string, busy chan<- struct{}) {
	for i := 0; ; i++ {
		nc, err := net.Dial("unix", path)
		if err != nil {
			return
		}
		conn, err := transport.Dial(nc, codecs[i%len(codecs)], transport.DefaultLimits())
		if err != nil {
			return
		}
		_ = conn.Send(context.Background(), &wamp.Hello{Realm: wire.Realm, Details: everyRole})
		if i%2 == 0 {
			conn.Abandon()
		} else {
			conn.Close()
		}
		drain(conn)
		select {
		case busy <- struct{}{}:
		default:
		}
	}
}
