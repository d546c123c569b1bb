package router

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/broker"
	"github.com/deskconn/dconn/router/dealer"
	"github.com/deskconn/dconn/router/leaks"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// No test may leave a goroutine behind.
func TestMain(m *testing.M) {
	if paths := os.Getenv(holdsEnv); paths != "" {
		holdLocks(paths)
		return
	}
	leaks.Main(m)
}

var codecs = []transport.Codec{transport.JSON, transport.MsgPack, transport.CBOR}

// bench is a router on a socket of its own, with one small capability.
type bench struct {
	t      testing.TB
	router *Router
	path   string
	tcp    string      // its address there
	ended  chan uint64 // callers whose call of `slow` was ended
}

func start(t testing.TB) *bench {
	t.Helper()
	return startWith(t, options(transport.DefaultLimits(), SessionLimits{Limits: dealer.Limits{Calls: 8, StreamBytes: 1 << 20, StreamIdle: time.Minute}, Registrations: 4, Subscriptions: 4}))
}

// options are those of a router that logs nothing, and whose door is patient.
func options(lim transport.Limits, perSession SessionLimits) Options {
	perSession.PerDevice = 1 << 20
	return Options{Log: slog.New(slog.DiscardHandler), Transport: lim, Session: perSession, Door: patientDoor()}
}

func startWith(t testing.TB, opts Options) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, path: filepath.Join(dir, "s"), ended: make(chan uint64, 10)}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	opts.Capabilities = []capabilities.Capability{b.capability()}
	opts.admitAll = opts.admitAll || opts.Trust == nil
	if opts.Trust == nil {
		opts.Certificate, opts.Trust = &server().Certificate, pairedStore(t, netip.Addr{})
	}
	if b.router, err = New(ctx, opts); err != nil {
		t.Fatal(err)
	}
	private, err := ListenUnix(b.path)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ListenTCP("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	b.tcp = public.Addr().String()
	served := make(chan error, 2)
	for _, ln := range []net.Listener{private, public} {
		go func() { served <- b.router.Serve(ln) }()
	}
	t.Cleanup(func() {
		b.router.Close()
		for range cap(served) {
			if err := <-served; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
		_ = os.RemoveAll(dir)
	})
	return b
}

func (b *bench) capability() capabilities.Capability {
	percent := capabilities.Param{Name: "percent", Type: capabilities.Int, Min: 0, Max: 100}
	return capabilities.Capability{Name: "test", Doc: "for tests", Procedures: []capabilities.Procedure{
		{Verb: "set", Doc: "d", Params: []capabilities.Param{percent}, Handle: func(_ context.Context, c capabilities.Call) (any, error) {
			return c.Int("percent"), nil
		}},
		{Verb: "slow", Doc: "d", Handle: func(ctx context.Context, c capabilities.Call) (any, error) {
			<-ctx.Done()
			b.ended <- c.Caller
			return nil, ctx.Err()
		}},
		{Verb: "fail", Doc: "d", Handle: func(context.Context, capabilities.Call) (any, error) {
			return nil, capabilities.Unavailable("no %s", "panel")
		}},
	}}
}

func (b *bench) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *bench) dial() net.Conn {
	b.t.Helper()
	return b.dialAt("unix", b.path)
}

func (b *bench) dialTCP() net.Conn {
	b.t.Helper()
	return b.dialAt("tcp", b.tcp)
}

func (b *bench) dialAt(network, address string) net.Conn {
	b.t.Helper()
	nc, err := net.Dial(network, address)
	if err != nil {
		b.t.Fatal(err)
	}
	return nc
}

// link is a connection on which nothing was said yet.
func (b *bench) link(c transport.Codec) *transport.Conn {
	b.t.Helper()
	conn, err := transport.Dial(b.dial(), c, transport.DefaultLimits())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Abandon(); drain(conn) })
	return conn
}

// drain reads what is left until the connection has ended.
func drain(conn *transport.Conn) {
	for range conn.Recv() {
	}
	<-conn.Done()
}

func (b *bench) join(c transport.Codec) *session.Session {
	b.t.Helper()
	return b.joinBy(ways[0], c)
}

// raw joins by hand, so that anything can be said afterwards.
func (b *bench) raw(c transport.Codec, hello wamp.Dict) *transport.Conn {
	b.t.Helper()
	conn := b.link(c)
	b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: hello})
	if msg := b.receive(conn); msg.MessageType() != wamp.WELCOME {
		b.t.Fatalf("got %s, want WELCOME", msg.MessageType())
	}
	return conn
}

var everyRole = wamp.Dict{"roles": wamp.Dict{
	"caller":    wamp.Dict{"features": wamp.Dict{"payload_passthru_mode": true, "progressive_call_invocations": true}},
	"callee":    wamp.Dict{"features": wamp.Dict{"payload_passthru_mode": true, "call_canceling": true}},
	"publisher": wamp.Dict{"features": wamp.Dict{"payload_passthru_mode": true}}, "subscriber": wamp.Dict{},
}}

