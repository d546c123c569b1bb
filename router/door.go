package router

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// DoorLimits bounds what those may cost who have not authenticated, which is
// until WELCOME. An address is an IPv4 address or an IPv6 /64.
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

// door is where connections wait until they have authenticated: who has is
// neither counted nor slowed by those who have not.
type door struct {
	lim      DoorLimits
	reserved func(netip.Addr) bool // nil: none is

	mu       sync.Mutex
	waiting  map[origin][]*visitor // the oldest first
	count    int                   // of those at no reserved address
	kept     int                   // of those at one, who have said something
	silent   int                   // of those at one, who have not
	failures map[netip.Prefix]*allowance
}

func newDoor(lim DoorLimits, reserved func(netip.Addr) bool) *door {
	return &door{lim: lim, reserved: reserved, waiting: map[origin][]*visitor{}, failures: map[netip.Prefix]*allowance{}}
}

// origin is where a visitor comes from. A reserved address is one by itself: its
// neighbours in an IPv6 /64 have nothing to do with it.
type origin struct {
	netip.Prefix
	reserved bool
}

func (d *door) originOf(nc net.Conn) origin {
	addr := remote(nc)
	if d.reserved != nil && addr.IsValid() && d.reserved(addr) {
		return origin{netip.PrefixFrom(addr, addr.BitLen()), true}
	}
	return origin{addressOf(nc), false}
}

// enter counts nc as waiting. A crowd makes room: the oldest of the address
// that has the most is sent away.
func (d *door) enter(nc net.Conn) *visitor {
	v := &visitor{door: d, nc: nc, stream: nc, origin: d.originOf(nc), since: time.Now(), silent: true}
	v.refuse = func(*wire.Error) { _ = nc.Close() }
	d.mu.Lock()
	v.barred = !d.mayFail(v.origin.Prefix, v.since)
	d.waiting[v.origin] = append(d.waiting[v.origin], v)
	*v.counted()++
	v.timer = time.AfterFunc(d.lim.Deadline, func() { v.sendAway(d.overDeadline()) })
	oldest, why := d.makeRoom(v.origin)
	d.mu.Unlock()
	if oldest != nil {
		oldest.hears(why)
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
	case d.count > d.lim.Connections:
		oldest, why = d.busiest()[0], d.overConnections()
	default:
		return nil, nil
	}
	oldest.out(false)
	return oldest, why
}

// busiest are the visitors of the address, none that is reserved, that has the most; of several such,
// of the one that has waited longest. d.mu is held.
func (d *door) busiest() []*visitor {
	var most []*visitor
	for from, list := range d.waiting {
		if !from.reserved && (len(list) > len(most) || len(list) == len(most) && list[0].since.Before(most[0].since)) {
			most = list
		}
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

// addressOf is what counts as one address.
func addressOf(nc net.Conn) netip.Prefix {
	addr, bits := remote(nc), 64
	if addr.Is4() {
		bits = 32
	}
	prefix, _ := addr.Prefix(bits) // no error: both have that many bits
	return prefix
}
