package router

import (
	"math/rand/v2"
	"sync"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
)

// audience finds the guards of sessions, for the broker.
type audience struct {
	mu     sync.RWMutex
	guards map[wamp.ID]*guard
}

func newAudience() *audience { return &audience{guards: map[wamp.ID]*guard{}} }

func (a *audience) enter(id wamp.ID, g *guard) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.guards[id] = g
}

func (a *audience) leave(id wamp.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.guards, id)
}

func (a *audience) find(id wamp.ID) *guard {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.guards[id]
}

// delivery is asked by nexus's broker whether a session may have an event. It
// puts the event on the queue of that session itself, and then says no: nexus
// would copy it for each subscriber, and hand each copy from goroutine to
// goroutine. Where the event must not overtake another that nexus has for the
// session, it says yes.
type delivery struct {
	audience *audience
	inner    nexus.PublishFilter // the lists of the PUBLISH, nil if there are none
	event    wamp.Event
	topic    wamp.URI
}

// newDelivery is for an event that came over a connection; what the daemon and
// nexus publish themselves goes nexus's way.
func (a *audience) newDelivery(m *wamp.Publish) nexus.PublishFilter {
	inner := nexus.NewSimplePublishFilter(m)
	p := transport.PayloadOf(m)
	if p == nil {
		return inner
	}
	return &delivery{
		audience: a, inner: inner, topic: m.Topic,
		event: wamp.Event{Publication: p.Publication, Arguments: m.Arguments},
	}
}

func (d *delivery) Allowed(s *wamp.Session) bool {
	if d.inner != nil && !d.inner.Allowed(s) {
		return false
	}
	g := d.audience.find(s.ID)
	return g == nil || !g.deliver(d.topic, &d.event)
}

// deliver queues an event, unless nexus must. A session that subscribes in
// several ways is asked about several times: what was done the first time holds,
// whatever it has subscribed or unsubscribed meanwhile.
func (g *guard) deliver(topic wamp.URI, e *wamp.Event) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	id, known := g.topics[topic]
	again := g.latest == e.Publication
	if !again {
		g.latest = e.Publication
		// What takes long to encode for this session is left to its pump.
		quick := transport.PayloadOf(e).Quick(g.peer.Conn)
		g.direct = known && quick && g.patterns == 0 && g.behind == 0
	}
	switch {
	case !g.direct:
		g.behind++
	case !again:
		e.Subscription, e.Details = id, nil
		if g.toldPublisher {
			e.Details = transport.PayloadOf(e).Sender
		}
		g.peer.Deliver(e)
	}
	return g.direct
}

// Queued implements transport.Guard: from here on, what follows comes after msg.
func (g *guard) Queued(msg wamp.Message) {
	switch m := msg.(type) {
	case *wamp.Subscribed:
		g.mu.Lock()
		defer g.mu.Unlock()
		r := g.asked[m.Request]
		delete(g.asked, m.Request)
		if r.pattern && g.subscriptions[m.Subscription].pattern { // which it was already
			g.patterns--
		}
		put(&g.subscriptions, m.Subscription, r)
		if !r.pattern {
			put(&g.topics, r.uri, m.Subscription)
		}
	case *wamp.Event:
		if transport.PayloadOf(m) != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.behind--
		}
	}
}

// unsubscribed forgets a subscription, which nexus may still serve.
func (g *guard) unsubscribed(id wamp.ID) {
	switch r, ok := g.subscriptions[id]; {
	case r.pattern:
		g.patterns--
	case ok:
		delete(g.topics, r.uri)
	}
	delete(g.subscriptions, id)
}

// newPublication is the id of a publication: random, WAMP specification,
// section "IDs".
func newPublication() wamp.ID { return wamp.ID(rand.Uint64N(wamp.MaxID) + 1) }