// everyFeature is a HELLO that announces all that a dealer and a broker may ask about.
var everyFeature = wamp.Dict{"roles": wamp.Dict{
	"caller": wamp.Dict{"features": wamp.Dict{
		"call_canceling": true, "progressive_call_results": true, "progressive_call_invocations": true, "caller_identification": true,
	}},
	"callee": wamp.Dict{"features": wamp.Dict{
		"call_canceling": true, "progressive_call_results": true, "progressive_call_invocations": true, "caller_identification": true,
		"pattern_based_registration": true, "shared_registration": true,
	}},
	"publisher":  wamp.Dict{"features": wamp.Dict{"publisher_identification": true}},
	"subscriber": wamp.Dict{"features": wamp.Dict{"publisher_identification": true, "pattern_based_subscription": true}},
}}

func (b *bench) send(conn *transport.Conn, msgs ...wamp.Message) {
	b.t.Helper()
	for _, m := range msgs {
		if err := conn.Send(b.ctx(), m); err != nil {
			b.t.Fatalf("send %s: %v", m.MessageType(), err)
		}
	}
}

func (b *bench) receive(conn *transport.Conn) wamp.Message {
	b.t.Helper()
	select {
	case m, open := <-conn.Recv():
		if !open {
			b.t.Fatalf("the connection has ended: %v", conn.Err())
		}
		return m
	case <-b.ctx().Done():
		b.t.Fatal("no message")
		return nil
	}
}

// refused sends a request and wants an ERROR.
func (b *bench) refused(conn *transport.Conn, request wamp.Message, uri string) {
	b.t.Helper()
	b.send(conn, request)
	e, ok := b.receive(conn).(*wamp.Error)
	if !ok || string(e.Error) != uri || e.Type != request.MessageType() {
		b.t.Errorf("%s: got %+v, want %s", request.MessageType(), e, uri)
	}
}

// aborted wants an ABORT or GOODBYE with a reason, and the end.
func (b *bench) aborted(conn *transport.Conn, uri string) {
	b.t.Helper()
	switch m := b.receive(conn).(type) {
	case *wamp.Abort:
		if string(m.Reason) != uri || m.Details["message"] == nil {
			b.t.Errorf("ABORT %s %v, want %s and a message", m.Reason, m.Details, uri)
		}
	default:
		b.t.Errorf("got %s, want ABORT", m.MessageType())
	}
	<-conn.Done()
}

// alive proves that the daemon still works, for somebody else.
func (b *bench) alive() {
	b.t.Helper()
	s := b.join(transport.CBOR)
	result, err := s.Call(b.ctx(), "org.deskconn.test.set", []any{80}, nil)
	if err != nil || len(result.Args) != 1 || result.Args[0] != int64(80) {
		b.t.Fatalf("after that, a call answers %v, %v", result, err)
	}
}

// awaitMeta waits until nexus has answered the meta calls of sessions that are
// gone: one that it finds when it closes holds it up for ever.
func (b *bench) awaitMeta() {
	b.t.Helper()
	s := b.join(transport.CBOR)
	if _, err := s.Call(b.ctx(), "wamp.session.count", nil, nil); err != nil {
		b.t.Errorf("a meta call: %v", err)
	}
	s.Leave(b.ctx())
}

func wantError(t *testing.T, err error, uri string) {
	t.Helper()
	if e, ok := errors.AsType[*wire.Error](err); !ok || e.URI != uri {
		t.Errorf("got %v, want %s", err, uri)
	}
}

func overCodecs(t *testing.T, run func(t *testing.T, c transport.Codec)) {
	for _, c := range codecs {
		t.Run(c.Name(), func(t *testing.T) { run(t, c) })
	}
}

// gone waits until a procedure is not registered any more.
func (b *bench) gone(uri string) {
	b.t.Helper()
	s, ctx := b.join(transport.CBOR), b.ctx()
	for ctx.Err() == nil {
		_, err := s.Call(b.ctx(), uri, nil, nil)
		if e, ok := errors.AsType[*wire.Error](err); ok && e.URI == wire.ErrNoSuchProcedure {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.t.Errorf("%s is still registered", uri)
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// guardOf is the guard of a session that nobody has.
func guardOf(id Identity) *guard {
	r := &Router{
		opts: DefaultOptions(), dealer: dealer.New(), broker: broker.New(),
		ledger: newLedger(slog.New(slog.DiscardHandler)), devices: newDevices(&Options{}),
	}
	g := r.newGuard(r.ledger.begin(id))
	g.peer = transport.NewPeer(transport.NewLocal(g, r.opts.Transport), func() {})
	return g
}
