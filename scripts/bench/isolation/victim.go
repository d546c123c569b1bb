package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/session"
)

// victim is an ordinary caller and callee, and an ordinary publisher and
// subscriber.
type victim struct {
	caller, publisher *session.Session
	arrived           chan int64
}

const (
	victimCall  = "org.bench.echo"
	victimTopic = "org.bench.topic"
	// patience is how long a call or event may take, before it is an error.
	patience = 10 * time.Second
)

var errLate = errors.New("it took more than 10 s")

func newVictim(ctx context.Context, socket string) (*victim, error) {
	var sessions [4]*session.Session
	for i := range sessions {
		s, err := client.Dial(ctx, socket, "bench")
		if err != nil {
			return nil, err
		}
		sessions[i] = s
	}
	v := &victim{caller: sessions[0], publisher: sessions[1], arrived: make(chan int64, 16)}
	err := sessions[2].Register(ctx, victimCall, func(_ context.Context, call *session.Invocation) (session.Result, error) {
		return session.Result{Args: call.Args}, nil
	})
	if err != nil {
		return nil, err
	}
	return v, sessions[3].Subscribe(ctx, victimTopic, session.Exact, func(e *session.Event) {
		if n, ok := e.Args[0].(int64); ok {
			v.arrived <- n
		}
	})
}

// run calls, and publishes, one after the other for so long.
func (v *victim) run(ctx context.Context, load time.Duration) (s sample) {
	until := time.Now().Add(load)
	var both sync.WaitGroup
	var failed [2]error
	both.Go(func() { s.calls, failed[0] = serially(ctx, until, v.call) })
	both.Go(func() { s.events, failed[1] = serially(ctx, until, v.event) })
	both.Wait()
	for _, err := range failed {
		if err != nil {
			s.errors = append(s.errors, err)
		}
	}
	return s
}

// serially does something again and again, and returns how long it took each
// time, in µs. The first error is the end.
func serially(ctx context.Context, until time.Time, do func(context.Context, int64) error) (took []float64, err error) {
	for n := int64(0); time.Now().Before(until); n++ {
		limit, cancel := context.WithTimeoutCause(ctx, patience, errLate)
		begin := time.Now()
		err := do(limit, n)
		took = append(took, time.Since(begin).Seconds()*1e6)
		cancel()
		if err != nil {
			return took, err
		}
	}
	return took, nil
}

func (v *victim) call(ctx context.Context, n int64) error {
	r, err := v.caller.Call(ctx, victimCall, []any{n, "sixteen octets.."}, nil)
	switch {
	case err != nil:
		return fmt.Errorf("call: %w", err)
	case len(r.Args) != 2 || r.Args[0] != n:
		return fmt.Errorf("call %d has the answer %v", n, r.Args)
	}
	return nil
}

func (v *victim) event(ctx context.Context, n int64) error {
	if err := v.publisher.Publish(ctx, victimTopic, []any{n, "sixteen octets.."}, nil, false); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	select {
	case got := <-v.arrived:
		if got != n {
			return fmt.Errorf("event %d arrived, expected %d", got, n)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("event %d: %w", n, context.Cause(ctx))
	}
}
