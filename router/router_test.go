package router

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

func TestCallOverEverySerializer(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		s := b.join(c)
		for _, v := range []any{80, 80.0, "80", uint64(80)} {
			result, err := s.Call(b.ctx(), "org.deskconn.test.set", []any{v}, nil)
			if err != nil || result.Args[0] != int64(80) {
				t.Errorf("%T: %v, %v", v, result, err)
			}
		}
		_, err := s.Call(b.ctx(), "org.deskconn.test.set", []any{101}, nil)
		wantError(t, err, wire.ErrInvalidArgument)
		_, err = s.Call(b.ctx(), "org.deskconn.test.fail", nil, nil)
		wantError(t, err, wire.ErrUnavailable)
		_, err = s.Call(b.ctx(), "org.deskconn.nothing", nil, nil)
		wantError(t, err, wire.ErrNoSuchProcedure)
	})
}

func TestEventsInOrder(t *testing.T) {
	const events = 5000
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		done, next := make(chan struct{}), int64(0)
		err := b.join(c).Subscribe(b.ctx(), "org.t.topic", session.Exact, func(e *session.Event) {
			if e.Args[0] != next {
				t.Errorf("event %v, want %d", e.Args[0], next)
			}
			if next++; next == events {
				close(done)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		publisher := b.join(c)
		for i := range events {
			if err := publisher.Publish(b.ctx(), "org.t.topic", []any{i}, nil, i == events-1); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-done:
		case <-b.ctx().Done():
			t.Fatal("events are missing")
		}
	})
}

// Starting is given up in any of its moments without harm.
func TestNewIsCanceled(t *testing.T) {
	b := &bench{t: t, ended: make(chan uint64, 1)}
	for i := range 200 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*5*time.Microsecond)
		r, err := New(ctx, Options{
			Capabilities: []capabilities.Capability{b.capability()}, Log: slog.New(slog.DiscardHandler),
			Transport: transport.DefaultLimits(), Session: DefaultSessionLimits(),
		})
		if err == nil {
			r.Close()
		}
		cancel()
	}
}

