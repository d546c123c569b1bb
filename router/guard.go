package router

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/broker"
	"github.com/deskconn/dconn/router/dealer"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// SessionLimits bounds what one session may hold at the router.
type SessionLimits struct {
	dealer.Limits
	Registrations int
	Subscriptions int
	PerDevice     int // sessions of one paired device
}

// DefaultSessionLimits suit most.
func DefaultSessionLimits() SessionLimits {
	return SessionLimits{Limits: dealer.DefaultLimits(), Registrations: 256, Subscriptions: 1024, PerDevice: 32}
}

// guard sees every message of one session, and the type of the message decides where
// it goes: CALL, CANCEL, YIELD and ERROR to the dealer, PUBLISH to the broker, all
// else to nexus, which keeps HELLO to GOODBYE, (UN)SUBSCRIBE, (UN)REGISTER and calls
// to `wamp.*`. Before that the guard takes out what the router mishandles or the
// session may not do.
type guard struct {
	identity Identity
	limits   *SessionLimits
	holdings holdings
	account  *account
	dealer   *dealer.Dealer
	broker   *broker.Broker
	peer     *transport.Peer // set before there is a session

	stage     atomic.Int32 // of the session
	calling   dealer.Session
	listening broker.Session

	// of the reader
	rights      rights
	asPublisher *transport.Details // what its events say about this session
	asCaller    *transport.Details // and what its calls do

	mu      sync.Mutex
	roles   wamp.Dict           // that HELLO announces, until WELCOME
	asked   map[wamp.ID]request // SUBSCRIBE, UNSUBSCRIBE, REGISTER and UNREGISTER not answered yet
	session wamp.ID
	granted trust.Scopes                               // to its device, when that was last looked at
	taken   struct{ subscriptions, registrations int } // of holdings
}

// The stages of a session.
const (
	silent  int32 = iota // HELLO has not come
	greeted              // WELCOME is not sent
	joined
	ended
)

func (r *Router) newGuard(a *account) *guard {
	device, _ := r.devices.find(a.identity.Device)
	return &guard{
		granted: device.Scopes, identity: a.identity, limits: &r.opts.Session, account: a,
		holdings: r.holdingsOf(a.identity.Device),
		dealer:   r.dealer, broker: r.broker, rights: rights{devices: r.devices, who: a.identity},
	}
}

// Inbound implements transport.Guard.
func (g *guard) Inbound(msg wamp.Message) (pass, answer wamp.Message, err error) {
	if err := g.inTurn(msg); err != nil {
		return nil, nil, err
	}
	if !g.owed(msg) {
		g.peer.Asks()
	}
	switch m := msg.(type) {
	case *wamp.Publish:
		return nil, g.publish(m), nil
	case *wamp.Call:
		pass, answer = g.call(m)
		return pass, answer, nil
	case *wamp.Cancel:
		return nil, g.calling.Cancel(m), nil
	case *wamp.Yield:
		g.yield(m)
		return nil, nil, nil
	case *wamp.Error:
		g.calling.Error(m)
		return nil, nil, nil
	case *wamp.Hello:
		pass, err = g.hello(m)
		return pass, nil, err
	case *wamp.Subscribe:
		pass, answer = g.subscribe(m)
		return pass, answer, nil
	case *wamp.Unsubscribe:
		pass, answer = g.unsubscribe(m)
		return pass, answer, nil
	case *wamp.Register:
		answer = g.register(m)
	case *wamp.Unregister:
		answer = g.unregister(m)
	case *wamp.Goodbye:
		g.account.hears(m)
		g.leave()
	}
	if answer != nil {
		return nil, answer, nil
	}
	return msg, nil, nil
}

// errAborted ends a session whose peer has said ABORT, which has no answer (WAMP
// specification, section "Session Closing").
var errAborted = errors.New("the peer aborted the session")

// inTurn refuses a message that may not come now, or not to a router.
func (g *guard) inTurn(msg wamp.Message) error {
	stage := g.stage.Load()
	kind := msg.MessageType()
	switch m := msg.(type) {
	case *wamp.Abort:
		g.account.hears(m)
		return errAborted
	case *wamp.Hello:
		if stage != silent {
			return wire.Errorf(wire.ErrProtocolViolation, "%s at this point of a session", kind)
		}
		return nil
	case *wamp.Publish, *wamp.Call, *wamp.Cancel, *wamp.Yield, *wamp.Subscribe, *wamp.Unsubscribe,
		*wamp.Register, *wamp.Unregister, *wamp.Goodbye:
	case *wamp.Error:
		if m.Type != wamp.INVOCATION && stage == joined {
			return wire.Errorf(wire.ErrProtocolViolation, "ERROR for a %s is not for a router", m.Type)
		}
	default:
		if stage == joined {
			return wire.Errorf(wire.ErrProtocolViolation, "%s is not for a router", kind)
		}
	}
	switch stage {
	case silent:
		return wire.Errorf(wire.ErrProtocolViolation, "%s at this point of a session", kind)
	case greeted:
		return wire.Errorf(wire.ErrProtocolViolation, "%s before WELCOME", kind)
	case ended:
		return transport.ErrDeaf
	}
	return nil
}

