package router

import (
	"fmt"
	"slices"

	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

// operation is one step of a play. Its messages are made for each router, because
// the ids differ.
type operation struct {
	kind   string // "" where no row needs to know
	text   string
	target string // that is given up
	by     int
	send   func(r *playedRouter) []wamp.Message
	joins  bool // the session, which may be plain
	plain  bool
	leaves bool
	says   bool // GOODBYE
	random bool // a CALL to the procedure of which any callee may be invoked
	waits  bool // until the CALL has an answer
}

// The kinds of operations that rows know.
const (
	answerCall         = "answer"
	unregisterForeign  = "unregister somebody else's"
	unsubscribeForeign = "unsubscribe somebody else's"
	callInFlight       = "call with the id of one in flight"
	publishReserved    = "publish wamp.*"
	publishToNobody    = "publish to an empty list"
	registerReserved   = "register wamp.*"

	randomProcedure = "net.d.random"
	forgedError     = wire.ErrNoSuchProcedure
)

var (
	playedTopics   = []string{"net.a", "net.a", "net.a", "net.b", "net.b", "net.a.x", "net.a.x", "com.a", "com.a", "net..a", "net.#", ""}
	playedPatterns = []pattern{
		{uri: "net.a", match: session.Exact}, {uri: "net.b", match: session.Exact}, {uri: "net.a.x"},
		{uri: "net", match: session.Prefix}, {uri: "net.a", match: session.Prefix}, {uri: "", match: session.Prefix},
		{uri: "net..x", match: session.Wildcard}, {uri: ".a", match: session.Wildcard}, {uri: "net.", match: session.Wildcard},
		{uri: "wamp.session.on_join"}, {uri: "wamp.session.on_leave", match: session.Exact}, {uri: "wamp.registration.on_create"},
		{uri: "wamp.subscription.on_create"}, {uri: "wamp.registration.", match: session.Prefix},
		{uri: "wamp.subscription", match: session.Prefix}, {uri: "wamp..on_delete", match: session.Wildcard},
		{uri: "net..a", match: session.Exact}, {uri: "net a"}, {uri: ".net", match: session.Prefix}, {uri: "net.#", match: session.Wildcard},
	}
	playedProcedures = []string{
		"net.d.one", "net.d.one", "net.d.two", "net.d.two.x", "net.d.robin", "net.d.robin", "net.d.robin", "net.d.first", "net.d.last",
		"net.e.one", "net.unknown", "net..one", "net.d.#",
	}
	playedInvokes = map[string]string{
		"net.d.robin": "roundrobin", "net.d.first": "first", "net.d.last": "last", randomProcedure: "random",
	}
	// Of two wildcards for one procedure the longer is also the more specific.
	playedProcedurePatterns = []pattern{
		{uri: "net.d", match: session.Prefix}, {uri: "net.d.t", match: session.Prefix}, {uri: "net.d.", match: session.Wildcard},
		{uri: "net..", match: session.Wildcard}, {uri: "net..one", match: session.Exact}, {uri: ".net", match: session.Prefix},
	}
)

func drawn[T any](p *play, from []T) T { return from[p.rnd.IntN(len(from))] }

func (p *play) chance(percent int) bool { return p.rnd.IntN(100) < percent }

// perform does o at one router.
func (r *playedRouter) perform(p *play, o *operation) {
	switch {
	case o.joins:
		s := r.join(o.plain)
		r.sessions = append(r.sessions, s)
		r.names.of(sessionID, s.welcome.ID)
		return
	case o.leaves:
		r.leave(o.by, o.says)
		return
	}
	s := r.sessions[o.by]
	s.send(p.messages(r, o)...)
	if o.waits {
		r.awaitAnswer(s)
	}
}

// messages are those of o for one router.
func (p *play) messages(r *playedRouter, o *operation) []wamp.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, all := r.sessions[o.by], o.send(r)
	for _, m := range all {
		switch m := m.(type) {
		case *wamp.Call:
			s.called[m.Request] = string(m.Procedure)
		case *wamp.Subscribe:
			s.asked[m.Request] = patternOf(string(m.Topic), m.Options)
		case *wamp.Register:
			s.asked[m.Request] = patternOf(string(m.Procedure), m.Options)
		}
		for _, d := range p.allowed {
			if r.isStock && d.ask != nil && d.ask(m) {
				d.times++
			}
		}
	}
	return all
}

