package router

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

const (
	noPassthru = "payload passthru mode is not supported"
	idInFlight = "this request id is in flight already"
	uriTooLong = "the URI is too long"
)

// publish says what becomes of a PUBLISH.
func (g *guard) publish(m *wamp.Publish, denied error) verdict {
	options := m.Options
	m.Options = keep(options, "acknowledge", "exclude_me", "exclude", "eligible",
		"exclude_authid", "exclude_authrole", "eligible_authid", "eligible_authrole")
	answer := g.unpublishable(m, passthru(options))
	if answer == nil && denied != nil {
		answer = refuse(m, m.Request, wire.ErrNotAuthorized, denied.Error())
	}
	switch {
	case answer == nil:
		transport.PayloadOf(m).Sender = g.disclosed(&g.asPublisher, "publisher") // from the session, always, not from disclose_me
		return verdict{msg: m, ours: g.audience}
	case options["acknowledge"] == true:
		return verdict{answer: answer}
	}
	return verdict{} // WAMP gives an unacknowledged PUBLISH no answer
}

// unpublishable answers a PUBLISH that is not to be made.
func (g *guard) unpublishable(m *wamp.Publish, passthru bool) wamp.Message {
	if len(m.Topic) > wire.MaxURI {
		return refuse(m, m.Request, wire.ErrInvalidURI, uriTooLong)
	}
	if !g.audience.heard(m.Topic) { // else it was checked
		if err := wire.CheckURI(string(m.Topic)); err != nil {
			return refuse(m, m.Request, wire.ErrInvalidURI, err.Error())
		}
	}
	if unclear := unclearList(m.Options); unclear != "" {
		return refuse(m, m.Request, wire.ErrInvalidArgument, unclear+" is a list, of ids or names, that is not empty")
	}
	if passthru {
		return refuse(m, m.Request, wire.ErrNotSupported, noPassthru)
	}
	return nil
}

// unclearList names the option that is no list of whom an event is for, or not
// for: nexus would let everybody have it.
func unclearList(options wamp.Dict) string {
	for name, v := range options {
		if !strings.HasPrefix(name, "exclude") && !strings.HasPrefix(name, "eligible") || name == "exclude_me" {
			continue
		}
		list, ok := v.([]any)
		if !ok || len(list) == 0 && strings.HasPrefix(name, "eligible") {
			return name
		}
		for _, e := range list {
			id, _ := e.(int64)
			text, _ := e.(string)
			isID, isName := id > 0 && id <= wamp.MaxID, text != ""
			if byID := !strings.Contains(name, "_"); byID && !isID || !byID && !isName {
				return name
			}
		}
	}
	return ""
}

func (g *guard) call(m *wamp.Call, denied error) verdict {
	if answer := g.callable(m); answer != nil {
		return verdict{answer: answer}
	}
	if denied != nil {
		return verdict{answer: refuse(m, m.Request, wire.ErrNotAuthorized, denied.Error())}
	}
	c := &call{caller: g, request: m.Request, shared: !wire.Reserved(string(m.Procedure))}
	if c.shared && g.shared == 0 { // else it might overtake another
		c.callee = g.directory.callee(m.Procedure)
	}
	v := verdict{msg: m}
	switch {
	case c.direct():
		v.ours = c
	case c.shared:
		g.shared++
	}
	put(&g.calls, m.Request, c)
	if p := transport.PayloadOf(m); p != nil {
		p.Sender = g.disclosed(&g.asCaller, "caller")
	}
	return v
}

// cancel judges a CANCEL.
func (g *guard) cancel(m *wamp.Cancel) verdict {
	c := g.calls[m.Request]
	switch {
	case c == nil:
		return verdict{}
	case c.direct():
		delete(g.calls, m.Request)
		return verdict{msg: m, ours: c}
	}
	// With "kill" nexus forgets the caller when the callee disconnects.
	m.Options = cancelMode
	return verdict{msg: m}
}

// give judges the answer to an invocation, of which more may follow. It may be too
// late, but there are not more last ones owed than there were invocations.
func (g *guard) give(invocation wamp.ID, msg wamp.Message, more bool) verdict {
	owed := !more && g.owes > 0
	if owed {
		g.owes--
	}
	if invocation >= transport.NexusIDs {
		if more && g.interrupted[invocation] {
			return verdict{} // nexus would answer each with one INTERRUPT more
		}
		delete(g.interrupted, invocation)
		return verdict{msg: msg, owed: owed}
	}
	c := g.invocations[invocation]
	if c == nil { // nobody waits for it any more
		return verdict{owed: owed}
	}
	if !more {
		delete(g.invocations, invocation)
	}
	return verdict{msg: msg, ours: c, owed: owed}
}

