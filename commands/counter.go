package commands

import (
	"fmt"
	"time"
)

// counter shows how far a long input is, while somebody watches stderr and
// stdout goes elsewhere.
type counter struct {
	to    *streams
	n     int
	shown time.Time
}

func (c *counter) add() {
	c.n++
	if !c.to.errTTY || c.to.outTTY || c.n%64 != 1 || time.Since(c.shown) < 100*time.Millisecond {
		return
	}
	c.shown = time.Now()
	_, _ = fmt.Fprintf(c.to.err, "\r%d done", c.n)
}

// clear takes the number off the terminal.
func (c *counter) clear() {
	if !c.shown.IsZero() {
		_, _ = fmt.Fprint(c.to.err, "\r\x1b[K")
	}
}
