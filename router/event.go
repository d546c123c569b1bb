package router

import (
	"math/rand/v2"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
)

// delivery is an event on its way.
type delivery struct {
	by       *guard
	filter   nexus.PublishFilter // the lists of the PUBLISH, nil if there are none
	toSelf   bool
	looks    bool               // for who lags
	withName *transport.Details // they say the topic, and withBoth also the publisher
	withBoth *transport.Details
}

// carry brings an event to whoever has subscribed to its topic.
func (a *audience) carry(by *guard, msg wamp.Message) wamp.Message {
	m := msg.(*wamp.Publish)
	payload := transport.PayloadOf(m)
	by.event = transport.Event{Publication: newPublication(), Payload: payload}
	defer func() { by.event = transport.Event{} }() // an idle session holds nothing of its last message
	p := delivery{
		by: by, filter: nexus.NewSimplePublishFilter(m), toSelf: m.Options["exclude_me"] == false,
	}
	if by.unseen += payload.Len() + eventBytes; by.unseen >= by.peer.LagStep() {
		by.unseen, p.looks = 0, true
	}
	a.prepare(m)
	a.mu.RLock()
	for _, l := range a.topics[m.Topic] {
		p.deliver(l, nil, payload.Sender)
	}
	a.patterns.match(m.Topic, func(all []listener) {
		if p.withName == nil {
			p.withName = transport.NewDetails(wamp.Dict{"topic": m.Topic})
			p.withBoth = transport.NewDetails(with(wamp.Dict{"topic": m.Topic}, payload.Sender))
		}
		for _, l := range all {
			p.deliver(l, p.withName, p.withBoth)
		}
	})
	a.mu.RUnlock()
	if m.Options["acknowledge"] == true {
		_ = by.peer.Answer(&wamp.Published{Request: m.Request, Publication: by.event.Publication})
		by.wrote(by.peer)
	}
	by.awaitLagging()
	return nil
}

// eventBytes is about what an EVENT has beside its payload.
const eventBytes = 32

// prepare encodes what takes long to encode for each serializer that somebody needs,
// while nobody waits for it.
func (a *audience) prepare(m *wamp.Publish) {
	if transport.PayloadOf(m).Short() {
		return
	}
	for next := a.unprepared(m); next != nil; next = a.unprepared(m) {
		if next.Prepare(m) != nil { // whom it is delivered to finds the same
			return
		}
	}
}

func (a *audience) unprepared(m *wamp.Publish) *transport.Peer {
	a.mu.RLock()
	defer a.mu.RUnlock()
	first := func(all []listener) *transport.Peer {
		for _, l := range all {
			if !l.peer.Prepared(m) {
				return l.peer
			}
		}
		return nil
	}
	found := first(a.topics[m.Topic])
	a.patterns.match(m.Topic, func(all []listener) {
		if found == nil {
			found = first(all)
		}
	})
	return found
}

// deliver queues the event for l, with details that depend on whether it wants to
// know who published it.
func (p *delivery) deliver(l listener, anonymous, named *transport.Details) {
	if l.guard == p.by && !p.toSelf || p.filter != nil && !p.filter.Allowed(l.asSession()) {
		return
	}
	event := &p.by.event
	event.Subscription, event.Details = l.id, anonymous
	if l.toldPublisher {
		event.Details = named
	}
	if !l.peer.Deliver(event) {
		return
	}
	p.by.wrote(l.peer)
	if p.looks && l.peer.Lags() {
		p.by.lagging = append(p.by.lagging, l.peer)
	}
}

// awaitLagging waits for those who read more slowly than g publishes.
func (g *guard) awaitLagging() {
	if len(g.lagging) == 0 {
		return
	}
	g.Drained()
	for i, p := range g.lagging {
		p.AwaitRoom()
		g.lagging[i] = nil
	}
	g.lagging = g.lagging[:0]
}

// asSession is what the lists of a PUBLISH are compared with.
func (g *guard) asSession() *wamp.Session {
	return &wamp.Session{ID: g.session, Details: wamp.Dict{"authid": g.identity.AuthID, "authrole": g.identity.Role}}
}

// newPublication is the id of a publication: random, WAMP specification,
// section "IDs".
func newPublication() wamp.ID { return wamp.ID(rand.Uint64N(wamp.MaxID) + 1) }
