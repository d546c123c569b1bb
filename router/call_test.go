package router

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// The invocations of a session are numbered from 1 (WAMP specification, section
// "IDs"), whoever calls and however the procedure is registered: each answer finds its
// call.
func TestInvocationIDs(t *testing.T) {
	b := start(t)
	callee, caller := b.raw(transport.CBOR, everyRole), b.raw(transport.MsgPack, everyRole)
	b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.alone"})
	b.receive(callee)
	b.send(callee, &wamp.Register{Request: 2, Procedure: "org.t.shared", Options: wamp.Dict{"invoke": "roundrobin"}})
	b.receive(callee)
	for n, procedure := range []wamp.URI{"org.t.alone", "org.t.shared", "org.t.alone", "org.t.shared"} {
		b.send(caller, &wamp.Call{Request: wamp.ID(n) + 1, Procedure: procedure, Arguments: wamp.List{n}})
		invocation := b.receive(callee).(*wamp.Invocation)
		if want := wamp.ID(n + 1); invocation.Request != want {
			t.Errorf("invocation %d of %s, want %d", invocation.Request, procedure, want)
		}
		b.send(callee, &wamp.Yield{Request: invocation.Request, Arguments: invocation.Arguments})
		if r, ok := b.receive(caller).(*wamp.Result); !ok || r.Request != wamp.ID(n)+1 || r.Arguments[0] != int64(n) {
			t.Errorf("call %d of %s is answered with %+v", n, procedure, r)
		}
	}
}

// The calls of a session to a procedure arrive in the order in which it made them,
// also while the procedure comes and goes, and is alone or shared.
func TestCallsInOrder(t *testing.T) {
	const changes, inFlight = 400, 200
	b := start(t)
	callee, caller := b.raw(transport.CBOR, everyRole), b.raw(transport.CBOR, everyRole)
	over, window := make(chan struct{}), make(chan struct{}, inFlight)
	var calling sync.WaitGroup
	calling.Go(func() {
		for n := int64(0); ; n++ {
			select {
			case <-over:
				close(window)
				return
			case window <- struct{}{}:
				b.send(caller, &wamp.Call{Request: wamp.ID(n + 1), Procedure: "org.t.order", Arguments: wamp.List{n}})
			}
		}
	})
	calling.Go(func() {
		for range window {
			b.receive(caller)
		}
	})
	latest := int64(-1)
	for change := range wamp.ID(changes) {
		policy := []string{"single", "roundrobin"}[change%2]
		b.send(callee, &wamp.Register{Request: 2*change + 1, Procedure: "org.t.order", Options: wamp.Dict{"invoke": policy}})
		registration, served := wamp.ID(0), 0
		for registered := true; registered; {
			switch m := b.receive(callee).(type) {
			case *wamp.Registered:
				registration = m.Registration
			case *wamp.Unregistered:
				registered = false
			case *wamp.Invocation:
				n := m.Arguments[0].(int64)
				if n <= latest {
					t.Fatalf("call %d arrives after call %d", n, latest)
				}
				latest = n
				b.send(callee, &wamp.Yield{Request: m.Request})
				if served++; served == 3 {
					b.send(callee, &wamp.Unregister{Request: 2*change + 2, Registration: registration})
				}
			}
		}
	}
	close(over)
	calling.Wait()
}

// A callee that leaves in good order leaves nobody waiting, and is not called again.
func TestCalleeLeaves(t *testing.T) {
	b := start(t)
	callee, caller := b.raw(transport.CBOR, everyRole), b.raw(transport.CBOR, everyRole)
	b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.leaves"})
	b.receive(callee)
	b.send(caller, &wamp.Call{Request: 1, Procedure: "org.t.leaves"})
	b.receive(callee)
	b.send(callee, &wamp.Goodbye{Reason: wamp.CloseNormal})
	if e, ok := b.receive(caller).(*wamp.Error); !ok || e.Error != wire.ErrCalleeLost {
		t.Errorf("the call is answered with %+v, want %s", e, wire.ErrCalleeLost)
	}
	b.gone("org.t.leaves")
}

