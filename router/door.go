package router

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// DoorLimits bounds what those may cost who have not authenticated, which is
// until WELCOME. An address is an IPv4 address, an IPv6 address on our own link, or
// the /64 of any other IPv6 address.
type DoorLimits struct {
	Connections int           // that wait at the door, in all
	PerAddress  int           // of them, from one address
	Reserved    int           // beside them, from the addresses of paired devices
	Deadline    time.Duration // from the first packet to WELCOME
	Bytes       int           // of one message, or of the head of an HTTP request
	Failures    int           // connections of one address that may end without WELCOME
	Forgiven    time.Duration // after which one of them is forgotten
	Addresses   int           // whose failures are remembered
}

// DefaultDoorLimits suit most.
func DefaultDoorLimits() DoorLimits {
	return DoorLimits{
		Connections: 64, PerAddress: 8, Reserved: 16, Deadline: 10 * time.Second, Bytes: 8 << 10,
		Failures: 20, Forgiven: time.Second / 5, Addresses: 1024,
	}
}

// A host can have as many IPv6 addresses of its own link as it likes. So the
// addresses of one IPv6 network on our link are also limited together: to so many
// times what one address may have waiting, and may let fail.
const (
	placesPerNetwork   = 4
	failuresPerNetwork = 8
)

// door is where connections wait until they have authenticated: who has is
// neither counted nor slowed by those who have not.
type door struct {
	lim      DoorLimits
	reserved func(netip.Addr) bool // nil: none is
	from     func(net.Conn) netip.Addr
	links    *links
	log      *slog.Logger

	mu       sync.Mutex
	waiting  map[origin][]*visitor // the oldest first
	count    int                   // of those at no reserved address
	crowds   map[netip.Prefix]int  // of these, those in a network on our link
	kept     int                   // of those at one, who have said something
	silent   int                   // of those at one, who have not
	failures allowances            // by address
	networks allowances            // by network on our link
	said     fold[struct{}]        // that connections are refused
}

func newDoor(lim DoorLimits, reserved func(netip.Addr) bool, log *slog.Logger) *door {
	return &door{
		lim: lim, reserved: reserved, from: remote, links: newLinks(), log: log,
		waiting: map[origin][]*visitor{}, crowds: map[netip.Prefix]int{},
		failures: newAllowances(lim.Failures, lim.Forgiven, lim.Addresses),
		networks: newAllowances(failuresPerNetwork*lim.Failures, lim.Forgiven/failuresPerNetwork, lim.Addresses),
	}
}

// origin is where a visitor comes from. A reserved address is one by itself: its
// neighbours in an IPv6 network have nothing to do with it.
type origin struct {
	netip.Prefix              // the address, or the /64 that stands for it
	network      netip.Prefix // the IPv6 network on our link that it is in; not valid if there is none
	reserved     bool
}

func (d *door) originOf(addr netip.Addr, now time.Time) origin {
	if d.reserved != nil && addr.IsValid() && d.reserved(addr) {
		return origin{Prefix: alone(addr), reserved: true}
	}
	if network := d.links.network(addr, now); network.IsValid() {
		return origin{Prefix: alone(addr), network: network}
	}
	return origin{Prefix: addressOf(addr)}
}

// enter counts nc as waiting. A crowd makes room: the oldest of the address
// that has the most is sent away.
func (d *door) enter(nc net.Conn) *visitor {
	now := time.Now()
	addr := d.from(nc)
	v := &visitor{door: d, nc: nc, stream: nc, addr: addr, origin: d.originOf(addr, now), since: now, silent: true}
	v.refuse = func(*wire.Error) { _ = nc.Close() }
	d.mu.Lock()
	v.barred = d.bar(v.origin, now)
	report := d.complain(v.barred != nil, now)
	d.waiting[v.origin] = append(d.waiting[v.origin], v)
	if v.origin.network.IsValid() {
		d.crowds[v.origin.network]++
	}
	*v.counted()++
	v.timer = time.AfterFunc(d.lim.Deadline, func() { v.sendAway(d.overDeadline()) })
	oldest, why := d.makeRoom(v.origin)
	d.mu.Unlock()
	if oldest != nil {
		oldest.hears(why)
	}
	if report != nil {
		d.log.Warn("connections fail too often and are refused", report...)
	}
	return v
}

// silentPlaces is how many places there are for the silent, for each that is
// reserved. A device at the address of a crowd is silent as well until its handshake
// is over; if the crowd took its place until then, it would never come to say who it
// is.
const silentPlaces = 16

