package router

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// gate is a way to the router: how it listens, and how one gets in.
type gate struct {
	name   string
	listen func(t *testing.T, dir string) net.Listener
	dial   func(ln net.Listener) (net.Conn, error)
}

var gates = []gate{{
	name: "unix",
	listen: func(t *testing.T, dir string) net.Listener {
		ln, err := ListenUnix(filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		return ln
	},
	dial: func(ln net.Listener) (net.Conn, error) { return net.Dial("unix", ln.Addr().String()) },
}, {
	name: "tls",
	listen: func(t *testing.T, _ string) net.Listener {
		ln, err := ListenTCP("127.0.0.1:0", 0)
		if err != nil {
			t.Fatal(err)
		}
		return ln
	},
	dial: func(ln net.Listener) (net.Conn, error) {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return nil, err
		}
		tc := transport.TLSClient(nc, device().config(wire.ALPN))
		return tc, tc.Handshake()
	},
}}

// half is the beginning of a frame of 256 bytes, a PUBLISH.
var half = []byte{0, 0, 1, 0, 0x85, 0x10, 1, 0xa0}

func overGates(t *testing.T, run func(t *testing.T, y *yard)) {
	for _, d := range gates {
		t.Run(d.name, func(t *testing.T) { run(t, openYard(t, d)) })
	}
}

// yard is a router with the limits of a daemon.
type yard struct {
	*bench

	gate gate
	ln   net.Listener
}

// cuts are the reasons why the router ended sessions, as status has them.
func (y *yard) cuts() (reasons []string) {
	y.router.ledger.mu.Lock()
	defer y.router.ledger.mu.Unlock()
	for reason, n := range y.router.ledger.ended {
		if reason != endNormal && reason != endLost && reason != endClosed {
			reasons = append(reasons, slices.Repeat([]string{reason}, int(n))...)
		}
	}
	return reasons
}

// slow is the reason for whoever reads too slowly.
const slow = "slow_consumer"

func openYard(t *testing.T, d gate) *yard {
	t.Helper()
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		t.Fatal(err)
	}
	y := &yard{bench: &bench{t: t, ended: make(chan uint64, 10)}, gate: d}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	opts := DefaultOptions()
	opts.Transport.Stall = 2 * time.Second // who asks and does not read is not cut off for what waits
	opts.Devices.Calls = 0                 // as many as its sessions may have
	opts.Certificate, opts.Trust, opts.admitAll = &server().Certificate, pairedStore(t, netip.Addr{}), true
	opts.Capabilities, opts.Log = []capabilities.Capability{y.capability()}, slog.New(slog.DiscardHandler)
	y.router, err = New(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	y.ln = d.listen(t, dir)
	served := make(chan error, 1)
	go func() { served <- y.router.Serve(y.ln) }()
	t.Cleanup(func() {
		y.router.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		_ = os.RemoveAll(dir)
	})
	return y
}

// through goes in; wrap may slow the connection down.
func (y *yard) through(wrap func(net.Conn) net.Conn) (*transport.Conn, net.Conn) {
	y.t.Helper()
	nc, err := y.gate.dial(y.ln)
	if err != nil {
		y.t.Fatal(err)
	}
	if wrap != nil {
		nc = wrap(nc)
	}
	conn, err := transport.Dial(nc, transport.CBOR, transport.DefaultLimits())
	if err != nil {
		y.t.Fatal(err)
	}
	y.t.Cleanup(func() { conn.Abandon(); drain(conn) })
	return conn, nc
}

// rude joins by hand.
func (y *yard) rude(wrap func(net.Conn) net.Conn) (*transport.Conn, net.Conn) {
	y.t.Helper()
	conn, nc := y.through(wrap)
	y.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
	if msg := y.receive(conn); msg.MessageType() != wamp.WELCOME {
		y.t.Fatalf("got %s, want WELCOME", msg.MessageType())
	}
	return conn, nc
}

func (y *yard) polite() *session.Session {
	y.t.Helper()
	conn, _ := y.through(nil)
	s, err := session.Join(y.ctx(), conn, "test")
	if err != nil {
		y.t.Fatal(err)
	}
	return s
}

// ordinary traffic: what a caller and a publisher send, and how much of it may
// be on its way.
const (
	ordinaryCalls  = 400
	ordinaryEvents = 400
	ordinaryWindow = 8
	ordinaryBytes  = 32 << 10 // of an event: all of them are more than a queue
)

const (
	echoURI   = "org.t.echo"
	sharedURI = "org.t.topic"
)

// pair is an ordinary caller and callee, and an ordinary publisher and subscriber.
type pair struct {
	*yard

	caller, callee, publisher, subscriber *session.Session
	events                                chan any
}

