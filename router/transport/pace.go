package transport

import (
	"sync/atomic"
	"time"
)

// Pace keeps a session that asks without a pause from taking the processors from the
// others that share it: while others ask as well, it rests three times as long as it
// was read and answered. What nobody has read yet waits in its socket, and then at its
// own end.
type Pace struct {
	known  atomic.Int64 // how many have asked
	latest atomic.Int64 // who has begun to ask, by number
	at     atomic.Int64 // when that was, in ns
	rests  atomic.Int64 // so often somebody has rested
}

const (
	// stretch is how long one session is read at a time. What the kernel gives to a
	// process at a time is ten times as long.
	stretch = 125 * time.Microsecond
	// mostRest bounds a rest: who was read may have waited for others as well.
	mostRest = 10 * time.Millisecond
	// company is how long who has asked counts as being there: who moves a pointer
	// shall not hold up a stream.
	company = 2 * time.Millisecond
	// glances is how many messages are read without a look at the clock.
	glances = 8
)

// asking is how long a session was read without a pause, as its reader knows, and
// how long the readers of others had with answers to it.
type asking struct {
	number int64
	since  time.Time // zero: there was nothing to read
	count  int
	debt   atomic.Int64 // ns of answers, for which it has not rested yet
}

// serving is whose answer a reader is at, and since when: where it goes from one to
// the next, since the end of the last.
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
	case p == nil, !c.welcomed():
		return
	case a.number != 0:
	case c.lim.Share != nil:
		a.number = int64(c.lim.Share.of(p))
	default:
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
	case p.hasCompany(int(a.number), now):
		p.rests.Add(1)
		c.put.flush()
		a.debt.Store(0) // what comes during the rest is for the next
		rest := min(3*spent, mostRest)
		if c.lim.Share != nil {
			rest = c.lim.Share.rests(3 * spent)
		}
		time.Sleep(rest)
		now = time.Now()
	default:
		a.debt.Store(0)
	}
	a.since = now
}

// Serves notes that the message just read is what whom has asked for: until the next
// one, or a pause, its reader is busy with that.
func (c *Conn) Serves(whom *Conn) {
	s := &c.serving
	if c.lim.Pace == nil {
		return
	}
	if s.since.IsZero() {
		s.since = time.Now()
	}
	s.whom = whom
}

// pays runs a call to the daemon's own, and charges c for it, up to a stretch: the call
// may have waited for something else. A nil c pays nothing.
func (c *Conn) pays(run func()) {
	if c == nil || c.lim.Pace == nil {
		run()
		return
	}
	began := time.Now()
	run()
	c.asking.debt.Add(int64(min(time.Since(began), stretch)))
}

// served charges who was served, if anybody, up to a stretch: a reader may have had to
// wait.
func (c *Conn) served() {
	s := &c.serving
	if s.whom == nil {
		s.since = time.Time{}
		return
	}
	now := time.Now()
	s.whom.asking.debt.Add(int64(min(now.Sub(s.since), stretch)))
	s.whom, s.since = nil, now
}

// paused notes that there was nothing to read.
func (c *Conn) paused() {
	c.asking.since = time.Time{}
	c.served()
	c.serving.since = time.Time{}
}
