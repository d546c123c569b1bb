// Package session is the client's half of a WAMP session: caller, callee,
// publisher and subscriber in one. The command line uses it over a socket,
// the capabilities inside the daemon over a pipe.
package session

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// Link carries the messages of one session: a transport.Conn or a
// transport.Local.
type Link interface {
	// Send queues msg; SendNow also has it leave, with what is queued.
	Send(ctx context.Context, msg wamp.Message) error
	SendNow(ctx context.Context, msg wamp.Message) error
	// Receive returns the next message, also one that came before the end, or why
	// the link has ended.
	Receive(ctx context.Context) (wamp.Message, error)
	Done() <-chan struct{}
	Err() error
	Close()
}

// Session is a joined WAMP session. Its methods may be called from any
// goroutine, but not from an event handler.
type Session struct {
	link    Link
	welcome *wamp.Welcome
	end     context.Context // ends with the session
	fail    context.CancelCauseFunc

	mu            sync.Mutex
	lastRequest   wamp.ID
	pending       map[wamp.ID]*request
	subscriptions map[wamp.ID]func(*Event)
	registrations map[wamp.ID]registration
	invocations   map[wamp.ID]context.CancelCauseFunc
	left          bool           // no handler starts any more
	handlers      sync.WaitGroup // of invocations
}

// roles are the WAMP roles and features of our sessions.
var roles = wamp.Dict{
	"caller":     features("call_canceling", "caller_identification", "progressive_call_results"),
	"callee":     features("call_canceling", "caller_identification", "progressive_call_results", "pattern_based_registration", "shared_registration"),
	"publisher":  features("publisher_identification", "publisher_exclusion"),
	"subscriber": features("publisher_identification", "pattern_based_subscription"),
}

func features(names ...string) wamp.Dict {
	f := wamp.Dict{}
	for _, n := range names {
		f[n] = true
	}
	return wamp.Dict{"features": f}
}

// Join joins the realm of a dconn router: see JoinRealm.
func Join(ctx context.Context, link Link, agent string, options ...Option) (*Session, error) {
	return JoinRealm(ctx, link, wire.Realm, agent, options...)
}

// JoinRealm says HELLO on link and waits for WELCOME until ctx ends. It closes
// link on error.
func JoinRealm(ctx context.Context, link Link, realm, agent string, options ...Option) (*Session, error) {
	var j joining
	for _, option := range options {
		option(&j)
	}
	welcome, err := j.greet(ctx, link, realm, agent)
	if err != nil {
		link.Close()
		return nil, err
	}
	s := &Session{
		link: link, welcome: welcome,
		pending:       map[wamp.ID]*request{},
		subscriptions: map[wamp.ID]func(*Event){},
		registrations: map[wamp.ID]registration{},
		invocations:   map[wamp.ID]context.CancelCauseFunc{},
	}
	s.end, s.fail = context.WithCancelCause(context.Background())
	if local, ok := link.(*transport.Local); ok {
		local.Direct(s.take)
	}
	go s.receive()
	return s, nil
}

func (j *joining) greet(ctx context.Context, link Link, realm, agent string) (*wamp.Welcome, error) {
	hello := &wamp.Hello{Realm: wamp.URI(realm), Details: wamp.Dict{
		"roles": roles, "agent": agent, wire.ProtocolKey: wire.Protocol,
		"authmethods": wamp.List{wire.AuthPeerCred, wire.AuthTLS, wire.AuthAnonymous},
	}}
	j.ask(hello.Details)
	if err := link.SendNow(ctx, hello); err != nil {
		return nil, sendError(link, err)
	}
	msg, err := next(ctx, link)
	if err != nil {
		return nil, err
	}
	switch msg := msg.(type) {
	case *wamp.Welcome:
		theirs, ok := wamp.AsInt64(msg.Details[wire.ProtocolKey])
		if ok && theirs != wire.Protocol {
			return nil, wire.Errorf(wire.ErrProtocolViolation,
				"this dconn speaks protocol %d, the router speaks %d: update the older one", wire.Protocol, theirs)
		}
		return msg, j.confirm(ctx, link, msg)
	case *wamp.Abort:
		bye := farewell(msg.Reason, msg.Details)
		if bye.URI == wire.ErrNoSuchRealm && len(bye.Args) == 0 {
			bye.Args = []any{"the router has no realm " + realm}
		}
		return nil, bye
	}
	return nil, wire.Errorf(wire.ErrProtocolViolation, "expected WELCOME, got %s", msg.MessageType())
}

