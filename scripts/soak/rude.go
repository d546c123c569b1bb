package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/scripts/bench/bare"
)

// What the stalled sessions ask for and never read: a MiB a second, so that
// the 8 MiB of a queue are full long before the minute that a write may take.
const (
	busyTopic = "org.soak.busy" // an event of 64 KiB every feedPause
	largeCall = "org.soak.large"
	feedPause = time.Second / 16
	callPause = time.Second
)

// startFeed has sessions that never read, each followed by another when the
// daemon has ended it, and feeds them. What it returns ends the feeding.
func (l *load) startFeed(stalled *sync.WaitGroup) (stop func()) {
	ctx, cancel := context.WithCancel(l.ctx)
	var feeding sync.WaitGroup
	if err := l.feed(ctx, &feeding); err != nil {
		l.fail(err)
	}
	for i := range l.stalled {
		stalled.Go(func() {
			for !l.done() {
				l.must(l.stall(i))
			}
		})
	}
	return func() {
		cancel()
		feeding.Wait()
	}
}

func (l *load) feed(ctx context.Context, feeding *sync.WaitGroup) error {
	callee, err := l.join()
	if err != nil {
		return err
	}
	err = callee.Register(ctx, largeCall, func(context.Context, *session.Invocation) (session.Result, error) {
		return session.Result{Args: []any{huge}}, nil
	})
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	publisher, err := l.join()
	if err != nil {
		return err
	}
	reader, err := l.join() // who is served beside them
	if err != nil {
		return err
	}
	next := 0
	if err := reader.Subscribe(ctx, busyTopic, session.Exact, func(e *session.Event) {
		if len(e.Args) != 2 || e.Args[0] != int64(next) {
			l.fail(fmt.Errorf("event %v of the busy topic arrived, expected number %d", firstOf(e), next))
		}
		next++
		l.tally.events.Add(1)
	}); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	feeding.Go(func() {
		for n, due := 0, time.NewTicker(feedPause); ctx.Err() == nil; n++ {
			<-due.C
			err := publisher.Publish(ctx, busyTopic, []any{n, long}, nil, false)
			if err != nil && ctx.Err() == nil {
				l.fail(fmt.Errorf("publish on the busy topic: %w", err))
			}
		}
	})
	return nil
}

// stall is a session that never reads, until the daemon ends it.
func (l *load) stall(i int) error {
	p, err := bare.Join(l.socket)
	if err != nil {
		return fmt.Errorf("join, to stall: %w", err)
	}
	defer func() { _ = p.Close() }()
	calls := i%2 == 1
	if !calls {
		if err := p.Say(bare.Message{bare.Subscribe, 1, bare.None, busyTopic}); err != nil {
			return fmt.Errorf("subscribe, to stall: %w", err)
		}
	}
	begin := time.Now()
	for id := 1; !p.HungUp(); id++ {
		if calls {
			_ = p.Say(bare.Message{bare.Call, id, bare.None, largeCall}) // in vain once it has hung up
		}
		if err := l.sleep(callPause); err != nil {
			return nil // not of our making
		}
		if time.Since(begin) > 2*patience {
			return fmt.Errorf("a session that never reads is still there after %v", 2*patience)
		}
	}
	l.tally.stalled.Add(1)
	return nil
}

// comeAndGo registers, calls, unregisters, subscribes, publishes and
// unsubscribes, over and over.
func (l *load) comeAndGo(i int) error {
	p, err := bare.Join(l.socket)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	uri := fmt.Sprintf("org.soak.fickle%d", i)
	for id := 1; !l.done(); id += 10 {
		if err := turn(p, uri, id); err != nil {
			return fmt.Errorf("a registration or subscription that comes and goes: %w", err)
		}
		l.tally.turns.Add(1)
		l.tally.calls.Add(1)
		l.tally.events.Add(1)
	}
	return nil
}

// turn is one of them; its requests have the ids from id on.
func turn(p *bare.Peer, uri string, id int) error {
	var registration, subscription any
	for _, step := range []struct {
		say  func() bare.Message
		hear int
		then func(bare.Message) error
	}{
		{func() bare.Message { return bare.Message{bare.Register, id, bare.None, uri} }, bare.Registered, keep(&registration)},
		{func() bare.Message { return bare.Message{bare.Call, id + 1, bare.None, uri} }, bare.Invocation, func(m bare.Message) error {
			return p.Say(bare.Message{bare.Yield, m[1], bare.None})
		}},
		{nil, bare.Result, nil},
		{func() bare.Message { return bare.Message{bare.Unregister, id + 2, registration} }, bare.Unregistered, nil},
		{func() bare.Message { return bare.Message{bare.Call, id + 3, bare.None, uri} }, bare.Error, func(m bare.Message) error {
			if m.Text(4) != "wamp.error.no_such_procedure" {
				return fmt.Errorf("a procedure that is gone answers %v", m)
			}
			return nil
		}},
		{func() bare.Message { return bare.Message{bare.Subscribe, id + 4, bare.None, uri} }, bare.Subscribed, keep(&subscription)},
		{func() bare.Message {
			return bare.Message{bare.Publish, id + 5, map[string]any{"exclude_me": false}, uri, []any{id}}
		}, bare.Event, nil},
		{func() bare.Message { return bare.Message{bare.Unsubscribe, id + 6, subscription} }, bare.Unsubscribed, nil},
	} {
		if step.say != nil {
			if err := p.Say(step.say()); err != nil {
				return err
			}
		}
		m, err := p.Await(step.hear)
		if err != nil {
			return err
		}
		if step.then != nil {
			if err := step.then(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep takes the id that an answer carries.
func keep(to *any) func(bare.Message) error {
	return func(m bare.Message) error {
		*to = m[2]
		return nil
	}
}
