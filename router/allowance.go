package router

import (
	"net/netip"
	"time"
)

// allowance is how many connections of an address may still fail: a bucket that
// fills with time.
type allowance struct {
	left float64
	at   time.Time
}

func (d *door) left(a *allowance, now time.Time) float64 {
	return min(float64(d.lim.Failures), a.left+float64(now.Sub(a.at))/float64(d.lim.Forgiven))
}

// mayFail reports whether an address may try again. d.mu is held.
func (d *door) mayFail(from netip.Prefix, now time.Time) bool {
	a := d.failures[from]
	return a == nil || d.left(a, now) >= 1
}

// failed takes one from what an address may do wrong. d.mu is held.
func (d *door) failed(from netip.Prefix, now time.Time) {
	a := d.failures[from]
	if a == nil {
		d.forget(now)
		a = &allowance{left: float64(d.lim.Failures), at: now}
		d.failures[from] = a
	}
	a.left, a.at = max(d.left(a, now)-1, 0), now
}

// forget makes room to remember another address: those go that may fail as
// often as any, else the one that has failed least. d.mu is held.
func (d *door) forget(now time.Time) {
	if len(d.failures) < d.lim.Addresses {
		return
	}
	var least netip.Prefix
	most := -1.0
	for from, a := range d.failures {
		left := d.left(a, now)
		if left >= float64(d.lim.Failures) {
			delete(d.failures, from)
		} else if left > most {
			least, most = from, left
		}
	}
	if len(d.failures) >= d.lim.Addresses {
		delete(d.failures, least)
	}
}
