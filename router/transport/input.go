package transport

import (
	"context"
	"time"
)

// A message that is longer than a buffer is counted against Limits.Input from when its
// head has come until the router has acted on it. All of it is taken at once: two
// messages that wait for one another's second half would both wait for ever.

// inputLook is how often a reader that waits for its share of the input budget looks
// whether its connection has ended.
const inputLook = 250 * time.Millisecond

// take takes n bytes of the input budget, or what the budget has, and waits for them.
// Meanwhile nothing is read, not even a ping.
func (e *ear) take(n int) error {
	c := e.c
	if c == nil || c.lim.Input == nil || e.taken > 0 {
		return nil
	}
	c.put.flush()
	n = c.lim.Input.Fit(n)
	if over := c.lim.Input.Take(n); over == nil {
		e.taken = n
		e.begin()
		return nil
	} else if c.lim.Over != nil {
		c.lim.Over(over)
	}
	for heard := time.Now(); ; {
		look, cancel := context.WithTimeout(context.Background(), inputLook)
		ok := c.lim.Input.Await(n, look.Done())
		cancel()
		if ok {
			e.taken = n
			e.began = time.Time{} // who waits is not late
			e.begin()
			return nil
		}
		if err := c.Err(); err != nil {
			return err
		}
		if every := c.lim.Keepalive; every > 0 && time.Since(heard) > every {
			heard = time.Now()
			c.signOfLife()
		}
	}
}

// begin notes that a part of a message has come, and not yet all of it.
func (e *ear) begin() {
	if e.c != nil && e.c.lim.Assembly > 0 && e.began.IsZero() {
		e.began = time.Now()
	}
}

// complete notes that the message has come.
func (e *ear) complete() { e.began = time.Time{} }

// release gives back what was taken for the message, once the router has acted on it.
func (e *ear) release() {
	if e.taken > 0 {
		e.c.lim.Input.Give(e.taken)
		e.taken = 0
	}
}

// overdue reports whether a message takes too long to arrive.
func (e *ear) overdue() bool {
	return !e.began.IsZero() && time.Since(e.began) > e.c.lim.Assembly
}
