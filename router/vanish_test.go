package router

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

func TestCalleeVanishes(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		callee := b.raw(c, everyRole)
		b.send(callee, &wamp.Register{Request: 1, Procedure: "org.t.doomed"})
		b.receive(callee)
		answer := make(chan error, 1)
		caller := b.join(c)
		go func() {
			_, err := caller.Call(b.ctx(), "org.t.doomed", nil, nil)
			answer <- err
		}()
		b.receive(callee)
		callee.Abandon()
		wantError(t, <-answer, wire.ErrCalleeLost)
	})
}

// A caller that goes away, cancels, or runs out of time ends the call at the
// callee; by "kill" too, which nexus forgets when the callee disconnects.
func TestCallerVanishes(t *testing.T) {
	b := start(t)
	slow := &wamp.Call{Request: 1, Procedure: "org.deskconn.test.slow"}
	gone := b.raw(transport.CBOR, everyRole)
	b.send(gone, slow)
	time.Sleep(20 * time.Millisecond)
	gone.Abandon()
	<-b.ended
	polite := b.raw(transport.CBOR, everyRole)
	b.send(polite, slow, &wamp.Goodbye{Reason: wamp.CloseNormal})
	<-b.ended
	killer := b.raw(transport.CBOR, everyRole)
	b.send(killer, slow, &wamp.Cancel{Request: 1, Options: wamp.Dict{"mode": "kill"}})
	if e, ok := b.receive(killer).(*wamp.Error); !ok || e.Error != wire.ErrCanceled {
		t.Errorf("got %+v, want canceled", e)
	}
	<-b.ended
	s := b.join(transport.CBOR)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Call(ctx, "org.deskconn.test.slow", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-b.ended
}

// What vanishes is not described any more, and what stays is.
func TestDescribeFollowsRegistrations(t *testing.T) {
	b, begin := start(t), time.Now()
	s, stays := b.join(transport.CBOR), b.raw(transport.JSON, everyRole)
	register := func(conn *transport.Conn, id wamp.ID, uri wamp.URI) wamp.ID {
		t.Helper()
		b.send(conn, &wamp.Register{Request: id, Options: wamp.Dict{"invoke": "roundrobin"}, Procedure: uri})
		m, ok := b.receive(conn).(*wamp.Registered)
		if !ok {
			t.Fatalf("%s is not registered", uri)
		}
		return m.Registration
	}
	// A session that says GOODBYE is gone for callers a moment before its
	// registrations are gone from here.
	described := func(uri string, want int) {
		t.Helper()
		for {
			r, err := s.Call(b.ctx(), wire.Describe, []any{uri}, nil)
			if err != nil {
				t.Fatal(err)
			}
			list, ok := r.Args[0].([]any)
			if ok && len(list) == want {
				return
			}
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("describe %s: %v, want %d entries", uri, r.Args[0], want)
			}
			time.Sleep(time.Millisecond)
		}
	}
	leaves := b.raw(transport.MsgPack, everyRole)
	register(stays, 1, "org.t.shared")
	register(leaves, 1, "org.t.shared")
	own := register(stays, 2, "org.t.own")
	described("org.t.shared", 1)
	described("org.t.own", 1)
	b.send(leaves, &wamp.Goodbye{Reason: wamp.CloseNormal, Details: wamp.Dict{}})
	b.receive(leaves)
	leaves.Close()
	drain(leaves)
	described("org.t.shared", 1)
	b.send(stays, &wamp.Unregister{Request: 3, Registration: own})
	b.receive(stays)
	described("org.t.own", 0)
	b.refused(stays, &wamp.Unregister{Request: 4, Registration: own}, wire.ErrNoSuchRegistration)
	stays.Abandon()
	drain(stays)
	b.gone("org.t.shared")
	described("org.t.shared", 0)
	described("org.deskconn.test.set", 1)
}
