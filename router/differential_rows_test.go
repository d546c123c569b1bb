package router

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

// difference is one way in which the routers may differ. A row has one of the
// functions; found counts what they allow in one operation.
type difference struct {
	name string
	why  string

	ask   func(wamp.Message) bool                       // changes what is sent to stock
	stock func(h *hearing, m *canonical) bool           // changes what stock says
	both  func(h *hearing, m *canonical) bool           // changes what both say
	pair  func(h *hearing, stock, ours *canonical) bool // allows one for the other; nil is no message

	found, times int
}

// hearing is a session that hears what an operation has caused.
type hearing struct {
	play    *play
	o       *operation
	session int
}

func is(m *canonical, kind wamp.MessageType, uri string) bool {
	return m != nil && m.kind == kind && m.uri == uri
}

// differences are all that are allowed. Files without a directory are those of
// nexus v3.3.0's router package.
func differences() []*difference {
	return slices.Concat(stockAnswers(), stockFaults(), ourPolicy())
}

// allowedAmong is differences, or for two stock routers those rows that change
// messages: of both.
func allowedAmong(twins bool) []*difference {
	return slices.DeleteFunc(differences(), func(d *difference) bool { return twins && (d.pair != nil || d.both != nil) })
}

// stockAnswers are what nexus tells wrong.
func stockAnswers() []*difference {
	return []*difference{
		{name: "INVOCATION says that it is not progressive", why: "dealer.go:662", stock: func(_ *hearing, m *canonical) bool {
			no := m.kind == wamp.INVOCATION && m.details["progress"] == false
			if no {
				delete(m.details, "progress")
			}
			return no
		}},
		{name: "INVOCATION names the procedure of an exact registration", why: "dealer.go:812: \"\" is not \"exact\"", stock: func(h *hearing, m *canonical) bool {
			named := m.kind == wamp.INVOCATION && m.details["procedure"] != nil && h.play.routers[0].patterns[m.grants].match == session.Exact
			if named {
				delete(m.details, "procedure")
			}
			return named
		}},
		{name: "the meta API tells no default of match and invoke", why: "dealer.go:182, dealer.go:233, broker.go:293: options as they came", stock: func(_ *hearing, m *canonical) bool {
			return m.kind == wamp.EVENT && strings.HasSuffix(m.topic, ".on_create") && fillDefaults(m) ||
				m.kind == wamp.RESULT && fillDefaults(m)
		}},
		{name: "disclose_caller counts only in the first REGISTER of a shared procedure", why: "dealer.go:444", pair: func(h *hearing, stock, ours *canonical) bool {
			if stock == nil || ours == nil || stock.kind != wamp.INVOCATION || ours.kind != wamp.INVOCATION {
				return false
			}
			held := h.play.routers[1].sessions[h.session].held[ours.grants]
			return held.invoke != "" && held.discloses == (ours.details["caller"] != nil) && anonymous(stock) == anonymous(ours)
		}},
		{name: "a session without transport details has null", why: "realm.go:1190: a nil dict", stock: func(_ *hearing, m *canonical) bool {
			for _, arg := range m.args {
				dict, ok := arg.(wamp.Dict)
				if transport, given := dict["transport"]; ok && given && transport == nil {
					dict["transport"] = map[string]any{}
					return true
				}
			}
			return false
		}},
		{name: "the publisher is also told to who has not announced publisher_identification", why: "broker.go:754: all subscribers share the details", stock: func(h *hearing, m *canonical) bool {
			return m.kind == wamp.EVENT && h.play.actors[h.session].plain && hide(m, "publisher")
		}},
	}
}

