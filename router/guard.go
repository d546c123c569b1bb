package router

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// SessionLimits bounds what one session may hold at the router.
type SessionLimits struct {
	Calls         int // calls in flight
	Registrations int
	Subscriptions int
}

// DefaultSessionLimits are those of DESIGN.
func DefaultSessionLimits() SessionLimits {
	return SessionLimits{Calls: 1024, Registrations: 256, Subscriptions: 1024}
}

// guard sees every message of one session before nexus does, and takes out
// what nexus v3.3.0 dies of or mishandles. It also knows what the session has
// open, so that limits hold and nothing stays behind when the peer vanishes.
type guard struct {
	identity  Identity
	limits    SessionLimits
	directory *directory
	account   *account

	mu            sync.Mutex
	greeted       bool
	closed        bool
	calls         map[wamp.ID]bool     // in flight
	asked         map[wamp.ID]wamp.URI // SUBSCRIBE and REGISTER not answered yet
	registrations map[wamp.ID]wamp.URI
	subscriptions map[wamp.ID]bool
	interrupted   map[wamp.ID]bool // invocations whose caller is gone
	publisher     wamp.Dict        // what its events say about this session
	toldPublisher bool             // it wants to know who published
	passing       [1]wamp.Message  // what Inbound returns, mostly
}

