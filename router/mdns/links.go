// Package mdns is what announcing and browsing have in common: the links of this
// machine that do multicast, sockets on them, and their messages (RFC 6762).
package mdns

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Family is a version of IP. Each is a network of its own to mDNS.
type Family int

// The families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf is the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// Link is one family on a network interface that is up and does multicast, and
// has an address of that family.
type Link struct {
	Place
	Name     string         // of the interface
	Prefixes []netip.Prefix // all of its addresses, of both families, with their networks
}

// Place tells links apart.
type Place struct {
	Index  int // of the interface
	Family Family
}

// Local reports whether a is on the network of the link.
func (l Link) Local(a netip.Addr) bool {
	a = a.WithZone("")
	return a.IsLinkLocalUnicast() || slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Has reports whether a is an address of this machine on the link.
func (l Link) Has(a netip.Addr) bool {
	return slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool { return p.Addr() == a.WithZone("") })
}

// maxAddresses bounds those of an interface, so that all fit into a message.
const maxAddresses = 16

// NoLinkError says that this machine has no link for mDNS.
type NoLinkError struct {
	Why []string // of each interface
}

// Error names each interface, and what it lacks.
func (e *NoLinkError) Error() string {
	if len(e.Why) == 0 {
		return "no network interface does multicast: there is none at all"
	}
	return "no network interface does multicast: " + strings.Join(e.Why, ", ")
}

// Links lists the links there are now; a *NoLinkError if there is none.
func Links() ([]Link, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("network interfaces: %w", err)
	}
	prefixes, err := addresses()
	if err != nil {
		return nil, fmt.Errorf("network addresses: %w", err)
	}
	var links []Link
	var none NoLinkError
	for _, i := range interfaces {
		why := unfit(i, prefixes[i.Index])
		if why != "" {
			none.Why = append(none.Why, i.Name+" "+why)
			continue
		}
		for _, family := range []Family{IPv4, IPv6} {
			of := func(p netip.Prefix) bool { return FamilyOf(p.Addr()) == family }
			if slices.ContainsFunc(prefixes[i.Index], of) {
				links = append(links, Link{Place{i.Index, family}, i.Name, prefixes[i.Index]})
			}
		}
	}
	if len(links) == 0 {
		return nil, &none
	}
	return links, nil
}

// unfit says why an interface is of no use, "" if it is.
func unfit(i net.Interface, prefixes []netip.Prefix) string {
	switch {
	case i.Flags&net.FlagLoopback != 0:
		return "is the loopback"
	case i.Flags&net.FlagUp == 0:
		return "is down"
	case i.Flags&net.FlagRunning == 0:
		return "has no carrier"
	case i.Flags&net.FlagPointToPoint != 0: // a tunnel to others than those around
		return "is a point-to-point link"
	case i.Flags&net.FlagMulticast == 0:
		return "does no multicast"
	case len(prefixes) == 0:
		return "has no address"
	}
	return ""
}

// addresses are those of each interface that can be used: the kernel has found
// no other machine with them, and they are not about to go.
func addresses() (map[int][]netip.Prefix, error) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	found := map[int][]netip.Prefix{}
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		const unusable = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
		if !ok || a.Flags&unusable != 0 || len(found[a.LinkIndex]) == maxAddresses {
			continue
		}
		found[a.LinkIndex] = append(found[a.LinkIndex], netip.PrefixFrom(ip.Unmap(), bits))
	}
	for _, prefixes := range found {
		slices.SortFunc(prefixes, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	}
	return found, nil
}
