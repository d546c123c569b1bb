package transport

import (
	"sync/atomic"
	"time"
)

// Pace keeps a session that asks without a pause from taking the processors from the
// others that share it: while others ask as well, it rests three times as long as it
// was read. What nobody has read yet waits in its socket, and then at its own end.
type Pace struct {
	known  atomic.Int64 // how many have asked
	latest atomic.Int64 // who has begun to ask, by number
	at     atomic.Int64 // when that was, in ns
	rests  atomic.Int64 // so often somebody has rested
}

const (
	// stretch is how long one session is read at a time. What the kernel gives to a
	// process at a time is ten times as long.
	stretch = 250 * time.Microsecond
	// mostRest bounds a rest: who was read may have waited for others as well.
	mostRest = 10 * time.Millisecond
	// company is how long who has asked counts as being there: who moves a pointer
	// shall not hold up a stream.
	company = 2 * time.Millisecond
	// glances is how many messages are read without a look at the clock.
	glances = 8
)

// asking is how long a session was read without a pause, as its reader knows, and
// how long the answers to it took.
type asking struct {
	number int64
	since  time.Time // zero: there was nothing to read
	count  int
	debt   atomic.Int64 // ns of answers, for which it has not rested yet
}

// serving is whose answer a reader is at, and since when.
type serving struct {
	whom  *Conn
	since time.Time
}

// Asks notes that the peer asks for something, and has it rest when it is time to.
// What it has done for others leaves before. Who is not Welcomed yet is no company.
// A Guard calls it of Inbound, for all but what others wait for.
func (c *Conn) Asks() {
	p, a := c.lim.Pace, &c.asking
	switch {
	case p == nil, c.accepts.now.Load() != int64(c.accepts.most):
		return
	case a.number == 0:
		a.number = p.known.Add(1)
	}
	if a.count++; !a.since.IsZero() && a.count%glances != 0 {
		return
	}
	now := time.Now()
	spent := now.Sub(a.since) + time.Duration(a.debt.Load())
	switch {
	case a.since.IsZero():
		p.latest.Store(a.number)
		p.at.Store(now.UnixNano())
		a.debt.Store(0)
	case spent < stretch:
		return
	case p.latest.Load() != a.number && now.UnixNano()-p.at.Load() < int64(company):
		p.rests.Add(1)
		c.guard.Drained()
		a.debt.Store(0) // what comes during the rest is for the next
		time.Sleep(min(3*spent, mostRest))
		now = time.Now()
	default:
		a.debt.Store(0)
	}
	a.since = now
}

// Serves notes that what is read now is what whom has asked for: that takes no less
// than asking did.
func (c *Conn) Serves(whom *Conn) {
	if c.lim.Pace == nil {
		return
	}
	now := time.Now()
	c.serving.charge(now)
	c.serving = serving{whom, now}
}

// charge ends it. Who is served does not pay for what else a reader waits for.
func (s *serving) charge(now time.Time) {
	if s.whom != nil {
		s.whom.asking.debt.Add(int64(min(now.Sub(s.since), stretch)))
	}
}

// paused notes that there was nothing to read.
func (c *Conn) paused() {
	c.asking.since = time.Time{}
	if c.serving.whom != nil {
		c.serving.charge(time.Now())
		c.serving = serving{}
	}
}
