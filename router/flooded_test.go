package router

import (
	"context"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"
)

// Several callers, each at its limit of calls in flight, do not end a callee that
// reads, nor themselves.
func TestManyCallersOneCallee(t *testing.T) {
	overGates(t, func(t *testing.T, y *yard) {
		p := y.pair()
		stop, cancel := context.WithCancel(context.Background())
		defer cancel()
		d := &disturber{yard: y, stop: stop}
		for range 4 {
			d.flood(func(id wamp.ID) wamp.Message {
				return &wamp.Call{Request: id, Procedure: echoURI, Arguments: wamp.List{id}}
			})
		}
		for i := range 20 { // each waits its turn behind all the others
			if _, err := p.caller.Call(p.ctx(), echoURI, []any{i}, nil); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		cancel()
		d.working.Wait()
		if cuts := y.cuts(); len(cuts) > 0 {
			t.Errorf("cut off: %v", cuts)
		}
	})
}
