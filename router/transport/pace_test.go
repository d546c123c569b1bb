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
	conn           atomic.Pointer[Conn]
	taken, drained atomic.Int64
	owed           bool
}

func (g *taker) Inbound(wamp.Message) ([]wamp.Message, wamp.Message, error) {
	if c := g.conn.Load(); c != nil && !g.owed {
		c.Asks()
	}
	g.taken.Add(1)
	return nil, nil, nil
}
func (g *taker) Drained() { g.drained.Store(g.taken.Load()) }

// A session that asks without a pause rests while another asks as well, and not when
// it is alone, nor for what others wait for. What it has done for others leaves
// before it rests.
func TestPace(t *testing.T) {
	for _, row := range []struct {
		name    string
		owed    bool
		company bool
		rests   bool
	}{
		{"alone", false, false, false},
		{"beside another", false, true, true},
		{"what is owed, beside another", true, true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			lim, flood, beside := testLimits(), &taker{owed: row.owed}, &taker{}
			lim.Pace = &Pace{}
			c, other := accept(t, lim, 15, beside)
			beside.conn.Store(c)
			c, client := accept(t, lim, 15, flood)
			flood.conn.Store(c)
			one, err := encoded(CBOR, event(1, 1))
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
