package router

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// playedRouter is one of the two routers of a play, with the sessions that the
// test has there.
type playedRouter struct {
	t        testing.TB
	name     string
	path     string
	isStock  bool
	witness  *playedSession   // hears who leaves; it is no part of the comparison
	sessions []*playedSession // by number, also those that have left
	names    *names
	patterns map[string]pattern // of subscriptions and registrations, by name
	own      map[string]bool    // ids that the router had before the play
	ownCount int64              // of sessions
}

// playedSession is one session at one router.
type playedSession struct {
	conn    *transport.Conn
	welcome *wamp.Welcome
	last    wamp.ID             // request id
	invoked wamp.ID             // the greatest invocation id so far
	called  map[wamp.ID]string  // what a CALL was for
	asked   map[wamp.ID]pattern // what a SUBSCRIBE or REGISTER was for
	held    map[string]pattern  // what it has registered, by name
	heard   []wamp.Message
	ended   bool
}

// quietTopic is a topic that is published only to nobody.
const quietTopic = "net.quiet"

// patience bounds every wait of a play.
const playPatience = 10 * time.Second

// features announces everything. A plain session cannot be interrupted as a callee,
// and is not told who publishes.
func features(plain bool) wamp.Dict {
	all := func(names ...string) wamp.Dict {
		d := wamp.Dict{}
		for _, n := range names {
			d[n] = true
		}
		return wamp.Dict{"features": d}
	}
	callee := []string{
		"caller_identification", "call_timeout", "pattern_based_registration", "shared_registration",
		"progressive_call_results", "progressive_call_invocations", "call_canceling",
	}
	subscriber := []string{"pattern_based_subscription", "publisher_identification"}
	if plain {
		subscriber = subscriber[:1]
		callee = slices.DeleteFunc(callee, func(n string) bool { return n == "call_canceling" })
	}
	return wamp.Dict{
		"authmethods": wamp.List{wire.AuthPeerCred},
		"roles": wamp.Dict{
			"publisher":  all("publisher_identification", "publisher_exclusion", "subscriber_blackwhite_listing"),
			"subscriber": all(subscriber...),
			"caller": all("caller_identification", "call_timeout", "call_canceling",
				"progressive_call_results", "progressive_call_invocations"),
			"callee": all(callee...),
		},
	}
}

// join opens one more session.
func (r *playedRouter) join(plain bool) *playedSession {
	r.t.Helper()
	nc, err := net.Dial("unix", r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	conn, err := transport.Dial(nc, transport.CBOR, transport.DefaultLimits())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Abandon(); drain(conn) })
	s := &playedSession{conn: conn, called: map[wamp.ID]string{}, asked: map[wamp.ID]pattern{}, held: map[string]pattern{}}
	s.send(&wamp.Hello{Realm: wire.Realm, Details: features(plain)})
	if s.await(func(m wamp.Message) bool { s.welcome, _ = m.(*wamp.Welcome); return s.welcome != nil }) == nil {
		r.t.Fatalf("%s: no WELCOME", r.name)
	}
	s.heard = nil
	return s
}

// send ignores errors: await tells that the connection has ended.
func (s *playedSession) send(msgs ...wamp.Message) {
	ctx, cancel := context.WithTimeout(context.Background(), playPatience)
	defer cancel()
	for _, m := range msgs {
		_ = s.conn.Send(ctx, m)
	}
}

// await hears messages up to the one that is wanted, which it does not keep. It
// is nil if the connection ends before, or takes too long.
func (s *playedSession) await(wanted func(wamp.Message) bool) wamp.Message {
	late := time.NewTimer(playPatience)
	defer late.Stop()
	for !s.ended {
		select {
		case m, open := <-s.conn.Recv():
			switch {
			case !open:
				s.ended = true
			case wanted(m):
				return m
			default:
				s.heard = append(s.heard, m)
			}
		case <-late.C:
			return nil
		}
	}
	return nil
}

func (s *playedSession) request() wamp.ID { s.last++; return s.last }

