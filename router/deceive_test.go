package router

import (
	"reflect"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// deceptions do not end a stock router, but somebody is told what is not so, or
// waits for ever.
var deceptions = []row{
	{"a testament is published past every rule", func(b *bench, y way, c transport.Codec) {
		witness, w := b.stranger(y, c), b.stranger(y, c)
		witness.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 1, none, "org.t.will")
		for i, scope := range []string{"destroyed", "detached"} {
			w.refused(wire.ErrNotAuthorized, wamp.CALL, i+1, none, "wamp.session.add_testament",
				wamp.List{"org.t.will", wamp.List{"boo"}, none}, wamp.Dict{"scope": scope})
		}
		w.refused(wire.ErrNotAuthorized, wamp.CALL, 3, none, "wamp.session.flush_testaments")
		w.ask(wamp.GOODBYE, wamp.GOODBYE, none, "wamp.close.normal")
		b.stranger(y, c).neverSaid(witness, "org.t.will")
	}},
	{"PUBLISH to a topic of the router's own", func(b *bench, y way, c transport.Codec) {
		witness, w := b.stranger(ways[0], c), b.stranger(y, c)
		witness.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 1, none, "org.t.end")
		witness.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 2, wamp.Dict{"match": "prefix"}, "wamp")
		for i, topic := range []string{"wamp.registration.on_create", "wamp.session.on_join", "wamp.own.thing", "wamp.x"} {
			w.refused(wire.ErrNotAuthorized, wamp.PUBLISH, i+1, ack, topic, wamp.List{"boo"})
			w.say(wamp.PUBLISH, i+11, none, topic, wamp.List{"boo"})
		}
		w.neverSaid(witness, "org.t.end")
	}},
	{"the event history, asked with arguments of every type", func(b *bench, y way, c transport.Codec) {
		w := b.stranger(y, c)
		subscription := w.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 1, none, "org.t.history")[2]
		id := 2
		for _, v := range junk {
			for _, option := range []string{"limit", "from_publication", "after_time", "topic", "reverse"} {
				w.say(wamp.CALL, id, none, "wamp.subscription.get_events", wamp.List{subscription, v}, wamp.Dict{option: v})
				if m := w.hear(); kindOf(m) != wamp.RESULT && kindOf(m) != wamp.ERROR {
					b.t.Errorf("get_events with %s %v: %v", option, v, m)
				}
				id++
			}
		}
	}},
	{"CANCEL by kill, and the callee vanishes", func(b *bench, y way, c transport.Codec) {
		callee, caller := b.stranger(y, c), b.stranger(y, c)
		callee.ask(wamp.REGISTERED, wamp.REGISTER, 1, none, "org.t.killed")
		caller.say(wamp.CALL, 1, none, "org.t.killed")
		callee.hear()
		caller.say(wamp.CANCEL, 1, wamp.Dict{"mode": "kill"})
		_ = callee.nc.Close()
		if m := caller.hear(); kindOf(m) != wamp.ERROR || m[2] != int64(1) {
			b.t.Errorf("the caller hears %v, want an ERROR", m)
		}
	}},
	{"CALLs that are refused stay in flight", func(b *bench, y way, c transport.Codec) {
		w := b.stranger(y, c)
		for n := range 20 { // more than the limit
			w.refused(wire.ErrNotSupported, wamp.CALL, n+2, wamp.Dict{"progress": true}, "org.deskconn.test.set", wamp.List{1})
			w.refused(wire.ErrNotSupported, wamp.CALL, 1, ppt(), "org.deskconn.test.set", wamp.List{1})
			w.refused(wire.ErrNoSuchProcedure, wamp.CALL, 1, none, "org.t.nothing")
		}
		w.ask(wamp.RESULT, wamp.CALL, 1, none, "org.deskconn.test.set", wamp.List{1})
	}},
	// A stock router is busy with each of these for a second.
	{"HELLO to a missing realm holds up everybody else", func(b *bench, y way, c transport.Codec) {
		for range 30 {
			w := b.wild(y, c)
			w.write(append(w.encoded(wamp.HELLO, "realm1", everyRole), w.encoded(wamp.CALL, 1, none, "org.t.x")...))
		}
		b.joinBy(y, c)
	}},
	{"UNREGISTER of somebody else's registration", func(b *bench, y way, c transport.Codec) {
		owner, w := b.stranger(y, c), b.stranger(y, c)
		registration := owner.ask(wamp.REGISTERED, wamp.REGISTER, 1, none, "org.t.theirs")[2]
		w.refused(wire.ErrNoSuchRegistration, wamp.UNREGISTER, 1, registration)
		w.say(wamp.CALL, 2, none, "org.t.theirs")
		if m := owner.hear(); kindOf(m) != wamp.INVOCATION {
			b.t.Errorf("the owner hears %v, want INVOCATION", m)
		}
	}},
	{"INVOCATION says more than it should", func(b *bench, y way, c transport.Codec) {
		w := b.stranger(y, c)
		w.ask(wamp.REGISTERED, wamp.REGISTER, 1, none, "org.t.told")
		w.say(wamp.CALL, 2, wamp.Dict{"disclose_me": true, "timeout": 100_000, "rkey": "x", "x_own": 1}, "org.t.told")
		for key, v := range w.hear()[3].(map[string]any) {
			if v != false && (key != "procedure" || v != "org.t.told") {
				b.t.Errorf("the callee is told %s: %v", key, v)
			}
		}
	}},
	{"meta procedures take ids as numbers of any kind, and one has a slip in its name", func(b *bench, y way, c transport.Codec) {
		w := b.wild(y, c)
		own := w.greet(everyRole)
		if !y.owner {
			w.refused(wire.ErrNotAuthorized, wamp.CALL, 1, none, "wamp.session.get", wamp.List{own})
			return
		}
		w.ask(wamp.RESULT, wamp.CALL, 1, none, "wamp.session.get", wamp.List{own})
		w.say(wamp.CALL, 2, none, "wamp.session.get", wamp.List{float64(own.(int64))})
		w.hear() // a result or an error
		subscription := w.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 3, none, "org.t.counted")[2]
		w.ask(wamp.RESULT, wamp.CALL, 4, none, "wamp.subscription.count_suscribers", wamp.List{subscription})
		if m := w.ask(wamp.RESULT, wamp.CALL, 5, none, wire.CountSubscribers, wamp.List{subscription}); !reflect.DeepEqual(m[3], []any{int64(1)}) {
			b.t.Errorf("the subscribers are counted as %v", m)
		}
	}},
}

// neverSaid wants a witness to hear no boo before the event that w publishes now.
func (w *wild) neverSaid(witness *wild, topic string) {
	w.t.Helper()
	w.ask(wamp.PUBLISHED, wamp.PUBLISH, 99, ack, topic, wamp.List{"now"})
	for {
		m := witness.hear()
		switch args := m[len(m)-1]; {
		case reflect.DeepEqual(args, []any{"now"}):
			return
		case reflect.DeepEqual(args, []any{"boo"}):
			w.t.Errorf("the witness hears %v", m)
		}
	}
}
