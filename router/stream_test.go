package router

import (
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// streaming is a callee that takes progressive call invocations, and a caller.
func (b *bench) streaming(c transport.Codec) (callee, caller *transport.Conn) {
	b.t.Helper()
	callee, caller = b.raw(c, everyFeature), b.raw(transport.CBOR, everyFeature)
	b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.stream"})
	b.receive(callee)
	return callee, caller
}

func chunk(request wamp.ID, more bool, args ...any) *wamp.Call {
	m := &wamp.Call{Request: request, Procedure: "org.t.stream", Arguments: args}
	if more {
		m.Options = wamp.Dict{"progress": true}
	}
	return m
}

// invoked wants the next INVOCATION of a stream.
func (b *bench) invoked(callee *transport.Conn, more bool, arg any) *wamp.Invocation {
	b.t.Helper()
	m, ok := b.receive(callee).(*wamp.Invocation)
	if !ok || m.Details["progress"] == true != more || len(m.Arguments) != 1 || m.Arguments[0] != arg {
		b.t.Fatalf("got %+v, want a chunk with %v, and more: %v", m, arg, more)
	}
	return m
}

// The meta API takes no chunks, also not as the first of a call.
func TestProgressiveCallOfMeta(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		caller := b.raw(c, everyFeature)
		for n, more := range []bool{true, true, false} {
			m := &wamp.Call{Request: 1, Procedure: "wamp.session.count", Options: wamp.Dict{"progress": more}, Arguments: wamp.List{n}}
			if more {
				b.refused(caller, m, wire.ErrNotSupported)
			}
		}
		b.send(caller, &wamp.Call{Request: 2, Procedure: "wamp.session.count"})
		if r, ok := b.receive(caller).(*wamp.Result); !ok || r.Request != 2 {
			t.Errorf("got %+v, want the count", r)
		}
	})
}

// The chunks of a progressive call arrive in order, as one invocation, and its result
// ends it.
func TestProgressiveCall(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		const chunks = 500
		b := start(t)
		callee, caller := b.streaming(c)
		for round := range wamp.ID(3) {
			go func() {
				for n := range chunks {
					_ = caller.Send(b.ctx(), chunk(round+1, n < chunks-1, n))
				}
			}()
			for n := range int64(chunks) {
				if m := b.invoked(callee, n < chunks-1, n); m.Request != round+1 {
					t.Fatalf("chunk %d is of invocation %d, want %d", n, m.Request, round+1)
				}
			}
			b.send(callee, &wamp.Yield{Request: round + 1, Arguments: wamp.List{"done"}})
			if r, ok := b.receive(caller).(*wamp.Result); !ok || r.Request != round+1 || r.Arguments[0] != "done" {
				t.Errorf("got %+v, want the result of call %d", r, round+1)
			}
		}
	})
}

// A stream whose callee answers early, cancels or leaves ends with one answer, and the
// chunks that are still under way are no calls of their own.
func TestProgressiveCallEndsEarly(t *testing.T) {
	for name, end := range map[string]func(b *bench, callee, caller *transport.Conn){
		"result": func(b *bench, callee, caller *transport.Conn) {
			b.send(callee, &wamp.Yield{Request: 1})
			if r, ok := b.receive(caller).(*wamp.Result); !ok || r.Request != 1 {
				b.t.Errorf("got %+v, want the result", r)
			}
		},
		"error": func(b *bench, callee, caller *transport.Conn) {
			b.send(callee, &wamp.Error{Type: wamp.INVOCATION, Request: 1, Error: ownError})
			if e, ok := b.receive(caller).(*wamp.Error); !ok || e.Error != ownError {
				b.t.Errorf("got %+v, want %s", e, ownError)
			}
		},
		"cancel": func(b *bench, callee, caller *transport.Conn) {
			b.send(caller, &wamp.Cancel{Request: 1})
			if e, ok := b.receive(caller).(*wamp.Error); !ok || e.Error != wire.ErrCanceled {
				b.t.Errorf("got %+v, want %s", e, wire.ErrCanceled)
			}
			if m, ok := b.receive(callee).(*wamp.Interrupt); !ok || m.Request != 1 {
				b.t.Errorf("the callee gets %+v, want INTERRUPT", m)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			callee, caller := b.streaming(transport.CBOR)
			b.send(caller, chunk(1, true, "a"))
			b.invoked(callee, true, "a")
			end(b, callee, caller)
			b.send(caller, chunk(1, true, "b"), chunk(1, false, "c"), chunk(2, false, "d"))
			if m := b.invoked(callee, false, "d"); m.Request != 2 {
				t.Errorf("the next call is invocation %d, want 2", m.Request)
			}
		})
	}
}

// A callee that leaves, or takes no streams, ends the call; a caller that leaves has
// its callee interrupted.
func TestProgressiveCallAlone(t *testing.T) {
	b := start(t)
	callee, caller := b.streaming(transport.CBOR)
	b.send(caller, chunk(1, true, "a"))
	b.invoked(callee, true, "a")
	callee.Abandon()
	if e, ok := b.receive(caller).(*wamp.Error); !ok || e.Error != wire.ErrCalleeLost {
		t.Errorf("got %+v, want %s", e, wire.ErrCalleeLost)
	}
	b.gone("org.t.stream")
	b.send(caller, chunk(1, false, "b"))

	plain := b.raw(transport.CBOR, everyRole)
	for request, registered := wamp.ID(1), false; !registered; request++ { // nexus may still have the callee that has left
		b.send(plain, &wamp.Register{Request: request, Procedure: "org.t.stream"})
		_, registered = b.receive(plain).(*wamp.Registered)
	}
	b.refused(caller, chunk(2, true, "a"), wire.ErrNotSupported)
	b.send(caller, chunk(2, false, "b"), chunk(3, false, "c"))
	b.invoked(plain, false, "c")
	_ = plain.SendNow(b.ctx(), &wamp.Goodbye{Reason: wamp.CloseNormal})
	b.receive(caller)
	b.gone("org.t.stream")

	callee, caller = b.streaming(transport.CBOR)
	b.send(caller, chunk(1, true, "a"))
	b.invoked(callee, true, "a")
	caller.Abandon()
	if m, ok := b.receive(callee).(*wamp.Interrupt); !ok || m.Request != 1 {
		t.Errorf("the callee gets %+v, want INTERRUPT", m)
	}
}

// A stream that is faster than its callee reads waits for it, and loses nothing.
func TestProgressiveCallWaits(t *testing.T) {
	const chunks, size = 400, 64 << 10 // three times what may wait
	opts := options(transport.DefaultLimits(), DefaultSessionLimits())
	b := startWith(t, opts)
	callee, caller := b.streaming(transport.CBOR)
	go func() {
		long := strings.Repeat("x", size)
		for n := range chunks {
			m := chunk(1, n < chunks-1, n, long)
			if caller.Send(b.ctx(), m) != nil {
				return
			}
		}
	}()
	for n := range int64(chunks) {
		if n%8 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
		if m, ok := b.receive(callee).(*wamp.Invocation); !ok || m.Arguments[0] != n {
			t.Fatalf("got %+v, want chunk %d", m, n)
		}
	}
	b.send(callee, &wamp.Yield{Request: 1})
	if r, ok := b.receive(caller).(*wamp.Result); !ok {
		t.Errorf("got %+v, want a result", r)
	}
}
