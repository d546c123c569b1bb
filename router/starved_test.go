package router

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// starve leaves one processor to the router and to all of its peers, and that
// shared with burners, each of which holds it for 10 ms at a time.
func starve(t *testing.T, burners int) {
	t.Helper()
	procs := runtime.GOMAXPROCS(1)
	var over atomic.Bool
	var burning sync.WaitGroup
	for range burners {
		burning.Go(func() {
			for !over.Load() {
				continue
			}
		})
	}
	t.Cleanup(func() {
		over.Store(true)
		burning.Wait()
		runtime.GOMAXPROCS(procs)
	})
}

// overStarved runs a test that starves when its sessions have joined, alone and
// beside burners, where it can do only a share.
func overStarved(t *testing.T, run func(b *bench, starve func(), share int)) {
	for name, burners := range map[string]int{"alone": 0, "beside burners": 2} {
		t.Run(name, func(t *testing.T) {
			b := startWith(t, options(transport.DefaultLimits(), DefaultSessionLimits()))
			run(b, func() { starve(t, burners) }, 1+4*burners)
		})
	}
}

// A burst to one subscriber, who reads, arrives whole and in order.
func TestEventsWhenStarved(t *testing.T) {
	overStarved(t, func(b *bench, starve func(), share int) { b.fanOut(1, 20000/share, starve) })
}

// So does one to a hundred.
func TestFanOutWhenStarved(t *testing.T) {
	overStarved(t, func(b *bench, starve func(), share int) { b.fanOut(100, 500/share, starve) })
}

// fanOut publishes a burst that every subscriber must get.
func (b *bench) fanOut(subscribers, events int, starve func()) {
	b.t.Helper()
	var all sync.WaitGroup
	for i := range subscribers {
		s, next, done := b.join(codecs[i%len(codecs)]), int64(0), make(chan struct{})
		if err := s.Subscribe(b.ctx(), "org.t.burst", session.Exact, func(e *session.Event) {
			if e.Args[0] != next {
				b.t.Errorf("subscriber %d got event %v, want %d", i, e.Args[0], next)
			}
			if next++; next == int64(events) {
				close(done)
			}
		}); err != nil {
			b.t.Fatal(err)
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*patienceOfTests)
			defer cancel()
			select {
			case <-done:
			case <-s.Done():
				b.t.Errorf("subscriber %d was cut off: %v", i, s.Err())
			case <-ctx.Done():
				b.t.Errorf("subscriber %d misses events, and its session lives", i)
			}
		})
	}
	publisher := b.join(transport.CBOR)
	starve()
	for i := range events {
		if err := publisher.Publish(b.ctx(), "org.t.burst", []any{i}, nil, false); err != nil {
			b.t.Fatal(err)
		}
	}
	all.Wait()
}

// A hundred callers of one callee, each with several calls in flight: each call
// is answered, by its own result or its own error, after its own progress.
func TestAnswersWhenStarved(t *testing.T) {
	const callers, steps = 100, 5
	overStarved(t, func(b *bench, starve func(), share int) {
		err := b.join(transport.CBOR).Register(b.ctx(), "org.t.answers", func(ctx context.Context, call *session.Invocation) (session.Result, error) {
			for i := 0; call.Progress != nil && i < steps; i++ {
				_ = call.Progress(ctx, session.Result{Args: []any{i}})
			}
			if n, _ := call.Args[0].(int64); n%2 == 1 {
				return session.Result{}, &wire.Error{URI: ownError, Args: call.Args}
			}
			return session.Result{Args: call.Args}, nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
		sessions := make([]*session.Session, callers)
		for i := range sessions {
			sessions[i] = b.join(codecs[i%len(codecs)])
		}
		starve()
		var all sync.WaitGroup
		for i, s := range sessions {
			for n := range max(2, 18/share) {
				all.Go(func() { answered(b.t, s, int64(1000*i+n), steps) })
			}
		}
		all.Wait()
	})
}

// answered calls with a number of its own.
func answered(t testing.TB, s *session.Session, n int64, steps int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patienceOfTests)
	defer cancel()
	got := 0
	r, err := s.CallProgressive(ctx, "org.t.answers", []any{n}, nil, func(session.Result) { got++ })
	args := r.Args
	if e, ok := errors.AsType[*wire.Error](err); ok && n%2 == 1 && e.URI == ownError {
		args, err = e.Args, nil
	}
	if err != nil || len(args) != 1 || args[0] != n || got != steps {
		t.Errorf("call %d: %v after %d of %d steps, %v", n, args, got, steps, err)
	}
}
