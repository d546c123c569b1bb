package transport

import (
	"sync"

	"github.com/deskconn/dconn/router/wire"
)

// Backlog bounds what waits to be written on all connections that share it. Over
// its budget the connection for which most waits is cut off.
type Backlog struct {
	limit string // its name in an error
	whose string // connections, in words
	most  int
	whole *Backlog // that it is a part of, nil if it is none

	mu      sync.Mutex
	waiting int           // bytes, the sum of held
	held    map[*Conn]int // those for which a step or more waits
}

// NewBacklog makes one of most bytes, 0 is no bound. limit is its name in an error, and
// whose its connections are in words. What waits counts for whole too, which may be nil.
func NewBacklog(limit, whose string, most int, whole *Backlog) *Backlog {
	return &Backlog{limit: limit, whose: whose, most: most, whole: whole, held: map[*Conn]int{}}
}

// Waiting is how many bytes wait, but for less than 64 KiB of each connection.
func (b *Backlog) Waiting() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

// backlogStep is how exactly a Backlog knows what waits: below it a connection
// costs it nothing, and above it only whenever so much more or less waits.
const backlogStep = 64 << 10

// waits notes that so many bytes more wait here, or fewer, and tells the backlog
// until the connection ends: then all of it is soon freed. c.mu is held.
func (c *Conn) waits(more int) {
	c.pending += more
	held := c.pending &^ (backlogStep - 1)
	if held == c.held || c.lim.Backlog == nil || c.err != nil {
		return
	}
	c.held = held
	for b := c.lim.Backlog; b != nil; b = b.whole {
		if longest := b.set(c, held); longest != nil {
			go longest.overBacklog(b) // it has a lock of its own
		}
	}
}

// set notes what waits for c, and returns whom to cut off, if anybody.
func (b *Backlog) set(c *Conn, held int) (longest *Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(c)
	if held > 0 {
		b.held[c] = held
		b.waiting += held
	}
	if b.most == 0 || b.waiting <= b.most {
		return nil
	}
	for other, n := range b.held {
		if longest == nil || n > b.held[longest] {
			longest = other
		}
	}
	b.drop(longest) // what it held is about to be freed
	return longest
}

// drop forgets c. b.mu is held.
func (b *Backlog) drop(c *Conn) {
	b.waiting -= b.held[c]
	delete(b.held, c)
}

// leave ends the part of c.
func (b *Backlog) leave(c *Conn) {
	for ; b != nil; b = b.whole {
		b.mu.Lock()
		b.drop(c)
		b.mu.Unlock()
	}
}

func (c *Conn) overBacklog(b *Backlog) {
	c.cut(wire.Over(wire.ErrSlowConsumer, b.limit,
		"cut off for reading too slowly: at most %d bytes may wait for %s, and most waits for this one", b.most, b.whose))
}