// callable answers a CALL that is not to be made.
func (g *guard) callable(m *wamp.Call) wamp.Message {
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
	case g.account.ledger.draining.Load():
		return refuse(m, m.Request, string(wamp.CloseSystemShutdown), "the router is going down")
	case g.calls[m.Request] != nil:
		return refuse(m, m.Request, wire.ErrInvalidArgument, idInFlight)
	case len(g.calls) >= g.limits.Calls:
		return g.account.tooMany(m, m.Request, limitCalls, "calls in flight", g.limits.Calls)
	}
	return nil
}

func (g *guard) subscribe(m *wamp.Subscribe) wamp.Message {
	_, inFlight := g.asked[m.Request]
	match, ok := option(m.Options, "match", "exact", "prefix", "wildcard")
	var unclear error
	if m.Topic != "" || match != wamp.MatchPrefix { // that is everything
		unclear = wire.CheckPattern(string(m.Topic), match)
	}
	switch {
	case len(m.Topic) > wire.MaxURI:
		return refuse(m, m.Request, wire.ErrInvalidURI, uriTooLong)
	case !ok:
		return refuse(m, m.Request, wire.ErrInvalidArgument, "match is exact, prefix or wildcard")
	case unclear != nil:
		return refuse(m, m.Request, wire.ErrInvalidURI, unclear.Error())
	case inFlight:
		return refuse(m, m.Request, wire.ErrInvalidArgument, idInFlight)
	case len(g.subscriptions)+g.open(false) >= g.limits.Subscriptions:
		return g.account.tooMany(m, m.Request, limitSubscriptions, "subscriptions", g.limits.Subscriptions)
	}
	m.Options = wamp.Dict{"match": match}
	put(&g.asked, m.Request, request{uri: m.Topic, match: match})
	return nil
}

func (g *guard) unsubscribe(m *wamp.Unsubscribe) wamp.Message {
	if _, inFlight := g.asked[m.Request]; inFlight {
		return refuse(m, m.Request, wire.ErrInvalidArgument, idInFlight)
	}
	g.unsubscribed(m.Subscription)
	put(&g.asked, m.Request, request{id: m.Subscription})
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
	case has(g.registrations, m.Procedure), has(g.asked, m.Procedure):
		return refuse(m, m.Request, wire.ErrAlreadyExists, "this session registered the procedure already")
	case len(g.registrations)+g.open(true) >= g.limits.Registrations:
		return g.account.tooMany(m, m.Request, limitRegistrations, "registrations", g.limits.Registrations)
	}
	put(&g.asked, m.Request, request{
		uri: m.Procedure, callee: true, caller: m.Options["disclose_caller"] == true, alone: invoke == "single",
	})
	m.Options = wamp.Dict{"invoke": invoke, "match": wamp.MatchExact}
	return nil
}

// open counts what is asked for and not answered: registrations, or else
// subscriptions.
func (g *guard) open(callee bool) int {
	n := 0
	for _, r := range g.asked {
		if r.callee == callee && r.id == 0 {
			n++
		}
	}
	return n
}

// has reports whether the procedure uri is among what was asked for.
func has(some map[wamp.ID]request, uri wamp.URI) bool {
	for _, r := range some {
		if r.callee && r.uri == uri {
			return true
		}
	}
	return false
}

func (g *guard) unregister(m *wamp.Unregister) wamp.Message {
	r, ok := g.registrations[m.Registration]
	if !ok {
		return refuse(m, m.Request, wire.ErrNoSuchRegistration, "not a registration of this session")
	}
	delete(g.registrations, m.Registration)
	g.directory.remove(r.uri, g)
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
		if bare(m) && utf8.ValidString(uri) {
			m.Arguments = wamp.List{uri}
		}
	}
}

// bare reports whether a message has no arguments.
func bare(m *wamp.Error) bool {
	p := transport.PayloadOf(m)
	return len(m.Arguments) == 0 || p != nil && p.Empty()
}
