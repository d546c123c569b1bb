package router

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// startSmall is a router whose queues are full after 64 KiB, and which waits so
// long for who does not read.
func startSmall(t *testing.T, stall time.Duration) *bench {
	lim := transport.DefaultLimits()
	lim.Queue, lim.Stall, lim.Flush = 64<<10, stall, 50*time.Millisecond
	return startWith(t, options(lim, DefaultSessionLimits()))
}

// filler is what each message that a stalled session does not read carries.
var filler = strings.Repeat("x", 32<<10)

const enough = 300 // fillers are more than the sockets and the queue hold

// cutOff reads what a session that had stalled was still sent: kind after kind,
// then GOODBYE with the reason, then nothing.
func (w *wild) cutOff(kind wamp.MessageType) (got []any) {
	w.t.Helper()
	for {
		m := w.hear()
		if kindOf(m) == wamp.GOODBYE {
			if m[2] != wire.ErrSlowConsumer || m[1].(map[string]any)["message"] == nil {
				w.t.Errorf("it is sent away with %v, want %s and a message", m, wire.ErrSlowConsumer)
			}
			w.gone()
			return got
		}
		if kindOf(m) != kind {
			w.t.Fatalf("got %v, want %s or GOODBYE", m, kind)
		}
		got = append(got, m[len(m)-1].([]any)[0])
	}
}

// inOrderFrom checks that got is 0, 1, 2...
func inOrderFrom(t *testing.T, got []any) {
	t.Helper()
	for i, v := range got {
		if v != int64(i) {
			t.Fatalf("%v at place %d", v, i)
		}
	}
}

// A subscriber that does not read gets the first events, then the reason why no
// more. Another, who reads, gets all.
func TestStalledSubscriber(t *testing.T) {
	overWays(t, func(t *testing.T, y way, c transport.Codec) {
		b := startSmall(t, patienceOfTests)
		stalled, arrived := b.stranger(y, c), make(chan any, enough)
		stalled.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 1, none, "org.t.stall")
		healthy, publisher := b.joinBy(y, c), b.joinBy(y, c)
		if err := healthy.Subscribe(b.ctx(), "org.t.stall", session.Exact, func(e *session.Event) { arrived <- e.Args[0] }); err != nil {
			t.Fatal(err)
		}
		for i := range enough {
			if err := publisher.Publish(b.ctx(), "org.t.stall", []any{i, filler}, nil, true); err != nil {
				t.Fatal(err)
			}
			select {
			case v := <-arrived: // it reads, so this small queue is enough for it
				if v != int64(i) {
					t.Fatalf("a healthy subscriber got %v, want %d", v, i)
				}
			case <-healthy.Done():
				t.Fatalf("a healthy subscriber was cut off: %v", healthy.Err())
			}
		}
		inOrderFrom(t, stalled.cutOff(wamp.EVENT))
	})
}

// A caller that does not read ends its own calls; its callee goes on with those
// of others. It has said all that it says before it is cut off: what the router
// has not read would reset a TCP connection, and the reason with it.
func TestStalledCaller(t *testing.T) {
	const calls = 10 // of 1 MiB each
	overWays(t, func(t *testing.T, y way, c transport.Codec) {
		b := startSmall(t, patienceOfTests)
		long := strings.Repeat("x", 1<<20)
		if err := b.joinBy(y, c).Register(b.ctx(), "org.t.long", func(_ context.Context, call *session.Invocation) (session.Result, error) {
			return session.Result{Args: []any{call.Args[0], long}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		stalled, healthy := b.stranger(y, c), b.joinBy(y, c)
		var all []byte
		for i := range calls {
			all = append(all, stalled.encoded(wamp.CALL, i+1, none, "org.t.long", wamp.List{i})...)
		}
		stalled.write(all)
		for i := range calls {
			if _, err := healthy.Call(b.ctx(), "org.t.long", []any{i}, nil); err != nil {
				t.Fatalf("a healthy caller: %v", err)
			}
		}
		stalled.cutOff(wamp.RESULT)
	})
}

// A callee that does not read is told of no more calls than its queue holds: the
// others are refused, and it is not sent away for them. When it goes, all of its
// calls have ended.
func TestStalledCallee(t *testing.T) {
	overWays(t, func(t *testing.T, y way, c transport.Codec) {
		b := startSmall(t, patienceOfTests)
		stalled, caller := b.stranger(y, c), b.joinBy(y, c)
		stalled.ask(wamp.REGISTERED, wamp.REGISTER, 1, none, "org.t.stalled")
		var all sync.WaitGroup
		var leave sync.Once
		for i := range enough {
			all.Go(func() {
				_, err := caller.Call(b.ctx(), "org.t.stalled", []any{i, filler}, nil)
				e, ok := errors.AsType[*wire.Error](err)
				if !ok || e.URI != wire.ErrBusy && e.URI != wire.ErrCalleeLost && e.URI != wire.ErrNoSuchProcedure {
					t.Errorf("call %d: %v, want %s or %s", i, err, wire.ErrBusy, wire.ErrCalleeLost)
				}
				leave.Do(func() { _ = stalled.nc.Close() }) // the first that ends was refused
			})
		}
		all.Wait()
		b.alive()
	})
}
