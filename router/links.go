package router

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// linksEvery is how long what was read of the interfaces is good for: they may
	// change at any time.
	linksEvery = time.Second
	// shortest is the length of the largest network that a link is taken to have.
	shortest = 48
)

// links are the IPv6 networks that this machine is in: of an address there another
// host of the same link chooses all bits behind the prefix.
type links struct {
	addresses func() ([]net.Addr, error)

	mu       sync.Mutex
	read     time.Time // when prefixes was
	prefixes []netip.Prefix
}

func newLinks() *links { return &links{addresses: net.InterfaceAddrs} }

// network is the network on our own link that an IPv6 address is in: a /64, or what
// the link has if that is larger. It is not valid for an address that is elsewhere.
func (l *links) network(addr netip.Addr, now time.Time) netip.Prefix {
	if !addr.Is6() {
		return netip.Prefix{}
	}
	bits := 0
	if addr.IsLinkLocalUnicast() {
		bits = 64
	}
	for _, p := range l.current(addr, now) {
		if p.Contains(addr) && (bits == 0 || p.Bits() < bits) {
			bits = min(p.Bits(), 64)
		}
	}
	if bits == 0 {
		return netip.Prefix{}
	}
	network, _ := addr.Prefix(bits) // no error: it has that many bits
	return network
}

// current are the networks as they were a second ago at most, or the last that
// could be read. They do not matter for a link-local address.
func (l *links) current(addr netip.Addr, now time.Time) []netip.Prefix {
	if addr.IsLinkLocalUnicast() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.read) < linksEvery {
		return l.prefixes
	}
	l.read = now
	list, err := l.addresses()
	if err != nil {
		return l.prefixes
	}
	l.prefixes = nil
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Bits() >= shortest {
			l.prefixes = append(l.prefixes, p.Masked())
		}
	}
	return l.prefixes
}
