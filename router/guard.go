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
	rights    authorizer
	peer      *transport.Peer // set before there is a session

	mu            sync.Mutex
	greeted       bool
	parted        bool                // or about to
	calls         map[wamp.ID]*call   // in flight
	shared        int                 // of these, those that nexus may give to a session
	invocations   map[wamp.ID]*call   // that this session is to answer, past nexus
	invoked       wamp.ID             // the last of them
	owes          int                 // last answers to all that it was to answer, at most maxOwed
	interruptible bool                // as a callee it can be told that nobody waits
	streams       bool                // and sends results in parts
	asked         map[wamp.ID]request // SUBSCRIBE, UNSUBSCRIBE and REGISTER not answered yet
	registrations map[wamp.ID]request
	subscriptions map[wamp.ID]request
	interrupted   map[wamp.ID]bool // invocations of nexus whose caller is gone
	session       wamp.ID
	asPublisher   *transport.Details // what its events say about this session
	asCaller      *transport.Details // and what its calls do
	toldPublisher bool               // it wants to know who published
	granted       trust.Scopes       // to its device, when that was last looked at

	// of the reader
	passing [1]wamp.Message   // what Inbound returns, mostly
	marked  []*transport.Peer // those for whom something was put that is not yet written
	lagging []*transport.Peer // those who are slower than it publishes
	unseen  int               // bytes published since it was looked who lags
	event   transport.Event   // that it is publishing
}

// request is what was asked for: a topic, or a procedure.
type request struct {
	uri    wamp.URI
	caller bool    // the callee wants to know who calls
	match  string  // how the topic is compared
	id     wamp.ID // of the subscription that is to end
	callee bool    // it is a procedure
	alone  bool    // which nobody else may register
}

func (r *Router) newGuard(a *account) *guard {
	device, _ := r.devices.find(a.identity.Device)
	return &guard{
		granted:  device.Scopes,
		identity: a.identity, limits: r.limits.Session, directory: r.directory, account: a, audience: r.audience,
		rights: authorizer{r.audience, r.devices},
	}
}

// put makes the map when it is needed: most sessions hold little.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// verdict is what becomes of a message.
type verdict struct {
	msg    wamp.Message // goes on to nexus, or past it: nil is that nothing does
	ours   carrier      // brings msg to where it goes, past nexus
	answer wamp.Message // goes back
	owed   bool         // it is what others wait for
}

// carrier brings a message from a session that has a connection to others, in the
// place of nexus. by is the guard of its sender; it says what goes back, if anything.
type carrier interface {
	carry(by *guard, msg wamp.Message) (answer wamp.Message)
}

// Inbound implements transport.Guard.
func (g *guard) Inbound(msg wamp.Message) (pass []wamp.Message, answer wamp.Message, err error) {
	v, err := g.judge(msg, g.denied(msg))
	if err != nil {
		return nil, nil, err
	}
	if !v.owed {
		g.peer.Asks()
	}
	_, leaves := v.msg.(*wamp.Goodbye)
	switch {
	case v.msg == nil:
		return nil, v.answer, nil
	case v.ours != nil:
		return nil, v.ours.carry(g, v.msg), nil
	case leaves:
		return append(g.depart(), v.msg), nil, nil
	}
	g.passing[0] = v.msg
	return g.passing[:], nil, nil
}

// denied is why a session may not call or publish that: nexus asks the authorizer
// about the rest, and about what only it routes. It may have to look at a disk, which
// nobody else shall wait for.
func (g *guard) denied(msg wamp.Message) error {
	switch m := msg.(type) {
	case *wamp.Publish:
		return g.rights.judge(g.identity, m)
	case *wamp.Call:
		if !wire.Reserved(string(m.Procedure)) {
			return g.rights.judge(g.identity, m)
		}
	}
	return nil
}

// judge says what becomes of a message.
func (g *guard) judge(msg wamp.Message, denied error) (verdict, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if hello, ok := msg.(*wamp.Hello); ok != !g.greeted {
		return verdict{}, wire.Errorf(wire.ErrProtocolViolation, "%s at this point of a session", msg.MessageType())
	} else if ok {
		g.greeted = true
		own, err := g.hello(hello)
		g.account.hears(own)
		return verdict{msg: own, owed: true}, err
	}
	if g.session == 0 {
		return verdict{}, wire.Errorf(wire.ErrProtocolViolation, "%s before WELCOME", msg.MessageType())
	}
	if g.parted {
		return verdict{}, transport.ErrDeaf
	}
	var answer wamp.Message
	switch m := msg.(type) {
	case *wamp.Publish:
		return g.publish(m, denied), nil
	case *wamp.Call:
		return g.call(m, denied), nil
	case *wamp.Cancel:
		return g.cancel(m), nil
	case *wamp.Subscribe:
		answer = g.subscribe(m)
	case *wamp.Unsubscribe:
		answer = g.unsubscribe(m)
	case *wamp.Register:
		answer = g.register(m)
	case *wamp.Unregister:
		answer = g.unregister(m)
	case *wamp.Yield:
		given := g.yield(m)
		return g.give(m.Request, given, given == msg && m.Options != nil), nil
	case *wamp.Error:
		if m.Type != wamp.INVOCATION { // nexus would end the session, and let its calls run
			return verdict{}, wire.Errorf(wire.ErrProtocolViolation, "ERROR for a %s is not for a router", m.Type)
		}
		g.calleeError(m)
		return g.give(m.Request, m, false), nil
	case *wamp.Goodbye:
		g.account.hears(m)
	default:
		return verdict{}, wire.Errorf(wire.ErrProtocolViolation, "%s is not for a router", msg.MessageType())
	}
	if answer != nil {
		return verdict{answer: answer}, nil
	}
	return verdict{msg: msg}, nil
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
	callee := wamp.DictChild(wamp.DictChild(roles, "callee"), "features")
	g.interruptible = callee["call_canceling"] == true
	g.streams = g.interruptible && callee["progressive_call_results"] == true
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

// Closed implements transport.Guard.
func (g *guard) Closed() []wamp.Message {
	last := g.depart()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.audience.leave(g.session)
	return last
}
