package router

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// guarded is a router that two machines are paired with, each with these scopes and no
// other rights.
func guarded(t *testing.T, opts Options, scopes ...trust.Scope) *bench {
	t.Helper()
	opts.Certificate = &server().Certificate
	opts.Trust = storeOf(t,
		&trust.Device{ID: device().id, Name: "desk", Paired: time.Now().UTC(), Scopes: scopes},
		&trust.Device{ID: outsider().id, Name: "pi", Paired: time.Now().UTC(), Scopes: scopes})
	return startWith(t, opts)
}

func guardedOptions() Options {
	o := options(transport.DefaultLimits(), DefaultSessionLimits())
	o.Devices = DefaultDeviceLimits()
	return o
}

// nexus, which compares each of its meta events with each pattern, knows none of a
// device; events come by them as by any other.
func TestPatternsOfDevicesAreTheBrokers(t *testing.T) {
	b := guarded(t, guardedOptions(), "subscribe:org.t", "publish:org.t")
	guest := b.guests(device(), 1)[0]
	topics := map[wamp.URI]string{"org.t.": wamp.MatchPrefix, "org.t..c": wamp.MatchWildcard, "org.t.a.c": wamp.MatchExact}
	ids := map[wamp.ID]wamp.URI{}
	request := wamp.ID(0)
	for range 2 { // once more changes nothing
		for topic, match := range topics {
			request++
			b.send(guest, &wamp.Subscribe{Request: request, Topic: topic, Options: wamp.Dict{"match": match}})
			granted, ok := b.receive(guest).(*wamp.Subscribed)
			if !ok || granted.Request != request {
				t.Fatalf("got %+v, want SUBSCRIBED", granted)
			}
			ids[granted.Subscription] = topic
		}
	}
	if len(ids) != len(topics) {
		t.Errorf("%d topics have the subscriptions %v", len(topics), ids)
	}
	owner := b.join(transport.CBOR)
	lists, err := owner.Call(b.ctx(), "wamp.subscription.list", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	known := lists.Args[0].(map[string]any)
	if n := len(known["prefix"].([]any)) + len(known["wildcard"].([]any)); n != 0 {
		t.Errorf("nexus knows %d patterns: %v", n, known)
	}
	if err := owner.Publish(b.ctx(), "org.t.a.c", []any{1}, nil, true); err != nil {
		t.Fatal(err)
	}
	for range topics {
		e, ok := b.receive(guest).(*wamp.Event)
		if !ok || topics[ids[e.Subscription]] != wamp.MatchExact && e.Details["topic"] != "org.t.a.c" {
			t.Fatalf("got %+v, want an event", e)
		}
	}
	for id := range ids {
		request++
		b.send(guest, &wamp.Unsubscribe{Request: request, Subscription: id})
		if m, ok := b.receive(guest).(*wamp.Unsubscribed); !ok || m.Request != request {
			t.Errorf("got %+v, want UNSUBSCRIBED", m)
		}
		b.refused(guest, &wamp.Unsubscribe{Request: request + 100, Subscription: id}, wire.ErrNoSuchSubscription)
	}
	if err := owner.Publish(b.ctx(), "org.t.a.c", []any{2}, nil, true); err != nil {
		t.Fatal(err)
	}
	b.refused(guest, &wamp.Unsubscribe{Request: 900, Subscription: 1}, wire.ErrNoSuchSubscription) // and no event before
}

// What the sessions of a device take of what it may hold is given back, however it ends.
func TestHoldingsAreGivenBack(t *testing.T) {
	b := guarded(t, guardedOptions(), "subscribe:org.t", "register:org.t", "test")
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-b.ended:
			case <-stop:
				return
			}
		}
	}()
	for round := range 3 {
		for _, guest := range b.guests(device(), 4) {
			for n := range wamp.ID(20) {
				match := []string{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard}[n%3]
				b.send(guest, &wamp.Subscribe{Request: n + 1, Topic: "org.t.a", Options: wamp.Dict{"match": match}})
				b.send(guest, &wamp.Register{Request: n + 100, Procedure: wamp.URI(fmt.Sprintf("org.t.r%d", n%5)), Options: wamp.Dict{"invoke": "roundrobin"}})
				b.send(guest, &wamp.Call{Request: n + 200, Procedure: []wamp.URI{"org.deskconn.test.slow", "org.t.none", "org.deskconn.test.set"}[n%3]})
			}
			b.send(guest, &wamp.Unsubscribe{Request: 300, Subscription: 1}, &wamp.Unregister{Request: 301, Registration: 1}, &wamp.Cancel{Request: 200})
			switch round {
			case 0:
				guest.Abandon()
			case 1:
				b.send(guest, &wamp.Goodbye{Reason: wamp.CloseNormal})
			}
		}
		if round == 2 {
			if err := b.router.opts.Trust.Change(func(l *trust.Devices) error { l.Remove(device().id); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		h := b.router.held[device().id]
		for limit := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			left := []int{h.subscriptions.Held(), h.registrations.Held(), h.calls.Held(), h.input.Held(), b.router.heldByAll.calls.Held()}
			if fmt.Sprint(left) == "[0 0 0 0 0]" {
				break
			}
			if time.Now().After(limit) {
				t.Fatalf("round %d: still held: %v", round, left)
			}
		}
	}
}

// A URI belongs to whoever registered it first: another device is refused, also where it
// asks for the same policy, unless it is granted to share it, and the owner takes it.
func TestNamesHaveOwners(t *testing.T) {
	b := guarded(t, guardedOptions(), "register:org.t", "share:org.t.shared", "call:org.t")
	first, second := b.guests(device(), 1)[0], b.guests(outsider(), 1)[0]
	register := func(id wamp.ID, procedure wamp.URI) *wamp.Register {
		return &wamp.Register{Request: id, Procedure: procedure, Options: wamp.Dict{"invoke": "roundrobin"}}
	}
	for i, procedure := range []wamp.URI{"org.t.own", "org.t.shared"} {
		b.send(first, register(wamp.ID(i+1), procedure))
		if m, ok := b.receive(first).(*wamp.Registered); !ok {
			t.Fatalf("got %+v, want REGISTERED", m)
		}
	}
	b.refused(second, register(1, "org.t.own"), wire.ErrAlreadyExists)
	b.send(second, register(2, "org.t.shared"))
	if m, ok := b.receive(second).(*wamp.Registered); !ok {
		t.Errorf("who may share it is answered %+v", m)
	}
	same := b.guests(device(), 1)[0]
	b.send(same, register(1, "org.t.own"))
	if m, ok := b.receive(same).(*wamp.Registered); !ok {
		t.Errorf("another session of the same device is answered %+v", m)
	}
	owner := b.join(transport.CBOR)
	answer := func(context.Context, *session.Invocation) (session.Result, error) {
		return session.Result{Args: []any{"the owner's"}}, nil
	}
	if err := owner.Register(b.ctx(), "org.t.own", answer); err != nil {
		t.Fatalf("the owner is refused: %v", err)
	}
	for _, displaced := range []*transport.Conn{first, same} {
		bye, ok := b.receive(displaced).(*wamp.Goodbye)
		if text, _ := bye.Details["message"].(string); !ok || bye.Reason != wire.ErrAlreadyExists || !strings.Contains(text, "org.t.own") {
			t.Errorf("who is displaced hears %+v", bye)
		}
	}
	if r, err := owner.Call(b.ctx(), "org.t.own", nil, nil); err != nil || r.Args[0] != "the owner's" {
		t.Errorf("a call answers %v, %v", r, err)
	}
	b.refused(second, register(3, "org.t.own"), wire.ErrAlreadyExists)
	pattern := b.raw(transport.CBOR, everyRole)
	b.send(pattern, &wamp.Register{Request: 1, Procedure: "org.t.below.", Options: wamp.Dict{"match": "prefix"}})
	if m, ok := b.receive(pattern).(*wamp.Registered); !ok {
		t.Fatalf("got %+v, want REGISTERED", m)
	}
	b.refused(second, register(4, "org.t.below.x"), wire.ErrAlreadyExists)
}

// Ids of subscriptions say nothing to whoever has not subscribed.
func TestForeignSubscription(t *testing.T) {
	overWays(t, func(t *testing.T, y way, c transport.Codec) {
		b := start(t)
		one, other := b.stranger(ways[0], c), b.stranger(y, c)
		id := one.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 1, none, "org.t.x")[2]
		other.refused(wire.ErrNoSuchSubscription, wamp.UNSUBSCRIBE, 1, id)
		other.refused(wire.ErrNoSuchSubscription, wamp.UNSUBSCRIBE, 2, id.(int64)+1000)
		other.ask(wamp.PUBLISHED, wamp.PUBLISH, 3, ack, "org.t.x")
		if m := one.hear(); kindOf(m) != wamp.EVENT {
			t.Errorf("got %v, want the event", m)
		}
		one.ask(wamp.UNSUBSCRIBED, wamp.UNSUBSCRIBE, 2, id)
		one.refused(wire.ErrNoSuchSubscription, wamp.UNSUBSCRIBE, 3, id)
	})
}

