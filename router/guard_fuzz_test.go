package router

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/dealer"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// judge stands before a guard and checks what it lets pass. It answers what
// passed as a router would, so that the guard gets into every state.
type judge struct {
	*guard
	t     *testing.T
	next  wamp.ID
	ready chan struct{} // closed once there is a peer
}

func (j *judge) Inbound(msg wamp.Message) (pass, answer wamp.Message, err error) {
	<-j.ready
	pass, answer, err = j.guard.Inbound(msg)
	if err != nil {
		return pass, answer, err
	}
	if pass != nil {
		j.check(pass)
		if out := j.answer(pass); out != nil {
			j.Outbound(out, func(wamp.Message) {})
		}
	}
	if answer != nil && answer.MessageType() != wamp.ERROR {
		j.t.Errorf("%s is answered with %s", msg.MessageType(), answer.MessageType())
	}
	return pass, answer, nil
}

// check names what must never reach the engine.
func (j *judge) check(msg wamp.Message) {
	switch m := msg.(type) {
	case *wamp.Hello:
		j.only(m.Details, "authmethods", "roles", "agent")
	case *wamp.Call:
		j.only(m.Options)
		_, refused := refusedMeta[m.Procedure]
		if !wire.IsMeta(string(m.Procedure)) || refused {
			j.t.Errorf("a call to %s passes", m.Procedure)
		}
	case *wamp.Register:
		j.only(m.Options, "invoke", "match")
		if _, ok := option(m.Options, "invoke", "single", "roundrobin", "random", "first", "last"); !ok {
			j.t.Errorf("REGISTER passes with %v", m.Options)
		}
	case *wamp.Subscribe:
		j.only(m.Options, "match")
	case *wamp.Unsubscribe, *wamp.Unregister, *wamp.Goodbye:
	default:
		j.t.Errorf("%s passes", msg.MessageType())
	}
}

func (j *judge) only(options wamp.Dict, names ...string) {
	for name := range options {
		if !slices.Contains(names, name) {
			j.t.Errorf("the option %q passes", name)
		}
	}
}

// answer is what a router could say to a message, every other time an error.
func (j *judge) answer(msg wamp.Message) wamp.Message {
	j.next++
	failed := func(request wamp.ID) wamp.Message {
		return &wamp.Error{Type: msg.MessageType(), Request: request, Details: wamp.Dict{}, Error: wire.ErrCanceled, Arguments: wamp.List{"callee gone"}}
	}
	bad := j.next%2 == 0
	switch m := msg.(type) {
	case *wamp.Hello:
		return &wamp.Welcome{ID: j.next, Details: wamp.Dict{}}
	case *wamp.Subscribe:
		if bad {
			return failed(m.Request)
		}
		return &wamp.Subscribed{Request: m.Request, Subscription: j.next}
	case *wamp.Register:
		if bad {
			return failed(m.Request)
		}
		return &wamp.Registered{Request: m.Request, Registration: j.next}
	case *wamp.Call:
		if bad {
			return failed(m.Request)
		}
		return &wamp.Result{Request: m.Request, Details: wamp.Dict{}}
	}
	return nil
}

// FuzzGuard: whatever bytes a peer sends, in whatever order, nothing reaches the
// engine that it dies of or that nobody may say, and what the peer held is
// forgotten with it.
func FuzzGuard(f *testing.F) {
	seeds := [][]any{
		{wamp.PUBLISH, 1, wamp.Dict{"ppt_scheme": "x_a", "ppt_serializer": 1, "acknowledge": true}, "a.b"},
		{wamp.CALL, 2, wamp.Dict{"progress": true, "timeout": 100_000}, "wamp.session.add_testament", wamp.List{"a.b", wamp.List{}, none}},
		{wamp.REGISTER, 3, wamp.Dict{"invoke": "foo", "match": "prefix"}, "a.b"}, {wamp.REGISTER, 4, none, "a.c"}, {wamp.REGISTER, 5, none, "a.c"},
		{wamp.CALL, 11, none, "a.b"}, {wamp.CALL, 12, none, "a.c"}, {wamp.YIELD, 1, wamp.Dict{"progress": true}}, {wamp.YIELD, 1, none}, {wamp.CANCEL, 12, none},
		{wamp.CALL, 21, wamp.Dict{"progress": true, "timeout": 100_000}, "a.c", wamp.List{1}}, {wamp.CALL, 21, wamp.Dict{"progress": true}, "a.c"}, {wamp.YIELD, 3, none}, {wamp.CALL, 21, none, "a.c"},
		{wamp.CALL, 22, none, "wamp.session.count"}, {wamp.CANCEL, 22, wamp.Dict{"mode": "skip"}},
		{wamp.SUBSCRIBE, 6, wamp.Dict{"match": "wildcard"}, "a..c"}, {wamp.UNREGISTER, 7, 5}, {wamp.UNSUBSCRIBE, 8, 1},
		{wamp.YIELD, 9, wamp.Dict{"progress": true}}, {wamp.YIELD, 9, wamp.Dict{"ppt_scheme": 1}},
		{wamp.ERROR, wamp.INVOCATION, 10, none, "wamp.error.not_authorized"}, {wamp.CANCEL, 2, wamp.Dict{"mode": "kill"}},
		{wamp.GOODBYE, none, "wamp.close.normal"}, {wamp.HELLO, wire.Realm, everyRole}, {wamp.WELCOME, 1, none}, {wamp.ABORT, none, "a.b"},
	}
	for i, c := range codecs {
		for n := range seeds {
			var all []byte
			for _, m := range append([][]any{{wamp.HELLO, wire.Realm, everyRole}}, seeds[:n+1]...) {
				payload, err := c.Append(nil, m)
				if err != nil {
					f.Fatal(err)
				}
				all = append(all, rawsocketFrame(nil, payload)...)
			}
			f.Add(uint8(i), all)
		}
	}
	f.Fuzz(func(t *testing.T, codec uint8, data []byte) {
		near, far := net.Pipe()
		j := &judge{guard: guardOf(Identity{Role: roleOwner}), t: t, ready: make(chan struct{})}
		*j.limits = SessionLimits{Limits: dealer.Limits{Calls: 3, StreamBytes: 300, StreamIdle: time.Minute}, Registrations: 2, Subscriptions: 2}
		go func() {
			go func() { _, _ = io.Copy(io.Discard, near) }()
			_, _ = near.Write(append([]byte{0x7f, 0xf1 + codec%3, 0, 0}, data...))
			_ = near.Close()
		}()
		conn, err := transport.Accept(far, transport.DefaultLimits(), j)
		if err != nil {
			_ = far.Close()
			return // the peer was gone before the handshake was over
		}
		j.peer = transport.NewPeer(conn, func() {})
		close(j.ready)
		hang := time.AfterFunc(patienceOfTests, func() { panic("the connection does not end") })
		defer hang.Stop()
		drain(conn)
		calls, registrations, subscriptions := j.holds()
		if left := j.dealer.Registered(); len(left) != 0 || calls+registrations+subscriptions != 0 {
			t.Errorf("a peer that is gone leaves %v and %d calls, %d registrations, %d subscriptions", left, calls, registrations, subscriptions)
		}
	})
}
