package router

import (
	"maps"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

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
func (g *guard) Outbound(msg wamp.Message, queue func(wamp.Message)) {
	if msg = g.outbound(msg, queue); msg != nil {
		queue(msg)
	}
}

// outbound is what is still to be queued: nothing may come between a grant and what
// it grants.
func (g *guard) outbound(msg wamp.Message, queue func(wamp.Message)) wamp.Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch m := msg.(type) {
	case *wamp.Welcome:
		g.account.welcome(m.ID)
		if g.session = m.ID; !g.parted {
			g.audience.enter(m.ID, g)
		}
		m.Details["roles"] = routerRoles
		m.Details[wire.ProtocolKey] = wire.Protocol
	case *wamp.Result:
		if !g.routed(m.Request, m.Details["progress"] != true) {
			return nil
		}
	case *wamp.Error:
		return g.outboundError(m)
	case *wamp.Invocation:
		g.invocation(m)
	case *wamp.Interrupt:
		if len(g.interrupted) >= maxInterrupted { // a callee that answers none of them
			clear(g.interrupted)
		}
		put(&g.interrupted, m.Request, true)
	case *wamp.Registered:
		r := g.asked[m.Request]
		delete(g.asked, m.Request)
		queue(m)
		if !g.parted {
			put(&g.registrations, m.Registration, r)
			g.directory.add(r.uri, listener{g, m.Registration}, r.alone)
		}
		return nil
	case *wamp.Subscribed:
		g.subscribed(m, queue)
		return nil
	case *wamp.Unsubscribed:
		g.unsubscribed(g.asked[m.Request].id) // it may have been granted once more meanwhile
		delete(g.asked, m.Request)
	}
	return msg
}

// routed reports whether nexus has the call that it answers, and nobody has answered
// it otherwise. The last answer ends it.
func (g *guard) routed(request wamp.ID, last bool) bool {
	c := g.calls[request]
	if c == nil || c.direct() {
		return false
	}
	if last {
		delete(g.calls, request)
		if c.shared {
			g.shared--
		}
	}
	return true
}

// invocation adds who calls.
func (g *guard) invocation(m *wamp.Invocation) {
	g.owe()
	if m.Details["progress"] == false {
		delete(m.Details, "progress") // which is what it means to have none
	}
	if p := transport.PayloadOf(m); p != nil && g.registrations[m.Registration].caller {
		m.Details = with(m.Details, p.Sender)
	}
}

// with are details of one message and those of its sender.
func with(details wamp.Dict, sender *transport.Details) wamp.Dict {
	if len(details) == 0 {
		return sender.Dict()
	}
	maps.Copy(details, sender.Dict())
	return details
}

// disclosed says who this session is, in the part that it plays. Most play none:
// it is made once, when it is needed.
func (g *guard) disclosed(as **transport.Details, part string) *transport.Details {
	if *as == nil {
		*as = transport.NewDetails(wamp.Dict{
			part: g.session, part + "_authid": g.identity.AuthID, part + "_authrole": g.identity.Role,
		})
	}
	return *as
}

func (g *guard) outboundError(m *wamp.Error) wamp.Message {
	switch m.Type {
	case wamp.SUBSCRIBE, wamp.UNSUBSCRIBE, wamp.REGISTER:
		delete(g.asked, m.Request)
	case wamp.CALL:
		if !g.routed(m.Request, true) {
			return nil
		}
	}
	if m.Error == wire.ErrAuthorization { // nexus's name for what our authorizer refuses
		m.Error = wire.ErrNotAuthorized
	}
	// nexus says "canceled" also when the callee went away, and
	// "network_failure" when its queue was full, which ends it.
	gone := m.Error == wire.ErrCanceled && len(m.Arguments) == 1 && m.Arguments[0] == "callee gone"
	if gone || m.Error == wire.ErrNetworkFailure {
		return calleeLost(m.Request)
	}
	return m
}
