package router

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// A session inside the daemon gets the events that others publish, by topic and by
// pattern.
func TestDaemonSubscribes(t *testing.T) {
	b := start(t)
	p, err := b.router.join(b.ctx(), "zz")
	if err != nil {
		t.Fatal(err)
	}
	defer p.session.Leave(b.ctx())
	got := make(chan *session.Event, 8)
	for uri, match := range map[string]string{"org.t.zz": session.Exact, "org.t": session.Prefix} {
		if err := p.session.Subscribe(b.ctx(), uri, match, func(e *session.Event) { got <- e }); err != nil {
			t.Fatal(err)
		}
	}
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		if err := b.join(c).Publish(b.ctx(), "org.t.zz", []any{"x"}, map[string]any{"n": 1}, true); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			select {
			case e := <-got:
				if e.Args[0] != "x" || e.Kwargs["n"] != int64(1) || e.Publisher != fmt.Sprintf("uid:%d", os.Geteuid()) {
					t.Errorf("got %+v", e)
				}
			case <-time.After(2 * time.Second):
				t.Fatal("the daemon's own session did not get the event")
			}
		}
	})
}

// The events of the daemon say who publishes them, as those of any session.
func TestDaemonIsDisclosed(t *testing.T) {
	b := start(t)
	p, err := b.router.join(b.ctx(), "zz")
	if err != nil {
		t.Fatal(err)
	}
	defer p.session.Leave(b.ctx())
	got := make(chan *session.Event, 1)
	if err := b.join(transport.JSON).Subscribe(b.ctx(), "org.t.zz", session.Exact, func(e *session.Event) { got <- e }); err != nil {
		t.Fatal(err)
	}
	if err := p.session.Publish(b.ctx(), "org.t.zz", nil, nil, false); err != nil {
		t.Fatal(err)
	}
	if e := <-got; e.Publisher != "daemon" {
		t.Errorf("the publisher is %q, want daemon", e.Publisher)
	}
}

// A burst of the daemon's own is lossless and in order, as that of any session: nothing
// bounds it but bytes.
func TestDaemonBurst(t *testing.T) {
	const events = 5000
	b := startWith(t, options(transport.DefaultLimits(), DefaultSessionLimits()))
	p, err := b.router.join(b.ctx(), "zz")
	if err != nil {
		t.Fatal(err)
	}
	defer p.session.Leave(b.ctx())
	for name, pair := range map[string][2]*session.Session{
		"from the daemon": {p.session, b.join(transport.JSON)}, "to the daemon": {b.join(transport.JSON), p.session},
	} {
		t.Run(name, func(t *testing.T) {
			topic, done, next := "org.t."+name[:2], make(chan struct{}), int64(0)
			if err := pair[1].Subscribe(b.ctx(), topic, session.Exact, func(e *session.Event) {
				if e.Args[0] != next {
					t.Errorf("got event %v, want %d", e.Args[0], next)
				}
				if next++; next == events {
					close(done)
				}
			}); err != nil {
				t.Fatal(err)
			}
			for n := range events {
				if err := pair[0].Publish(b.ctx(), topic, []any{n}, nil, false); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-done:
			case <-b.ctx().Done():
				t.Errorf("%d of %d events arrived", next, events)
			}
		})
	}
}

