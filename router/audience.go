package router

import (
	"slices"
	"sync"

	"github.com/gammazero/nexus/v3/wamp"
)

// audience knows the sessions that have connections, and what they have subscribed
// to. What one of them publishes is put on the queues of the others by its reader:
// nexus's broker, which knows the same, would copy each event and hand each copy
// from goroutine to goroutine. To nexus goes only what the daemon publishes.
type audience struct {
	mu       sync.RWMutex
	guards   map[wamp.ID]*guard
	topics   map[wamp.URI][]listener
	patterns patterns
}

// listener is a session that has subscribed, or registered, and by which id.
type listener struct {
	*guard
	id wamp.ID
}

func newAudience() *audience {
	return &audience{guards: map[wamp.ID]*guard{}, topics: map[wamp.URI][]listener{}}
}

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

// subscribe has l hear what r asks for, from when it is told so on.
func (a *audience) subscribe(r request, l listener, tell func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	tell()
	if r.match == wamp.MatchExact {
		a.topics[r.uri] = append(a.topics[r.uri], l)
	} else {
		a.patterns.add(r.uri, r.match, l)
	}
}

// unsubscribe undoes subscribe. No event comes afterwards.
func (a *audience) unsubscribe(r request, l listener) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.match == wamp.MatchExact {
		remove(a.topics, r.uri, l)
	} else {
		a.patterns.remove(r.uri, r.match, l)
	}
}

// remove reports whether l was the last that listened to uri.
func remove(all map[wamp.URI][]listener, uri wamp.URI, l listener) (last bool) {
	had := len(all[uri])
	left := without(all[uri], l)
	if len(left) == 0 {
		delete(all, uri)
	} else {
		all[uri] = left
	}
	return had > 0 && len(left) == 0
}

func without(all []listener, l listener) []listener {
	if i := slices.Index(all, l); i >= 0 {
		return slices.Delete(all, i, i+1)
	}
	return all
}

// heard reports whether somebody has subscribed to exactly this topic.
func (a *audience) heard(topic wamp.URI) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.topics[topic]) > 0
}

// subscribed notes a subscription, and has the session told.
func (g *guard) subscribed(m *wamp.Subscribed, queue func(wamp.Message)) {
	r := g.asked[m.Request]
	delete(g.asked, m.Request)
	if _, again := g.subscriptions[m.Subscription]; again || g.parted {
		queue(m)
		return
	}
	put(&g.subscriptions, m.Subscription, r)
	g.audience.subscribe(r, listener{g, m.Subscription}, func() { queue(m) })
}

// unsubscribed forgets a subscription, which nexus may still have.
func (g *guard) unsubscribed(id wamp.ID) {
	if r, ok := g.subscriptions[id]; ok {
		delete(g.subscriptions, id)
		g.audience.unsubscribe(r, listener{g, id})
	}
}