// Subscribers that read are not cut off, however fast the publishers are.
func TestFastReaders(t *testing.T) {
	b := start(t)
	const publishers, events = 2, 8000 // less in all than a queue holds
	var all sync.WaitGroup
	for range 3 {
		s, n, done := b.join(transport.CBOR), 0, make(chan struct{})
		if err := s.Subscribe(b.ctx(), "org.t.fast", session.Exact, func(*session.Event) {
			if n++; n == publishers*events {
				close(done)
			}
		}); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			select {
			case <-done:
			case <-s.Done():
				t.Errorf("cut off: %v", s.Err())
			case <-b.ctx().Done():
				t.Error("events are missing, and the session lives")
			}
		})
	}
	for range publishers {
		s := b.join(transport.CBOR)
		all.Go(func() {
			for range events {
				if err := s.Publish(b.ctx(), "org.t.fast", []any{strings.Repeat("x", 300)}, nil, false); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// Callers and publishers are named by the router.
func TestDisclosure(t *testing.T) {
	b := start(t)
	callee, caller := b.join(transport.CBOR), b.join(transport.JSON)
	want := fmt.Sprintf("uid:%d", os.Geteuid())
	calls := make(chan session.Invocation, 1)
	if err := callee.Register(b.ctx(), "org.t.who", func(_ context.Context, call *session.Invocation) (session.Result, error) {
		calls <- *call
		return session.Result{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := caller.Call(b.ctx(), "org.t.who", nil, nil); err != nil {
		t.Fatal(err)
	}
	if call := <-calls; call.AuthID != want || call.Caller != caller.ID() {
		t.Errorf("the callee is told %+v", call)
	}
	events := make(chan *session.Event, 1)
	if err := callee.Subscribe(b.ctx(), "org.t.topic", session.Exact, func(e *session.Event) { events <- e }); err != nil {
		t.Fatal(err)
	}
	if err := caller.Publish(b.ctx(), "org.t.topic", nil, map[string]any{"a": 1.0}, true); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.Publisher != want || e.Kwargs["a"] != 1.0 || e.Publication == 0 {
		t.Errorf("the subscriber is told %+v", e)
	}
}

// Connections that come and go leave nothing: no goroutine (TestMain), no
// descriptor, no entry in describe.
func TestChurn(t *testing.T) {
	b := start(t)
	before := openFiles(t)
	for i := range 200 {
		conn := b.raw(codecs[i%len(codecs)], everyRole)
		b.send(conn, &wamp.Register{Request: 1, Procedure: wamp.URI(fmt.Sprintf("org.t.churn%d", i))})
		if i%2 == 0 {
			b.receive(conn)
		}
		conn.Abandon()
		drain(conn)
	}
	b.gone("org.t.churn199")
	ctx := b.ctx()
	for ctx.Err() == nil && (openFiles(t) > before+4 || len(b.router.directory.describe("")) > 3) {
		time.Sleep(5 * time.Millisecond)
	}
	if n := openFiles(t); n > before+4 {
		t.Errorf("%d open files, %d before", n, before)
	}
	if all := b.router.directory.describe(""); len(all) != 3 {
		t.Errorf("describe still lists %v", all)
	}
}

// Everything at once, for the race detector.
func TestStress(t *testing.T) {
	b := start(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range 12 {
		s := b.join(codecs[i%len(codecs)])
		topic := fmt.Sprintf("org.t.stress.%d", i%3)
		match, pattern := session.Prefix, "org.t.stress"
		if i%2 == 0 {
			match, pattern = session.Wildcard, "org.t..1"
		}
		all.Go(func() {
			_ = s.Subscribe(ctx, pattern, match, func(*session.Event) {})
			for n := 0; ctx.Err() == nil; n++ {
				_ = s.Publish(ctx, topic, []any{n}, map[string]any{"n": n}, n%10 == 0)
				if _, err := s.Call(ctx, "org.deskconn.test.set", []any{n % 101}, nil); err != nil && ctx.Err() == nil && s.Err() == nil {
					t.Errorf("call: %v", err)
				}
			}
		})
	}
	for range 3 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				nc, err := net.Dial("unix", b.path)
				if err != nil {
					return
				}
				conn, err := transport.Dial(nc, codecs[i%len(codecs)], transport.DefaultLimits())
				if err != nil {
					return
				}
				_ = conn.Send(ctx, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
				_ = conn.Send(ctx, &wamp.Subscribe{Request: 1, Topic: "org.t.stress.1"})
				conn.Abandon()
				drain(conn)
			}
		})
	}
	all.Wait()
	b.alive()
}

// What was sent before a session left arrives, also when the router writes to
// it at that moment.
func TestLeaveLosesNothing(t *testing.T) {
	b := start(t)
	counter := b.join(transport.CBOR)
	var got atomic.Int64
	if err := counter.Subscribe(b.ctx(), "org.t.out", session.Exact, func(*session.Event) { got.Add(1) }); err != nil {
		t.Fatal(err)
	}
	noise := b.join(transport.CBOR)
	ctx, stop := context.WithCancel(context.Background())
	var noisy sync.WaitGroup
	noisy.Go(func() {
		for ctx.Err() == nil && noise.Publish(ctx, "org.t.in", []any{1}, nil, true) == nil {
			continue
		}
	})
	const rounds, events = 10, 500
	for range rounds {
		conn, err := transport.Dial(b.dial(), transport.CBOR, transport.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		s, err := session.Join(b.ctx(), conn, "test")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Subscribe(b.ctx(), "org.t.in", session.Exact, func(*session.Event) {}); err != nil {
			t.Fatal(err)
		}
		for i := range events {
			if err := s.Publish(b.ctx(), "org.t.out", []any{i}, nil, false); err != nil {
				t.Fatal(err)
			}
		}
		s.Leave(b.ctx())
	}
	for limit := b.ctx(); limit.Err() == nil && got.Load() < rounds*events; {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	noisy.Wait()
	if got.Load() != rounds*events {
		t.Errorf("%d of %d events arrived", got.Load(), rounds*events)
	}
}

// One caller must not be able to end the session of a callee, nor a publisher
// that of a subscriber, by sending what is too long for it.
func TestTooLongForTheReceiver(t *testing.T) {
	b := start(t)
	nc := b.dial()
	small := transport.DefaultLimits()
	small.Message = 512
	callee, err := transport.Dial(nc, transport.CBOR, small)
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.Join(b.ctx(), callee, "small")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Leave(b.ctx())
	if err := s.Register(b.ctx(), "org.t.small", func(_ context.Context, call *session.Invocation) (session.Result, error) {
		return session.Result{Args: call.Args}, nil
	}); err != nil {
		t.Fatal(err)
	}
	caller := b.join(transport.CBOR)
	_, err = caller.Call(b.ctx(), "org.t.small", []any{strings.Repeat("x", 600)}, nil)
	wantError(t, err, wire.ErrLimit)
	if r, err := caller.Call(b.ctx(), "org.t.small", []any{"x"}, nil); err != nil || r.Args[0] != "x" {
		t.Errorf("the next call: %v, %v", r, err)
	}
}
