package router

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// terse has joined and takes messages of 1 KiB at most.
func (b *bench) terse(hello wamp.Dict) *transport.Conn {
	b.t.Helper()
	lim := transport.DefaultLimits()
	lim.Message = 1 << 10
	conn, err := transport.Dial(b.dial(), transport.CBOR, lim)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Abandon(); drain(conn) })
	b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: hello})
	b.receive(conn)
	return conn
}

var tooLong = wamp.List{strings.Repeat("x", 2<<10)} // for who is terse

// The calls of a session that is cut are canceled, all of them: its callee is
// told so with an INTERRUPT for each.
func TestCutCancelsCalls(t *testing.T) {
	const calls = 500
	b := startWith(t, options(transport.DefaultLimits(), DefaultSessionLimits()))
	callee, caller := b.raw(transport.CBOR, everyRole), b.terse(everyRole)
	b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.long"})
	b.receive(callee)
	b.send(caller, &wamp.Subscribe{Request: 1, Topic: "org.t.long"})
	b.receive(caller)
	open := map[wamp.ID]bool{}
	for i := range wamp.ID(calls) {
		b.send(caller, &wamp.Call{Request: 2 + i, Procedure: "org.t.long"})
	}
	for range calls {
		open[b.receive(callee).(*wamp.Invocation).Request] = true
	}
	if err := b.join(transport.CBOR).Publish(b.ctx(), "org.t.long", tooLong, nil, true); err != nil {
		t.Fatal(err)
	}
	for len(open) > 0 {
		if m, ok := b.receive(callee).(*wamp.Interrupt); ok {
			delete(open, m.Request)
		}
	}
	if end, ok := b.receive(caller).(*wamp.Goodbye); !ok || end.Reason != wire.ErrLimit {
		t.Errorf("the caller is sent away with %+v, want %s", end, wire.ErrLimit)
	}
}

// What ends a session, a breach of the protocol as well, cancels its calls.
func TestViolationCancelsCalls(t *testing.T) {
	for name, says := range map[string][]any{
		"ERROR for a CALL": {wamp.ERROR, wamp.CALL, 1, none, "org.t.fault"}, "HELLO again": {wamp.HELLO, wire.Realm, everyRole},
		"WELCOME": {wamp.WELCOME, 1, none}, "CALL of nothing": {wamp.CALL, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			callee, caller := b.stranger(ways[0], transport.CBOR), b.stranger(ways[1], transport.CBOR)
			callee.ask(wamp.REGISTERED, wamp.REGISTER, 1, none, "org.t.open")
			caller.say(wamp.CALL, 1, none, "org.t.open")
			invocation := callee.hear()[1]
			caller.say(says...)
			caller.turnedAway()
			if m := callee.hear(); kindOf(m) != wamp.INTERRUPT || m[1] != invocation {
				t.Errorf("the callee hears %v, want INTERRUPT %v", m, invocation)
			}
		})
	}
}

// Calls that cannot be delivered are refused, and hold up nobody, also while their
// callee keeps the router busy: it is not cut off, and serves what it can take.
func TestUndeliverableCalls(t *testing.T) {
	const rounds, calls = 10, 200
	b := startWith(t, options(transport.DefaultLimits(), DefaultSessionLimits()))
	callee := b.terse(everyRole)
	b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.terse"})
	b.receive(callee)
	over, stop := context.WithCancel(context.Background())
	var busy, calling sync.WaitGroup
	busy.Go(func() {
		for id := wamp.ID(1); over.Err() == nil && callee.Send(over, &wamp.Yield{Request: 1<<40 + id}) == nil; id++ {
			continue
		}
	})
	for range 3 {
		caller := b.raw(transport.CBOR, everyRole)
		calling.Go(func() {
			for range rounds {
				for i := range wamp.ID(calls) {
					_ = caller.Send(over, &wamp.Call{Request: i + 1, Procedure: "org.t.terse", Arguments: tooLong})
				}
				for range calls {
					if e, ok := (<-caller.Recv()).(*wamp.Error); !ok || e.Error != wire.ErrLimit {
						t.Errorf("a call is answered with %+v, want %s", e, wire.ErrLimit)
						return
					}
				}
			}
		})
	}
	calling.Wait()
	stop()
	busy.Wait()
	if t.Failed() {
		return
	}
	caller := b.raw(transport.CBOR, everyRole)
	b.send(caller, &wamp.Call{Request: 1, Procedure: "org.t.terse"})
	b.send(callee, &wamp.Yield{Request: b.receive(callee).(*wamp.Invocation).Request})
	if m := b.receive(caller); m.MessageType() != wamp.RESULT {
		t.Errorf("a short call is answered with %+v", m)
	}
}