// What a session has called before it breaks the rules reaches the callee, and then
// it hears that nobody waits, although all came at once.
func TestCallThenViolation(t *testing.T) {
	for _, y := range ways {
		t.Run(y.name, func(t *testing.T) {
			b := start(t)
			callee, caller := b.stranger(ways[0], transport.CBOR), b.stranger(y, transport.CBOR)
			callee.ask(wamp.REGISTERED, wamp.REGISTER, 1, none, "org.t.open")
			caller.write(append(caller.encoded(wamp.CALL, 1, none, "org.t.open"), caller.encoded(wamp.WELCOME, 1, none)...))
			caller.turnedAway()
			invocation := callee.hear()
			if interrupt := callee.hear(); kindOf(invocation) != wamp.INVOCATION || kindOf(interrupt) != wamp.INTERRUPT || interrupt[1] != invocation[1] {
				t.Errorf("the callee hears %v and %v", invocation, interrupt)
			}
			callee.ask(wamp.REGISTERED, wamp.REGISTER, 2, none, "org.t.another") // and is served
		})
	}
}

// A device calls what another session has registered only if that is granted.
func TestDeviceCallsSession(t *testing.T) {
	opts := DefaultOptions()
	opts.Certificate = &server().Certificate
	opts.Trust = storeOf(t, &trust.Device{ID: device().id, Name: "desk", Paired: time.Now().UTC(), Scopes: trust.Scopes{"call:org.t.ours"}})
	s := onStreetWith(t, opts)
	callee := s.raw(transport.CBOR, everyRole)
	for i, uri := range []wamp.URI{"org.t.ours", "org.t.theirs"} {
		s.send(callee, &wamp.Register{Request: wamp.ID(i + 1), Procedure: uri})
		s.receive(callee)
	}
	conn, err := transport.Dial(s.dialTLS(), transport.CBOR, transport.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Abandon(); drain(conn) })
	s.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
	s.receive(conn)
	s.refused(conn, &wamp.Call{Request: 1, Procedure: "org.t.theirs"}, wire.ErrNotAuthorized)
	s.send(conn, &wamp.Call{Request: 2, Procedure: "org.t.ours", Arguments: wamp.List{"x"}})
	if i, ok := s.receive(callee).(*wamp.Invocation); !ok || i.Arguments[0] != "x" {
		t.Errorf("the callee gets %+v", i)
	}
}

// A result that its caller cannot take is an error for it, whichever way it came.
func TestAnswerTooLong(t *testing.T) {
	b := startWith(t, options(transport.DefaultLimits(), DefaultSessionLimits()))
	callee, caller := b.raw(transport.CBOR, everyRole), b.terse(everyRole)
	for i, policy := range []string{"single", "roundrobin"} {
		uri := wamp.URI("org.t." + policy)
		b.send(callee, &wamp.Register{Request: wamp.ID(i + 1), Procedure: uri, Options: wamp.Dict{"invoke": policy}})
		b.receive(callee)
		b.send(caller, &wamp.Call{Request: wamp.ID(i + 1), Procedure: uri})
		b.send(callee, &wamp.Yield{Request: b.receive(callee).(*wamp.Invocation).Request, Arguments: tooLong})
		if e, ok := b.receive(caller).(*wamp.Error); !ok || e.Error != wire.ErrLimit {
			t.Errorf("%s: the call is answered with %+v, want %s", policy, e, wire.ErrLimit)
		}
	}
}

// A caller can fill the queue of a callee that is slow, and leave, but not have it
// cut off by that.
func TestCallsLeaveRoom(t *testing.T) {
	b := startWith(t, options(transport.DefaultLimits(), DefaultSessionLimits()))
	callee, caller := b.raw(transport.CBOR, everyRole), b.raw(transport.CBOR, everyRole)
	b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.slow"})
	b.receive(callee)
	for id := range wamp.ID(300) { // twice what may wait
		b.send(caller, &wamp.Call{Request: id + 1, Procedure: "org.t.slow", Arguments: wamp.List{strings.Repeat("x", 64<<10)}})
	}
	if e, ok := b.receive(caller).(*wamp.Error); !ok || e.Error != wire.ErrBusy {
		t.Fatalf("got %+v, want %s", e, wire.ErrBusy)
	}
	caller.Abandon()
	interrupted := 0
	for open := map[wamp.ID]bool{}; interrupted == 0 || len(open) > 0; {
		switch m := b.receive(callee).(type) {
		case *wamp.Invocation:
			open[m.Request] = true
		case *wamp.Interrupt:
			delete(open, m.Request)
			interrupted++
		default:
			t.Fatalf("the callee gets %+v", m)
		}
	}
	other := b.raw(transport.CBOR, everyRole)
	b.send(other, &wamp.Call{Request: 1, Procedure: "org.t.slow"})
	if _, ok := b.receive(callee).(*wamp.Invocation); !ok {
		t.Error("it is not called any more")
	}
}
