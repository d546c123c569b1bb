package router

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// A publisher that is faster than its subscribers waits for them: nothing is lost, and
// nobody is cut off, although much more is published than may wait. It does not wait
// for one that does not read at all, which is cut off.
func TestPublisherWaits(t *testing.T) {
	const events, size = 500, 32 << 10 // twice what may wait
	overCodecs(t, func(t *testing.T, c transport.Codec) {
		b := startWith(t, options(transport.DefaultLimits(), DefaultSessionLimits()))
		reads, readsMore, deaf := b.raw(c, everyRole), b.raw(c, everyRole), b.raw(c, everyRole)
		for _, conn := range []*transport.Conn{reads, readsMore, deaf} {
			b.send(conn, &wamp.Subscribe{Request: 1, Topic: "org.t.much"})
			b.receive(conn)
		}
		began, published := time.Now(), make(chan time.Duration, 1)
		publisher := b.raw(transport.CBOR, everyRole)
		go func() {
			payload := strings.Repeat("x", size)
			for n := range events {
				m := &wamp.Publish{Request: wamp.ID(n + 1), Topic: "org.t.much", Arguments: wamp.List{n, payload}}
				if n == events-1 {
					m.Options = wamp.Dict{"acknowledge": true}
				}
				if publisher.Send(b.ctx(), m) != nil {
					return
				}
			}
			b.receive(publisher)
			published <- time.Since(began)
		}()
		var reading sync.WaitGroup
		for conn, pause := range map[*transport.Conn]time.Duration{reads: 300 * time.Microsecond, readsMore: 100 * time.Microsecond} {
			reading.Go(func() {
				for n := range events {
					e, ok := (<-conn.Recv()).(*wamp.Event)
					if !ok || e.Arguments[0] != int64(n) {
						t.Errorf("got %+v, want event %d", e, n)
						return
					}
					time.Sleep(pause)
				}
			})
		}
		reading.Wait()
		if took := <-published; took > 10*time.Second {
			t.Errorf("the publisher waited %v", took)
		}
		for {
			if bye, ok := b.receive(deaf).(*wamp.Goodbye); ok {
				if bye.Reason != wire.ErrSlowConsumer {
					t.Errorf("who does not read hears %s", bye.Reason)
				}
				return
			}
		}
	})
}

// Whatever is subscribed, unsubscribed and subscribed again without waiting for an
// answer, what counts is what came last.
func TestSubscribeInHaste(t *testing.T) {
	b := start(t)
	hasty, publisher := b.raw(transport.CBOR, everyRole), b.raw(transport.CBOR, everyRole)
	id := wamp.ID(0)
	for range 200 {
		b.send(hasty, &wamp.Subscribe{Request: id + 1, Topic: "org.t.left"})
		left := b.receive(hasty).(*wamp.Subscribed).Subscription
		b.send(hasty, &wamp.Subscribe{Request: id + 2, Topic: "org.t.left"},
			&wamp.Unsubscribe{Request: id + 3, Subscription: left}, &wamp.Subscribe{Request: id + 4, Topic: "org.t.stays"})
		b.receive(hasty)
		b.receive(hasty)
		stays := b.receive(hasty).(*wamp.Subscribed).Subscription
		b.send(publisher, &wamp.Publish{Request: 1, Topic: "org.t.left"}, &wamp.Publish{Request: 2, Topic: "org.t.stays"})
		if e, ok := b.receive(hasty).(*wamp.Event); !ok || e.Subscription != stays {
			t.Fatalf("got %+v, want an event of subscription %d", e, stays)
		}
		b.send(hasty, &wamp.Unsubscribe{Request: id + 5, Subscription: stays})
		b.receive(hasty)
		id += 5
	}
}

// Whoever has said GOODBYE publishes no more.
func TestGoodbyeIsTheEnd(t *testing.T) {
	for _, y := range ways {
		t.Run(y.name, func(t *testing.T) {
			b := start(t)
			subscriber, leaves := b.stranger(ways[0], transport.CBOR), b.stranger(y, transport.CBOR)
			subscriber.ask(wamp.SUBSCRIBED, wamp.SUBSCRIBE, 1, none, "org.t.end")
			leaves.write(slices.Concat(leaves.encoded(wamp.PUBLISH, 1, none, "org.t.end", wamp.List{1}),
				leaves.encoded(wamp.GOODBYE, none, "wamp.close.normal"), leaves.encoded(wamp.PUBLISH, 2, none, "org.t.end", wamp.List{2})))
			if e := subscriber.hear(); kindOf(e) != wamp.EVENT || !reflect.DeepEqual(e[4], []any{int64(1)}) {
				t.Errorf("got %v, want the event before GOODBYE", e)
			}
			for {
				if _, err := leaves.next(); err != nil {
					break
				}
			}
			subscriber.ask(wamp.UNSUBSCRIBED, wamp.UNSUBSCRIBE, 2, 1) // and no event before that
		})
	}
}
