package session

import (
	"context"

	"github.com/gammazero/nexus/v3/wamp"
)

// Publish publishes an event. With ack it waits until the router has it.
func (s *Session) Publish(ctx context.Context, topic string, args []any, kwargs map[string]any, ack bool) error {
	if ack {
		receipt, err := s.PublishAcknowledged(ctx, topic, args, kwargs)
		if err == nil {
			_, err = receipt.Wait(ctx)
		}
		return err
	}
	s.mu.Lock()
	s.lastRequest++
	id := s.lastRequest
	s.mu.Unlock()
	return s.send(ctx, id, &wamp.Publish{
		Request: id, Options: wamp.Dict{}, Topic: wamp.URI(topic), Arguments: args, ArgumentsKw: kwargs,
	})
}

// PublishAcknowledged publishes an event and does not wait for the router. The
// receipt also vouches for every event that this session published before: the
// router takes them in order.
func (s *Session) PublishAcknowledged(ctx context.Context, topic string, args []any, kwargs map[string]any) (Receipt, error) {
	id, r := s.newRequest(nil)
	err := s.send(ctx, id, &wamp.Publish{
		Request: id, Options: wamp.Dict{"acknowledge": true}, Topic: wamp.URI(topic), Arguments: args, ArgumentsKw: kwargs,
	})
	return Receipt{s, id, r}, err
}

// Receipt is the acknowledgment of an event that was published.
type Receipt struct {
	session *Session
	id      wamp.ID
	request *request
}

// Wait waits until the router has the event and returns its publication id.
func (r Receipt) Wait(ctx context.Context) (publication uint64, err error) {
	answer, err := r.session.await(ctx, r.id, r.request)
	if err != nil {
		return 0, err
	}
	published, err := as[*wamp.Published](answer)
	if err != nil {
		return 0, err
	}
	return uint64(published.Publication), nil
}

// Event is one event of a subscription.
type Event struct {
	Topic       string // "" unless the subscription is by a pattern
	Publication uint64
	Publisher   string // who the router says published it, "" if it does not
	Args        []any
	Kwargs      map[string]any
}

func newEvent(m *wamp.Event) *Event {
	e := &Event{Publication: uint64(m.Publication), Args: m.Arguments, Kwargs: m.ArgumentsKw}
	e.Topic, _ = m.Details["topic"].(string)
	e.Publisher, _ = m.Details["publisher_authid"].(string)
	return e
}

// How a subscription's URI is compared with a topic.
const (
	Exact    = wamp.MatchExact
	Prefix   = wamp.MatchPrefix
	Wildcard = wamp.MatchWildcard
)

// Subscribe subscribes to a topic by match. handle gets every event from the
// first one on, in order, on the receiving goroutine: while it runs, nothing
// else arrives.
func (s *Session) Subscribe(ctx context.Context, topic, match string, handle func(*Event)) error {
	id, r := s.newRequest(func(answer wamp.Message) {
		if m, ok := answer.(*wamp.Subscribed); ok {
			s.mu.Lock()
			s.subscriptions[m.Subscription] = handle
			s.mu.Unlock()
		}
	})
	msg := &wamp.Subscribe{Request: id, Options: wamp.Dict{"match": match}, Topic: wamp.URI(topic)}
	answer, err := s.ask(ctx, id, r, msg)
	if err != nil {
		return err
	}
	_, err = as[*wamp.Subscribed](answer)
	return err
}
