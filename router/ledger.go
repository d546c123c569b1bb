package router

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/budget"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// ledger counts, for the owner, what the limits refused and how sessions
// ended. It grows with the open connections only: limits and reasons have names
// of ours, never a peer's.
type ledger struct {
	log   *slog.Logger
	began time.Time

	mu    sync.Mutex
	total int64 // sessions ever
	open  map[*account]bool
	hits  map[string]int64 // by limit
	ended map[string]int64 // by reason
	said  fold[meeting]

	draining atomic.Bool // no call is taken any more
}

// meeting is a limit, and who met it.
type meeting struct{ limit, peer string }

func newLedger(log *slog.Logger) *ledger {
	return &ledger{
		log: log, began: time.Now(),
		open: map[*account]bool{}, hits: map[string]int64{}, ended: map[string]int64{},
	}
}

// account is one connection in the ledger.
type account struct {
	ledger   *ledger
	identity Identity
	since    time.Time

	// with ledger.mu held
	conn    *transport.Conn // nil during the handshake
	guard   *guard          // knows what the session has open
	session wamp.ID         // 0 until WELCOME
	agent   string
	lowered *rights // nil where the session has all its rights
	parted  bool    // the peer has said GOODBYE, or ABORT
}

// own is an account of one of the daemon's own sessions: it counts what went over a
// limit, and status does not list it.
func (l *ledger) own(id Identity) *account {
	return &account{ledger: l, identity: id, since: time.Now()}
}

// begin opens an account for who connects.
func (l *ledger) begin(id Identity) *account {
	a := &account{ledger: l, identity: id, since: time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[a] = true
	return a
}

// identify says who it turned out to be. There is no session yet.
func (a *account) identify(id Identity) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.identity = id
}

// attach says which connection it is about.
func (a *account) attach(conn *transport.Conn, g *guard) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.conn, a.guard = conn, g
}

// hit counts what went over limit. A peer must not be able to fill the log.
func (a *account) hit(limit, message string) {
	l := a.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hits[limit]++
	about := meeting{limit: limit}
	if a.session != 0 { // strangers have one line together
		about.peer = a.identity.AuthID
	}
	if times, due := l.said.note(about, time.Now()); due {
		l.log.Warn("over a limit", "limit", limit, "peer", a.identity.AuthID, "message", message, "times", times)
	}
}

// tooMany refuses what goes over a limit of the session.
func (a *account) tooMany(of wamp.Message, request wamp.ID, limit, what string, most int) wamp.Message {
	message := fmt.Sprintf("too many %s in this session: at most %d", what, most)
	a.hit(limit, message)
	e := refuse(of, request, wire.ErrLimit, message).(*wamp.Error)
	e.ArgumentsKw = wamp.Dict{wire.LimitKey: limit}
	return e
}

// tooManyOf refuses what goes over a budget that the session shares with others.
func (a *account) tooManyOf(b *budget.Budget, of wamp.Message, request wamp.ID, what string) wamp.Message {
	message := fmt.Sprintf("too many %s of this device, or of all devices: at most %d", what, b.Most())
	a.hit(b.Limit(), message)
	e := refuse(of, request, wire.ErrLimit, message).(*wamp.Error)
	e.ArgumentsKw = wamp.Dict{wire.LimitKey: b.Limit()}
	return e
}

// waits notes that a message waits for what is left of an input budget.
func (a *account) waits(b *budget.Budget) {
	a.hit(b.Limit(), fmt.Sprintf("a message waits: at most %d bytes are read at once for this device, or for all devices", b.Most()))
}

// dismiss ends the session, which is told why. What it had registered is free once
// ended is closed.
func (a *account) dismiss(why *wire.Error) (ended <-chan struct{}) {
	a.ledger.mu.Lock()
	conn, g := a.conn, a.guard
	a.ledger.mu.Unlock()
	conn.Dismiss(why)
	return g.peer.Closed()
}

// hears notes what the peer says about itself, and that it leaves.
func (a *account) hears(msg wamp.Message) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	switch m := msg.(type) {
	case *wamp.Hello:
		a.agent, _ = m.Details["agent"].(string)
	case *wamp.Goodbye, *wamp.Abort:
		a.parted = true
	}
}

// lowers notes that the session has lowered its rights.
func (a *account) lowers(r rights) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.lowered = &r
}

// narrow are the scopes that bound the session, nil where none do.
func (a *account) narrow() []any {
	switch {
	case a.lowered != nil:
		return a.lowered.list()
	case a.identity.Role == roleDevice:
		device, _ := a.guard.rights.devices.find(a.identity.Device)
		return anyOf(device.Scopes)
	}
	return nil
}

// welcome counts a session.
func (a *account) welcome(id wamp.ID) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.session = id
	if a.ledger.open[a] {
		a.ledger.total++
	}
}

// end closes the account of a connection that ended with err. What never became
// a session counts only if it broke a rule of ours.
func (a *account) end(err error, closing bool) {
	l := a.ledger
	fault, isFault := errors.AsType[*wire.Error](err)
	if isFault && fault.Limit() != "" {
		a.hit(fault.Limit(), fault.Message())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, a)
	if a.session != 0 || isFault {
		l.ended[a.reason(err, closing)]++
	}
}

// Reasons why a session ended. Beside them there is the last word of the URI of
// whatever error ended one: slow_consumer, limit, protocol_violation, timeout.
const (
	endNormal   = "normal"   // GOODBYE
	endLost     = "lost"     // the peer closed the connection without a word
	endShutdown = "shutdown" // of the daemon
	endClosed   = "closed"   // by the router
)

func (a *account) reason(err error, closing bool) string {
	fault, isFault := errors.AsType[*wire.Error](err)
	_, isNetwork := errors.AsType[net.Error](err)
	switch {
	case isFault:
		return fault.URI[strings.LastIndexByte(fault.URI, '.')+1:]
	case closing: // then a GOODBYE of the peer answers ours
		return endShutdown
	case a.parted:
		return endNormal
	case errors.Is(err, transport.ErrClosed):
		return endClosed
	case isNetwork || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return endLost
	}
	return "protocol_violation" // a frame of no known type
}

// countOf is how many connections a device has.
func (l *ledger) countOf(device trust.ID) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a := range l.open {
		if a.identity.Device == device {
			n++
		}
	}
	return n
}

// hasDevices reports whether a device has a connection.
func (l *ledger) hasDevices() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a := range l.open {
		if a.identity.Device != (trust.ID{}) {
			return true
		}
	}
	return false
}

// calls counts those that are in flight.
func (l *ledger) calls() int {
	n := 0
	for _, a := range l.joined() {
		calls, _ := a.guard.calling.Open()
		n += calls
	}
	return n
}