// A callee whose queue is full refuses calls as busy, and lives: it serves those
// that it has, and others after them.
func TestBusyCallee(t *testing.T) {
	const calls = 40 // of a filler each, more than its socket and queue hold
	b := startSmall(t, patienceOfTests)
	callee, caller := b.stranger(ways[0], transport.CBOR), b.raw(transport.CBOR, everyRole)
	callee.ask(wamp.REGISTERED, wamp.REGISTER, 1, none, "org.t.busy")
	for i := range wamp.ID(calls) {
		b.send(caller, &wamp.Call{Request: i + 1, Procedure: "org.t.busy", Arguments: wamp.List{filler}})
	}
	if e, ok := b.receive(caller).(*wamp.Error); !ok || e.Error != wire.ErrBusy {
		t.Fatalf("the first answer is %+v, want %s", e, wire.ErrBusy)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			m, err := callee.next()
			if err != nil || callee.put(wamp.YIELD, m[1], none) != nil {
				return
			}
		}
	})
	for range calls - 1 {
		if e, ok := b.receive(caller).(*wamp.Error); ok && e.Error != wire.ErrBusy {
			t.Errorf("a call is answered with %+v", e)
		}
	}
	if _, err := b.join(transport.CBOR).Call(b.ctx(), "org.t.busy", nil, nil); err != nil {
		t.Errorf("a call after them: %v", err)
	}
	_ = callee.nc.SetDeadline(time.Now())
	serving.Wait()
}

// A progressive result that is too long for its caller ends the call, once: no
// other result comes after the ERROR, and the callee is told.
func TestProgressTooLong(t *testing.T) {
	b := start(t)
	features := wamp.Dict{"features": wamp.Dict{"progressive_call_results": true, "call_canceling": true}}
	callee := b.raw(transport.CBOR, wamp.Dict{"roles": wamp.Dict{"callee": features, "caller": none}})
	caller := b.terse(wamp.Dict{"roles": wamp.Dict{"caller": features}})
	b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.stream"})
	b.receive(callee)
	b.send(caller, &wamp.Call{Request: 7, Options: wamp.Dict{"receive_progress": true}, Procedure: "org.t.stream"})
	id := b.receive(callee).(*wamp.Invocation).Request
	b.send(callee, &wamp.Yield{Request: id, Options: wamp.Dict{"progress": true}, Arguments: tooLong})
	if e, ok := b.receive(caller).(*wamp.Error); !ok || e.Request != 7 || e.Error != wire.ErrLimit {
		t.Errorf("got %+v, want %s", e, wire.ErrLimit)
	}
	if m, ok := b.receive(callee).(*wamp.Interrupt); !ok || m.Request != id {
		t.Errorf("the callee hears %+v, want INTERRUPT", m)
	}
	b.send(callee, &wamp.Yield{Request: id, Options: wamp.Dict{"progress": true}}, &wamp.Yield{Request: id})
	b.refused(callee, &wamp.Call{Request: 2, Procedure: "org.t.nothing"}, wire.ErrNoSuchProcedure) // the YIELDs were read
	b.refused(caller, &wamp.Call{Request: 8, Procedure: "org.t.nothing"}, wire.ErrNoSuchProcedure) // and nothing came before it
}
