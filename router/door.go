package router

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// DoorLimits bounds what those may cost who have not authenticated, which is
// until WELCOME. An address is an IPv4 address or an IPv6 /64.
type DoorLimits struct {
	Connections int           // that wait at the door, in all
	PerAddress  int           // of them, from one address
	Deadline    time.Duration // from the first packet to WELCOME
	Bytes       int           // of one message, or of the head of an HTTP request
	Failures    int           // connections of one address that may end without WELCOME
	Forgiven    time.Duration // after which one of them is forgotten
	Addresses   int           // whose failures are remembered
}

// DefaultDoorLimits suit most.
func DefaultDoorLimits() DoorLimits {
	return DoorLimits{
		Connections: 64, PerAddress: 8, Deadline: 10 * time.Second, Bytes: 8 << 10,
		Failures: 20, Forgiven: time.Second / 5, Addresses: 1024,
	}
}

// door is where connections wait until they have authenticated: who has is
// neither counted nor slowed by those who have not.
type door struct {
	lim DoorLimits

	mu       sync.Mutex
	waiting  map[netip.Prefix][]*visitor // the oldest first
	count    int
	failures map[netip.Prefix]*allowance
}

func newDoor(lim DoorLimits) *door {
	return &door{lim: lim, waiting: map[netip.Prefix][]*visitor{}, failures: map[netip.Prefix]*allowance{}}
}

// visitor is a connection that waits at the door.
type visitor struct {
	door   *door
	nc     net.Conn
	from   netip.Prefix
	since  time.Time
	barred bool // its address has failed too often
	timer  *time.Timer
	left   bool // guarded by door.mu

	mu     sync.Mutex
	refuse func(*wire.Error) // says why it may not come in and closes nc
	why    *wire.Error       // it was sent away
}

// enter counts nc as waiting. A crowd makes room: the oldest of the address
// that has the most is sent away.
func (d *door) enter(nc net.Conn) *visitor {
	v := &visitor{door: d, nc: nc, from: addressOf(nc), since: time.Now()}
	v.refuse = func(*wire.Error) { _ = nc.Close() }
	d.mu.Lock()
	v.barred = !d.mayFail(v.from, v.since)
	d.waiting[v.from] = append(d.waiting[v.from], v)
	d.count++
	v.timer = time.AfterFunc(d.lim.Deadline, func() { v.sendAway(d.overDeadline()) })
	oldest, why := d.makeRoom(v.from)
	d.mu.Unlock()
	if oldest != nil {
		oldest.hears(why)
	}
	return v
}

// makeRoom counts out whom the next of that address is one too many for, and
// says why: at once, or the next but one would find the same. d.mu is held.
func (d *door) makeRoom(from netip.Prefix) (oldest *visitor, why *wire.Error) {
	switch {
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

// busiest are the visitors of the address that has the most; of several such,
// of the one that has waited longest. d.mu is held.
func (d *door) busiest() []*visitor {
	var most []*visitor
	for _, list := range d.waiting {
		if len(list) > len(most) || len(list) == len(most) && list[0].since.Before(most[0].since) {
			most = list
		}
	}
	return most
}

// leave ends the wait, once: it reports whether this was the end.
func (v *visitor) leave(welcome bool) bool {
	v.door.mu.Lock()
	defer v.door.mu.Unlock()
	return v.out(welcome)
}

// out is leave, where door.mu is held.
func (v *visitor) out(welcome bool) bool {
	d := v.door
	if v.left {
		return false
	}
	v.left = true
	v.timer.Stop()
	d.count--
	rest := slices.DeleteFunc(d.waiting[v.from], func(w *visitor) bool { return w == v })
	if d.waiting[v.from] = rest; len(rest) == 0 {
		delete(d.waiting, v.from)
	}
	if !welcome && !v.barred {
		d.failed(v.from, time.Now())
	}
	return true
}

// sendAway refuses a visitor that still waits.
func (v *visitor) sendAway(why *wire.Error) {
	if v.leave(false) {
		v.hears(why)
	}
}

// hears tells a visitor why it was sent away.
func (v *visitor) hears(why *wire.Error) {
	v.mu.Lock()
	refuse := v.refuse
	v.why = why
	v.mu.Unlock()
	refuse(why)
}

// speaks sets how the visitor is refused from here on: that depends on how far
// its protocol has got.
func (v *visitor) speaks(refuse func(*wire.Error)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refuse = refuse
}

// sentAway is why a visitor was sent away, nil if it was not.
func (v *visitor) sentAway() *wire.Error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.why
}

// The names of DoorLimits that somebody can go over.
const (
	limitDoorConnections = "door_connections"
	limitDoorPerAddress  = "door_per_address"
	limitDoorDeadline    = "door_deadline"
	limitDoorFailures    = "door_failures"
)

func (d *door) overConnections() *wire.Error {
	return over(limitDoorConnections, "more than %d connections have not authenticated", d.lim.Connections)
}

func (d *door) overPerAddress() *wire.Error {
	return over(limitDoorPerAddress, "more than %d connections of this address have not authenticated", d.lim.PerAddress)
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

// greeter is the guard of a visitor, around that of its session.
type greeter struct {
	transport.Guard
	visitor *visitor
	spoken  func() // a first message has arrived
	welcome func() // it may say more now
}

func (g greeter) Inbound(msg wamp.Message) (pass []wamp.Message, answer wamp.Message, err error) {
	g.spoken()
	return g.Guard.Inbound(msg)
}

func (g greeter) Outbound(msg wamp.Message) wamp.Message {
	if _, ok := msg.(*wamp.Welcome); ok && g.visitor.leave(true) {
		g.welcome()
	}
	return g.Guard.Outbound(msg)
}

func (g greeter) Closed() []wamp.Message {
	g.visitor.leave(false)
	return g.Guard.Closed()
}

// remote is the address of the other end, the zero Addr if it has none.
func remote(nc net.Conn) netip.Addr {
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
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