// A call reaches its callee, a capability or a session, also where its caller hangs up
// at once, over a unix socket and as a device over TLS.
func TestCallThenHangUp(t *testing.T) {
	const times = 40
	called := make(chan string, times)
	opts := DefaultOptions()
	opts.Certificate = &server().Certificate
	opts.Trust = storeOf(t, &trust.Device{ID: device().id, Name: "desk", Paired: time.Now().UTC(), Scopes: trust.Scopes{"call:org.t", "once"}})
	s := onStreetWith(t, opts)
	once := capabilities.Capability{Name: "once", Doc: "d", Procedures: []capabilities.Procedure{{
		Verb: "do", Doc: "d", Handle: func(context.Context, capabilities.Call) (any, error) {
			called <- "capability"
			return nil, nil
		},
	}}}
	if err := s.router.Offer(s.ctx(), append(s.router.directory.offered(), once), false); err != nil {
		t.Fatal(err)
	}
	if err := s.join(transport.CBOR).Register(s.ctx(), "org.t.once", func(context.Context, *session.Invocation) (session.Result, error) {
		called <- "session"
		return session.Result{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	for way, dial := range map[string]func() net.Conn{"unix": s.dial, "TLS": func() net.Conn { return s.dialTLS() }} {
		for callee, procedure := range map[string]wamp.URI{"capability": "org.deskconn.once.do", "session": "org.t.once"} {
			t.Run(way+"/"+callee, func(t *testing.T) {
				for range times {
					conn, err := transport.Dial(dial(), transport.CBOR, transport.DefaultLimits())
					if err != nil {
						t.Fatal(err)
					}
					s.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
					s.receive(conn)
					if err := conn.SendNow(s.ctx(), &wamp.Call{Request: 1, Procedure: procedure}); err != nil {
						t.Fatal(err)
					}
					conn.Close()
					drain(conn)
				}
				for n := range times {
					select {
					case got := <-called:
						if got != callee {
							t.Errorf("the %s was called", got)
						}
					case <-time.After(10 * time.Second):
						t.Fatalf("%d of %d calls arrived", n, times)
					}
				}
			})
		}
	}
}

// Who calls is told where the callee has asked for it, and where the caller wants it
// and the callee understands it.
func TestDiscloseMe(t *testing.T) {
	b := start(t)
	caller := b.raw(transport.CBOR, everyFeature)
	for i, row := range []struct {
		callee   wamp.Dict
		register wamp.Dict
		call     wamp.Dict
		told     bool
	}{
		{everyFeature, nil, nil, false},
		{everyFeature, nil, wamp.Dict{"disclose_me": true}, true},
		{everyRole, nil, wamp.Dict{"disclose_me": true}, false},
		{everyRole, wamp.Dict{"disclose_caller": true}, nil, true},
	} {
		uri := wamp.URI(fmt.Sprint("org.t.who", i))
		callee := b.raw(transport.JSON, row.callee)
		b.send(callee, &wamp.Register{Request: 1, Procedure: uri, Options: row.register})
		b.receive(callee)
		b.send(caller, &wamp.Call{Request: wamp.ID(i + 1), Procedure: uri, Options: row.call})
		m := b.receive(callee).(*wamp.Invocation)
		if told := m.Details["caller_authid"] != nil && m.Details["caller"] != nil; told != row.told {
			t.Errorf("row %d: the callee is told %v", i, m.Details)
		}
	}
}

// Calls go to the exact registration, else to the longest prefix, else to the longest
// wildcard, and a callee by pattern is told what was called. Nobody can register what
// covers the daemon's own.
func TestPatternRegistrations(t *testing.T) {
	opts := options(transport.DefaultLimits(), DefaultSessionLimits())
	b := startWith(t, opts)
	callee, caller := b.raw(transport.CBOR, everyFeature), b.raw(transport.CBOR, everyFeature)
	of := map[wamp.ID]string{}
	for i, r := range [][2]string{
		{"org.t.exact", "exact"}, {"org.t.ex", "prefix"}, {"org.t", "prefix"}, {"net..exact", "wildcard"}, {"com..x.", "wildcard"}, {"com...", "wildcard"},
	} {
		b.send(callee, &wamp.Register{Request: wamp.ID(i + 1), Procedure: wamp.URI(r[0]), Options: wamp.Dict{"match": r[1]}})
		of[b.receive(callee).(*wamp.Registered).Registration] = r[0]
	}
	for i, row := range [][2]string{
		{"org.t.exact", "org.t.exact"}, {"org.t.exactly", "org.t.ex"}, {"org.t.other", "org.t"},
		{"net.u.exact", "net..exact"}, {"com.a.x.b", "com..x."}, {"com.a.b.c", "com..."},
	} {
		b.send(caller, &wamp.Call{Request: wamp.ID(i + 1), Procedure: wamp.URI(row[0])})
		m := b.receive(callee).(*wamp.Invocation)
		if of[m.Registration] != row[1] || row[0] != row[1] && m.Details["procedure"] != row[0] || row[0] == row[1] && m.Details["procedure"] != nil {
			t.Errorf("a call to %s goes to %s, with %v", row[0], of[m.Registration], m.Details)
		}
	}
	b.refused(caller, &wamp.Call{Request: 99, Procedure: "com.a.b"}, wire.ErrNoSuchProcedure)
	for i, r := range [][2]string{
		{"org", "prefix"}, {"org.deskconn.", "prefix"}, {"org.deskconn.te", "prefix"}, {"org..test.set", "wildcard"}, {"...", "wildcard"}, {"wa", "prefix"},
	} {
		b.refused(callee, &wamp.Register{Request: wamp.ID(i + 20), Procedure: wamp.URI(r[0]), Options: wamp.Dict{"match": r[1]}}, wire.ErrNotAuthorized)
	}
}

// A procedure is described until nexus lets another session register it.
func TestUnregisterIsOneMoment(t *testing.T) {
	b := start(t)
	first, second := b.raw(transport.CBOR, everyRole), b.raw(transport.CBOR, everyRole)
	for round := range wamp.ID(200) {
		b.send(first, &wamp.Register{Request: 3*round + 1, Procedure: "org.t.moves"})
		registration := b.receive(first).(*wamp.Registered).Registration
		b.send(first, &wamp.Unregister{Request: 3*round + 2, Registration: registration})
		for len(b.router.directory.describe("org.t.moves")) > 0 {
			time.Sleep(10 * time.Microsecond)
		}
		b.send(second, &wamp.Register{Request: 2*round + 1, Procedure: "org.t.moves"})
		m, ok := b.receive(second).(*wamp.Registered)
		if !ok {
			t.Fatalf("round %d: it is not described, and still taken", round)
		}
		b.send(second, &wamp.Unregister{Request: 2*round + 2, Registration: m.Registration})
		b.receive(second)
		b.receive(first)
	}
}

// A callee whose queue is full is busy, however its procedure is registered.
func TestFullCalleeIsBusy(t *testing.T) {
	for _, invoke := range []string{"single", "roundrobin", "random", "first", "last"} {
		t.Run(invoke, func(t *testing.T) {
			b := startSmall(t, patienceOfTests)
			callee, caller := b.stranger(ways[0], transport.CBOR), b.raw(transport.CBOR, everyRole)
			callee.ask(wamp.REGISTERED, wamp.REGISTER, 1, wamp.Dict{"invoke": invoke}, "org.t.full")
			for id := wamp.ID(1); ; id++ {
				b.send(caller, &wamp.Call{Request: id, Procedure: "org.t.full", Arguments: wamp.List{filler}})
				if id < enough {
					continue
				}
				if e, ok := b.receive(caller).(*wamp.Error); !ok || e.Error != wire.ErrBusy {
					t.Errorf("got %+v, want %s", e, wire.ErrBusy)
				}
				return
			}
		})
	}
}

// Sessions that share a procedure take turns as their policy says.
func TestSharedRegistrations(t *testing.T) {
	for invoke, want := range map[string]string{"roundrobin": "abcabc", "first": "aaaaaa", "last": "cccccc"} {
		t.Run(invoke, func(t *testing.T) {
			b := start(t)
			for _, name := range []string{"a", "b", "c"} {
				s := b.raw(transport.CBOR, everyRole)
				b.send(s, &wamp.Register{Request: 1, Procedure: "org.t.shared", Options: wamp.Dict{"invoke": invoke}})
				b.receive(s)
				go func() {
					for m := range s.Recv() {
						if i, ok := m.(*wamp.Invocation); ok {
							_ = s.Send(context.Background(), &wamp.Yield{Request: i.Request, Arguments: wamp.List{name}})
						}
					}
				}()
			}
			caller, got := b.join(transport.JSON), ""
			for range want {
				r, err := caller.Call(b.ctx(), "org.t.shared", nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				got += r.Args[0].(string)
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// A session that has lowered its rights may do what it kept, and the daemon says so.
func TestLoweredRights(t *testing.T) {
	overWays(t, func(t *testing.T, y way, c transport.Codec) {
		b := start(t)
		hidden := b.raw(c, everyRole)
		b.send(hidden, &wamp.Register{Request: 1, Procedure: "org.u.hidden"})
		b.receive(hidden)
		w := b.wild(y, c)
		w.say(wamp.HELLO, wire.Realm, wamp.Dict{"roles": everyRole["roles"], wire.ScopesKey: wamp.List{"test", "call:org.t", "subscribe:org.t"}})
		welcome := w.hear()
		if kindOf(welcome) != wamp.WELCOME || fmt.Sprint(welcome[2].(map[string]any)[wire.ScopesKey]) != "[test call:org.t subscribe:org.t]" {
			t.Fatalf("got %v, want WELCOME with the scopes", welcome)
		}
		w.ask(wamp.RESULT, wamp.CALL, 1, none, "org.deskconn.test.set", wamp.List{1})
		w.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 2, none, "org.t.x")
		w.refused(wire.ErrNoSuchProcedure, wamp.CALL, 3, none, "org.t.nothing")
		for i, refused := range [][]any{
			{wamp.CALL, none, "org.u.x"}, {wamp.CALL, none, wire.Status}, {wamp.CALL, none, "wamp.session.count"},
			{wamp.SUBSCRIBE, none, "org.u.x"}, {wamp.SUBSCRIBE, wamp.Dict{"match": "prefix"}, ""}, {wamp.REGISTER, none, "org.t.x"}, {wamp.PUBLISH, ack, "org.t.x"},
		} {
			w.refused(wire.ErrNotAuthorized, append([]any{refused[0], 10 + i}, refused[1:]...)...)
		}
		list := w.ask(wamp.RESULT, wamp.CALL, 4, none, wire.Describe)[3].([]any)[0].([]any)
		if len(list) != 3 {
			t.Errorf("describe lists %v, want what is kept", list)
		}
		if rows := b.status(b.join(c), "sessions"); fmt.Sprint(rows[1]["scopes"]) != "[test call:org.t subscribe:org.t]" || rows[0]["scopes"] != nil {
			t.Errorf("status says %v", rows)
		}
	})
	for _, scopes := range []any{"test", wamp.List{1}, wamp.List{"no scope"}, wamp.Dict{}} {
		b := start(t)
		conn := b.link(transport.CBOR)
		b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: wamp.Dict{"roles": everyRole["roles"], wire.ScopesKey: scopes}})
		b.aborted(conn, wire.ErrInvalidArgument)
	}
	b := start(t)
	none := b.raw(transport.CBOR, wamp.Dict{"roles": everyRole["roles"], wire.ScopesKey: wamp.List{}})
	b.refused(none, &wamp.Call{Request: 1, Procedure: "org.deskconn.test.set"}, wire.ErrNotAuthorized)
}

// An ABORT of a peer ends its session and is not answered (WAMP specification, section
// "Session Closing").
func TestAbortIsNotAnswered(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		conn := b.raw(c, everyRole)
		b.send(conn, &wamp.Abort{Reason: "org.t.why", Details: wamp.Dict{}})
		for msg := range conn.Recv() {
			t.Errorf("it is answered with %+v", msg)
		}
		<-conn.Done()
		b.alive()
	})
}

// What only one serializer can say goes as it is to a session that speaks it. To any
// other, numbers become floats, and the rest is an error for the sender: nobody loses
// a session, and an event that somebody could not read goes to nobody.
func TestForeignValues(t *testing.T) {
	b := start(t)
	same, other := b.stranger(ways[0], transport.CBOR), b.stranger(ways[0], transport.JSON)
	for _, w := range []*wild{same, other} {
		w.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 1, none, "org.t.foreign")
	}
	json := b.stranger(ways[0], transport.JSON)
	json.write(rawsocketFrame(nil, []byte(`[16,1,{"acknowledge":true},"org.t.foreign",[100000000000000000000,18446744073709551615]]`)))
	if m := json.hear(); kindOf(m) != wamp.PUBLISHED {
		t.Errorf("got %v, want PUBLISHED", m)
	}
	if got := same.hear()[4].([]any); got[0] != 1e20 || got[1] != uint64(18446744073709551615) {
		t.Errorf("the CBOR subscriber gets %v, want a float", got)
	}
	if got := other.hear(); kindOf(got) != wamp.EVENT {
		t.Errorf("the JSON subscriber gets %v", got)
	}
	cbor := b.stranger(ways[0], transport.CBOR)
	integerKey := append([]byte{0x85, byte(wamp.PUBLISH), 1, 0xa1, 0x6b}, "acknowledge\xf5\x6dorg.t.foreign\x81\xa1\x01\x02"...)
	cbor.write(rawsocketFrame(nil, integerKey))
	if m := cbor.hear(); kindOf(m) != wamp.ERROR || m[4] != wire.ErrInvalidArgument {
		t.Errorf("got %v, want ERROR %s", m, wire.ErrInvalidArgument)
	}
	json.ask(wamp.PUBLISHED, wamp.PUBLISH, 2, ack, "org.t.foreign", wamp.List{"after"})
	for _, w := range []*wild{same, other} {
		if m := w.hear(); fmt.Sprint(m[4]) != "[after]" {
			t.Errorf("got %v, want the event after", m)
		}
	}
	for i, uri := range []string{"org.t.echo", "org.deskconn.test.set"} { // a JSON callee, and the daemon's own
		if i == 0 {
			other.ask(wamp.REGISTERED, wamp.REGISTER, 2, none, uri)
		}
		call := append([]byte{0x85, 0x18, byte(wamp.CALL), byte(i + 2), 0xa0, 0x78, byte(len(uri))}, uri+"\x81\xa1\x01\x02"...)
		cbor.write(rawsocketFrame(nil, call))
		if m := cbor.hear(); kindOf(m) != wamp.ERROR || m[4] != wire.ErrInvalidArgument {
			t.Errorf("a call to %s: got %v, want ERROR %s", uri, m, wire.ErrInvalidArgument)
		}
	}
	b.alive()
}

// Every feature that is announced stands in docs/protocol.md, and every call to the
// meta API that is refused has its reason there.
func TestProtocolHasTheFeatures(t *testing.T) {
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for role, v := range routerRoles {
		for feature := range v.(wamp.Dict)["features"].(wamp.Dict) {
			if !strings.Contains(string(text), feature) {
				t.Errorf("docs/protocol.md does not name %s of the %s", feature, role)
			}
		}
	}
	for _, name := range []string{"testaments", "payload passthru", "event history"} {
		if !strings.Contains(string(text), "| "+name) {
			t.Errorf("docs/protocol.md does not say why there are no %s", name)
		}
	}
}
