package transport

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
)

// taker is a guard that takes everything itself, and counts it.
type taker struct {
	lastWords
	taken, drained *atomic.Int64
}

func newTaker() taker { return taker{taken: new(atomic.Int64), drained: new(atomic.Int64)} }

func (g taker) Inbound(wamp.Message) ([]wamp.Message, wamp.Message, error) {
	g.taken.Add(1)
	return nil, nil, nil
}
func (g taker) Drained() { g.drained.Store(g.taken.Load()) }

// A session that asks without a pause rests while another asks as well, and not when
// it is alone, nor for what others wait for. What it has done for others leaves
// before it rests.
func TestPace(t *testing.T) {
	final, more := &wamp.Yield{Request: 1}, &wamp.Yield{Request: 1, Options: wamp.Dict{"progress": true}}
	for _, row := range []struct {
		name    string
		says    wamp.Message
		company bool
		rests   bool
	}{
		{"alone", event(1, 1), false, false},
		{"beside another", event(1, 1), true, true},
		{"a stream beside another", more, true, true},
		{"answers beside another", final, true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			lim, flood := testLimits(), newTaker()
			lim.Pace = &Pace{}
			_, other := accept(t, lim, 15, newTaker())
			_, client := accept(t, lim, 15, flood)
			one, err := encoded(CBOR, row.says)
			if err != nil {
				t.Fatal(err)
			}
			one = frame(frameMessage, one)
			var all []byte
			for range 1000 {
				all = append(all, one...)
			}
			began := time.Now()
			for lim.Pace.rests.Load() == 0 && (time.Since(began) < 300*time.Millisecond || row.rests && time.Since(began) < 10*time.Second) {
				if row.company {
					if _, err := other.Write(one); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := client.Write(all); err != nil {
					t.Fatal(err)
				}
			}
			if rests := lim.Pace.rests.Load(); rests > 0 != row.rests {
				t.Errorf("%d rests in %v", rests, time.Since(began))
			}
			if row.rests && flood.drained.Load() == 0 {
				t.Error("it rests with something to write")
			}
		})
	}
}
