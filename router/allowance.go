package router

import (
	"net/netip"
	"time"

	"github.com/deskconn/dconn/router/wire"
)

// allowance is how many connections may still fail: a bucket that fills with time.
type allowance struct {
	left    float64
	at      time.Time
	failed  int // since the bucket was last full
	refused int // since the log last named who is refused
}

// allowances are those of addresses, or of networks.
type allowances struct {
	most     int           // that may fail
	forgiven time.Duration // after which one of them is forgotten
	keep     int           // how many are remembered
	of       map[netip.Prefix]*allowance
}

func newAllowances(most int, forgiven time.Duration, keep int) allowances {
	return allowances{most, forgiven, keep, map[netip.Prefix]*allowance{}}
}

func (l *allowances) left(a *allowance, now time.Time) float64 {
	return min(float64(l.most), a.left+float64(now.Sub(a.at))/float64(l.forgiven))
}

// mayFail reports whether an address may try again. Else that is counted.
func (l *allowances) mayFail(from netip.Prefix, now time.Time) bool {
	a := l.of[from]
	if a == nil || l.left(a, now) >= 1 {
		return true
	}
	a.refused++
	return false
}

// fail takes one from what an address may do wrong.
func (l *allowances) fail(from netip.Prefix, now time.Time) {
	a := l.of[from]
	if a == nil {
		l.forget(now)
		a = &allowance{left: float64(l.most), at: now}
		l.of[from] = a
	}
	left := l.left(a, now)
	if left >= float64(l.most) {
		a.failed, a.refused = 0, 0
	}
	a.left, a.at = max(left-1, 0), now
	a.failed++
}

// forget makes room to remember another address: those go that may fail as
// often as any, else the one that has failed least.
func (l *allowances) forget(now time.Time) {
	if len(l.of) < l.keep {
		return
	}
	var least netip.Prefix
	most := -1.0
	for from, a := range l.of {
		left := l.left(a, now)
		if left >= float64(l.most) {
			delete(l.of, from)
		} else if left > most {
			least, most = from, left
		}
	}
	if len(l.of) >= l.keep {
		delete(l.of, least)
	}
}

// bar says why a visitor from there is refused, nil if it is not: its address has
// failed too often, or all those of its network together. d.mu is held.
func (d *door) bar(from origin, now time.Time) *wire.Error {
	switch {
	case !d.failures.mayFail(from.Prefix, now):
		return d.overFailures()
	case from.network.IsValid() && !d.networks.mayFail(from.network, now):
		return d.overNetworkFailures(from.network)
	}
	return nil
}

// failed counts a connection that has failed. d.mu is held.
func (d *door) failed(from origin, now time.Time) {
	d.failures.fail(from.Prefix, now)
	if from.network.IsValid() {
		d.networks.fail(from.network, now)
	}
}

// complain is what the log says about who is refused most, nil if nobody is or a
// line is not due. There is one line for all of them together, for anybody can be
// refused. d.mu is held.
func (d *door) complain(barred bool, now time.Time) []any {
	if !barred {
		return nil
	}
	times, due := d.said.note(struct{}{}, now)
	if !due {
		return nil
	}
	from, worst := netip.Prefix{}, &allowance{}
	for _, l := range []*allowances{&d.failures, &d.networks} {
		for at, a := range l.of {
			if a.refused > worst.refused {
				from, worst = at, a
			}
		}
	}
	line := []any{"from", plainly(from), "failed", worst.failed, "refused", worst.refused, "times", times}
	if at, most := d.busiestIn(from); most > 0 {
		line = append(line, "mostly", plainly(at), "of_these", most)
	}
	for _, l := range []*allowances{&d.failures, &d.networks} {
		for _, a := range l.of {
			a.refused = 0
		}
	}
	return line
}

// busiestIn is the address in a network that failed most, and how often; most is 0
// if that is an address itself. d.mu is held.
func (d *door) busiestIn(network netip.Prefix) (at netip.Prefix, most int) {
	if d.networks.of[network] == nil {
		return at, 0
	}
	for from, a := range d.failures.of {
		if network.Contains(from.Addr()) && a.failed > most {
			at, most = from, a.failed
		}
	}
	return at, most
}

// plainly is an address without its length, a network with it.
func plainly(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
