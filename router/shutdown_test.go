package router

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// nexus's own timer of a call would fire into a dealer that is closed.
func TestTimeoutOptionAtShutdown(t *testing.T) {
	b := start(t)
	caller := b.raw(transport.JSON, everyRole)
	b.send(caller, &wamp.Call{Request: 1, Options: wamp.Dict{"timeout": 50}, Procedure: "org.deskconn.test.slow"})
	b.alive()
	b.router.Close()
	time.Sleep(100 * time.Millisecond)
}

// 9 and 10 of the table: Close under load, and beside peers that do not read,
// sent half a frame, or said nothing at all.
func TestCloseIsBounded(t *testing.T) {
	b := start(t)
	deaf := b.raw(transport.CBOR, everyRole)
	b.send(deaf, &wamp.Subscribe{Request: 1, Topic: "org.t.flood"})
	half := b.dial()
	defer func() { _ = half.Close() }()
	_, _ = half.Write([]byte{0x7f, 0xf1, 0, 0, 0, 0, 0, 9, '['})
	silent := b.dial()
	defer func() { _ = silent.Close() }()
	shaken := b.dial()
	defer func() { _ = shaken.Close() }()
	_, _ = shaken.Write([]byte{0x7f, 0xf3, 0, 0})
	ctx, stop := context.WithCancel(context.Background())
	var publishers sync.WaitGroup
	for range 4 {
		s := b.join(transport.CBOR)
		publishers.Go(func() {
			for ctx.Err() == nil && s.Publish(ctx, "org.t.flood", []any{make([]byte, 1000)}, nil, false) == nil {
				continue
			}
		})
	}
	b.alive()
	begin := time.Now()
	b.router.Close()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	stop()
	publishers.Wait()
	if _, err := net.Dial("unix", b.path); err == nil {
		t.Error("the socket still answers")
	}
}

// A capability that does not end its calls does not hold up Close.
func TestCloseDespiteCapability(t *testing.T) {
	b := start(t)
	for range 3 {
		caller := b.raw(transport.CBOR, everyRole)
		for n := range wamp.ID(6) {
			b.send(caller, &wamp.Call{Request: n + 1, Procedure: "org.deskconn.test.slow"})
		}
		b.send(caller, &wamp.Call{Request: 7, Procedure: "org.deskconn.test.set", Arguments: wamp.List{1}})
		b.receive(caller) // all are under way
	}
	begin := time.Now()
	b.router.Close() // beyond cap(b.ended), a handler hangs
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	for range 3 * 6 {
		<-b.ended
	}
}

// Close while everybody calls, publishes, subscribes and comes and goes: every
// session ends with an error, and nothing stays behind (TestMain).
func TestCloseUnderLoad(t *testing.T) {
	for round := range 2 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			b := start(t)
			var all sync.WaitGroup
			busy := make(chan struct{}, 1000)
			for i := range 20 {
				s := b.join(codecs[i%len(codecs)])
				match := []string{session.Exact, session.Prefix, session.Wildcard}[i%3]
				topic := map[string]string{session.Exact: "org.t.load", session.Prefix: "org.t", session.Wildcard: "org..load"}[match]
				if err := s.Subscribe(b.ctx(), topic, match, func(*session.Event) {}); err != nil {
					t.Fatal(err)
				}
				all.Go(func() { load(b.ctx(), s, i, busy) })
			}
			all.Go(func() { comeAndGo(b.path, busy) })
			for range 500 {
				<-busy
			}
			b.router.Close()
			all.Wait()
		})
	}
}

// load calls and publishes until its session ends.
func load(ctx context.Context, s *session.Session, i int, busy chan<- struct{}) {
	for n := 0; s.Err() == nil; n++ {
		_ = s.Publish(ctx, "org.t.load", []any{n}, map[string]any{"n": n}, n%5 == 0)
		_, _ = s.Call(ctx, "org.deskconn.test.set", []any{n % 101}, nil)
		_ = s.Register(ctx, fmt.Sprintf("org.t.load%d", i), func(context.Context, *session.Invocation) (session.Result, error) {
			return session.Result{}, errors.New("no")
		})
		select {
		case busy <- struct{}{}:
		default:
		}
	}
}