// call asks a question of the test's own.
func (s *playedSession) call(procedure string, args ...any) []any {
	id := s.request()
	s.send(&wamp.Call{Request: id, Options: wamp.Dict{}, Procedure: wamp.URI(procedure), Arguments: args})
	m, _ := s.await(func(m wamp.Message) bool { r, ok := m.(*wamp.Result); return ok && r.Request == id }).(*wamp.Result)
	if m == nil {
		return nil
	}
	return m.Arguments
}

// quiet waits until everything has arrived at these sessions that the router had
// done for them before. The PUBLISH passes the broker, the meta CALL the dealer
// and behind it the broker once more. It reports false if a session gets no answer.
func quiet(sessions ...*playedSession) bool {
	for _, s := range sessions {
		s.send(&wamp.Publish{Request: s.request(), Topic: quietTopic, Options: wamp.Dict{
			"acknowledge": true, "eligible": wamp.List{s.welcome.ID},
		}}, &wamp.Call{
			Request: s.request(), Options: wamp.Dict{}, Procedure: "wamp.subscription.lookup", Arguments: wamp.List{quietTopic},
		})
	}
	all := true
	for _, s := range sessions {
		open := map[wamp.ID]bool{s.last - 1: true, s.last: true}
		isAnswer := func(m wamp.Message) bool {
			var id wamp.ID
			switch m := m.(type) {
			case *wamp.Published:
				id = m.Request
			case *wamp.Result:
				id = m.Request
			}
			isOpen := open[id]
			delete(open, id)
			return isOpen
		}
		for len(open) > 0 && s.await(isAnswer) != nil {
		}
		all = all && len(open) == 0
	}
	return all
}

// settle waits until everything that session by has caused is heard by all.
func (r *playedRouter) settle(by int) {
	actor := r.sessions[by]
	if actor.ended {
		actor = r.witness
	}
	first, again := quiet(actor), quiet(actor)
	rest := []*playedSession{}
	for _, s := range r.sessions {
		if s != actor && !s.ended {
			rest = append(rest, s)
		}
	}
	if !quiet(rest...) || !first || !again {
		r.t.Logf("%s: a session is not answered any more", r.name)
	}
}

// leave ends a session, by GOODBYE or by cutting its connection, and waits until
// the router has told so.
func (r *playedRouter) leave(by int, says bool) {
	s := r.sessions[by]
	if says {
		s.send(&wamp.Goodbye{Details: wamp.Dict{}, Reason: wamp.CloseRealm})
		if m := s.await(func(m wamp.Message) bool { return m.MessageType() == wamp.GOODBYE }); m != nil {
			s.heard = append(s.heard, m)
		}
	}
	s.conn.Abandon()
	s.ended = true
	r.witness.await(func(m wamp.Message) bool {
		e, ok := m.(*wamp.Event)
		if !ok || len(e.Arguments) == 0 {
			return false
		}
		id, _ := wamp.AsID(e.Arguments[0])
		return id == s.welcome.ID
	})
}

func attended(t testing.TB, name, path string) *playedRouter {
	r := &playedRouter{t: t, name: name, path: path, names: newNames(), patterns: map[string]pattern{}}
	r.attend()
	return r
}

// attend has the witness learn what the router has from the start.
func (r *playedRouter) attend() {
	r.witness = r.join(false)
	w := r.witness
	id := w.request()
	w.send(&wamp.Subscribe{Request: id, Options: wamp.Dict{"match": "exact"}, Topic: wamp.MetaEventSessionOnLeave})
	w.await(func(m wamp.Message) bool { return m.MessageType() == wamp.SUBSCRIBED })
	r.own = map[string]bool{}
	count := w.call("wamp.session.count")
	if len(count) == 1 {
		r.ownCount, _ = wamp.AsInt64(count[0])
	}
	for kind, procedure := range map[string]string{
		sessionID: "wamp.session.list", registrationID: "wamp.registration.list", subscriptionID: "wamp.subscription.list",
	} {
		args := w.call(procedure)
		if len(args) != 1 {
			r.t.Fatalf("%s: %s answers %v", r.name, procedure, args)
		}
		lists, _ := args[0].(map[string]any)
		lists = withList(lists, args[0])
		for _, list := range lists {
			ids, _ := list.([]any)
			for _, id := range ids {
				r.own[ownKey(kind, id)] = true
			}
		}
	}
}
