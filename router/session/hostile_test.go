package session_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/leaks"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// No test may leave a goroutine behind.
func TestMain(m *testing.M) { leaks.Main(m) }

// fake is a router that says what the test wants.
type fake struct {
	t    *testing.T
	conn *transport.Conn
}

func (f fake) send(msgs ...wamp.Message) {
	f.t.Helper()
	for _, m := range msgs {
		if err := f.conn.Send(f.t.Context(), m); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f fake) receive() wamp.Message {
	f.t.Helper()
	select {
	case m, open := <-f.conn.Recv():
		if open {
			return m
		}
		f.t.Fatalf("the session hung up: %v", f.conn.Err())
	case <-time.After(10 * time.Second):
		f.t.Fatal("waited 10 s for a message")
	}
	return nil
}

// connect is a session and the fake router it has joined.
func connect(t *testing.T, c transport.Codec) (*session.Session, fake) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	near, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client, err := transport.Dial(near, c, transport.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	joined := make(chan *session.Session, 1)
	go func() {
		s, err := session.Join(ctx, client, "test")
		if err != nil {
			t.Error(err)
		}
		joined <- s
	}()
	conn, err := transport.Accept(far, transport.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := fake{t, conn}
	t.Cleanup(func() {
		conn.Abandon()
		for range conn.Recv() { // until its reader ends
		}
		<-conn.Done()
	})
	if m := f.receive(); m.MessageType() != wamp.HELLO {
		t.Fatalf("got %s, want HELLO", m.MessageType())
	}
	f.send(&wamp.Welcome{ID: 7, Details: wamp.Dict{wire.ProtocolKey: wire.Protocol}})
	s := <-joined
	if s == nil {
		t.FailNow()
	}
	t.Cleanup(func() { s.Leave(ctx) })
	return s, f
}

// Rows 11 and 12 of the crash table of nexus, and what else a router should
// not send: the session lives, and the next call is answered.
func TestHostileRouter(t *testing.T) {
	ppt := wamp.Dict{"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": int64(1)}
	for _, c := range []transport.Codec{transport.JSON, transport.MsgPack, transport.CBOR} {
		t.Run(c.Name(), func(t *testing.T) {
			s, f := connect(t, c)
			events := make(chan *session.Event, 10)
			subscribed := make(chan error, 2)
			go func() {
				subscribed <- s.Subscribe(t.Context(), "a.b", session.Exact, func(e *session.Event) { events <- e })
				subscribed <- s.Register(t.Context(), "a.c", func(_ context.Context, call *session.Invocation) (session.Result, error) {
					return session.Result{Args: call.Args}, nil
				})
			}()
			f.send(&wamp.Subscribed{Request: f.receive().(*wamp.Subscribe).Request, Subscription: 1})
			f.send(&wamp.Registered{Request: f.receive().(*wamp.Register).Request, Registration: 2})
			for range 2 {
				if err := <-subscribed; err != nil {
					t.Fatal(err)
				}
			}
			f.send(
				&wamp.Event{Subscription: 1, Publication: 1, Details: ppt}, // row 11: no arguments
				&wamp.Event{Subscription: 99, Publication: 2, Details: wamp.Dict{}},
				&wamp.Event{Subscription: 1, Publication: 3, Details: wamp.Dict{"topic": int64(1), "publisher_authid": []any{}}},
				&wamp.Result{Request: 99}, &wamp.Error{Type: wamp.CALL, Request: 99, Error: "a.b"},
				&wamp.Interrupt{Request: 99}, &wamp.Subscribed{Request: 99}, &wamp.Unregistered{}, &wamp.Hello{}, &wamp.Call{Request: 1},
			)
			for _, publication := range []uint64{1, 3} {
				if e := <-events; e.Publication != publication || len(e.Args) != 0 || e.Topic != "" || e.Publisher != "" {
					t.Errorf("got %+v, want publication %d and nothing else", e, publication)
				}
			}
			f.send(&wamp.Invocation{Request: 1, Registration: 2, Details: ppt, Arguments: wamp.List{"x"}}) // row 12
			if y, ok := f.receive().(*wamp.Yield); !ok || y.Request != 1 || len(y.Arguments) != 1 || y.Arguments[0] != "x" {
				t.Errorf("got %+v, want YIELD 1 with x", y)
			}
			f.send(&wamp.Invocation{Request: 2, Registration: 99, Details: wamp.Dict{"caller": "x", "procedure": int64(1)}})
			if e, ok := f.receive().(*wamp.Error); !ok || e.Type != wamp.INVOCATION || e.Request != 2 || e.Error != wire.ErrNoSuchProcedure {
				t.Errorf("got %+v, want ERROR %s", e, wire.ErrNoSuchProcedure)
			}
			if s.Err() != nil {
				t.Errorf("the session ended: %v", s.Err())
			}
		})
	}
}

// An answer of the wrong type is an error of the request, not a success.
func TestWrongAnswer(t *testing.T) {
	s, f := connect(t, transport.CBOR)
	answer := make(chan error, 1)
	go func() {
		_, err := s.Call(t.Context(), "a.b", nil, nil)
		answer <- err
	}()
	f.send(&wamp.Subscribed{Request: f.receive().(*wamp.Call).Request, Subscription: 1})
	if err := <-answer; err == nil || err.(*wire.Error).URI != wire.ErrProtocolViolation {
		t.Errorf("got %v, want %s", err, wire.ErrProtocolViolation)
	}
}

// Events that came before the end of the connection are all handled.
func TestEventsBeforeTheEnd(t *testing.T) {
	s, f := connect(t, transport.CBOR)
	got := make(chan uint64, 100)
	subscribed := make(chan error, 1)
	go func() {
		subscribed <- s.Subscribe(t.Context(), "a.b", session.Exact, func(e *session.Event) {
			time.Sleep(time.Millisecond) // the end is there before the last of them is handled
			got <- e.Publication
		})
	}()
	f.send(&wamp.Subscribed{Request: f.receive().(*wamp.Subscribe).Request, Subscription: 1})
	if err := <-subscribed; err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		f.send(&wamp.Event{Subscription: 1, Publication: wamp.ID(i + 1), Details: wamp.Dict{}})
	}
	f.conn.Close()
	<-s.Done()
	if n := len(got); n != 50 {
		t.Errorf("%d of 50 events were handled", n)
	}
}
