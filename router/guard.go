package router

import (
	"slices"
	"strings"
	"sync"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// SessionLimits bounds what one session may hold at the router.
type SessionLimits struct {
	Calls         int // calls in flight
	Registrations int
	Subscriptions int
	PerDevice     int // sessions of one paired device
}

// DefaultSessionLimits suit most.
func DefaultSessionLimits() SessionLimits {
	return SessionLimits{Calls: 1024, Registrations: 256, Subscriptions: 1024, PerDevice: 128}
}

// guard sees every message of one session before nexus does, and takes out
// what nexus v3.3.0 dies of or mishandles. It also knows what the session has
// open, so that limits hold and nothing stays behind when the peer vanishes.
type guard struct {
	identity  Identity
	limits    SessionLimits
	directory *directory
	account   *account
	audience  *audience
	peer      *transport.Peer // set before there is a session

	mu            sync.Mutex
	greeted       bool
	closed        bool
	calls         map[wamp.ID]bool    // in flight
	asked         map[wamp.ID]request // SUBSCRIBE and REGISTER not answered yet
	registrations map[wamp.ID]request
	subscriptions map[wamp.ID]request
	topics        map[wamp.URI]wamp.ID // the exact subscriptions
	patterns      int                  // the others, and those that are asked for
	behind        int                  // events that nexus has for this session
	latest        wamp.ID              // the last publication for this session
	direct        bool                 // it went past nexus
	published     map[wamp.ID]wamp.ID  // publications to be acknowledged, by request
	interrupted   map[wamp.ID]bool     // invocations whose caller is gone
	session       wamp.ID
	asPublisher   wamp.Dict       // what its events say about this session
	asCaller      wamp.Dict       // and what its calls do
	toldPublisher bool            // it wants to know who published
	passing       [1]wamp.Message // what Inbound returns, mostly
	granted       trust.Scopes    // to its device, when that was last looked at
}

// request is what was asked for: a topic, or a procedure.
type request struct {
	uri     wamp.URI
	caller  bool // the callee wants to know who calls
	pattern bool // the topic is compared with, not exactly
	callee  bool // it is a procedure
}

func (r *Router) newGuard(a *account) *guard {
	device, _ := r.devices.find(a.identity.Device)
	return &guard{
		granted:  device.Scopes,
		identity: a.identity, limits: r.limits.Session, directory: r.directory, account: a, audience: r.audience,
	}
}

// put makes the map when it is needed: most sessions hold little.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// Inbound implements transport.Guard.
func (g *guard) Inbound(msg wamp.Message) (pass []wamp.Message, answer wamp.Message, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if hello, ok := msg.(*wamp.Hello); ok != !g.greeted {
		return nil, nil, wire.Errorf(wire.ErrProtocolViolation, "%s at this point of a session", msg.MessageType())
	} else if ok {
		g.greeted = true
		own, err := g.hello(hello)
		g.account.hears(own)
		return []wamp.Message{own}, nil, err
	}
	if g.session == 0 {
		return nil, nil, wire.Errorf(wire.ErrProtocolViolation, "%s before WELCOME", msg.MessageType())
	}
	switch m := msg.(type) {
	case *wamp.Publish:
		var drop bool
		if drop, answer = g.publish(m); drop {
			return nil, answer, nil
		}
	case *wamp.Call:
		answer = g.call(m)
	case *wamp.Cancel:
		// With "kill" nexus forgets the caller when the callee disconnects.
		m.Options = cancelMode
	case *wamp.Subscribe:
		answer = g.subscribe(m)
	case *wamp.Unsubscribe:
		g.unsubscribed(m.Subscription)
	case *wamp.Register:
		answer = g.register(m)
	case *wamp.Unregister:
		answer = g.unregister(m)
	case *wamp.Yield:
		if g.interrupted[m.Request] && m.Options["progress"] == true {
			return nil, nil, nil // nexus would answer each with one INTERRUPT more
		}
		delete(g.interrupted, m.Request)
		msg = g.yield(m)
	case *wamp.Error:
		if m.Type != wamp.INVOCATION { // nexus would end the session, and let its calls run
			return nil, nil, wire.Errorf(wire.ErrProtocolViolation, "ERROR for a %s is not for a router", m.Type)
		}
		delete(g.interrupted, m.Request)
		g.calleeError(m)
	case *wamp.Goodbye:
		g.account.hears(m)
		return append(g.cancelCalls(), m), nil, nil
	default:
		return nil, nil, wire.Errorf(wire.ErrProtocolViolation, "%s is not for a router", msg.MessageType())
	}
	if answer != nil {
		return nil, answer, nil
	}
	g.passing[0] = msg
	return g.passing[:], nil, nil
}

// refuse answers a request with an error.
func refuse(of wamp.Message, request wamp.ID, uri, sentence string) wamp.Message {
	return &wamp.Error{
		Type: of.MessageType(), Request: request, Details: wamp.Dict{},
		Error: wamp.URI(uri), Arguments: wamp.List{sentence},
	}
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
	roles := announced(m.Details["roles"])
	subscriber := wamp.DictChild(roles, "subscriber")
	g.toldPublisher = wamp.DictChild(subscriber, "features")["publisher_identification"] == true
	details := wamp.Dict{"authmethods": wamp.List{g.identity.Method}, "roles": roles}
	if agent, ok := m.Details["agent"].(string); ok && len(agent) <= 64 {
		details["agent"] = agent
	}
	return &wamp.Hello{Realm: m.Realm, Details: details}, nil
}

// unsupported features crash nexus, or its peers, when they are used.
var unsupported = []string{"payload_passthru_mode", "progressive_call_invocations"}

func announced(v any) wamp.Dict {
	theirs, _ := v.(map[string]any)
	roles := wamp.Dict{}
	for _, role := range []string{"caller", "callee", "publisher", "subscriber"} {
		r, ok := theirs[role].(map[string]any)
		if !ok {
			continue
		}
		features := wamp.Dict{}
		f, _ := r["features"].(map[string]any)
		for name, on := range f {
			if on == true && !slices.Contains(unsupported, name) {
				features[name] = true
			}
		}
		roles[role] = wamp.Dict{"features": features}
	}
	return roles
}

// cancelMode is that of every CANCEL.
var cancelMode = wamp.Dict{"mode": wamp.CancelModeKillNoWait}

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

// cancelCalls ends the calls in flight: nexus tells callees nothing when their
// caller leaves.
func (g *guard) cancelCalls() []wamp.Message {
	var cancels []wamp.Message
	for id := range g.calls {
		cancels = append(cancels, &wamp.Cancel{Request: id, Options: cancelMode})
	}
	clear(g.calls)
	return cancels
}

// Closed implements transport.Guard.
func (g *guard) Closed() []wamp.Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	for _, r := range g.registrations {
		g.directory.remove(string(r.uri))
	}
	g.audience.leave(g.session)
	return g.cancelCalls()
}
