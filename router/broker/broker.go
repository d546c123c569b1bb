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
	granted     wamp.ID // the last subscription that nexus does not know
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
	patterns      map[Topic]wamp.ID // of these, those that nexus does not know
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
	s.add(id, topic)
}

// add adds a subscription. Broker.mu is held.
func (s *Session) add(id wamp.ID, topic Topic) {
	if s.subscriptions == nil {
		s.subscriptions = map[wamp.ID]Topic{}
	}
	s.subscriptions[id] = topic
	s.broker.subscribers.Add(topic.URI, topic.Match, subscriber{s, id})
}

// firstGranted is the id of the first subscription that nexus does not know. It counts
// its own from 1.
const firstGranted wamp.ID = 1 << 52

// Granted reports whether id is that of a subscription that nexus does not know.
func Granted(id wamp.ID) bool { return id >= firstGranted }

// SubscribePattern is Subscribe for a pattern that nexus does not know. tell is given
// the id of the subscription, which has one already where s had subscribed before.
func (s *Session) SubscribePattern(topic Topic, tell func(wamp.ID)) {
	b := s.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	id, has := s.patterns[topic]
	if !has {
		b.granted = max(b.granted+1, firstGranted)
		id = b.granted
	}
	tell(id)
	if has || s.gone {
		return
	}
	if s.patterns == nil {
		s.patterns = map[Topic]wamp.ID{}
	}
	s.patterns[topic] = id
	s.add(id, topic)
}

// Has reports whether id is that of a subscription of s.
func (s *Session) Has(id wamp.ID) bool {
	b := s.broker
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, has := s.subscriptions[id]
	return has
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
		if Granted(id) {
			delete(s.patterns, topic)
		}
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
