package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
	"go.uber.org/goleak"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// No test may leave a goroutine behind. On a busy machine the last ones of a
// closed router take a while to end.
func TestMain(m *testing.M) {
	code := m.Run()
	err := goleak.Find()
	for i := 0; err != nil && i < 20; i++ {
		time.Sleep(500 * time.Millisecond)
		err = goleak.Find()
	}
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}

var codecs = []transport.Codec{transport.JSON, transport.MsgPack, transport.CBOR}

// bench is a router on a socket of its own, with one small capability.
type bench struct {
	t      *testing.T
	router *Router
	path   string
	ended  chan uint64 // callers whose call of `slow` was ended
}

func start(t *testing.T) *bench {
	t.Helper()
	return startWith(t, Options{
		Log:       slog.New(slog.DiscardHandler),
		Transport: transport.DefaultLimits(), Session: SessionLimits{Calls: 8, Registrations: 4, Subscriptions: 4},
	})
}

func startWith(t *testing.T, opts Options) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, path: filepath.Join(dir, "s"), ended: make(chan uint64, 10)}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	opts.Capabilities = []capabilities.Capability{b.capability()}
	if b.router, err = New(ctx, opts); err != nil {
		t.Fatal(err)
	}
	ln, err := ListenUnix(b.path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.router.Serve(ln) }()
	t.Cleanup(func() {
		b.router.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
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
	nc, err := net.Dial("unix", b.path)
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
	conn, err := transport.Dial(b.dial(), c, transport.DefaultLimits())
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := session.Join(b.ctx(), conn, "test")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Leave(b.ctx()) })
	return s
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

// nexus's own timer of a call would fire into a dealer that is closed.
func TestTimeoutOptionAtShutdown(t *testing.T) {
	b := start(t)
	caller := b.raw(transport.JSON, everyRole)
	b.send(caller, &wamp.Call{Request: 1, Options: wamp.Dict{"timeout": 50}, Procedure: "org.deskconn.test.slow"})
	b.alive()
	b.router.Close()
	time.Sleep(100 * time.Millisecond)
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

// The crash table of nexus v3.3.0: what ends a stock router, over the socket.
func TestNexusCrashes(t *testing.T) {
	call := func(options wamp.Dict) *wamp.Call {
		return &wamp.Call{Request: 1, Options: options, Procedure: "org.deskconn.test.set", Arguments: wamp.List{1}}
	}
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		for row, attack := range map[string]func(){
			"1 frame type 3": func() {
				nc := b.dial()
				_, _ = nc.Write([]byte{0x7f, 0xf1, 0, 0, 3, 0, 0, 0})
				_, _ = nc.Read(make([]byte, 64))
				_ = nc.Close()
			},
			"2 unknown invoke": func() {
				conn := b.raw(c, everyRole)
				for i := range 2 {
					b.refused(conn, &wamp.Register{Request: wamp.ID(i + 1), Options: wamp.Dict{"invoke": "foo"}, Procedure: "org.t.x"}, wire.ErrInvalidArgument)
				}
				b.refused(conn, &wamp.Call{Request: 3, Procedure: "org.t.x"}, wire.ErrNoSuchProcedure)
			},
			"3 ppt options that are no text": func() {
				conn := b.raw(c, everyRole)
				ppt := wamp.Dict{"ppt_scheme": "x_a", "ppt_serializer": 1}
				b.refused(conn, call(ppt), wire.ErrNotSupported)
				b.refused(conn, &wamp.Publish{Request: 2, Options: wamp.Dict{"ppt_scheme": "x_a", "ppt_serializer": 1, "acknowledge": true}, Topic: "a.b"}, wire.ErrNotSupported)
				b.send(conn, &wamp.Publish{Request: 3, Options: ppt, Topic: "a.b"})
				b.send(conn, &wamp.Register{Request: 4, Procedure: "org.t.ppt"})
				b.receive(conn)
				b.send(conn, &wamp.Call{Request: 5, Procedure: "org.t.ppt"})
				invocation := b.receive(conn).(*wamp.Invocation)
				b.send(conn, &wamp.Yield{Request: invocation.Request, Options: ppt})
				if e, ok := b.receive(conn).(*wamp.Error); !ok || e.Error != wire.ErrApplication {
					t.Errorf("a YIELD with ppt became %+v", e)
				}
			},
			"4 progress that was not announced": func() {
				b.refused(b.raw(c, wamp.Dict{"roles": wamp.Dict{"caller": wamp.Dict{}}}), call(wamp.Dict{"progress": true}), wire.ErrNotSupported)
			},
			"5 testament with ppt": func() {
				conn := b.raw(c, everyRole)
				b.refused(conn, &wamp.Call{Request: 1, Procedure: "wamp.session.add_testament", Arguments: wamp.List{"a.b", wamp.List{}, wamp.Dict{}},
					ArgumentsKw: wamp.Dict{"publish_options": wamp.Dict{"ppt_scheme": "x"}}}, wire.ErrNotAuthorized)
			},
			"6 one procedure twice in a session": func() {
				conn := b.raw(c, everyRole)
				shared := wamp.Dict{"invoke": "roundrobin"}
				b.send(conn, &wamp.Register{Request: 1, Options: shared, Procedure: "org.t.shared"})
				b.receive(conn)
				b.refused(conn, &wamp.Register{Request: 2, Options: shared, Procedure: "org.t.shared"}, wire.ErrAlreadyExists)
				conn.Abandon()
				drain(conn)
				b.gone("org.t.shared")
			},
			"7 several pattern subscribers": func() { b.patterns(c) },
			"8 HELLO and away": func() {
				for range 50 {
					conn, err := transport.Dial(b.dial(), c, transport.DefaultLimits())
					if err != nil {
						t.Fatal(err)
					}
					b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
					conn.Abandon()
					drain(conn)
				}
			},
		} {
			attack()
			t.Log("row", row)
			b.alive()
		}
	})
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

