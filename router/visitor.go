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

// visitor is a connection that waits at the door.
type visitor struct {
	door   *door
	nc     net.Conn
	stream net.Conn // what is spoken over: nc, or the TLS on it
	addr   netip.Addr
	origin origin
	since  time.Time
	barred *wire.Error // nil unless its address, or its network, has failed too often
	timer  *time.Timer

	// with door.mu held
	silent bool // nothing has come yet, or half a TLS handshake
	known  bool // it is a paired device, and counts no more
	left   bool

	mu     sync.Mutex
	refuse func(*wire.Error) // says why it may not come in and closes nc
	why    *wire.Error       // it was sent away
}

// counted is where the visitor is counted. door.mu is held.
func (v *visitor) counted() *int {
	switch {
	case !v.origin.reserved:
		return &v.door.count
	case v.silent:
		return &v.door.silent
	}
	return &v.door.kept
}

// speaksUp notes that the visitor has said something.
func (v *visitor) speaksUp() {
	d := v.door
	d.mu.Lock()
	if v.left || !v.silent {
		d.mu.Unlock()
		return
	}
	*v.counted()--
	v.silent = false
	*v.counted()++
	oldest, why := d.makeRoom(v.origin)
	d.mu.Unlock()
	if oldest != nil {
		oldest.hears(why)
	}
}

// vouched notes that the visitor is a paired device: it gives its place to others,
// and no crowd can take it. The deadline holds still.
func (v *visitor) vouched() {
	v.door.mu.Lock()
	defer v.door.mu.Unlock()
	if !v.left {
		v.known = true
		v.vacate()
	}
}

// vacate counts the visitor out. door.mu is held.
func (v *visitor) vacate() {
	d := v.door
	*v.counted()--
	if at := v.origin.network; at.IsValid() {
		if d.crowds[at]--; d.crowds[at] == 0 {
			delete(d.crowds, at)
		}
	}
	rest := slices.DeleteFunc(d.waiting[v.origin], func(w *visitor) bool { return w == v })
	if d.waiting[v.origin] = rest; len(rest) == 0 {
		delete(d.waiting, v.origin)
	}
}

// leave ends the wait, once: it reports whether this was the end.
func (v *visitor) leave(welcome bool) bool {
	v.door.mu.Lock()
	defer v.door.mu.Unlock()
	return v.out(welcome)
}

// out is leave, where door.mu is held.
func (v *visitor) out(welcome bool) bool {
	if v.left {
		return false
	}
	v.left = true
	v.timer.Stop()
	if v.known {
		return true
	}
	v.vacate()
	if !welcome && v.barred == nil {
		v.door.failed(v.origin, time.Now())
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

// greeter is the guard of a visitor, around that of its session.
type greeter struct {
	transport.Guard
	visitor *visitor
	spoken  func() // a first message has arrived
	welcome func() // it may say more now
}

func (g greeter) Inbound(msg wamp.Message) (pass, answer wamp.Message, err error) {
	g.spoken()
	return g.Guard.Inbound(msg)
}

func (g greeter) Outbound(msg wamp.Message, queue func(wamp.Message)) {
	if _, ok := msg.(*wamp.Welcome); ok && g.visitor.leave(true) {
		g.welcome()
	}
	g.Guard.Outbound(msg, queue)
}

func (g greeter) Closed() {
	g.visitor.leave(false)
	g.Guard.Closed()
}
