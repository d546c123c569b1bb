package router

import (
	"math"
	"sync"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
)

// junk is of every type a serializer has, and at its edges.
var junk = []any{
	nil, true, int64(-1), int64(math.MinInt64), uint64(math.MaxUint64), 0.5, math.Inf(-1), "", "x", "\x00x", []byte{0xff},
	wamp.List{}, wamp.List{nil, -1, "x", wamp.List{wamp.Dict{}}}, wamp.Dict{}, wamp.Dict{"x": wamp.Dict{"": nil}},
}

var junkOptions = []string{
	"acknowledge", "exclude_me", "exclude", "eligible", "exclude_authid", "exclude_authrole", "eligible_authid",
	"eligible_authrole", "disclose_me", "retain", "get_retained", "match", "invoke", "disclose_caller", "force_reregister",
	"receive_progress", "progress", "timeout", "mode", "reason", "rkey", "runmode", "ppt_scheme", "ppt_serializer",
	"ppt_cipher", "ppt_keyid", "x_own",
}

var junkURIs = []wamp.URI{"", "a..b", "org.t.junk", "wamp.session.get", "org.deskconn.test.set"}

// withJunk is every request with one odd option and odd arguments.
func withJunk(option string, v any, uri wamp.URI, id wamp.ID) []wamp.Message {
	o := func() wamp.Dict { return wamp.Dict{option: v} }
	args, kw := wamp.List{v, v}, wamp.Dict{option: v}
	return []wamp.Message{
		&wamp.Publish{Request: id, Options: o(), Topic: uri, Arguments: args, ArgumentsKw: kw},
		&wamp.Subscribe{Request: id + 1, Options: o(), Topic: uri},
		&wamp.Register{Request: id + 2, Options: o(), Procedure: uri},
		&wamp.Call{Request: id + 3, Options: o(), Procedure: uri, Arguments: args, ArgumentsKw: kw},
		&wamp.Cancel{Request: id + 3, Options: o()},
		&wamp.Yield{Request: id, Options: o(), Arguments: args, ArgumentsKw: kw},
		&wamp.Error{Type: wamp.INVOCATION, Request: id, Details: o(), Error: uri, Arguments: args},
		&wamp.Unsubscribe{Request: id + 4, Subscription: id},
		&wamp.Unregister{Request: id + 5, Registration: id},
	}
}

// Every option with every junk, in every request: the daemon lives, and so
// does the session, because none of it is a breach of the protocol.
func TestJunkOptions(t *testing.T) {
	b := start(t)
	conn := b.raw(transport.CBOR, everyRole)
	var reading sync.WaitGroup
	reading.Go(func() {
		for range conn.Recv() { // it must read, or it is cut off
		}
	})
	id := wamp.ID(1)
	for _, option := range junkOptions {
		for _, v := range junk {
			for _, uri := range junkURIs {
				b.send(conn, withJunk(option, v, uri, id)...)
				id += 6
			}
		}
	}
	if conn.Err() != nil {
		t.Errorf("the session ended: %v", conn.Err())
	}
	b.send(conn, &wamp.Goodbye{Reason: wamp.CloseNormal})
	reading.Wait()
	b.alive()
	b.awaitMeta()
}

// Whatever one session publishes, each subscriber gets, in every serializer, and
// lives on.
func TestJunkCrossesSerializers(t *testing.T) {
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := start(t)
		subscribers := map[*session.Session]chan bool{}
		for _, theirs := range codecs {
			s, n, all := b.join(theirs), 0, make(chan bool)
			subscribers[s] = all
			if err := s.Subscribe(b.ctx(), "org.t.junk", session.Exact, func(*session.Event) {
				if n++; n == 2*len(junk) {
					close(all)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		w := b.stranger(ways[0], c)
		for i, v := range junk {
			w.say(wamp.PUBLISH, 2*i+1, none, "org.t.junk", wamp.List{v, wamp.List{v}})
			w.say(wamp.PUBLISH, 2*i+2, none, "org.t.junk", wamp.List{}, wamp.Dict{"x": v})
		}
		for s, all := range subscribers {
			select {
			case <-all:
			case <-s.Done():
				t.Errorf("a subscriber was cut off: %v", s.Err())
			case <-b.ctx().Done():
				t.Error("events are missing")
			}
		}
	})
}