// patterns publishes to subscribers by prefix, wildcard and exact URI at once.
func (b *bench) patterns(c transport.Codec) {
	b.t.Helper()
	var all sync.WaitGroup
	subscribe := func(topic, match string) {
		all.Add(1)
		n := 0
		err := b.join(c).Subscribe(b.ctx(), topic, match, func(e *session.Event) {
			if n++; n == 300 {
				all.Done()
			}
			if match != session.Exact && e.Topic != "org.t.p" {
				b.t.Errorf("topic %q by %s", e.Topic, match)
			}
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	for range 3 {
		subscribe("org.t", session.Prefix)
		subscribe("org..p", session.Wildcard)
		subscribe("org.t.p", session.Exact)
	}
	publisher := b.join(c)
	for i := range 300 {
		if err := publisher.Publish(b.ctx(), "org.t.p", []any{i}, map[string]any{"i": i}, false); err != nil {
			b.t.Fatal(err)
		}
	}
	all.Wait()
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

// A callee cannot speak for the router.
func TestCalleeErrors(t *testing.T) {
	b := start(t)
	callee, caller := b.join(transport.JSON), b.join(transport.CBOR)
	var uri string
	if err := callee.Register(b.ctx(), "org.t.err", func(context.Context, *session.Invocation) (session.Result, error) {
		return session.Result{}, &wire.Error{URI: uri, Args: []any{"words"}, Kwargs: map[string]any{"a": int64(1)}}
	}); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{
		wire.ErrNotAuthorized: wire.ErrApplication, wire.ErrCalleeLost: wire.ErrApplication, wire.ErrCanceled: wire.ErrApplication,
		wire.ErrTimeout: wire.ErrApplication, "wamp.close.normal": wire.ErrApplication, "not a uri": wire.ErrApplication, "": wire.ErrApplication,
		wire.ErrInvalidArgument: wire.ErrInvalidArgument, wire.ErrExecFailed: wire.ErrExecFailed, "org.example.own": "org.example.own",
	} {
		uri = from
		_, err := caller.Call(b.ctx(), "org.t.err", nil, nil)
		e, ok := errors.AsType[*wire.Error](err)
		if !ok || e.URI != want || e.Message() != "words" || e.Kwargs["a"] != int64(1) {
			t.Errorf("%q became %+v, want %s", from, e, want)
		}
	}
}

func TestRules(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		conn := b.raw(c, everyRole)
		ack := wamp.Dict{"acknowledge": true}
		for i, r := range []struct {
			request wamp.Message
			uri     string
		}{
			{&wamp.Register{Procedure: "org.deskconn.mine"}, wire.ErrAuthorization},
			{&wamp.Register{Procedure: "wamp.mine"}, wire.ErrAuthorization},
			{&wamp.Register{Procedure: "org", Options: wamp.Dict{"match": "prefix"}}, wire.ErrNotSupported},
			{&wamp.Register{Procedure: "a b"}, wire.ErrInvalidURI},
			{&wamp.Register{Procedure: wamp.URI(strings.Repeat("x", 5000))}, wire.ErrInvalidURI},
			{&wamp.Publish{Topic: wamp.URI(strings.Repeat("x", 5000)), Options: ack}, wire.ErrInvalidURI},
			{&wamp.Subscribe{Topic: wamp.URI(strings.Repeat("x", 5000))}, wire.ErrInvalidURI},
			{&wamp.Publish{Topic: "wamp.session.on_join", Options: ack}, wire.ErrAuthorization},
			{&wamp.Subscribe{Topic: "a.b", Options: wamp.Dict{"match": "regex"}}, wire.ErrInvalidArgument},
			{&wamp.Subscribe{Topic: "a.b", Options: wamp.Dict{"match": 1}}, wire.ErrInvalidArgument},
			{&wamp.Unregister{Registration: 1}, wire.ErrNoSuchRegistration},
		} {
			id := wamp.ID(i + 1)
			switch m := r.request.(type) {
			case *wamp.Register:
				m.Request = id
			case *wamp.Publish:
				m.Request = id
			case *wamp.Subscribe:
				m.Request = id
			case *wamp.Unregister:
				m.Request = id
			}
			b.refused(conn, r.request, r.uri)
		}
		b.alive()
	})
}

func TestSessionLimits(t *testing.T) {
	b := start(t)
	conn := b.raw(transport.CBOR, everyRole)
	id := wamp.ID(0)
	next := func() wamp.ID { id++; return id }
	for i := range 4 {
		b.send(conn, &wamp.Register{Request: next(), Procedure: wamp.URI(fmt.Sprintf("org.t.r%d", i))})
		b.receive(conn)
		b.send(conn, &wamp.Subscribe{Request: next(), Topic: wamp.URI(fmt.Sprintf("org.t.s%d", i))})
		b.receive(conn)
	}
	b.refused(conn, &wamp.Register{Request: next(), Procedure: "org.t.more"}, wire.ErrLimit)
	b.refused(conn, &wamp.Subscribe{Request: next(), Topic: "org.t.more"}, wire.ErrLimit)
	for range 8 {
		b.send(conn, &wamp.Call{Request: next(), Procedure: "org.deskconn.test.slow"})
	}
	b.refused(conn, &wamp.Call{Request: next(), Procedure: "org.deskconn.test.slow"}, wire.ErrLimit)
	b.refused(conn, &wamp.Call{Request: id - 1, Procedure: "org.deskconn.test.slow"}, wire.ErrInvalidArgument)
	b.send(conn, &wamp.Cancel{Request: id - 1})
	b.receive(conn)
	b.send(conn, &wamp.Call{Request: next(), Procedure: "org.deskconn.test.fail"}) // there is room again
	if e, ok := b.receive(conn).(*wamp.Error); !ok || e.Error != wire.ErrUnavailable {
		t.Errorf("got %+v", e)
	}
}

func TestHello(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		other := b.link(c)
		b.send(other, &wamp.Hello{Realm: "realm1", Details: everyRole})
		b.aborted(other, wire.ErrNoSuchRealm)
		old := b.link(c)
		b.send(old, &wamp.Hello{Realm: wire.Realm, Details: wamp.Dict{"roles": wamp.Dict{}, wire.ProtocolKey: 99}})
		b.aborted(old, wire.ErrProtocolViolation)
		rude := b.link(c)
		b.send(rude, &wamp.Call{Request: 1, Procedure: "a.b"})
		b.aborted(rude, wire.ErrProtocolViolation)
		twice := b.raw(c, everyRole)
		b.send(twice, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
		b.aborted(twice, wire.ErrProtocolViolation)
		odd := b.raw(c, everyRole)
		b.send(odd, &wamp.Welcome{ID: 1})
		b.aborted(odd, wire.ErrProtocolViolation)
	})
}

// Who a peer is comes from the kernel, whatever HELLO says.
func TestHelloPlantsNothing(t *testing.T) {
	b := start(t)
	conn := b.link(transport.CBOR)
	b.send(conn, &wamp.Hello{Realm: wire.Realm, Details: wamp.Dict{
		"roles": everyRole["roles"], "authid": "daemon", "authrole": "daemon", "authmethods": wamp.List{"anonymous"},
		"transport": wamp.Dict{"auth": wamp.Dict{"identity": "x"}}, "session": 1, "x": "y",
	}})
	welcome := b.receive(conn).(*wamp.Welcome)
	want := fmt.Sprintf("uid:%d", os.Geteuid())
	if welcome.Details["authid"] != want || welcome.Details["authrole"] != roleOwner || welcome.Details["authmethod"] != wire.AuthPeerCred {
		t.Errorf("WELCOME %v", welcome.Details)
	}
	result, err := b.join(transport.CBOR).Call(b.ctx(), "wamp.session.get", []any{welcome.ID}, nil)
	if err != nil {
		t.Fatal(err)
	}
	details := result.Args[0].(map[string]any)
	if details["authid"] != want || details["x"] != nil || details["session"] != int64(welcome.ID) {
		t.Errorf("session details %v", details)
	}
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

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
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
