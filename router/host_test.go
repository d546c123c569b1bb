package router

import (
	"context"
	"errors"
	"testing"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// named offers one procedure, which says what it was made with.
func named(name, says string) capabilities.Capability {
	return capabilities.Capability{Name: name, Procedures: []capabilities.Procedure{{
		Verb:   "say",
		Handle: func(context.Context, capabilities.Call) (any, error) { return says, nil },
	}}}
}

// What is offered changes while a session lives, and describe follows.
func TestOffer(t *testing.T) {
	b := start(t)
	s := b.join(transport.CBOR)
	say := func(name string) string {
		t.Helper()
		r, err := s.Call(b.ctx(), "org.deskconn."+name+".say", nil, nil)
		for errors.Is(err, &wire.Error{URI: wire.ErrCalleeLost}) { // it is just leaving
			r, err = s.Call(b.ctx(), "org.deskconn."+name+".say", nil, nil)
		}
		if errors.Is(err, &wire.Error{URI: wire.ErrNoSuchProcedure}) {
			return "nothing"
		}
		if err != nil {
			t.Fatal(err)
		}
		return r.Args[0].(string)
	}
	for _, step := range []struct {
		offer        []capabilities.Capability
		anew         bool
		first, other string
	}{
		{[]capabilities.Capability{named("first", "1")}, false, "1", "nothing"},
		{[]capabilities.Capability{named("first", "2"), named("other", "2")}, false, "1", "2"},
		{[]capabilities.Capability{named("first", "3"), named("other", "3")}, true, "3", "3"},
		{[]capabilities.Capability{named("other", "4")}, false, "nothing", "3"},
		{nil, false, "nothing", "nothing"},
	} {
		if err := b.router.Offer(b.ctx(), step.offer, step.anew); err != nil {
			t.Fatal(err)
		}
		if first, other := say("first"), say("other"); first != step.first || other != step.other {
			t.Errorf("after %d offered: %s and %s, want %s and %s", len(step.offer), first, other, step.first, step.other)
		}
		r, err := s.Call(b.ctx(), wire.Describe, nil, nil)
		if err != nil || len(r.Args[0].([]any)) != len(step.offer) {
			t.Errorf("describe: %v, %v; want %d entries", r.Args, err, len(step.offer))
		}
	}
	if s.Err() != nil {
		t.Error(s.Err())
	}
}

// Check fails once the engine routes no more.
func TestCheck(t *testing.T) {
	b := start(t)
	if err := b.router.Check(b.ctx()); err != nil {
		t.Fatal(err)
	}
	b.router.Close()
	if err := b.router.Check(b.ctx()); err == nil {
		t.Error("a closed router is healthy")
	}
}