// stockFaults are what nexus does wrong.
func stockFaults() []*difference {
	return []*difference{
		{name: "UNREGISTER of somebody else's registration succeeds", why: "dealer.go:554", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.kind == unregisterForeign && (ours == nil && stock.kind == wamp.EVENT && stock.topic == "wamp.registration.on_unregister" ||
				stock != nil && stock.kind == wamp.UNREGISTERED && is(ours, wamp.ERROR, wire.ErrNoSuchRegistration))
		}},
		{name: "UNSUBSCRIBE of somebody else's subscription succeeds", why: "broker.go:512", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.kind == unsubscribeForeign && (ours == nil && stock.kind == wamp.EVENT && stock.topic == "wamp.subscription.on_unsubscribe" ||
				stock != nil && stock.kind == wamp.UNSUBSCRIBED && is(ours, wamp.ERROR, wire.ErrNoSuchSubscription))
		}},
		{name: "CANCEL by kill of a call whose callee then leaves gets no answer", why: "dealer.go:951", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.leaves && stock == nil && (is(ours, wamp.ERROR, wire.ErrCalleeLost) || is(ours, wamp.ERROR, wire.ErrCanceled)) && h.killed(ours)
		}},
		{name: "each progress of a call that is gone is answered by one more INTERRUPT", why: "dealer.go:1024", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.kind == answerCall && ours == nil && stock.kind == wamp.INTERRUPT && stock.details["reason"] == nil
		}},
		{name: "a callee is not told that its caller has left", why: "dealer.go:1274, WAMP section \"Caller Leaving During an RPC Invocation\"", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.leaves && stock == nil && ours.kind == wamp.INTERRUPT && ours.details["reason"] == wire.ErrCanceled && ours.details["mode"] == "killnowait"
		}},
		{name: "CALL with the id of a call in flight invokes the same invocation again", why: "dealer.go:659: taken for progressive", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.kind == callInFlight && (ours == nil && stock.kind == wamp.INVOCATION || stock == nil && is(ours, wamp.ERROR, wire.ErrInvalidArgument))
		}},
		{name: "anybody publishes wamp.*", why: "broker.go:175", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.kind == publishReserved && (ours == nil && stock.kind == wamp.EVENT || stock != nil && stock.kind == wamp.PUBLISHED && is(ours, wamp.ERROR, wire.ErrNotAuthorized))
		}},
		{name: "an empty list of eligible sessions lets everybody have the event", why: "publishfilter.go:89", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.kind == publishToNobody && (ours == nil && stock.kind == wamp.EVENT || stock != nil && stock.kind == wamp.PUBLISHED && is(ours, wamp.ERROR, wire.ErrInvalidArgument))
		}},
		{name: "the URI of count_subscribers is misspelt", why: "wamp/uris.go:226", ask: func(m wamp.Message) bool {
			call, ok := m.(*wamp.Call)
			if ok = ok && call.Procedure == "wamp.subscription.count_subscribers"; ok {
				call.Procedure = wamp.MetaProcSubCountSubscribers
			}
			return ok
		}},
		{name: "count_subscribers of no subscription is no_such_session", why: "broker.go:1003", pair: func(_ *hearing, stock, ours *canonical) bool {
			return is(stock, wamp.ERROR, "wamp.error.no_such_session") && is(ours, wamp.ERROR, "wamp.error.no_such_subscription")
		}},
	}
}

// ourPolicy is what our router does on purpose.
func ourPolicy() []*difference {
	return []*difference{
		{name: "the publisher is always disclosed", why: "stock is asked to each time", ask: func(m wamp.Message) bool {
			publish, ok := m.(*wamp.Publish)
			if ok = ok && publish.Options["disclose_me"] != true; ok {
				publish.Options["disclose_me"] = true
			}
			return ok
		}},
		{name: "the routers' own errors are worded differently", why: "the URIs are compared", both: func(h *hearing, m *canonical) bool {
			own := m.kind == wamp.ERROR && wire.Reserved(m.uri) && h.o.kind != answerCall && len(m.args)+len(m.kwargs) > 0
			if own {
				m.args, m.kwargs = nil, nil
			}
			return own
		}},
		{name: "a callee that leaves is callee_lost, not canceled", why: "callers tell it from their own CANCEL", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.leaves && is(stock, wamp.ERROR, wire.ErrCanceled) && is(ours, wamp.ERROR, wire.ErrCalleeLost) && stock.request == ours.request
		}},
		{name: "an error that a callee gives the router's name is an application error", why: "a callee cannot forge it", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.kind == answerCall && is(stock, wamp.ERROR, forgedError) && is(ours, wamp.ERROR, wire.ErrApplication) &&
				fmt.Sprint(stock.request, stock.args, stock.kwargs) == fmt.Sprint(ours.request, ours.args, ours.kwargs)
		}},
		{name: "REGISTER of wamp.* is not authorized, not an invalid URI", why: "dealer.go:197", pair: func(h *hearing, stock, ours *canonical) bool {
			return h.o.kind == registerReserved && is(stock, wamp.ERROR, wire.ErrInvalidURI) && is(ours, wamp.ERROR, wire.ErrNotAuthorized)
		}},
	}
}