// next is the next message of link.
func next(ctx context.Context, link Link) (wamp.Message, error) {
	msg, err := link.Receive(ctx)
	switch {
	case err == nil:
		return msg, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, linkError(err)
}

// sendError is why Send failed: the message itself, or the connection.
func sendError(link Link, err error) error {
	if link.Err() != nil {
		return linkError(err)
	}
	return err
}

// linkError names a connection that ended without a word.
func linkError(err error) error {
	if fault, ok := errors.AsType[*wire.Error](err); ok {
		return fault // what the other end broke
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return wire.Errorf(wire.ErrLost, "the connection was lost")
	}
	return wire.Errorf(wire.ErrLost, "the connection was lost: %v", err)
}

// farewell is the error for an ABORT or GOODBYE.
func farewell(reason wamp.URI, details wamp.Dict) *wire.Error {
	e := &wire.Error{URI: string(reason)}
	if s, ok := details["message"].(string); ok {
		e.Args = []any{s}
	}
	return e
}

// ID is the session's id at the router.
func (s *Session) ID() wamp.ID { return s.welcome.ID }

// Details are those of the router's WELCOME.
func (s *Session) Details() wamp.Dict { return s.welcome.Details }

// Done is closed when the session has ended; Err then says why.
func (s *Session) Done() <-chan struct{} { return s.end.Done() }

// Err is why the session ended, nil while it lives.
func (s *Session) Err() error { return context.Cause(s.end) }

// Doubt has the session end if the router cannot be reached any more: see
// transport.Conn.Doubt.
func (s *Session) Doubt(d time.Duration) {
	if l, ok := s.link.(interface{ Doubt(time.Duration) }); ok {
		l.Doubt(d)
	}
}

// ErrLeft is the error of a session that this end left.
var ErrLeft = errors.New("session left")

// Leave says GOODBYE and ends the session without waiting for an answer: what
// was sent before still arrives. Handlers of invocations are canceled and
// awaited; one of events may hang in its output and is not.
func (s *Session) Leave(ctx context.Context) {
	_ = s.link.Send(ctx, &wamp.Goodbye{Reason: wamp.CloseNormal, Details: wamp.Dict{}})
	s.mu.Lock()
	s.left = true
	s.mu.Unlock()
	s.fail(ErrLeft)
	s.link.Close()
	s.handlers.Wait()
	select {
	case <-s.link.Done():
	case <-ctx.Done():
	}
}

// receive is the only goroutine that reads the link.
func (s *Session) receive() {
	defer s.link.Close()
	for {
		msg, err := next(s.end, s.link)
		if err != nil {
			s.fail(err)
			return
		}
		if err := s.handle(msg); err != nil {
			s.fail(err)
			return
		}
	}
}

// take is a transport.Take for what is about a call to this session.
func (s *Session) take(msg wamp.Message) (run func(), ok bool) {
	switch m := msg.(type) {
	case *wamp.Invocation:
		return s.invoke(m), true
	case *wamp.Interrupt:
		s.interrupt(m)
		return nil, true
	}
	return nil, false
}

func (s *Session) handle(msg wamp.Message) error {
	if run, ok := s.take(msg); ok {
		if run != nil {
			go run()
		}
		return nil
	}
	switch m := msg.(type) {
	case *wamp.Event:
		s.mu.Lock()
		handle := s.subscriptions[m.Subscription]
		s.mu.Unlock()
		if handle != nil {
			handle(newEvent(m))
		}
	case *wamp.Goodbye:
		return farewell(m.Reason, m.Details)
	case *wamp.Abort:
		return farewell(m.Reason, m.Details)
	default:
		s.answer(msg)
	}
	return nil
}
