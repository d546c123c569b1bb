package router

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

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

func (j *judge) Inbound(msg wamp.Message) (pass []wamp.Message, answer wamp.Message, err error) {
	<-j.ready
	pass, answer, err = j.guard.Inbound(msg)
	if err != nil {
		return pass, answer, err
	}
	for _, m := range pass {
		j.check(m)
		if out := j.answer(m); out != nil {
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
	case *wamp.Publish:
		j.only(m.Options, "acknowledge", "exclude_me", "exclude", "eligible",
			"exclude_authid", "exclude_authrole", "eligible_authid", "eligible_authrole")
	case *wamp.Call:
		j.only(m.Options, "receive_progress")
		if m.Procedure == "wamp.session.add_testament" || m.Procedure == "wamp.session.flush_testaments" {
			j.t.Errorf("%s passes", m.Procedure)
		}
	case *wamp.Cancel:
		j.only(m.Options, "mode")
	case *wamp.Register:
		j.only(m.Options, "invoke", "match")
		if _, ok := option(m.Options, "invoke", "single", "roundrobin", "random", "first", "last"); !ok {
			j.t.Errorf("REGISTER passes with %v", m.Options)
		}
	case *wamp.Subscribe:
		j.only(m.Options, "match")
	case *wamp.Yield:
		j.only(m.Options, "progress")
	case *wamp.Error:
		j.only(m.Details)
		if wire.CheckURI(string(m.Error)) != nil || strings.HasPrefix(string(m.Error), "wamp.") && m.Error != wire.ErrInvalidArgument {
			j.t.Errorf("a callee may say %q", m.Error)
		}
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
		return &wamp.Result{Request: m.Request, Details: wamp.Dict{"progress": j.next%3 == 0}}
	case *wamp.Yield:
		return &wamp.Interrupt{Request: m.Request, Options: wamp.Dict{}}
	}
	return nil
}

// FuzzGuard: whatever bytes a peer sends, in whatever order, nothing reaches the
// engine that it dies of or that nobody may say, and what the peer held is
// forgotten with it.
func FuzzGuard(f *testing.F) {
	seeds := [][]any{
		{wamp.PUBLISH, 1, wamp.Dict{"ppt_scheme": "x_a", "ppt_serializer": 1, "acknowledge": true}, "a.b"},
		{wamp.CALL, 2, wamp.Dict{"progress": true, "timeout": 1}, "wamp.session.add_testament", wamp.List{"a.b", wamp.List{}, none}},
		{wamp.REGISTER, 3, wamp.Dict{"invoke": "foo", "match": "prefix"}, "a.b"}, {wamp.REGISTER, 4, none, "a.c"}, {wamp.REGISTER, 5, none, "a.c"},
		{wamp.CALL, 11, none, "a.b"}, {wamp.CALL, 12, none, "a.c"}, {wamp.YIELD, 1, wamp.Dict{"progress": true}}, {wamp.YIELD, 1, none}, {wamp.CANCEL, 12, none},
		{wamp.SUBSCRIBE, 6, wamp.Dict{"match": "wildcard"}, "a..c"}, {wamp.UNREGISTER, 7, 5}, {wamp.UNSUBSCRIBE, 8, 1},
		{wamp.YIELD, 9, wamp.Dict{"progress": true}}, {wamp.YIELD, 9, wamp.Dict{"ppt_scheme": 1}},
		{wamp.ERROR, wamp.INVOCATION, 10, none, "wamp.error.not_authorized"}, {wamp.CANCEL, 2, wamp.Dict{"mode": "kill"}},
		{wamp.GOODBYE, none, "wamp.close.normal"}, {wamp.HELLO, wire.Realm, everyRole}, {wamp.WELCOME, 1, none},
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
		j.limits = SessionLimits{Calls: 3, Registrations: 2, Subscriptions: 2}
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
		if left := j.directory.describe(""); len(left) != 0 || len(j.calls)+len(j.invocations) != 0 {
			t.Errorf("a peer that is gone leaves %v and %v", left, j.calls)
		}
	})
}