// comeAndGo connects until nobody listens.
func comeAndGo(path string, busy chan<- struct{}) {
	for i := 0; ; i++ {
		nc, err := net.Dial("unix", path)
		if err != nil {
			return
		}
		conn, err := transport.Dial(nc, codecs[i%len(codecs)], transport.DefaultLimits())
		if err != nil {
			return
		}
		_ = conn.Send(context.Background(), &wamp.Hello{Realm: wire.Realm, Details: everyRole})
		if i%2 == 0 {
			conn.Abandon()
		} else {
			conn.Close()
		}
		drain(conn)
		select {
		case busy <- struct{}{}:
		default:
		}
	}
}

// While others come and go, do not read, or stop in the middle of a frame, Close
// is bounded, and every healthy peer is told, whichever way it came.
func TestGoodbyeToAll(t *testing.T) {
	b := start(t)
	var healthy []*wild
	var busy []*session.Session
	for _, y := range ways {
		for _, c := range codecs {
			healthy = append(healthy, b.stranger(y, c))
			busy = append(busy, b.joinBy(y, c))
		}
		deaf, half := b.stranger(y, transport.CBOR), b.stranger(y, transport.JSON)
		deaf.say(wamp.SUBSCRIBE, 1, none, "org.t.load")
		half.write(half.encoded(wamp.PUBLISH, 1, none, "org.t.load")[:7])
		b.wild(y, transport.CBOR) // says nothing more
		silent := y.dial(b)
		t.Cleanup(func() { _ = silent.Close() })
	}
	var all sync.WaitGroup
	started := make(chan struct{}, 1000)
	for i, s := range busy {
		all.Go(func() { load(b.ctx(), s, i, started) })
	}
	all.Go(func() { comeAndGo(b.path, started) })
	for range 200 {
		<-started
	}
	begin := time.Now()
	b.router.Close()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	all.Wait()
	for i, s := range busy {
		e, ok := errors.AsType[*wire.Error](s.Err())
		if !ok || e.URI != string(wamp.CloseSystemShutdown) && e.URI != wire.ErrLost {
			t.Errorf("busy session %d ended with %v", i, s.Err())
		}
	}
	for _, w := range healthy {
		if m := w.hear(); kindOf(m) != wamp.GOODBYE || m[2] != string(wamp.CloseSystemShutdown) {
			t.Errorf("over %s in %s: %v, want GOODBYE", w.way.name, w.codec.Name(), m)
		}
		w.turnedAway()
	}
}

// Close waits for the calls in flight, and takes no new ones.
func TestCloseDrains(t *testing.T) {
	opts := options(transport.DefaultLimits(), DefaultSessionLimits())
	opts.Drain = patienceOfTests
	b := startWith(t, opts)
	begun, finish := make(chan struct{}), make(chan struct{})
	err := b.join(transport.CBOR).Register(b.ctx(), "org.t.long", func(context.Context, *session.Invocation) (session.Result, error) {
		close(begun)
		<-finish
		return session.Result{Args: []any{"done"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	caller, ended := b.join(transport.CBOR), make(chan error, 1)
	go func() {
		r, err := caller.Call(b.ctx(), "org.t.long", nil, nil)
		if err == nil && r.Args[0] != "done" {
			err = fmt.Errorf("the answer is %v", r.Args)
		}
		ended <- err
	}()
	<-begun
	closed := make(chan struct{})
	go func() { b.router.Close(); close(closed) }()
	for limit := time.Now().Add(patienceOfTests); ; time.Sleep(time.Millisecond) {
		_, err := caller.Call(b.ctx(), wire.Describe, nil, nil)
		if e, ok := errors.AsType[*wire.Error](err); ok && e.URI == string(wamp.CloseSystemShutdown) {
			break
		}
		if err != nil || time.Now().After(limit) {
			t.Fatalf("a new call while the router closes: %v", err)
		}
	}
	close(finish)
	if err := <-ended; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	<-closed
}