// owed reports whether others wait for msg, so that it is not charged to the fair
// share of this session: HELLO, and one final answer for each invocation.
func (g *guard) owed(msg wamp.Message) bool {
	switch m := msg.(type) {
	case *wamp.Hello:
		return true
	case *wamp.Yield:
		return m.Options["progress"] != true && g.calling.Owes()
	case *wamp.Error:
		return g.calling.Owes()
	}
	return false
}

// hello keeps of HELLO what the router needs. Everything else would end up in
// the session's details, where a peer could plant an authid or a transport.
func (g *guard) hello(m *wamp.Hello) (wamp.Message, error) {
	if m.Realm != wire.Realm {
		return nil, wire.Errorf(wire.ErrNoSuchRealm, "no realm %q here, only %q", m.Realm, wire.Realm)
	}
	if theirs, ok := wamp.AsInt64(m.Details[wire.ProtocolKey]); ok && theirs != wire.Protocol {
		return nil, wire.Errorf(wire.ErrProtocolViolation,
			"this router speaks dconn protocol %d, the peer speaks %d: update the older one", wire.Protocol, theirs)
	}
	if err := g.rights.lower(m.Details[wire.ScopesKey]); err != nil {
		return nil, err
	}
	if g.rights.lowered {
		g.account.lowers(g.rights)
	}
	roles := announced(m.Details["roles"])
	details := wamp.Dict{"authmethods": wamp.List{g.identity.Method}, "roles": roles}
	if agent, ok := m.Details["agent"].(string); ok && len(agent) <= 64 {
		details["agent"] = agent
	}
	own := &wamp.Hello{Realm: m.Realm, Details: details}
	g.account.hears(own)
	g.mu.Lock()
	g.roles = roles
	g.mu.Unlock()
	g.stage.CompareAndSwap(silent, greeted)
	return own, nil
}

// join makes the session one of the dealer and the broker.
func (g *guard) join(m *wamp.Welcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.session = m.ID; g.stage.Load() != greeted {
		return
	}
	features := func(role string) wamp.Dict {
		return dictOf(dictOf(g.roles[role])["features"])
	}
	own := g.identity.Role == roleDaemon
	g.dealer.Join(&g.calling, g.peer, dealer.Member{
		Limits: &g.limits.Limits, Calls: g.holdings.calls, Callee: features("callee"),
		Owner: g.rights.owner(), Trusted: own, Over: g.account.hit, End: g.account.dismiss,
	})
	g.broker.Join(&g.listening, g.peer, m.ID, g.identity.AuthID, g.identity.Role, features("subscriber"))
	g.roles = nil
	g.stage.Store(joined)
}

// leave ends what the session has open. It may be called again.
func (g *guard) leave() {
	g.mu.Lock()
	was := g.stage.Swap(ended)
	g.mu.Unlock()
	if was == joined {
		g.calling.Leave()
		g.listening.Leave()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.settle()
	}
}

// Closed implements transport.Guard.
func (g *guard) Closed() { g.leave() }

// unsupported features crash nexus, or its peers, when they are used.
var unsupported = []string{"payload_passthru_mode"}

func announced(v any) wamp.Dict {
	theirs := dictOf(v)
	roles := wamp.Dict{}
	for _, role := range []string{"caller", "callee", "publisher", "subscriber"} {
		r := dictOf(theirs[role])
		if r == nil {
			continue
		}
		features := wamp.Dict{}
		for name, on := range dictOf(r["features"]) {
			if on == true && !slices.Contains(unsupported, name) {
				features[name] = true
			}
		}
		roles[role] = wamp.Dict{"features": features}
	}
	return roles
}

// dictOf is a dict as a serializer decodes it, or as a session inside the daemon has
// it, else nil. wamp.AsDict copies it by reflection, whose stack an idle session would
// keep.
func dictOf(v any) map[string]any {
	if d, ok := v.(wamp.Dict); ok {
		return d
	}
	d, _ := v.(map[string]any)
	return d
}

// keep returns the options with the given names. Most messages have none.
func keep(options wamp.Dict, names ...string) wamp.Dict {
	if len(options) == 0 {
		return nil
	}
	kept := wamp.Dict{}
	for _, n := range names {
		if v, ok := options[n]; ok && v != nil {
			kept[n] = v
		}
	}
	return kept
}

func passthru(options wamp.Dict) bool {
	for name := range options {
		if strings.HasPrefix(name, "ppt_") {
			return true
		}
	}
	return false
}