func newGuard(a *account, limits SessionLimits, d *directory) *guard {
	return &guard{
		identity: a.identity, limits: limits, directory: d, account: a,
		calls:         map[wamp.ID]bool{},
		asked:         map[wamp.ID]wamp.URI{},
		registrations: map[wamp.ID]wamp.URI{},
		subscriptions: map[wamp.ID]bool{},
		interrupted:   map[wamp.ID]bool{},
	}
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
		delete(g.subscriptions, m.Subscription)
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

const (
	noPassthru = "payload passthru mode is not supported"
	idInFlight = "this request id is in flight already"
	uriTooLong = "the URI is too long"
)

func (g *guard) publish(m *wamp.Publish) (drop bool, answer wamp.Message) {
	options := m.Options
	m.Options = keep(options, "acknowledge", "exclude_me", "exclude", "eligible",
		"exclude_authid", "exclude_authrole", "eligible_authid", "eligible_authrole")
	if p := transport.PayloadOf(m); p != nil {
		p.Publisher = g.publisher // from the session, always, not from disclose_me
	}
	ack := options["acknowledge"] == true
	switch long := len(m.Topic) > wire.MaxURI; {
	case !passthru(options) && !long:
		return false, nil
	case ack && long:
		return true, refuse(m, m.Request, wire.ErrInvalidURI, uriTooLong)
	case ack:
		return true, refuse(m, m.Request, wire.ErrNotSupported, noPassthru)
	}
	return true, nil // WAMP gives an unacknowledged PUBLISH no answer
}

func (g *guard) call(m *wamp.Call) wamp.Message {
	options := m.Options
	// Not "timeout": nexus's timers outlive its dealer, and the process then
	// dies of a send on a closed channel. Our clients CANCEL.
	m.Options = keep(options, "receive_progress")
	switch {
	case len(m.Procedure) > wire.MaxURI:
		return refuse(m, m.Request, wire.ErrInvalidURI, uriTooLong)
	case passthru(options):
		return refuse(m, m.Request, wire.ErrNotSupported, noPassthru)
	case options["progress"] == true:
		return refuse(m, m.Request, wire.ErrNotSupported, "progressive call invocations are not supported")
	case m.Procedure == "wamp.session.add_testament", m.Procedure == "wamp.session.flush_testaments":
		// A testament is published by nexus itself, past every rule.
		return refuse(m, m.Request, wire.ErrNotAuthorized, "testaments are not allowed here")
	case wire.IsMeta(string(m.Procedure)) && transport.Unpack(m) != nil: // nexus itself reads these
		return refuse(m, m.Request, wire.ErrInvalidArgument, "the arguments cannot be read")
	case g.calls[m.Request]:
		return refuse(m, m.Request, wire.ErrInvalidArgument, idInFlight)
	case len(g.calls) >= g.limits.Calls:
		return g.account.tooMany(m, m.Request, limitCalls, "calls in flight", g.limits.Calls)
	}
	g.calls[m.Request] = true
	return nil
}

func (g *guard) subscribe(m *wamp.Subscribe) wamp.Message {
	_, inFlight := g.asked[m.Request]
	match, ok := option(m.Options, "match", "exact", "prefix", "wildcard")
	switch {
	case len(m.Topic) > wire.MaxURI:
		return refuse(m, m.Request, wire.ErrInvalidURI, uriTooLong)
	case !ok:
		return refuse(m, m.Request, wire.ErrInvalidArgument, "match is exact, prefix or wildcard")
	case inFlight:
		return refuse(m, m.Request, wire.ErrInvalidArgument, idInFlight)
	case len(g.subscriptions)+len(g.asked) >= g.limits.Subscriptions:
		return g.account.tooMany(m, m.Request, limitSubscriptions, "subscriptions", g.limits.Subscriptions)
	}
	m.Options = wamp.Dict{"match": match}
	g.asked[m.Request] = m.Topic
	return nil
}

// option returns a text option, the first choice when it is not given.
func option(options wamp.Dict, name string, choices ...string) (string, bool) {
	v, given := options[name]
	if !given || v == nil {
		return choices[0], true
	}
	s, _ := v.(string)
	return s, slices.Contains(choices, s)
}

func (g *guard) register(m *wamp.Register) wamp.Message {
	_, inFlight := g.asked[m.Request]
	invoke, ok := option(m.Options, "invoke", "single", "roundrobin", "random", "first", "last")
	match, _ := option(m.Options, "match", "exact")
	switch {
	case len(m.Procedure) > wire.MaxURI:
		return refuse(m, m.Request, wire.ErrInvalidURI, uriTooLong)
	case !ok:
		return refuse(m, m.Request, wire.ErrInvalidArgument, "invoke is single, roundrobin, random, first or last")
	case match != "exact":
		return refuse(m, m.Request, wire.ErrNotSupported, "procedures are registered by their exact URI")
	case inFlight:
		return refuse(m, m.Request, wire.ErrInvalidArgument, idInFlight)
	case slices.Contains(slices.Collect(maps.Values(g.registrations)), m.Procedure),
		slices.Contains(slices.Collect(maps.Values(g.asked)), m.Procedure):
		return refuse(m, m.Request, wire.ErrAlreadyExists, "this session registered the procedure already")
	case len(g.registrations)+len(g.asked) >= g.limits.Registrations:
		return g.account.tooMany(m, m.Request, limitRegistrations, "registrations", g.limits.Registrations)
	}
	disclose := m.Options["disclose_caller"] == true
	m.Options = wamp.Dict{"invoke": invoke, "disclose_caller": disclose}
	g.asked[m.Request] = m.Procedure
	return nil
}

func (g *guard) unregister(m *wamp.Unregister) wamp.Message {
	uri, ok := g.registrations[m.Registration]
	if !ok {
		return refuse(m, m.Request, wire.ErrNoSuchRegistration, "not a registration of this session")
	}
	delete(g.registrations, m.Registration)
	g.directory.remove(string(uri))
	return nil
}

func (g *guard) yield(m *wamp.Yield) wamp.Message {
	if passthru(m.Options) {
		return &wamp.Error{
			Type: wamp.INVOCATION, Request: m.Request, Details: wamp.Dict{},
			Error: wire.ErrApplication, Arguments: wamp.List{noPassthru},
		}
	}
	more := m.Options["progress"] == true
	m.Options = nil
	if more {
		m.Options = progress
	}
	return m
}

// progress is the only option of a YIELD that counts.
var progress = wamp.Dict{"progress": true}

// calleeErrors are the reserved URIs a callee may use; with the others it
// could pretend to be the router.
var calleeErrors = []wamp.URI{
	wire.ErrInvalidArgument, wire.ErrApplication, wire.ErrUnavailable,
	wire.ErrExecFailed, wire.ErrBusy, wire.ErrLimit,
}

func (g *guard) calleeError(m *wamp.Error) {
	m.Details = wamp.Dict{}
	uri := string(m.Error)
	if wire.CheckURI(uri) != nil || wire.Reserved(uri) && !slices.Contains(calleeErrors, m.Error) {
		m.Error = wire.ErrApplication
		if len(m.Arguments) == 0 && utf8.ValidString(uri) {
			m.Arguments = wamp.List{uri}
		}
	}
}

// routerRoles is what we announce: nexus's features without the ones the
// guard refuses.
var routerRoles = wamp.Dict{
	"broker": wamp.Dict{"features": wamp.Dict{
		"pattern_based_subscription": true, "publisher_exclusion": true,
		"publisher_identification": true, "subscriber_blackwhite_listing": true,
		"subscription_meta_api": true,
	}},
	"dealer": wamp.Dict{"features": wamp.Dict{
		"call_canceling": true, "caller_identification": true,
		"progressive_call_results": true, "registration_meta_api": true,
		"session_meta_api": true, "shared_registration": true,
	}},
}

// maxInterrupted bounds what is remembered of a callee's interrupted calls.
const maxInterrupted = 1024

// Outbound implements transport.Guard.
func (g *guard) Outbound(msg wamp.Message) wamp.Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch m := msg.(type) {
	case *wamp.Welcome:
		g.publisher = wamp.Dict{
			"publisher": m.ID, "publisher_authid": g.identity.AuthID, "publisher_authrole": g.identity.Role,
		}
		g.account.welcome(m.ID)
		m.Details["roles"] = routerRoles
		m.Details[wire.ProtocolKey] = wire.Protocol
	case *wamp.Result:
		if m.Details["progress"] != true {
			delete(g.calls, m.Request)
		}
	case *wamp.Error:
		return g.outboundError(m)
	case *wamp.Event:
		g.event(m)
	case *wamp.Interrupt:
		if len(g.interrupted) >= maxInterrupted { // a callee that answers none of them
			clear(g.interrupted)
		}
		g.interrupted[m.Request] = true
	case *wamp.Subscribed:
		delete(g.asked, m.Request)
		g.subscriptions[m.Subscription] = true
	case *wamp.Registered:
		uri := g.asked[m.Request]
		delete(g.asked, m.Request)
		if !g.closed {
			g.registrations[m.Registration] = uri
			g.directory.add(string(uri))
		}
	}
	return msg
}

// event adds who published it.
func (g *guard) event(m *wamp.Event) {
	p := transport.PayloadOf(m)
	switch {
	case p == nil || p.Publisher == nil || !g.toldPublisher:
	case len(m.Details) == 0:
		m.Details = p.Publisher // the same for all: nobody writes to it
	default:
		maps.Copy(m.Details, p.Publisher)
	}
}

func (g *guard) outboundError(m *wamp.Error) wamp.Message {
	switch m.Type {
	case wamp.SUBSCRIBE, wamp.REGISTER:
		delete(g.asked, m.Request)
	case wamp.CALL:
		delete(g.calls, m.Request)
	}
	// nexus says "canceled" also when the callee went away, and
	// "network_failure" when its queue was full, which ends it.
	gone := m.Error == wire.ErrCanceled && len(m.Arguments) == 1 && m.Arguments[0] == "callee gone"
	if gone || m.Error == wire.ErrNetworkFailure {
		return refuse(&wamp.Call{}, m.Request, wire.ErrCalleeLost, "the callee went away during the call")
	}
	return m
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
	g.closed = true
	for _, uri := range g.registrations {
		g.directory.remove(string(uri))
	}
	return g.cancelCalls()
}
