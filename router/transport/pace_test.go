package transport

import (
	stdbytes "bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
)

// taker is a guard that takes everything itself, and counts it.
type taker struct {
	passing
	conn  atomic.Pointer[Conn]
	other flushed // that it puts something for
	owed  bool
}

// flushed is a link that counts how often it was to be written.
type flushed struct {
	link
	times atomic.Int64
}

func (f *flushed) Flush() { f.times.Add(1) }

func (g *taker) Inbound(wamp.Message) (pass, answer wamp.Message, err error) {
	c := g.conn.Load()
	if c == nil {
		return nil, nil, nil
	}
	if !g.owed {
		c.Asks()
	}
	(&Peer{link: c}).WriteLater(&Peer{link: &g.other})
	return nil, nil, nil
}

// A session that asks without a pause rests while another asks as well, and not when
// it is alone, nor for what others wait for. What it has done for others leaves
// before it rests.
func TestPace(t *testing.T) {
	for _, row := range []struct {
		name    string
		owed    bool
		company bool
		unknown bool // messages of an unknown type, which no guard sees
		rests   bool
	}{
		{"alone", false, false, false, false},
		{"beside another", false, true, false, true},
		{"what is owed, beside another", true, true, false, false},
		{"what is ignored, beside another", false, true, true, true},
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
			much := one
			if row.unknown {
				much = frame(frameMessage, mustAppend(t, CBOR, []any{int64(337), int64(1)}))
			}
			all := stdbytes.Repeat(much, 1000)
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
			if row.rests && !row.unknown && flood.other.times.Load() == 0 {
				t.Error("it rests with something to write")
			}
		})
	}
}

// What it takes to answer a session counts as if it had asked for longer: it rests
// for that as well, beside another and if it asks without a pause.
func TestPaceOfAnswers(t *testing.T) {
	now := time.Now()
	later := now.Add(time.Hour) // however slow this machine is
	for _, row := range []struct {
		name   string
		since  time.Time // it has been asking
		debt   time.Duration
		rests  int64
		remain time.Duration
	}{
		{"little", later, stretch / 2, 0, stretch / 2},
		{"much", now, stretch, 1, 0},
		{"much, before a pause", time.Time{}, stretch, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := &Pace{}
			c := &Conn{lim: Limits{Pace: p}, guard: &taker{}}
			p.known.Store(2)
			p.latest.Store(2)
			p.at.Store(later.UnixNano())
			c.asking.number, c.asking.count, c.asking.since = 1, glances-1, row.since
			c.asking.debt.Store(int64(row.debt))
			c.Asks()
			if got := p.rests.Load(); got != row.rests {
				t.Errorf("%d rests, expected %d", got, row.rests)
			}
			if got := time.Duration(c.asking.debt.Load()); got != row.remain {
				t.Errorf("%v are left, expected %v", got, row.remain)
			}
		})
	}
}

// Whom a reader serves is charged for that until the next message or a pause, and for
// no more than a stretch.
func TestServes(t *testing.T) {
	served, other, c := &Conn{}, &Conn{}, &Conn{lim: Limits{Pace: &Pace{}}}
	debt := func(c *Conn) time.Duration { return time.Duration(c.asking.debt.Load()) }
	c.Serves(served)
	time.Sleep(20 * stretch)
	c.served() // the next message, which is nobody's
	if got := debt(served); got != stretch {
		t.Errorf("charged %v, expected %v", got, stretch)
	}
	time.Sleep(20 * stretch)
	c.served()
	c.Serves(other)
	if got := debt(served) + debt(other); got != stretch {
		t.Errorf("charged %v, expected %v still", got, stretch)
	}
	c.paused()
	if got := debt(other); got <= 0 || got > stretch {
		t.Errorf("charged %v, expected up to %v", got, stretch)
	}
	before := debt(other)
	c.paused()
	if got := debt(other); got != before {
		t.Errorf("charged %v for nothing to read", got-before)
	}
}