// awaitAnswer waits until the last request of a session, a CALL, has ended.
func (r *playedRouter) awaitAnswer(s *playedSession) {
	limit := time.AfterFunc(2*time.Second, func() { s.conn.Abandon() })
	defer limit.Stop()
	m := s.await(func(m wamp.Message) bool {
		switch m := m.(type) {
		case *wamp.Result:
			return m.Request == s.last
		case *wamp.Error:
			return m.Type == wamp.CALL && m.Request == s.last
		}
		return false
	})
	if m != nil {
		s.heard = append(s.heard, m)
	}
}

func patternOf(uri string, options wamp.Dict) pattern {
	p := pattern{uri: uri, match: session.Exact}
	if match, ok := options["match"].(string); ok {
		p.match = match
	}
	p.invoke, _ = options["invoke"].(string)
	p.discloses = options["disclose_caller"] == true
	return p
}

// counted checks that our router counts the invocations of each session from 1
// (WAMP, section "IDs"). More messages of one invocation have one id.
func (p *play) counted() string {
	for i, s := range p.routers[1].sessions {
		for _, m := range s.heard {
			inv, ok := m.(*wamp.Invocation)
			if !ok || inv.Request <= s.invoked {
				continue
			}
			if inv.Request != s.invoked+1 {
				return fmt.Sprintf("session S%d: our INVOCATION has id %d after %d", i+1, inv.Request, s.invoked)
			}
			s.invoked = inv.Request
		}
	}
	return ""
}

// present are the sessions that have not left.
func (p *play) present() []int {
	all := []int{}
	for i, a := range p.actors {
		if !a.left {
			all = append(all, i)
		}
	}
	return all
}

func (p *play) join(plain bool) *operation {
	p.actors = append(p.actors, &playActor{plain: plain})
	return &operation{text: fmt.Sprintf("S%d joins, plain: %v", len(p.actors), plain), by: len(p.actors) - 1, joins: true, plain: plain}
}

// next is a random operation, nil where the one that was drawn makes no sense.
func (p *play) next() *operation {
	present := p.present()
	by := drawn(p, present)
	switch n := p.rnd.IntN(100); {
	case n < 8:
		return p.subscribe(by)
	case n < 11:
		return p.unsubscribe(by)
	case n < 22:
		return p.publish(by)
	case n < 33:
		return p.register(by)
	case n < 36:
		return p.unregister(by)
	case n < 60:
		return p.call(by)
	case n < 77:
		return p.answer(by)
	case n < 84:
		return p.cancel(by)
	case n < 90:
		return p.askMeta(by)
	case n < 94:
		return p.odd(by)
	case n < 97 && len(present) < 5, len(present) < 3:
		return p.join(p.chance(30))
	}
	says := p.chance(50)
	p.actors[by].left = true
	return &operation{text: fmt.Sprintf("S%d leaves, by GOODBYE: %v", by+1, says), by: by, leaves: true, says: says}
}

// oneRequest makes the operation of one message, which make makes from a new id.
func oneRequest(by int, text string, make func(r *playedRouter, id wamp.ID) wamp.Message) *operation {
	return &operation{text: fmt.Sprintf("S%d: %s", by+1, text), by: by, send: func(r *playedRouter) []wamp.Message {
		return []wamp.Message{make(r, r.sessions[by].request())}
	}}
}

