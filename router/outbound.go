package router

import (
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// routerRoles is what we announce: what nexus and the guard grant, and the dealer and
// the broker honour.
var routerRoles = wamp.Dict{
	"broker": wamp.Dict{"features": wamp.Dict{
		"pattern_based_subscription": true, "publisher_exclusion": true,
		"publisher_identification": true, "subscriber_blackwhite_listing": true,
		"subscription_meta_api": true,
	}},
	"dealer": wamp.Dict{"features": wamp.Dict{
		"call_canceling": true, "call_timeout": true, "caller_identification": true,
		"pattern_based_registration": true, "progressive_call_invocations": true,
		"progressive_call_results": true, "registration_meta_api": true,
		"session_meta_api": true, "shared_registration": true,
	}},
}

// Outbound implements transport.Guard: what nexus says is the control plane's.
func (g *guard) Outbound(msg wamp.Message, queue func(wamp.Message)) {
	tell := func() { queue(msg) }
	switch m := msg.(type) {
	case *wamp.Welcome:
		g.join(m)
		g.account.welcome(m.ID)
		m.Details["roles"] = routerRoles
		m.Details[wire.ProtocolKey] = wire.Protocol
		if g.rights.lowered {
			m.Details[wire.ScopesKey] = g.rights.list()
		}
	case *wamp.Registered:
		g.answered(m.Request, func(r request) { g.calling.Register(m.Registration, r.procedure, tell) })
		return
	case *wamp.Unregistered:
		g.answered(m.Request, func(r request) { g.calling.Unregister(r.id) })
	case *wamp.Subscribed:
		g.answered(m.Request, func(r request) { g.listening.Subscribe(m.Subscription, r.topic, tell) })
		return
	case *wamp.Unsubscribed:
		g.answered(m.Request, func(r request) { g.listening.Unsubscribe(r.id) }) // it may have been granted once more meanwhile
	case *wamp.Result:
		if !g.calling.Forwarded(m.Request) {
			return
		}
	case *wamp.Error:
		if !g.fails(m) {
			return
		}
	}
	tell()
}

// fails reports whether the session still waits for an ERROR of nexus.
func (g *guard) fails(m *wamp.Error) bool {
	if m.Error == wire.ErrNetworkFailure { // nexus's name for a full queue of its own
		m.Error = wire.ErrBusy
	}
	if m.Type == wamp.CALL {
		return g.calling.Forwarded(m.Request)
	}
	g.answered(m.Request, func(request) {})
	return true
}
