package router

import (
	"context"
	"testing"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
)

// Progressive results arrive in order, before the result, and only where they
// are asked for.
func TestProgress(t *testing.T) {
	const steps = 2000
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		asked := make(chan bool, 2)
		err := b.join(c).Register(b.ctx(), "org.t.steps", func(ctx context.Context, call *session.Invocation) (session.Result, error) {
			asked <- call.Progress != nil
			for i := range steps {
				if call.Progress == nil {
					break
				}
				if err := call.Progress(ctx, session.Result{Args: []any{i}, Kwargs: map[string]any{"i": i}}); err != nil {
					return session.Result{}, err
				}
			}
			return session.Result{Args: []any{"done"}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		caller, next := b.join(c), int64(0)
		r, err := caller.CallProgressive(b.ctx(), "org.t.steps", nil, nil, func(r session.Result) {
			if len(r.Args) != 1 || r.Args[0] != next || r.Kwargs["i"] != next {
				t.Errorf("got %v, want %d", r, next)
			}
			next++
		})
		if err != nil || len(r.Args) != 1 || r.Args[0] != "done" || next != steps || !<-asked {
			t.Errorf("after %d steps: %v, %v", next, r, err)
		}
		if r, err := caller.Call(b.ctx(), "org.t.steps", nil, nil); err != nil || r.Args[0] != "done" || <-asked {
			t.Errorf("a plain call: %v, %v", r, err)
		}
	})
}

// A receipt says which publication it is for, and comes after every event that
// was published before it.
func TestReceipt(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		var got []uint64
		enough := make(chan struct{})
		err := b.join(c).Subscribe(b.ctx(), "org.t.topic", session.Exact, func(e *session.Event) {
			if got = append(got, e.Publication); len(got) == 101 {
				close(enough)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		publisher := b.join(c)
		for i := range 100 {
			if err := publisher.Publish(b.ctx(), "org.t.topic", []any{i}, nil, false); err != nil {
				t.Fatal(err)
			}
		}
		receipt, err := publisher.PublishAcknowledged(b.ctx(), "org.t.topic", []any{100}, nil)
		if err != nil {
			t.Fatal(err)
		}
		publication, err := receipt.Wait(b.ctx())
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-enough:
		case <-b.ctx().Done():
			t.Fatal("events are missing")
		}
		if got[100] != publication {
			t.Errorf("the last event is publication %d, the receipt is for %d", got[100], publication)
		}
		denied, err := publisher.PublishAcknowledged(b.ctx(), "wamp.session.on_join", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := denied.Wait(b.ctx()); err == nil {
			t.Error("a receipt for what was refused")
		}
	})
}
