package broker

import (
	"maps"
	"math/rand/v2"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
)

// delivery is one event on its way to the subscribers.
type delivery struct {
	by        *Session
	filter    nexus.PublishFilter // the lists of the PUBLISH, nil if there are none
	toSelf    bool
	looks     bool               // for subscribers that lag
	topic     *transport.Details // with the topic, for a subscription by pattern, nil until one needs it
	publisher *transport.Details // with the topic and who published, likewise
}

// Publish delivers an event to every session that has subscribed to its topic, and
// acknowledges it where that is asked for. It is called by the reader of s, with the
// arguments of m as a Payload whose Sender says who publishes. Where the payload
// cannot be encoded for a subscriber, the event goes to nobody and the error is
// returned.
func (s *Session) Publish(m *wamp.Publish) error {
	payload := transport.PayloadOf(m)
	s.event = transport.Event{Publication: newPublication(), Payload: payload}
	defer func() { s.event = transport.Event{} }() // an idle session holds nothing of its last message
	d := delivery{by: s, filter: nexus.NewSimplePublishFilter(m), toSelf: m.Options["exclude_me"] == false}
	if s.unchecked += payload.Len() + eventBytes; s.unchecked >= s.peer.LagStep() {
		s.unchecked, d.looks = 0, true
	}
	b := s.broker
	if err := b.prepare(m); err != nil {
		return err
	}
	b.mu.RLock()
	for _, to := range b.subscribers.Exact(m.Topic) {
		d.deliver(to)
	}
	byPattern := func(all []subscriber) { d.deliverByPattern(m.Topic, all) }
	b.subscribers.Prefixes(m.Topic, byPattern)
	b.subscribers.Wildcards(m.Topic, byPattern)
	b.mu.RUnlock()
	if m.Options["acknowledge"] == true {
		_ = s.peer.Answer(&wamp.Published{Request: m.Request, Publication: s.event.Publication})
		s.peer.WriteLater(s.peer)
	}
	s.awaitLagging()
	return nil
}

// eventBytes is about what an EVENT has beside its payload.
const eventBytes = 32

// prepare encodes the payload for each serializer that a subscriber needs, before the
// subscriptions are locked for the delivery: encoding may take long, and fail.
func (b *Broker) prepare(m *wamp.Publish) error {
	payload := transport.PayloadOf(m)
	if payload.Short() && payload.Portable() {
		return nil
	}
	for _, p := range b.unprepared(m, !payload.Portable()) {
		if err := p.Prepare(m); err != nil {
			return err
		}
	}
	return nil
}

// unprepared are the subscribers whose serializer the payload is not encoded for, or
// all of them.
func (b *Broker) unprepared(m *wamp.Publish, all bool) (found []*transport.Peer) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	look := func(some []subscriber) {
		for _, to := range some {
			if all || !to.peer.Prepared(m) {
				found = append(found, to.peer)
			}
		}
	}
	look(b.subscribers.Exact(m.Topic))
	b.subscribers.Prefixes(m.Topic, look)
	b.subscribers.Wildcards(m.Topic, look)
	return found
}

// deliver queues the event for one subscriber to the topic itself.
func (d *delivery) deliver(to subscriber) {
	if !d.allows(to) {
		return
	}
	d.by.event.Details = nil
	if to.toldPublisher {
		d.by.event.Details = d.by.event.Payload.Sender
	}
	d.queue(to)
}

// deliverByPattern queues the event for the subscribers of one pattern, whose events
// say the topic.
func (d *delivery) deliverByPattern(topic wamp.URI, all []subscriber) {
	for _, to := range all {
		if !d.allows(to) {
			continue
		}
		details, sender := &d.topic, wamp.Dict(nil)
		if to.toldPublisher {
			details, sender = &d.publisher, d.by.event.Payload.Sender.Dict()
		}
		if *details == nil {
			dict := wamp.Dict{"topic": topic}
			maps.Copy(dict, sender)
			*details = transport.NewDetails(dict)
		}
		d.by.event.Details = *details
		d.queue(to)
	}
}

// allows reports whether the lists of the PUBLISH let the event go to a subscriber.
func (d *delivery) allows(to subscriber) bool {
	return (to.Session != d.by || d.toSelf) && (d.filter == nil || d.filter.Allowed(to.asFiltered()))
}

// queue queues the event with the details it has.
func (d *delivery) queue(to subscriber) {
	d.by.event.Subscription = to.id
	if !to.peer.Deliver(&d.by.event) {
		return
	}
	d.by.peer.WriteLater(to.peer)
	if d.looks && to.peer.Lags() {
		d.by.lagging = append(d.by.lagging, to.peer)
	}
}

// awaitLagging waits for the subscribers that read more slowly than s publishes.
func (s *Session) awaitLagging() {
	if len(s.lagging) == 0 {
		return
	}
	s.peer.WriteNow()
	for i, p := range s.lagging {
		p.AwaitRoom()
		s.lagging[i] = nil
	}
	s.lagging = s.lagging[:0]
}

// asFiltered is what the lists of a PUBLISH are compared with.
func (s *Session) asFiltered() *wamp.Session {
	return &wamp.Session{ID: s.id, Details: wamp.Dict{"authid": s.authID, "authrole": s.authRole}}
}

// newPublication is the id of a publication: random, WAMP specification, section
// "IDs".
func newPublication() wamp.ID { return wamp.ID(rand.Uint64N(wamp.MaxID) + 1) }
