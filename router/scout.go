package router

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/browse"
	"github.com/deskconn/dconn/router/session"
)

// scoutFor is how long the daemon looks for other machines after somebody asked:
// whoever asks again has the answer at once.
const scoutFor = 10 * time.Minute

// scout knows which machines announce themselves, while somebody wants to know.
type scout struct {
	mu     sync.Mutex
	found  map[browse.Key]browse.Machine
	until  time.Time
	since  time.Time // when it began to look; zero while it does not
	active sync.WaitGroup
}

// ask begins to look, or goes on, and returns who is known so far, and for how long
// it has looked.
func (s *scout) ask(ctx context.Context) (found []browse.Machine, looked time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.until = now.Add(scoutFor)
	if s.since.IsZero() {
		s.since, s.found = now, map[browse.Key]browse.Machine{}
		s.active.Go(func() { s.look(ctx) })
	}
	return slices.Collect(maps.Values(s.found)), now.Sub(s.since)
}

// look looks until nobody has asked for a while.
func (s *scout) look(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.active.Go(func() { s.expire(ctx, cancel) })
	_, _ = browse.Browse(ctx, func(e browse.Event) bool { s.note(e); return true })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.found = time.Time{}, nil
}

func (s *scout) note(e browse.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	about := e.Machine.Key()
	if e.Kind == browse.Gone {
		delete(s.found, about)
		return
	}
	s.found[about] = e.Machine
}

func (s *scout) expire(ctx context.Context, stop func()) {
	for {
		s.mu.Lock()
		left := time.Until(s.until)
		s.mu.Unlock()
		if left <= 0 {
			stop()
			return
		}
		select {
		case <-time.After(left):
		case <-ctx.Done():
			return
		}
	}
}

// answerDiscover tells the owner which machines announce themselves, as far as the
// daemon knows already.
func (r *Router) answerDiscover(_ context.Context, call *session.Invocation) (session.Result, error) {
	if _, err := capabilities.Decode(nil, call.Args, call.Kwargs); err != nil {
		return session.Result{}, onWire(err)
	}
	if r.closed.Err() != nil {
		return session.Result{}, context.Canceled
	}
	found, looked := r.scout.ask(r.closed)
	list := make([]any, len(found))
	for i, m := range found {
		addresses := make([]any, len(m.Addresses))
		for j, a := range m.Addresses {
			addresses[j] = a.String()
		}
		list[i] = map[string]any{
			"name": m.Name, "instance": []byte(m.Instance), "id": m.ID, "host": m.Host, "port": int64(m.Port),
			"addresses": addresses, "pairing": m.Pairing, "latency": m.Latency.Seconds(),
		}
	}
	return session.Result{Args: []any{list}, Kwargs: map[string]any{"looked": looked.Seconds()}}, nil
}
