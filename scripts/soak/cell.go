package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/deskconn/dconn/router/session"
)

// A cell is ten ordinary sessions: a publisher and its subscribers, a callee
// and its callers.
const (
	cellSize    = 10
	subscribers = 4
	callers     = 4
	// burst is how many events a publisher is ahead of its subscribers: they
	// share the machine with the daemon, and one that is starved would be a
	// slow consumer with every right.
	burst = 16
	// Of all cells, so many publish and so many calls are under way at once: a
	// thousand sessions that never pause would only make queues longer, and
	// who connects waits in them.
	publishing = 16
	calling    = 64
)

// Payloads: most are short, one of a thousand calls and one of a thousand
// events has 64 KiB, one of twenty thousand has 1 MiB.
var (
	short = strings.Repeat("s", 1<<10)
	long  = strings.Repeat("m", 64<<10)
	huge  = strings.Repeat("l", 1<<20)
)

// payload is that of the n-th message.
func payload(n int64) string {
	switch {
	case n%20_000 == 19_999:
		return huge
	case n%1000 == 999:
		return long
	}
	return short[:16<<(n%7)]
}

func (l *load) cell(i int) error {
	uri := fmt.Sprintf("org.soak.cell%d", i)
	var working sync.WaitGroup
	if err := l.calls(uri, &working); err != nil {
		return err
	}
	if err := l.events(uri, i%10 == 0, &working); err != nil {
		return err
	}
	working.Wait()
	return nil
}

// calls has callers of one callee.
func (l *load) calls(uri string, working *sync.WaitGroup) error {
	callee, err := l.join()
	if err != nil {
		return err
	}
	err = callee.Register(l.ctx, uri, func(_ context.Context, call *session.Invocation) (session.Result, error) {
		return session.Result{Args: call.Args}, nil
	})
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	for range callers {
		caller, err := l.join()
		if err != nil {
			return err
		}
		working.Go(func() {
			for !l.done() {
				l.calling <- struct{}{}
				l.must(l.call(caller, uri))
				<-l.calling
			}
		})
	}
	return nil
}

// call calls once: the answer must be that of this call.
func (l *load) call(s *session.Session, uri string) error {
	n := l.tally.calls.Add(1)
	ctx, cancel := context.WithTimeoutCause(l.ctx, patience, errLate)
	defer cancel()
	r, err := s.Call(ctx, uri, []any{n, payload(n)}, nil)
	if err != nil {
		return fmt.Errorf("an ordinary call failed: %w", err)
	}
	if len(r.Args) != 2 || r.Args[0] != n || r.Args[1] != payload(n) {
		return fmt.Errorf("call %d has the answer of another: %v", n, r.Args[:min(len(r.Args), 1)])
	}
	return nil
}

// events has subscribers of one publisher, in every tenth cell by every way to
// match: the engine compares each event with each pattern there is.
func (l *load) events(uri string, patterns bool, working *sync.WaitGroup) error {
	arrived := make(chan struct{}, subscribers) // a burst, at one of them
	for i := range subscribers {
		s, err := l.join()
		if err != nil {
			return err
		}
		topic, match := uri+".topic", session.Exact
		switch {
		case patterns && i == 2:
			topic, match = uri+".", session.Prefix
		case patterns && i == 3:
			topic, match = strings.Replace(topic, "soak", "", 1), session.Wildcard
		}
		if err := s.Subscribe(l.ctx, topic, match, l.receiver(arrived)); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	publisher, err := l.join()
	if err != nil {
		return err
	}
	working.Go(func() {
		for next := int64(0); !l.done(); next += burst {
			l.publishing <- struct{}{}
			l.must(l.publish(publisher, uri+".topic", next, arrived))
			<-l.publishing
		}
	})
	return nil
}

// receiver takes events in order and says when a burst is complete.
func (l *load) receiver(arrived chan<- struct{}) func(*session.Event) {
	next := int64(0)
	return func(e *session.Event) {
		if len(e.Args) != 2 || e.Args[0] != next || e.Args[1] != payload(next) {
			l.fail(fmt.Errorf("event %v arrived, expected number %d", firstOf(e), next))
			return
		}
		l.tally.events.Add(1)
		if next++; next%burst == 0 {
			arrived <- struct{}{}
		}
	}
}

// firstOf is the number of an event.
func firstOf(e *session.Event) any {
	if len(e.Args) == 0 {
		return "without a number"
	}
	return e.Args[0]
}

// publish publishes a burst and waits until every subscriber has all of it.
func (l *load) publish(s *session.Session, topic string, first int64, arrived <-chan struct{}) error {
	ctx, cancel := context.WithTimeoutCause(l.ctx, patience, errLate)
	defer cancel()
	for n := first; n < first+burst; n++ {
		if err := s.Publish(ctx, topic, []any{n, payload(n)}, nil, n%burst == 0); err != nil {
			return fmt.Errorf("an ordinary publish failed: %w", err)
		}
	}
	for i := range subscribers {
		select {
		case <-arrived:
		case <-ctx.Done():
			return fmt.Errorf("events %d to %d did not arrive at %d of %d subscribers: %w",
				first, first+burst-1, subscribers-i, subscribers, context.Cause(ctx))
		}
	}
	return nil
}
