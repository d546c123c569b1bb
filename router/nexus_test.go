package router

import (
	"context"
	"sync"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// The crash table of nexus v3.3.0: what ends a stock router, over the socket.
func TestNexusCrashes(t *testing.T) {
	call := func(options wamp.Dict) *wamp.Call {
		return &wamp.Call{Request: 1, Options: options, Procedure: "org.deskconn.test.set", Arguments: wamp.List{1}}
	}
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		for row, attack := range map[string]func(){
			"1 frame type 3": func() {
				nc := b.dial()
				_, _ = nc.Write([]byte{0x7f, 0xf1, 0, 0, 3, 0, 0, 0})
				_, _ = nc.Read(make([]byte, 64))
				_ = nc.Close()
			},
			"2 unknown invoke": func() {
				conn := b.raw(c, everyRole)
				for i := range 2 {
					b.refused(conn, &wamp.Register{Request: wamp.ID(i + 1), Options: wamp.Dict{"invoke": "foo"}, Procedure: "org.t.x"}, wire.ErrInvalidArgument)
				}
				b.refused(conn, &wamp.Call{Request: 3, Procedure: "org.t.x"}, wire.ErrNoSuchProcedure)
			},
			"3 ppt options that are no text": func() {
				conn := b.raw(c, everyRole)
				ppt := wamp.Dict{"ppt_scheme": "x_a", "ppt_serializer": 1}
				b.refused(conn, call(ppt), wire.ErrNotSupported)
				b.refused(conn, &wamp.Publish{Request: 2, Options: wamp.Dict{"ppt_scheme": "x_a", "ppt_serializer": 1, "acknowledge": true}, Topic: "a.b"}, wire.ErrNotSupported)
				b.send(conn, &wamp.Publish{Request: 3, Options: ppt, Topic: "a.b"})
				b.send(conn, &wamp.Register{Request: 4, Procedure: "org.t.ppt"})
				b.receive(conn)
				b.send(conn, &wamp.Call{Request: 5, Procedure: "org.t.ppt"})
				invocation := b.receive(conn).(*wamp.Invocation)
				b.send(conn, &wamp.Yield{Request: invocation.Request, Options: ppt})
				if e, ok := b.receive(conn).(*wamp.Error); !ok || e.Error != wire.ErrApplication {
					t.Errorf("a YIELD with ppt became %+v", e)
				}
			},
			"4 progress that was not announced": func() {
				b.refused(b.raw(c, wamp.Dict{"roles": wamp.Dict{"caller": wamp.Dict{}}}), call(wamp.Dict{"progress": true}), wire.ErrNotSupported)
			},
			"5 testament with ppt": func() {
				conn := b.raw(c, everyRole)
				b.refused(conn, &wamp.Call{Request: 1, Procedure: "wamp.session.add_testament", Arguments: wamp.List{"a.b", wamp.List{}, wamp.Dict{}},
					ArgumentsKw: wamp.Dict{"publish_options": wamp.Dict{"ppt_scheme": "x"}}}, wire.ErrNotAuthorized)
			},
			"6 one procedure twice in a session": func() {
				conn := b.raw(c, everyRole)
				shared := wamp.Dict{"invoke": "roundrobin"}
				b.send(conn, &wamp.Register{Request: 1, Options: shared, Procedure: "org.t.shared"})
				b.receive(conn)
				b.refused(conn, &wamp.Register{Request: 2, Options: shared, Procedure: "org.t.shared"}, wire.ErrAlreadyExists)
				conn.Abandon()
				drain(conn)
				b.gone("org.t.shared")
			},
			"7 several pattern subscribers": func() { b.patterns(c) },
			"8 HELLO and away": func() {
				for range 50 {
					conn, err := transport.Dial(b.dial(), c, transport.DefaultLimits())
					if err != nil {
						t.Fatal(err)
					}
					b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
					conn.Abandon()
					drain(conn)
				}
			},
		} {
			attack()
			t.Log("row", row)
			b.alive()
		}
	})
}

// patterns publishes to subscribers by prefix, wildcard and exact URI at once.
func (b *bench) patterns(c transport.Codec) {
	b.t.Helper()
	var all sync.WaitGroup
	subscribe := func(topic, match string) {
		all.Add(1)
		n := 0
		err := b.join(c).Subscribe(b.ctx(), topic, match, func(e *session.Event) {
			if n++; n == 300 {
				all.Done()
			}
			if match != session.Exact && e.Topic != "org.t.p" {
				b.t.Errorf("topic %q by %s", e.Topic, match)
			}
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	for range 3 {
		subscribe("org.t", session.Prefix)
		subscribe("org..p", session.Wildcard)
		subscribe("org.t.p", session.Exact)
	}
	publisher := b.join(c)
	for i := range 300 {
		if err := publisher.Publish(b.ctx(), "org.t.p", []any{i}, map[string]any{"i": i}, false); err != nil {
			b.t.Fatal(err)
		}
	}
	all.Wait()
}

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
