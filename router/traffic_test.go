package router

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
)

// traffic is what ordinary sessions do while others are hostile. None of it may
// fail, be lost or change its order.
type traffic struct {
	b             *bench
	stopped       atomic.Bool
	calls, events atomic.Int64
	working       sync.WaitGroup
}

// The procedure and the topic of ordinary traffic, which anybody may use, too.
const (
	ownProcedure = "org.t.own.echo"
	ownTopic     = "org.t.own.topic"
	ownMark      = "ordinary" // the first argument of ordinary events
)

// traffic starts three callers, and a publisher with a subscriber for each
// serializer, until end.
func (b *bench) traffic() *traffic {
	b.t.Helper()
	f := &traffic{b: b}
	err := b.join(transport.CBOR).Register(b.ctx(), ownProcedure, func(_ context.Context, call *session.Invocation) (session.Result, error) {
		return session.Result{Args: call.Args, Kwargs: call.Kwargs}, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	all := make(chan struct{}, len(codecs))
	for _, c := range codecs {
		caller, subscriber := b.join(c), b.join(c)
		f.working.Go(func() { f.call(caller) })
		next := int64(1)
		if err := subscriber.Subscribe(b.ctx(), ownTopic, session.Exact, func(e *session.Event) { f.event(e, &next, all) }); err != nil {
			b.t.Fatal(err)
		}
	}
	publisher := b.join(transport.CBOR)
	f.working.Go(func() { f.publish(publisher, all) })
	return f
}

func (f *traffic) call(s *session.Session) {
	for n := int64(0); !f.stopped.Load(); n++ {
		ctx, cancel := patient()
		r, err := s.Call(ctx, ownProcedure, []any{n}, nil)
		cancel()
		if err != nil || len(r.Args) != 1 || r.Args[0] != n {
			f.b.t.Errorf("ordinary call %d: %v, %v", n, r, err)
			return
		}
		f.calls.Add(1)
	}
}

// patient is for one step, which a busy machine may take long for.
func patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patienceOfTests)
}

// publish publishes numbers, and last a negative one.
func (f *traffic) publish(s *session.Session, all <-chan struct{}) {
	for n := int64(1); ; n++ {
		last := f.stopped.Load()
		number := n
		if last {
			number = -n
		}
		ctx, cancel := patient()
		err := s.Publish(ctx, ownTopic, []any{ownMark, number}, nil, n%10 == 0)
		cancel()
		if err != nil {
			f.b.t.Errorf("ordinary event %d: %v", n, err)
			return
		}
		if last {
			break
		}
	}
	ctx, cancel := patient()
	defer cancel()
	for range codecs {
		select {
		case <-all:
		case <-ctx.Done():
			f.b.t.Error("an ordinary subscriber misses events")
		}
	}
}

func (f *traffic) event(e *session.Event, next *int64, all chan<- struct{}) {
	if len(e.Args) != 2 || e.Args[0] != ownMark {
		return // somebody else's
	}
	number, _ := e.Args[1].(int64)
	if number != *next && number != -*next {
		f.b.t.Errorf("ordinary event %d, where %d is due", number, *next)
	}
	if number < 0 {
		all <- struct{}{}
	}
	*next++
	f.events.Add(1)
}

// end stops the traffic and waits for all of it.
func (f *traffic) end() {
	f.b.t.Helper()
	f.stopped.Store(true)
	f.working.Wait()
	if f.calls.Load() < 10 || f.events.Load() < 10 {
		f.b.t.Errorf("there was little ordinary traffic: %d calls, %d events", f.calls.Load(), f.events.Load())
	}
}
