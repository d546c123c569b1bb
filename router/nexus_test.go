package router

import (
	"context"
	"reflect"
	"sync"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// row is one thing that ends, hangs or deceives a stock router of nexus, or its
// client. Every row goes through every listener in every serializer, and then
// the router must still work.
type row struct {
	name string
	run  func(b *bench, y way, c transport.Codec)
}

func TestNexusCrashes(t *testing.T)  { runRows(t, crashes) }
func TestNexusDeceives(t *testing.T) { runRows(t, deceptions) }

func runRows(t *testing.T, rows []row) {
	overWays(t, func(t *testing.T, y way, c transport.Codec) {
		router := start(t)
		for _, r := range rows {
			t.Run("nexus v3.3.0: "+r.name, func(t *testing.T) {
				b := *router
				b.t = t
				r.run(&b, y, c)
				b.alive()
			})
		}
	})
}

// ppt is payload passthru as no stock router survives it.
func ppt() wamp.Dict { return wamp.Dict{"ppt_scheme": "x_a", "ppt_serializer": 1} }

var (
	none = wamp.Dict{}
	ack  = wamp.Dict{"acknowledge": true}
)

// crashes end the process of a stock router, or of its client.
var crashes = []row{
	{"frames of types that do not exist, before HELLO", func(b *bench, y way, c transport.Codec) {
		for _, frame := range y.broken {
			w := b.wild(y, c)
			w.write(frame)
			w.turnedAway()
		}
	}},
	{"frames of types that do not exist, in a session", func(b *bench, y way, c transport.Codec) {
		for _, frame := range y.broken {
			w := b.stranger(y, c)
			w.write(frame)
			w.turnedAway()
		}
	}},
	{"REGISTER twice with an unknown invoke policy, then CALL", func(b *bench, y way, c transport.Codec) {
		w := b.stranger(y, c)
		for id := range 2 {
			w.refused(wire.ErrInvalidArgument, wamp.REGISTER, id+1, wamp.Dict{"invoke": "foo"}, "org.t.x")
		}
		w.refused(wire.ErrNoSuchProcedure, wamp.CALL, 3, none, "org.t.x")
	}},
	{"PUBLISH with ppt options that are no text", func(b *bench, y way, c transport.Codec) {
		w := b.stranger(y, c)
		acked := ppt()
		acked["acknowledge"] = true
		w.refused(wire.ErrNotSupported, wamp.PUBLISH, 1, acked, "org.t.x")
		w.say(wamp.PUBLISH, 2, ppt(), "org.t.x") // no answer: not acknowledged
		w.ask(wamp.PUBLISHED, wamp.PUBLISH, 3, ack, "org.t.x")
	}},
	{"CALL with ppt options that are no text", func(b *bench, y way, c transport.Codec) {
		b.stranger(y, c).refused(wire.ErrNotSupported, wamp.CALL, 1, ppt(), "org.deskconn.test.set", wamp.List{1})
	}},
	{"YIELD with ppt options that are no text", func(b *bench, y way, c transport.Codec) {
		w := b.stranger(y, c)
		w.ask(wamp.REGISTERED, wamp.REGISTER, 1, none, "org.t.ppt")
		w.say(wamp.CALL, 2, none, "org.t.ppt")
		w.say(wamp.YIELD, w.hear()[1], ppt())
		if m := w.hear(); kindOf(m) != wamp.ERROR || m[4] != wire.ErrApplication {
			b.t.Errorf("the caller hears %v, want ERROR %s", m, wire.ErrApplication)
		}
	}},
	{"CALL with progress, which was not announced", func(b *bench, y way, c transport.Codec) {
		w := b.wild(y, c)
		w.greet(wamp.Dict{"roles": wamp.Dict{"caller": none}})
		w.refused(wire.ErrNotSupported, wamp.CALL, 1, wamp.Dict{"progress": true}, "org.deskconn.test.set", wamp.List{1})
	}},
	{"a testament with ppt, left behind, then a meta call", func(b *bench, y way, c transport.Codec) {
		w := b.stranger(y, c)
		w.refused(wire.ErrNotAuthorized, wamp.CALL, 1, none, "wamp.session.add_testament",
			wamp.List{"org.t.will", wamp.List{}, none}, wamp.Dict{"publish_options": wamp.Dict{"ppt_scheme": "x"}})
		_ = w.nc.Close()
		if _, err := b.join(c).Call(b.ctx(), "wamp.session.count", nil, nil); err != nil {
			b.t.Errorf("a meta call: %v", err)
		}
	}},
	{"one shared procedure twice in a session that leaves, then CALL", func(b *bench, y way, c transport.Codec) {
		w, shared := b.stranger(y, c), wamp.Dict{"invoke": "roundrobin"}
		w.ask(wamp.REGISTERED, wamp.REGISTER, 1, shared, "org.t.shared")
		w.refused(wire.ErrAlreadyExists, wamp.REGISTER, 2, shared, "org.t.shared")
		_ = w.nc.Close()
		b.gone("org.t.shared")
	}},
	{"events for several pattern subscribers at once", func(b *bench, y way, c transport.Codec) { b.patterns(y, c) }},
	{"HELLO and away before WELCOME", func(b *bench, y way, c transport.Codec) {
		for range 50 {
			w := b.wild(y, c)
			w.say(wamp.HELLO, wire.Realm, everyRole)
			_ = w.nc.Close()
		}
	}},
	{"PUBLISH with ppt and no arguments, to a subscriber of the client library", func(b *bench, y way, c transport.Codec) {
		victim, w := b.joinBy(y, c), b.stranger(y, c)
		events := make(chan *session.Event, 2)
		if err := victim.Subscribe(b.ctx(), "org.t.topic", session.Exact, func(e *session.Event) { events <- e }); err != nil {
			b.t.Fatal(err)
		}
		w.say(wamp.PUBLISH, 1, wamp.Dict{"ppt_scheme": "x_a"}, "org.t.topic")
		w.say(wamp.PUBLISH, 2, none, "org.t.topic", wamp.List{"after"})
		if e := <-events; len(e.Args) != 1 || e.Args[0] != "after" {
			b.t.Errorf("event %+v, want only the one after", e)
		}
	}},
	{"CALL with ppt and a payload of another kind, to a callee of the client library", func(b *bench, y way, c transport.Codec) {
		victim, w := b.joinBy(y, c), b.stranger(y, c)
		if err := victim.Register(b.ctx(), "org.t.proc", func(_ context.Context, call *session.Invocation) (session.Result, error) {
			return session.Result{Args: call.Args}, nil
		}); err != nil {
			b.t.Fatal(err)
		}
		w.refused(wire.ErrNotSupported, wamp.CALL, 1, wamp.Dict{"ppt_scheme": "wamp", "ppt_serializer": "cbor"}, "org.t.proc", wamp.List{"x"})
		if m := w.ask(wamp.RESULT, wamp.CALL, 2, none, "org.t.proc", wamp.List{"x"}); !reflect.DeepEqual(m[3], []any{"x"}) {
			b.t.Errorf("got %v, want x", m)
		}
	}},
}

// patterns publishes to subscribers by prefix, wildcard and exact URI at once.
func (b *bench) patterns(y way, c transport.Codec) {
	b.t.Helper()
	const events = 300
	var all sync.WaitGroup
	subscribe := func(topic, match string) {
		all.Add(1)
		n := 0
		err := b.joinBy(y, c).Subscribe(b.ctx(), topic, match, func(e *session.Event) {
			if n++; n == events {
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
	w := b.stranger(y, c)
	for i := range events {
		w.say(wamp.PUBLISH, i+1, wamp.Dict{"disclose_me": true}, "org.t.p", wamp.List{i}, wamp.Dict{"i": i})
	}
	all.Wait()
}
