package router

import (
	"runtime"
	"testing"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// A burst on one processor either arrives whole or ends the session.
func TestNoSilentLossWhenStarved(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	b := start(t)
	const events = 20000
	got, done := 0, make(chan struct{})
	s := b.join(transport.CBOR)
	if err := s.Subscribe(b.ctx(), "org.t.topic", session.Exact, func(*session.Event) {
		if got++; got == events {
			close(done)
		}
	}); err != nil {
		t.Fatal(err)
	}
	publisher := b.join(transport.CBOR)
	for i := range events {
		if err := publisher.Publish(b.ctx(), "org.t.topic", []any{i}, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-done:
	case <-s.Done():
		wantError(t, s.Err(), wire.ErrSlowConsumer)
	case <-b.ctx().Done():
		t.Fatal("events are missing, and the session lives")
	}
}
