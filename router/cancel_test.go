package router

import (
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// canceling is a callee of org.t.slow that was invoked once by a caller.
func (b *bench) canceling(callee wamp.Dict) (to, by *transport.Conn) {
	b.t.Helper()
	to, by = b.raw(transport.CBOR, callee), b.raw(transport.JSON, everyFeature)
	b.send(to, &wamp.Register{Request: 1, Procedure: "org.t.slow"})
	b.receive(to)
	b.send(by, &wamp.Call{Request: 1, Procedure: "org.t.slow"})
	if m, ok := b.receive(to).(*wamp.Invocation); !ok {
		b.t.Fatalf("got %+v, want INVOCATION", m)
	}
	return to, by
}

// fails wants the next message to be an ERROR for call 1.
func (b *bench) fails(by *transport.Conn, uri wamp.URI) {
	b.t.Helper()
	if e, ok := b.receive(by).(*wamp.Error); !ok || e.Type != wamp.CALL || e.Request != 1 || e.Error != uri {
		b.t.Errorf("got %+v, want ERROR %s for call 1", e, uri)
	}
}

// Each mode of CANCEL (WAMP specification, section "Call Canceling") does what it says:
// skip ends the call and lets the callee go on, kill has the callee answer, killnowait
// tells the callee and ends the call.
func TestCancelModes(t *testing.T) {
	for name, row := range map[string]struct {
		options   wamp.Dict
		mode      string // of the INTERRUPT, "" if there is none
		atOnce    bool   // the call ends
		calleeSay wamp.URI
		ends      wamp.URI
	}{
		"none":         {nil, "killnowait", true, "", wire.ErrCanceled},
		"killnowait":   {wamp.Dict{"mode": "killnowait"}, "killnowait", true, "", wire.ErrCanceled},
		"skip":         {wamp.Dict{"mode": "skip"}, "", true, "", wire.ErrCanceled},
		"kill":         {wamp.Dict{"mode": "kill"}, "kill", false, wire.ErrCanceled, wire.ErrCanceled},
		"kill, failed": {wamp.Dict{"mode": "kill"}, "kill", false, ownError, ownError},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			callee, caller := b.canceling(everyFeature)
			b.send(caller, &wamp.Cancel{Request: 1, Options: row.options})
			if row.atOnce {
				b.fails(caller, row.ends)
			}
			if row.mode != "" {
				m, ok := b.receive(callee).(*wamp.Interrupt)
				if !ok || m.Request != 1 || m.Options["mode"] != row.mode || m.Options["reason"] != wire.ErrCanceled {
					t.Errorf("the callee gets %+v, want INTERRUPT %s", m, row.mode)
				}
			}
			b.send(caller, &wamp.Cancel{Request: 1, Options: row.options}) // once more is nothing
			if row.atOnce {
				b.send(callee, &wamp.Yield{Request: 1, Arguments: wamp.List{"late"}})
			} else {
				b.send(callee, &wamp.Error{Type: wamp.INVOCATION, Request: 1, Error: row.calleeSay})
				b.fails(caller, row.ends)
			}
			b.refused(callee, &wamp.Call{Request: 7, Procedure: "org.t.nothing"}, wire.ErrNoSuchProcedure) // all was read
			b.refused(caller, &wamp.Call{Request: 2, Procedure: "org.t.nothing"}, wire.ErrNoSuchProcedure) // and nothing came before
		})
	}
}

// A callee that finishes after a kill has its result arrive; one that cannot be
// interrupted is skipped, and one that leaves is lost.
func TestKill(t *testing.T) {
	kill := &wamp.Cancel{Request: 1, Options: wamp.Dict{"mode": "kill"}}
	b := start(t)
	callee, caller := b.canceling(everyFeature)
	b.send(caller, kill)
	b.receive(callee)
	b.send(callee, &wamp.Yield{Request: 1, Arguments: wamp.List{"done"}})
	if r, ok := b.receive(caller).(*wamp.Result); !ok || r.Arguments[0] != "done" {
		t.Errorf("got %+v, want the result", r)
	}

	b = start(t)
	_, caller = b.canceling(wamp.Dict{"roles": wamp.Dict{"callee": wamp.Dict{}}})
	b.send(caller, kill)
	b.fails(caller, wire.ErrCanceled)

	b = start(t)
	callee, caller = b.canceling(everyFeature)
	b.send(caller, kill)
	b.receive(callee)
	callee.Abandon()
	b.fails(caller, wire.ErrCalleeLost)
}

// A mode that does not exist is an error for the CANCEL, and the call goes on.
func TestCancelUnclear(t *testing.T) {
	b := start(t)
	callee, caller := b.canceling(everyFeature)
	for _, mode := range []any{"nonsense", 1} {
		b.refused(caller, &wamp.Cancel{Request: 1, Options: wamp.Dict{"mode": mode}}, wire.ErrInvalidArgument)
	}
	b.send(callee, &wamp.Yield{Request: 1})
	if r, ok := b.receive(caller).(*wamp.Result); !ok {
		t.Errorf("got %+v, want the result", r)
	}
}

// A call with a timeout ends when its time is up, for both ends; one that was answered
// in time does not.
func TestCallTimeout(t *testing.T) {
	b := start(t)
	callee, caller := b.raw(transport.MsgPack, everyFeature), b.raw(transport.CBOR, everyFeature)
	b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.slow"})
	b.receive(callee)
	b.send(caller, &wamp.Call{Request: 1, Procedure: "org.t.slow", Options: wamp.Dict{"timeout": 50}})
	began := time.Now()
	b.receive(callee)
	b.fails(caller, wire.ErrTimeout)
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("the call timed out after %v, want 50ms", took)
	}
	if m, ok := b.receive(callee).(*wamp.Interrupt); !ok || m.Options["reason"] != wire.ErrTimeout || m.Options["mode"] != "killnowait" {
		t.Errorf("the callee gets %+v, want INTERRUPT for %s", m, wire.ErrTimeout)
	}
	b.send(callee, &wamp.Yield{Request: 1}) // too late
	b.send(caller, &wamp.Call{Request: 2, Procedure: "org.t.slow", Options: wamp.Dict{"timeout": 200}})
	b.receive(callee)
	b.send(callee, &wamp.Yield{Request: 2, Arguments: wamp.List{"in time"}})
	if r, ok := b.receive(caller).(*wamp.Result); !ok || r.Request != 2 || r.Arguments[0] != "in time" {
		t.Errorf("got %+v, want the result", r)
	}
	time.Sleep(300 * time.Millisecond)
	b.refused(caller, &wamp.Call{Request: 3, Procedure: "org.t.nothing"}, wire.ErrNoSuchProcedure) // nothing came before it
	b.refused(callee, &wamp.Call{Request: 3, Procedure: "org.t.nothing"}, wire.ErrNoSuchProcedure)
	b.send(caller, &wamp.Call{Request: 1, Procedure: "org.deskconn.test.slow", Options: wamp.Dict{"timeout": 50}}) // the daemon's own as well
	b.fails(caller, wire.ErrTimeout)
	<-b.ended
}
