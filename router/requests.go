package router

import (
	"slices"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/broker"
	"github.com/deskconn/dconn/router/budget"
	"github.com/deskconn/dconn/router/dealer"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

const (
	noPassthru = "payload passthru mode is not supported"
	idInFlight = "this request id is in flight already"
	uriTooLong = "the URI is too long"
)

// refuse answers a request with an error.
func refuse(of wamp.Message, request wamp.ID, uri, sentence string) wamp.Message {
	return transport.Refuse(of, request, uri, sentence)
}

// publish has an event delivered, or says why not where the PUBLISH wants an answer.
func (g *guard) publish(m *wamp.Publish) (answer wamp.Message) {
	options := m.Options
	m.Options = keep(options, "acknowledge", "exclude_me", "exclude", "eligible",
		"exclude_authid", "exclude_authrole", "eligible_authid", "eligible_authrole")
	answer = g.unpublishable(m, passthru(options))
	if answer == nil {
		if err := g.rights.check(m); err != nil {
			answer = refuse(m, m.Request, wire.ErrNotAuthorized, err.Error())
		}
	}
	if answer == nil {
		// From the session, always, whatever disclose_me says.
		transport.PayloadOf(m).Sender = g.disclosed(&g.asPublisher, "publisher")
		if err := g.listening.Publish(m); err != nil {
			answer = refuse(m, m.Request, wire.ErrInvalidArgument, err.Error())
		}
	}
	if options["acknowledge"] != true { // WAMP gives an unacknowledged PUBLISH no answer
		return nil
	}
	return answer
}

// unpublishable answers a PUBLISH that is not to be made.
func (g *guard) unpublishable(m *wamp.Publish, passthru bool) wamp.Message {
	if len(m.Topic) > wire.MaxURI {
		return refuse(m, m.Request, wire.ErrInvalidURI, uriTooLong)
	}
	if !g.broker.Has(m.Topic) { // else it was checked
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

// call hands a CALL to the dealer, or to nexus where it is one to the meta API.
func (g *guard) call(m *wamp.Call) (pass, answer wamp.Message) {
	if answer := g.uncallable(m); answer != nil {
		return nil, answer
	}
	if err := g.rights.check(m); err != nil {
		return nil, refuse(m, m.Request, wire.ErrNotAuthorized, err.Error())
	}
	if wire.IsMeta(string(m.Procedure)) {
		return g.callMeta(m)
	}
	transport.PayloadOf(m).Sender = g.disclosed(&g.asCaller, "caller")
	return nil, g.calling.Call(m)
}

// uncallable answers a CALL that is not to be made.
func (g *guard) uncallable(m *wamp.Call) wamp.Message {
	options := m.Options
	m.Options = keep(options, "receive_progress", "progress", "timeout", "disclose_me")
	refusal, isRefused := refusedMeta[m.Procedure]
	switch {
	case len(m.Procedure) > wire.MaxURI:
		return refuse(m, m.Request, wire.ErrInvalidURI, uriTooLong)
	case passthru(options):
		return refuse(m, m.Request, wire.ErrNotSupported, noPassthru)
	case isRefused:
		return refuse(m, m.Request, refusal.uri, refusal.why)
	case g.account.ledger.draining.Load():
		return refuse(m, m.Request, string(wamp.CloseSystemShutdown), "the router is going down")
	}
	return nil
}

// refusedMeta is what nexus has of the meta API and dconn has not: docs/protocol.md
// says why.
var refusedMeta = map[wamp.URI]struct{ uri, why string }{
	"wamp.session.add_testament":    {wire.ErrNotAuthorized, noTestaments},
	"wamp.session.flush_testaments": {wire.ErrNotAuthorized, noTestaments},
	"wamp.subscription.get_events":  {wire.ErrNotSupported, "event history is not supported: no event is kept once it was delivered"},
}

const noTestaments = "testaments are not allowed here"

// callMeta passes a call to the meta API on to nexus, which reads its arguments.
func (g *guard) callMeta(m *wamp.Call) (pass, answer wamp.Message) {
	if answer := g.calling.Forward(m); answer != nil {
		return nil, answer
	}
	if transport.Unpack(m) != nil {
		g.calling.Forwarded(m.Request)
		return nil, refuse(m, m.Request, wire.ErrInvalidArgument, "the arguments cannot be read")
	}
	m.Options = nil
	if m.Procedure == wire.CountSubscribers {
		m.Procedure = wamp.MetaProcSubCountSubscribers // nexus spells it otherwise
	}
	return m, nil
}

func (g *guard) yield(m *wamp.Yield) {
	if passthru(m.Options) {
		g.calling.Error(&wamp.Error{
			Type: wamp.INVOCATION, Request: m.Request,
			Error: wire.ErrApplication, Arguments: wamp.List{noPassthru},
		})
		return
	}
	g.calling.Yield(m)
}

// disclosed says who this session is, in the part that it plays. Most play none:
// it is made once, when it is needed.
func (g *guard) disclosed(as **transport.Details, part string) *transport.Details {
	if *as == nil {
		details := wamp.Dict{
			part: g.session, part + "_authid": g.identity.AuthID, part + "_authrole": g.identity.Role,
		}
		if g.rights.lowered {
			details[part+"_scopes"] = g.rights.list()
		}
		*as = transport.NewDetails(details)
	}
	return *as
}

// request is a request to nexus that is not answered yet.
type request struct {
	kind      wamp.MessageType
	id        wamp.ID // of the subscription or registration that is to end
	topic     broker.Topic
	procedure dealer.Procedure
}

// ask notes a request, unless its id is taken. nexus must be asked, or answer says
// why not.
func (g *guard) ask(of wamp.Message, id wamp.ID, r request) (answer wamp.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, inFlight := g.asked[id]; inFlight {
		g.settle()
		return refuse(of, id, wire.ErrInvalidArgument, idInFlight)
	}
	if g.asked == nil {
		g.asked = map[wamp.ID]request{}
	}
	r.kind = of.MessageType()
	g.asked[id] = r
	return nil
}

// answered has do act on the request that nexus has answered. What it asked for and
// what it was granted are one to who counts them.
func (g *guard) answered(id wamp.ID, do func(request)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.asked[id]
	delete(g.asked, id)
	do(r)
	g.settle()
}

// settle gives back what the session has taken of its device's holdings and does not
// hold any more. g.mu is held.
func (g *guard) settle() {
	subscriptions := g.listening.Subscriptions()
	_, registrations := g.calling.Open()
	if g.stage.Load() != ended {
		g.pending(wamp.SUBSCRIBE, func(request) { subscriptions++ })
		g.pending(wamp.REGISTER, func(request) { registrations++ })
	}
	give := func(of *budget.Budget, taken *int, holds int) {
		of.Give(max(0, *taken-holds))
		*taken = min(*taken, holds)
	}
	give(g.holdings.subscriptions, &g.taken.subscriptions, subscriptions)
	give(g.holdings.registrations, &g.taken.registrations, registrations)
}

// pending calls do with each request of that kind. g.mu is held.
func (g *guard) pending(kind wamp.MessageType, do func(request)) {
	for _, r := range g.asked {
		if r.kind == kind {
			do(r)
		}
	}
}

// subscribe passes a SUBSCRIBE on to nexus, but for the patterns of devices.
func (g *guard) subscribe(m *wamp.Subscribe) (pass, answer wamp.Message) {
	match, ok := option(m.Options, "match", wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard)
	if !ok {
		return nil, refuse(m, m.Request, wire.ErrInvalidArgument, "match is exact, prefix or wildcard")
	}
	m.Options = wamp.Dict{"match": match}
	if m.Topic != "" || match != wamp.MatchPrefix { // that is everything
		if err := wire.CheckPattern(string(m.Topic), match); err != nil {
			return nil, refuse(m, m.Request, wire.ErrInvalidURI, err.Error())
		}
	}
	if err := g.rights.check(m); err != nil {
		return nil, refuse(m, m.Request, wire.ErrNotAuthorized, err.Error())
	}
	topic := broker.Topic{URI: m.Topic, Match: match}
	if answer := g.maySubscribe(m); answer != nil {
		return nil, answer
	}
	if match != wamp.MatchExact && g.identity.Role == roleDevice {
		g.grant(m.Request, topic)
		return nil, nil
	}
	if answer := g.ask(m, m.Request, request{topic: topic}); answer != nil {
		return nil, answer
	}
	return m, nil
}

// maySubscribe answers a SUBSCRIBE of a session that may have no further subscription.
func (g *guard) maySubscribe(m *wamp.Subscribe) (answer wamp.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := g.listening.Subscriptions()
	g.pending(wamp.SUBSCRIBE, func(request) { held++ })
	if most := g.limits.Subscriptions; held >= most {
		return g.account.tooMany(m, m.Request, limitSubscriptions, "subscriptions", most)
	}
	if over := g.holdings.subscriptions.Take(1); over != nil {
		return g.account.tooManyOf(over, m, m.Request, "subscriptions")
	}
	g.taken.subscriptions++
	return nil
}

// grant subscribes the session to a pattern without nexus: that compares each of its
// meta events with each pattern that it has granted, and a device may have thousands.
func (g *guard) grant(request wamp.ID, topic broker.Topic) {
	g.listening.SubscribePattern(topic, func(id wamp.ID) {
		_ = g.peer.Answer(&wamp.Subscribed{Request: request, Subscription: id})
	})
	g.peer.WriteLater(g.peer)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle() // it may have had that pattern
}

func (g *guard) unsubscribe(m *wamp.Unsubscribe) (pass, answer wamp.Message) {
	g.mu.Lock()
	has := g.listening.Has(m.Subscription)
	g.mu.Unlock()
	if !has {
		return nil, refuse(m, m.Request, wire.ErrNoSuchSubscription, "not a subscription of this session")
	}
	if broker.Granted(m.Subscription) {
		g.listening.Unsubscribe(m.Subscription)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.settle()
		return nil, &wamp.Unsubscribed{Request: m.Request}
	}
	if answer := g.ask(m, m.Request, request{id: m.Subscription}); answer != nil {
		return nil, answer
	}
	g.listening.Unsubscribe(m.Subscription)
	return m, nil
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
	invoke, ok := option(m.Options, "invoke", wamp.InvokeSingle, wamp.InvokeRoundRobin, wamp.InvokeRandom, wamp.InvokeFirst, wamp.InvokeLast)
	if !ok {
		return refuse(m, m.Request, wire.ErrInvalidArgument, "invoke is single, roundrobin, random, first or last")
	}
	match, ok := option(m.Options, "match", wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard)
	if !ok {
		return refuse(m, m.Request, wire.ErrInvalidArgument, "match is exact, prefix or wildcard")
	}
	p := dealer.Procedure{URI: m.Procedure, Match: match, Invoke: invoke, DiscloseCaller: m.Options["disclose_caller"] == true}
	m.Options = wamp.Dict{"invoke": invoke, "match": match}
	if err := wire.CheckPattern(string(m.Procedure), match); err != nil {
		return refuse(m, m.Request, wire.ErrInvalidURI, err.Error())
	}
	if err := g.rights.check(m); err != nil {
		return refuse(m, m.Request, wire.ErrNotAuthorized, err.Error())
	}
	held, again := g.registered(p)
	switch most := g.limits.Registrations; {
	case again:
		return refuse(m, m.Request, wire.ErrAlreadyExists, "this session registered the procedure already")
	case held >= most:
		return g.account.tooMany(m, m.Request, limitRegistrations, "registrations", most)
	case !g.owns(p):
		return refuse(m, m.Request, wire.ErrAlreadyExists, "somebody else has registered the procedure")
	}
	g.mu.Lock()
	over := g.holdings.registrations.Take(1)
	if over == nil {
		g.taken.registrations++
	}
	g.mu.Unlock()
	if over != nil {
		return g.account.tooManyOf(over, m, m.Request, "registrations")
	}
	return g.ask(m, m.Request, request{procedure: p})
}

// owns reports whether a procedure is free for this session: a URI belongs to whoever
// registered it first. The owner takes it from devices, whose sessions end by that, and
// a device shares that of another where it is granted share:URI.
func (g *guard) owns(p dealer.Procedure) bool {
	own := g.rights.owner()
	owner, has := g.dealer.OwnerOf(p)
	switch {
	case !has || owner == own:
		return true
	case own == ownersName:
		g.dealer.Displace(p, own)
		return true // nexus says so where something is left
	}
	return g.rights.shares(p.URI)
}

// registered is how many registrations the session has, or has asked for, and whether
// that of p is among them.
func (g *guard) registered(p dealer.Procedure) (held int, again bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	ending := map[wamp.ID]bool{}
	g.pending(wamp.UNREGISTER, func(r request) { ending[r.id] = true })
	look := func(id wamp.ID, other dealer.Procedure) {
		held++
		again = again || !ending[id] && other.URI == p.URI && other.Match == p.Match
	}
	g.calling.Registrations(look)
	g.pending(wamp.REGISTER, func(r request) { look(0, r.procedure) })
	return held, again
}

func (g *guard) unregister(m *wamp.Unregister) wamp.Message {
	g.mu.Lock()
	_, has := g.calling.Registration(m.Registration)
	g.pending(wamp.UNREGISTER, func(r request) { has = has && r.id != m.Registration })
	g.mu.Unlock()
	if !has {
		return refuse(m, m.Request, wire.ErrNoSuchRegistration, "not a registration of this session")
	}
	return g.ask(m, m.Request, request{id: m.Registration})
}
