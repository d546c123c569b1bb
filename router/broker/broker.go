// Package broker carries every PUBLISH to the sessions that have subscribed to its
// topic. nexus grants subscriptions and answers the meta API about them; the reader
// of the publisher puts each event on the queues of the subscribers.
package broker

import (
	"sync"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/pattern"
	"github.com/deskconn/dconn/router/transport"
)

// Broker knows the subscriptions of all sessions.
type Broker struct {
	mu          sync.RWMutex
	subscribers pattern.Table[subscriber]
}

// New makes a Broker without subscriptions.
func New() *Broker { return &Broker{} }

// subscriber is a session with one of its subscriptions.
type subscriber struct {
	*Session
	id wamp.ID
}

// Session is one session as a publisher and as a subscriber.
type Session struct {
	broker *Broker
	peer   *transport.Peer
	// who it is, for the lists of a PUBLISH
	id               wamp.ID
	authID, authRole string
	toldPublisher    bool // it announced publisher_identification

	// with broker.mu
	subscriptions map[wamp.ID]Topic
	gone          bool

	// of the reader
	lagging   []*transport.Peer // subscribers that read more slowly than it publishes
	unchecked int               // bytes published since it was looked who lags
	event     transport.Event   // that it is publishing
}

// Topic is what a subscription is for.
type Topic struct {
	URI   wamp.URI
	Match string // wamp.MatchExact, MatchPrefix or MatchWildcard
}

// Join makes s a session of the broker. subscriber are the features that its HELLO
// announces for that role.
func (b *Broker) Join(s *Session, peer *transport.Peer, id wamp.ID, authID, authRole string, subscriber wamp.Dict) {
	s.broker, s.peer = b, peer
	s.id, s.authID, s.authRole = id, authID, authRole
	s.toldPublisher = subscriber["publisher_identification"] == true
}

// Has reports whether there is a subscription to exactly this topic.
func (b *Broker) Has(topic wamp.URI) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.subscribers.Exact(topic)) > 0
}

// Subscribe has events on topic delivered to s. tell queues the SUBSCRIBED: no event
// comes before it. A subscription that s has already stays as it is.
func (s *Session) Subscribe(id wamp.ID, topic Topic, tell func()) {
	b := s.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	tell()
	if _, has := s.subscriptions[id]; has || s.gone {
		return
	}
	if s.subscriptions == nil {
		s.subscriptions = map[wamp.ID]Topic{}
	}
	s.subscriptions[id] = topic
	b.subscribers.Add(topic.URI, topic.Match, subscriber{s, id})
}

// Unsubscribe undoes Subscribe. No event comes afterwards.
func (s *Session) Unsubscribe(id wamp.ID) {
	b := s.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	s.unsubscribe(id)
}

func (s *Session) unsubscribe(id wamp.ID) {
	if topic, ok := s.subscriptions[id]; ok {
		delete(s.subscriptions, id)
		s.broker.subscribers.Remove(topic.URI, topic.Match, subscriber{s, id})
	}
}

// Subscriptions is how many subscriptions s has.
func (s *Session) Subscriptions() int {
	if s.broker == nil {
		return 0
	}
	s.broker.mu.RLock()
	defer s.broker.mu.RUnlock()
	return len(s.subscriptions)
}

// Leave ends all subscriptions of s, which gets no other.
func (s *Session) Leave() {
	b := s.broker
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.gone = true
	for id := range s.subscriptions {
		s.unsubscribe(id)
	}
}