// makeRoom counts out whom the next of that origin is one too many for, and
// says why: at once, or the next but one would find the same. Strangers have no
// part in the places that are reserved. d.mu is held.
func (d *door) makeRoom(from origin) (oldest *visitor, why *wire.Error) {
	switch {
	case from.reserved && d.silent > silentPlaces*d.lim.Reserved:
		oldest, why = d.first(true), d.overReserved()
	case from.reserved && d.kept > d.lim.Reserved:
		oldest, why = d.first(false), d.overReserved()
	case from.reserved:
		return nil, nil
	case len(d.waiting[from]) > d.lim.PerAddress:
		oldest, why = d.waiting[from][0], d.overPerAddress()
	case d.crowds[from.network] > placesPerNetwork*d.lim.PerAddress:
		oldest, why = d.busiest(from.network)[0], d.overPerNetwork(from.network)
	case d.count > d.lim.Connections:
		oldest, why = d.busiest(netip.Prefix{})[0], d.overConnections()
	default:
		return nil, nil
	}
	oldest.out(false)
	return oldest, why
}

// busiest are the visitors of the address that has the most, none that is reserved;
// of several such, of the one that has waited longest. A network on our link counts
// like an address with a part of its visitors, so that a host with many addresses
// makes room before one with a few connections. within is the network that is looked
// at; if it is not valid, all are. d.mu is held.
func (d *door) busiest(within netip.Prefix) []*visitor {
	var most []*visitor
	heaviest := 0
	for from, list := range d.waiting {
		if from.reserved || within.IsValid() && from.network != within {
			continue
		}
		weight := len(list) * placesPerNetwork
		if !within.IsValid() {
			weight = max(weight, d.crowds[from.network])
		}
		switch {
		case weight < heaviest, weight == heaviest && len(list) < len(most):
			continue
		case weight == heaviest && len(list) == len(most) && !list[0].since.Before(most[0].since):
			continue
		}
		most, heaviest = list, weight
	}
	return most
}

// first is the oldest visitor of the reserved address that has the most such.
// d.mu is held.
func (d *door) first(silent bool) *visitor {
	var oldest *visitor
	most := 0
	for from, list := range d.waiting {
		same := func(v *visitor) bool { return v.silent == silent }
		n := 0
		for _, v := range list {
			if v.silent == silent {
				n++
			}
		}
		if from.reserved && n > most {
			oldest, most = list[slices.IndexFunc(list, same)], n
		}
	}
	return oldest
}

// The names of DoorLimits that somebody can go over.
const (
	limitDoorConnections = "door_connections"
	limitDoorPerAddress  = "door_per_address"
	limitDoorDeadline    = "door_deadline"
	limitDoorFailures    = "door_failures"
	limitDoorReserved    = "door_reserved"
)

func (d *door) overConnections() *wire.Error {
	return over(limitDoorConnections, "more than %d connections have not authenticated", d.lim.Connections)
}

func (d *door) overPerAddress() *wire.Error {
	return over(limitDoorPerAddress, "more than %d connections of this address have not authenticated", d.lim.PerAddress)
}

func (d *door) overPerNetwork(network netip.Prefix) *wire.Error {
	return over(limitDoorPerAddress, "more than %d connections of %v have not authenticated", placesPerNetwork*d.lim.PerAddress, network)
}

func (d *door) overReserved() *wire.Error {
	return over(limitDoorReserved, "more than %d connections from the addresses of paired devices have not authenticated", d.lim.Reserved)
}

func (d *door) overDeadline() *wire.Error {
	return over(limitDoorDeadline, "no session within %v of connecting", d.lim.Deadline)
}

// overBytes is about a request; transport words it for a message.
func (d *door) overBytes() *wire.Error {
	return over(transport.LimitGreeting, "the head of a request exceeds the limit of %d bytes", d.lim.Bytes)
}

func (d *door) overFailures() *wire.Error {
	return over(limitDoorFailures, "more than %d connections of this address have failed: wait a second", d.lim.Failures)
}

func (d *door) overNetworkFailures(network netip.Prefix) *wire.Error {
	return over(limitDoorFailures, "more than %d connections of %v have failed: wait a second", d.networks.most, network)
}

// over words a refusal; the ledger counts it where the connection ends.
func over(limit, format string, a ...any) *wire.Error {
	return wire.Over(wire.ErrLimit, limit, "limit "+limit+": "+format, a...)
}

// remote is the address of the other end, the zero Addr if it has none.
func remote(nc net.Conn) netip.Addr { return addrOf(nc.RemoteAddr()) }

func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// alone is an address that counts by itself.
func alone(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

// addressOf is what counts as one address, of those that are not on our link.
func addressOf(addr netip.Addr) netip.Prefix {
	if addr.Is4() {
		return alone(addr)
	}
	prefix, _ := addr.Prefix(64) // no error: it has that many bits
	return prefix
}
