package transport

import (
	"sync"

	"github.com/deskconn/dconn/router/wire"
)

// Backlog bounds what waits to be written on all connections that share it. Over
// its budget the connection for which most waits is cut off.
type Backlog struct {
	most int

	mu      sync.Mutex
	waiting int           // bytes, the sum of held
	held    map[*Conn]int // those for which a step or more waits
}

// NewBacklog makes one of most bytes; 0 is no bound.
func NewBacklog(most int) *Backlog { return &Backlog{most: most, held: map[*Conn]int{}} }

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
	if longest := c.lim.Backlog.set(c, held); longest != nil {
		go longest.overBacklog(c.lim.Backlog.most) // it has a lock of its own
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
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(c)
}

func (c *Conn) overBacklog(most int) {
	c.cut(wire.Over(wire.ErrSlowConsumer, LimitBacklog,
		"cut off for reading too slowly: at most %d bytes may wait for all sessions, and most waits for this one", most))
}
