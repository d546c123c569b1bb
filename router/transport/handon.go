package transport

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A call to the daemon's own is run by the goroutine that read it, if nothing else
// was read: to wake another one takes longer than most such calls. While it runs,
// nobody reads what the caller sends next, a CANCEL perhaps. Therefore a watch looks
// at the calls that run so, and starts another reader for a caller whose call takes
// long.

// watchEvery is how often the watch looks: a call that runs at two looks takes long.
const watchEvery = 5 * time.Millisecond

// watchIdle is how many looks at nothing end the watch.
const watchIdle = 10

// errHandedOn ends a reader in whose place another one reads.
var errHandedOn = errors.New("another goroutine reads")

// calling are the connections whose reader runs a call, and whether the watch has
// seen that.
var calling = struct {
	sync.Mutex
	seen     map[*Conn]bool
	watching bool
}{seen: map[*Conn]bool{}}

// runDue runs what the reader of c has put for the daemon's own sessions, if it has
// nothing else to do. It is false where another goroutine reads by now.
func (c *Conn) runDue() (reads bool) {
	if len(c.put.due) == 0 || c.framing.begun() { // what is put for others waits until nothing more can be read
		return true
	}
	due := c.put.take()
	c.paused()
	run := due[0]
	c.start(due[1:])
	calling.Lock()
	calling.seen[c] = false
	if !calling.watching {
		calling.watching = true
		go watch()
	}
	calling.Unlock()
	run() // and what belongs to the reader is not touched until it is known to be this one
	calling.Lock()
	defer calling.Unlock()
	_, reads = calling.seen[c]
	delete(calling.seen, c)
	return reads
}

// batch are calls to the daemon's own that one goroutine runs one after the other: with
// one goroutine for each, a session with a thousand calls in flight would have as many
// in the queue of the scheduler.
type batch struct {
	payer *Conn

	mu  sync.Mutex
	due []func()
}

// start runs calls to the daemon's own at the cost of c.
func (c *Conn) start(due []func()) {
	switch len(due) {
	case 0:
	case 1:
		go c.pays(due[0])
	default:
		b := &batch{payer: c, due: slices.Clone(due)}
		go b.run()
	}
}

// run runs what is left. Where a call takes long, another goroutine goes on with the
// next.
func (b *batch) run() {
	for {
		b.mu.Lock()
		if len(b.due) == 0 {
			b.mu.Unlock()
			return
		}
		next := b.due[0]
		b.due[0] = nil
		b.due = b.due[1:]
		b.mu.Unlock()
		other := time.AfterFunc(watchEvery, b.run)
		b.payer.pays(next)
		if !other.Stop() {
			return
		}
		runtime.Gosched()
	}
}

// watch hands on the reading of connections whose reader runs a call that takes long,
// until none has run one for a while.
func watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for idle := 0; ; {
		<-tick.C
		calling.Lock()
		if idle++; len(calling.seen) > 0 {
			idle = 0
		}
		for c, seen := range calling.seen {
			calling.seen[c] = true
			if seen {
				delete(calling.seen, c)
				go c.read()
			}
		}
		if calling.watching = idle < watchIdle; !calling.watching {
			calling.Unlock()
			return
		}
		calling.Unlock()
	}
}
