package router

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

func TestRules(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		conn := b.raw(c, everyRole)
		ack := wamp.Dict{"acknowledge": true}
		for i, r := range []struct {
			request wamp.Message
			uri     string
		}{
			{&wamp.Register{Procedure: "org.deskconn.mine"}, wire.ErrNotAuthorized},
			{&wamp.Register{Procedure: "wamp.mine"}, wire.ErrNotAuthorized},
			{&wamp.Register{Procedure: "org", Options: wamp.Dict{"match": "prefix"}}, wire.ErrNotAuthorized}, // it covers org.deskconn
			{&wamp.Register{Procedure: "org.t", Options: wamp.Dict{"match": "regex"}}, wire.ErrInvalidArgument},
			{&wamp.Register{Procedure: "a b"}, wire.ErrInvalidURI},
			{&wamp.Register{Procedure: wamp.URI(strings.Repeat("x", 5000))}, wire.ErrInvalidURI},
			{&wamp.Publish{Topic: wamp.URI(strings.Repeat("x", 5000)), Options: ack}, wire.ErrInvalidURI},
			{&wamp.Subscribe{Topic: wamp.URI(strings.Repeat("x", 5000))}, wire.ErrInvalidURI},
			{&wamp.Publish{Topic: "wamp.session.on_join", Options: ack}, wire.ErrNotAuthorized},
			{&wamp.Subscribe{Topic: "a.b", Options: wamp.Dict{"match": "regex"}}, wire.ErrInvalidArgument},
			{&wamp.Subscribe{Topic: "a.b", Options: wamp.Dict{"match": 1}}, wire.ErrInvalidArgument},
			{&wamp.Unregister{Registration: 1}, wire.ErrNoSuchRegistration},
		} {
			id := wamp.ID(i + 1)
			switch m := r.request.(type) {
			case *wamp.Register:
				m.Request = id
			case *wamp.Publish:
				m.Request = id
			case *wamp.Subscribe:
				m.Request = id
			case *wamp.Unregister:
				m.Request = id
			}
			b.refused(conn, r.request, r.uri)
		}
		b.alive()
	})
}

func TestSessionLimits(t *testing.T) {
	b := start(t)
	conn := b.raw(transport.CBOR, everyRole)
	id := wamp.ID(0)
	next := func() wamp.ID { id++; return id }
	for i := range 4 {
		b.send(conn, &wamp.Register{Request: next(), Procedure: wamp.URI(fmt.Sprintf("org.t.r%d", i))})
		b.receive(conn)
		b.send(conn, &wamp.Subscribe{Request: next(), Topic: wamp.URI(fmt.Sprintf("org.t.s%d", i))})
		b.receive(conn)
	}
	b.refused(conn, &wamp.Register{Request: next(), Procedure: "org.t.more"}, wire.ErrLimit)
	b.refused(conn, &wamp.Subscribe{Request: next(), Topic: "org.t.more"}, wire.ErrLimit)
	for range 8 {
		b.send(conn, &wamp.Call{Request: next(), Procedure: "org.deskconn.test.slow"})
	}
	b.refused(conn, &wamp.Call{Request: next(), Procedure: "org.deskconn.test.slow"}, wire.ErrLimit)
	b.refused(conn, &wamp.Call{Request: id - 1, Procedure: "org.deskconn.test.slow"}, wire.ErrInvalidArgument)
	b.send(conn, &wamp.Cancel{Request: id - 1})
	b.receive(conn)
	b.send(conn, &wamp.Call{Request: next(), Procedure: "org.deskconn.test.fail"}) // there is room again
	if e, ok := b.receive(conn).(*wamp.Error); !ok || e.Error != wire.ErrUnavailable {
		t.Errorf("got %+v", e)
	}
}

// A callee cannot speak for the router.
func TestCalleeErrors(t *testing.T) {
	b := start(t)
	callee, caller := b.join(transport.JSON), b.join(transport.CBOR)
	var uri string
	if err := callee.Register(b.ctx(), "org.t.err", func(context.Context, *session.Invocation) (session.Result, error) {
		return session.Result{}, &wire.Error{URI: uri, Args: []any{"words"}, Kwargs: map[string]any{"a": int64(1)}}
	}); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{
		wire.ErrNotAuthorized: wire.ErrApplication, wire.ErrAuthorization: wire.ErrApplication, wire.ErrCanceled: wire.ErrApplication,
		wire.ErrNoSuchProcedure: wire.ErrApplication, wire.ErrNoSuchRegistration: wire.ErrApplication, wire.ErrAuthentication: wire.ErrApplication,
		wire.ErrNoAuthMethod: wire.ErrApplication, wire.ErrProtocolViolation: wire.ErrApplication,
		"not a uri": wire.ErrApplication, "": wire.ErrApplication,
		wire.ErrTimeout: wire.ErrTimeout, wire.ErrCalleeLost: wire.ErrCalleeLost, "wamp.close.normal": "wamp.close.normal",
		wire.ErrInvalidArgument: wire.ErrInvalidArgument, wire.ErrExecFailed: wire.ErrExecFailed, "org.example.own": "org.example.own",
	} {
		uri = from
		_, err := caller.Call(b.ctx(), "org.t.err", nil, nil)
		e, ok := errors.AsType[*wire.Error](err)
		if !ok || e.URI != want || e.Message() != "words" || e.Kwargs["a"] != int64(1) {
			t.Errorf("%q became %+v, want %s", from, e, want)
		}
	}
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
		"SUBSCRIBE to everything": &wamp.Subscribe{Request: 1, Options: wamp.Dict{"match": "prefix"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := guardOf(Identity{Role: roleOwner})
			g.stage.Store(greeted)
			g.join(&wamp.Welcome{ID: 1})
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

// Only answers are read without a pause, and not more than there were calls.
func TestOwed(t *testing.T) {
	b := start(t)
	callee, caller := b.raw(transport.CBOR, everyRole), b.raw(transport.CBOR, everyRole)
	b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.owed"})
	b.receive(callee)
	for id := range wamp.ID(3) {
		b.send(caller, &wamp.Call{Request: id + 1, Procedure: "org.t.owed"})
		b.receive(callee)
	}
	var g *guard
	for _, a := range b.router.ledger.joined() {
		if _, registrations, _ := a.guard.holds(); registrations == 1 {
			g = a.guard
		}
	}
	for _, row := range []struct {
		what string
		says wamp.Message
		owed bool
	}{
		{"a part of a result", &wamp.Yield{Request: 1, Options: wamp.Dict{"progress": true}}, false},
		{"a result", &wamp.Yield{Request: 1}, true},
		{"an error, too late", &wamp.Error{Type: wamp.INVOCATION, Request: 7, Error: "org.t.error"}, true},
		{"another result", &wamp.Yield{Request: 2}, true},
		{"the result again", &wamp.Yield{Request: 1}, false},
		{"the error again", &wamp.Error{Type: wamp.INVOCATION, Request: 7, Error: "org.t.error"}, false},
		{"a subscription", &wamp.Subscribe{Request: 1, Topic: "org.t.topic"}, false},
	} {
		if owed := g.owed(row.says); owed != row.owed {
			t.Errorf("%s: owed %v, want %v", row.what, owed, row.owed)
		}
	}
}
