package commands

import (
	"context"
	"sync"
	"time"

	"github.com/deskconn/dconn/router/browse"
)

// verifyWithin is how long machines may take to show that they have the key of the
// device they claim to be.
const verifyWithin = 500 * time.Millisecond

// verify connects to the machines that claim to be devices, and notes which of them
// are. Whoever only says so is shown as a question.
func (d *discovery) verify(ctx context.Context) {
	var claims []browse.Machine
	for _, m := range d.shown {
		if d.deviceOf(m) != "" {
			claims = append(claims, m)
		}
	}
	if len(claims) == 0 {
		return
	}
	home, err := openHome(d.state)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, verifyWithin)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, m := range claims[:min(len(claims), maxDrawn)] {
		all.Go(func() {
			is := home.Meets(ctx, d.deviceOf(m), m.HostPorts())
			mu.Lock()
			defer mu.Unlock()
			d.verified[m.Key()] = is
		})
	}
	all.Wait()
}
