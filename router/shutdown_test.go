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