func (p *play) subscribe(by int) *operation {
	t := drawn(p, playedPatterns)
	if t.uri == "" && p.chance(60) {
		return nil
	}
	return oneRequest(by, fmt.Sprintf("SUBSCRIBE %q %s", t.uri, t.match), func(_ *playedRouter, id wamp.ID) wamp.Message {
		return &wamp.Subscribe{Request: id, Options: matching(t), Topic: wamp.URI(t.uri)}
	})
}

func matching(t pattern) wamp.Dict {
	options := wamp.Dict{}
	if t.match != "" {
		options["match"] = t.match
	}
	return options
}

// nameOf is one of own, or else one that some session has.
func (p *play) nameOf(by int, of func(*playActor) []string) (name string, own bool) {
	mine, theirs := of(p.actors[by]), []string{}
	for _, a := range p.actors {
		for _, n := range of(a) {
			if !slices.Contains(mine, n) {
				theirs = append(theirs, n)
			}
		}
	}
	switch {
	case len(mine) > 0 && p.chance(80):
		return drawn(p, mine), true
	case len(theirs) > 0 && p.chance(70):
		return drawn(p, theirs), false
	}
	return "", false
}

func (p *play) unsubscribe(by int) *operation {
	name, own := p.nameOf(by, func(a *playActor) []string { return a.subs })
	o := oneRequest(by, "UNSUBSCRIBE "+name, func(r *playedRouter, id wamp.ID) wamp.Message {
		return &wamp.Unsubscribe{Request: id, Subscription: r.idOf(name)}
	})
	o.target = name
	if name != "" && !own {
		o.kind = unsubscribeForeign
	}
	return o
}

// idOf is the id with a name, or one that the router has not given.
func (r *playedRouter) idOf(name string) wamp.ID {
	if id, ok := r.names.id[name]; ok {
		return id
	}
	return 1 << 40
}

func (p *play) register(by int) *operation {
	t := pattern{uri: drawn(p, append([]string{randomProcedure}, playedProcedures...))}
	if p.chance(30) {
		t = drawn(p, playedProcedurePatterns)
	}
	t.invoke = playedInvokes[t.uri]
	if t.invoke == "" && p.chance(20) || t.uri != randomProcedure && p.chance(10) {
		t.invoke = drawn(p, []string{"single", "first", "roundrobin"})
	}
	if t.match == "" && p.chance(50) {
		t.match = session.Exact
	}
	held := p.holds(by, t)
	if held != "" && held != "single" {
		return nil // nexus would keep a dead callee, dealer.go:511
	}
	disclose := p.chance(30) && t.uri != randomProcedure
	return oneRequest(by, fmt.Sprintf("REGISTER %q %s %s, disclose_caller: %v", t.uri, t.match, t.invoke, disclose), func(_ *playedRouter, id wamp.ID) wamp.Message {
		options := matching(t)
		if t.invoke != "" {
			options["invoke"] = t.invoke
		}
		if disclose {
			options["disclose_caller"] = true
		}
		return &wamp.Register{Request: id, Options: options, Procedure: wamp.URI(t.uri)}
	})
}

// holds is how a session has registered the same, "" if it has not.
func (p *play) holds(by int, t pattern) string {
	for _, name := range p.actors[by].regs {
		if held := p.routers[0].patterns[name]; held.uri == t.uri && held.match == patternOf("", matching(t)).match {
			if held.invoke == "" {
				return "single"
			}
			return held.invoke
		}
	}
	return ""
}

func (p *play) unregister(by int) *operation {
	name, own := p.nameOf(by, func(a *playActor) []string { return a.regs })
	o := oneRequest(by, "UNREGISTER "+name, func(r *playedRouter, id wamp.ID) wamp.Message {
		return &wamp.Unregister{Request: id, Registration: r.idOf(name)}
	})
	o.target = name
	if name != "" && !own {
		o.kind = unregisterForeign
	}
	return o
}
