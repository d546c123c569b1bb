package client

import (
	"math/rand/v2"
	"time"
)

// Bounds of the pause before a lost connection is tried again.
const (
	minPause = 500 * time.Millisecond
	maxPause = 30 * time.Second
)

// Backoff paces attempts to reconnect. Its pauses grow, at random, so that the
// clients of a router that comes back do not all arrive at once. The zero value
// is ready.
type Backoff struct{ last time.Duration }

// Next is how long to wait before the next attempt: 0.5 to 30 s, at most three
// times as long as before.
func (b *Backoff) Next() time.Duration {
	longest := min(max(3*b.last, 2*minPause), maxPause)
	b.last = minPause + rand.N(longest-minPause+1)
	return b.last
}

// Reset forgets the pauses, once a connection has lasted.
func (b *Backoff) Reset() { b.last = 0 }
