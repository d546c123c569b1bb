// Package budget bounds what several sessions hold together: those of one paired
// device, and those of all devices.
package budget

import "sync"

// Budget is how much of one kind may be held. A nil Budget has no bound.
type Budget struct {
	limit string // its name in an error
	most  int
	whole *Budget // that it is a part of, nil if it is none

	mu    sync.Mutex
	held  int
	given chan struct{} // closed when something is given back, nil while nobody waits
}

// New makes a Budget of most. limit is its name in an error. What is taken of it is
// taken of whole too, which may be nil.
func New(limit string, most int, whole *Budget) *Budget {
	return &Budget{limit: limit, most: most, whole: whole}
}

// Limit is the budget's name in an error.
func (b *Budget) Limit() string { return b.limit }

// Most is how much may be held.
func (b *Budget) Most() int { return b.most }

// Held is how much is held.
func (b *Budget) Held() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Take takes n, which must be given back. Otherwise it returns the budget that has too
// little left, which may be the whole.
func (b *Budget) Take(n int) (over *Budget) {
	if b == nil {
		return nil
	}
	if !b.reserve(n) {
		return b
	}
	if over = b.whole.Take(n); over != nil {
		b.release(n)
	}
	return over
}

func (b *Budget) reserve(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+n > b.most {
		return false
	}
	b.held += n
	return true
}

// awaits is closed when something is given back.
func (b *Budget) awaits() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.given == nil {
		b.given = make(chan struct{})
	}
	return b.given
}

// Fit is n, or all that there is if that is less.
func (b *Budget) Fit(n int) int {
	for ; b != nil; b = b.whole {
		n = min(n, b.most)
	}
	return n
}

// Await is Take that waits until there is enough. It reports whether it has taken n,
// which it has not once stop is closed.
func (b *Budget) Await(n int, stop <-chan struct{}) (ok bool) {
	for {
		over := b.Take(n)
		if over == nil {
			return true
		}
		given := over.awaits()
		if b.Take(n) == nil { // given back before it was waited for
			return true
		}
		select {
		case <-given:
		case <-stop:
			return false
		}
	}
}

// Give gives back n.
func (b *Budget) Give(n int) {
	for ; b != nil && n != 0; b = b.whole {
		b.release(n)
	}
}

func (b *Budget) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	if b.given != nil {
		close(b.given)
		b.given = nil
	}
}