// A device that is revoked while a thousand of its calls are in flight hears no answer
// to any of them, and nobody is left waiting for it.
func TestRevokedWithCallsInFlight(t *testing.T) {
	const calls = 1000
	b := guarded(t, guardedOptions(), "call:org.t", "register:org.t")
	owner := b.join(transport.CBOR)
	under, go_ := make(chan struct{}, calls), make(chan struct{})
	err := owner.Register(b.ctx(), "org.t.slow", func(context.Context, *session.Invocation) (session.Result, error) {
		under <- struct{}{}
		<-go_
		return session.Result{Args: []any{"late"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	guest := b.guests(device(), 1)[0]
	b.send(guest, &wamp.Register{Request: 1, Procedure: "org.t.theirs"})
	b.receive(guest)
	lost := make(chan error, 1)
	go func() {
		_, err := owner.Call(b.ctx(), "org.t.theirs", nil, nil)
		lost <- err
	}()
	if m, ok := b.receive(guest).(*wamp.Invocation); !ok {
		t.Fatalf("got %+v, want INVOCATION", m)
	}
	for n := range wamp.ID(calls) {
		b.send(guest, &wamp.Call{Request: n + 2, Procedure: "org.t.slow"})
	}
	for range calls {
		<-under
	}
	revoked := time.Now()
	if err := b.router.opts.Trust.Change(func(l *trust.Devices) error { l.Remove(device().id); return nil }); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(5 * time.Second); b.router.ledger.hasDevices() && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	close(go_)
	for m := range guest.Recv() {
		if bye, ok := m.(*wamp.Goodbye); !ok || bye.Reason != wire.ErrRights {
			t.Fatalf("after it was revoked it hears %+v", m)
		}
	}
	if took := time.Since(revoked); took > 2*time.Second {
		t.Errorf("its session ended after %v", took)
	}
	if err := <-lost; err == nil || !strings.Contains(err.Error(), "went away") {
		t.Errorf("a call to it ends with %v", err)
	}
	b.alive()
}