func (y *yard) pair() *pair {
	y.t.Helper()
	p := &pair{
		yard: y, caller: y.polite(), callee: y.polite(), publisher: y.polite(), subscriber: y.polite(),
		events: make(chan any, ordinaryWindow),
	}
	if err := p.callee.Register(y.ctx(), echoURI, func(_ context.Context, call *session.Invocation) (session.Result, error) {
		return session.Result{Args: call.Args}, nil
	}); err != nil {
		y.t.Fatal(err)
	}
	if err := p.subscriber.Subscribe(y.ctx(), sharedURI, session.Exact, func(e *session.Event) {
		if len(e.Args) == 2 && e.Args[1] == strings.Repeat("x", ordinaryBytes) {
			p.events <- e.Args[0]
		}
	}); err != nil {
		y.t.Fatal(err)
	}
	return p
}

// run calls and publishes: no error, nothing lost, nothing out of order.
func (p *pair) run() {
	p.t.Helper()
	var both sync.WaitGroup
	both.Go(p.call)
	both.Go(p.publish)
	both.Wait()
	for _, s := range []*session.Session{p.caller, p.callee, p.publisher, p.subscriber} {
		if s.Err() != nil {
			p.t.Errorf("a session of the ordinary pair ended: %v", s.Err())
		}
	}
}

func (p *pair) call() {
	for i := range ordinaryCalls {
		r, err := p.caller.Call(p.ctx(), echoURI, []any{i}, nil)
		if err != nil || len(r.Args) != 1 || r.Args[0] != int64(i) {
			p.t.Errorf("call %d: %v, %v", i, r.Args, err)
			return
		}
	}
}

func (p *pair) publish() {
	payload, arrived := strings.Repeat("x", ordinaryBytes), 0
	for i := range ordinaryEvents + ordinaryWindow {
		if i >= ordinaryWindow {
			select {
			case got := <-p.events:
				if got != int64(arrived) {
					p.t.Errorf("event %v, want %d", got, arrived)
					return
				}
				arrived++
			case <-p.ctx().Done():
				p.t.Errorf("event %d does not arrive", arrived)
				return
			}
		}
		if i < ordinaryEvents {
			if err := p.publisher.Publish(p.ctx(), sharedURI, []any{i, payload}, nil, false); err != nil {
				p.t.Errorf("publish %d: %v", i, err)
				return
			}
		}
	}
}

// Whatever one peer does, an ordinary pair beside it sees no error, loses
// nothing and keeps its order, and who disturbs ends as it should.
func TestIsolation(t *testing.T) {
	for _, what := range disturbances {
		t.Run(what.name, func(t *testing.T) {
			overGates(t, func(t *testing.T, y *yard) {
				p := y.pair()
				stop, cancel := context.WithCancel(context.Background())
				defer cancel()
				d := &disturber{yard: y, stop: stop}
				what.do(d)
				p.run()
				if what.ends == isCut {
					y.awaitCut()
				}
				cancel()
				d.working.Wait()
				if d.check != nil {
					d.check()
				}
				p.run()
				for _, reason := range y.cuts() {
					if what.ends == unharmed || reason != slow {
						t.Errorf("a session was cut off: %s", reason)
					}
				}
			})
		})
	}
}

// awaitCut waits until a session was cut off for reading too slowly.
func (y *yard) awaitCut() {
	y.t.Helper()
	for ctx := y.ctx(); !slices.Contains(y.cuts(), slow); time.Sleep(5 * time.Millisecond) {
		if ctx.Err() != nil {
			y.t.Fatal("nobody was cut off as a slow consumer")
		}
	}
}

// A caller that stops reading a stream ends its own call only: the callee is
// told, and serves the others.
func TestStreamNobodyReads(t *testing.T) {
	overGates(t, func(t *testing.T, y *yard) {
		p := y.pair()
		ended := make(chan error, 1)
		err := p.callee.Register(y.ctx(), "org.t.stream", func(ctx context.Context, call *session.Invocation) (session.Result, error) {
			for i := 0; ctx.Err() == nil && (len(call.Args) == 0 || i < 20); i++ {
				if err := call.Progress(ctx, session.Result{Args: []any{i, strings.Repeat("x", ordinaryBytes)}}); err != nil {
					break
				}
			}
			if len(call.Args) == 0 {
				ended <- context.Cause(ctx)
			}
			return session.Result{Args: []any{"end"}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		deaf, _ := y.rude(nil)
		y.send(deaf, &wamp.Call{Request: 1, Procedure: "org.t.stream", Options: wamp.Dict{"receive_progress": true}})
		p.run()
		steps := 0
		r, err := p.caller.CallProgressive(y.ctx(), "org.t.stream", []any{"short"}, nil, func(session.Result) { steps++ })
		if err != nil || len(r.Args) != 1 || r.Args[0] != "end" || steps != 20 {
			t.Errorf("another caller of the stream: %v, %v after %d steps of 20", r.Args, err, steps)
		}
		select {
		case cause := <-ended:
			if !errors.Is(cause, session.ErrCanceled) {
				t.Errorf("the stream ended with %v, want that its call was canceled", cause)
			}
		case <-y.ctx().Done():
			t.Error("the callee still streams to nobody")
		}
		y.awaitCut()
		p.run()
		if cuts := y.cuts(); len(cuts) != 1 {
			t.Errorf("cut off: %v, want one session", cuts)
		}
	})
}