// fillDefaults writes exact and single where a dict about a registration or a
// subscription is empty.
func fillDefaults(m *canonical) (filled bool) {
	for _, arg := range m.args {
		dict, ok := arg.(wamp.Dict)
		if !ok {
			continue
		}
		for key, value := range map[string]string{"match": session.Exact, "invoke": "single"} {
			if dict[key] == "" {
				dict[key], filled = value, true
			}
		}
	}
	return filled
}

// anonymous is an INVOCATION without its caller.
func anonymous(m *canonical) string {
	c := *m
	c.details = copied(m.details)
	hide(&c, "caller")
	return c.String()
}

// hide takes the identity of the publisher or caller out of the details, if it is
// there.
func hide(m *canonical, role string) bool {
	told := m.details[role] != nil
	for _, key := range []string{role, role + "_authid", role + "_authrole"} {
		delete(m.details, key)
	}
	return told
}

// killed reports whether an ERROR is for a call that was canceled by kill.
func (h *hearing) killed(m *canonical) bool {
	for _, c := range h.play.actors[h.session].calls {
		if c.canceled == wamp.CancelModeKill && m.request == fmt.Sprint(wamp.CALL, " ", c.request) {
			return true
		}
	}
	return false
}

// differs compares what one session hears. Rows change messages first. Then those
// that only one router has sent need a row; what is left has the same order.
func (p *play) differs(h *hearing, stock, ours []*canonical) string {
	for _, d := range p.allowed {
		for _, m := range stock {
			if d.stock != nil && d.stock(h, m) || d.both != nil && d.both(h, m) {
				d.found++
			}
		}
		for _, m := range ours {
			if p.twins && d.stock != nil && d.stock(h, m) || d.both != nil && d.both(h, m) {
				d.found++
			}
		}
	}
	onlyStock, onlyOurs := besides(stock, ours), besides(ours, stock)
	wrong := p.unmatched(h, &onlyStock, &onlyOurs)
	if wrong != "" {
		return wrong
	}
	a, b := besides(stock, besides(stock, ours)), besides(ours, besides(ours, stock))
	for i := range a {
		if a[i].String() != b[i].String() {
			return fmt.Sprintf("  another order:\n    stock %v\n    ours  %v", a, b)
		}
	}
	return ""
}

// unmatched takes out what rows allow, and says what is left.
func (p *play) unmatched(h *hearing, onlyStock, onlyOurs *[]*canonical) string {
	for _, d := range p.allowed {
		if d.pair == nil {
			continue
		}
		for _, a := range slices.Clone(*onlyStock) {
			for _, b := range append(slices.Clone(*onlyOurs), nil) {
				if d.pair(h, a, b) {
					d.found++
					*onlyStock, *onlyOurs = removed(*onlyStock, a), removed(*onlyOurs, b)
					break
				}
			}
		}
		for _, b := range slices.Clone(*onlyOurs) {
			if d.pair(h, nil, b) {
				d.found++
				*onlyOurs = removed(*onlyOurs, b)
			}
		}
	}
	wrong := ""
	for _, m := range *onlyStock {
		wrong += "  only stock: " + m.String() + "\n"
	}
	for _, m := range *onlyOurs {
		wrong += "  only ours:  " + m.String() + "\n"
	}
	return wrong
}

func removed(all []*canonical, m *canonical) []*canonical {
	return slices.DeleteFunc(slices.Clone(all), func(c *canonical) bool { return c == m })
}

// besides is a without one message for each equal one of b.
func besides(a, b []*canonical) []*canonical {
	times := map[string]int{}
	for _, m := range b {
		times[m.String()]++
	}
	left := []*canonical{}
	for _, m := range a {
		if times[m.String()]--; times[m.String()] < 0 {
			left = append(left, m)
		}
	}
	return left
}
