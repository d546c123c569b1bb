package router

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
)

// A caller is read while a capability takes long over its call: another call is
// answered, and a CANCEL ends the first.
func TestSlowCallIsHandedOn(t *testing.T) {
	for _, y := range ways {
		t.Run(y.name, func(t *testing.T) {
			b := start(t)
			s := b.joinBy(y, transport.CBOR)
			for range 3 {
				ctx, cancel := context.WithCancel(b.ctx())
				ended := make(chan error, 1)
				go func() {
					_, err := s.Call(ctx, "org.deskconn.test.slow", nil, nil)
					ended <- err
				}()
				time.Sleep(30 * time.Millisecond)
				if r, err := s.Call(b.ctx(), "org.deskconn.test.set", []any{80}, nil); err != nil || r.Args[0] != int64(80) {
					t.Errorf("beside a slow call: %v, %v", r, err)
				}
				cancel()
				<-b.ended
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("the slow call ends with %v", err)
				}
			}
		})
	}
}

// Calls that take about as long as the watch waits are each answered once, in whichever
// goroutine they run, and their callers go on.
func TestCallsAtTheWatch(t *testing.T) {
	b := start(t)
	nap := capabilities.Capability{Name: "nap", Doc: "d", Procedures: []capabilities.Procedure{{
		Verb: "take", Doc: "d", Params: []capabilities.Param{{Name: "n", Type: capabilities.Int, Max: 1 << 30}},
		Handle: func(_ context.Context, c capabilities.Call) (any, error) {
			time.Sleep(rand.N(15 * time.Millisecond))
			return c.Int("n"), nil
		},
	}}}
	if err := b.router.Offer(b.ctx(), append(b.router.directory.offered(), nap), false); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		s := b.join(transport.CBOR)
		for caller := range 2 {
			all.Go(func() { naps(b, s, caller*1000) })
		}
	}
	all.Wait()
}

func naps(b *bench, s *session.Session, from int) {
	for n := from; n < from+40; n++ {
		if r, err := s.Call(b.ctx(), "org.deskconn.nap.take", []any{n}, nil); err != nil || r.Args[0] != int64(n) {
			b.t.Errorf("call %d: %v, %v", n, r, err)
		}
	}
}
