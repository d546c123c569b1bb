package router

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

// publish publishes once, or several times without waiting.
func (p *play) publish(by int) *operation {
	topic, times := drawn(p, playedTopics), 1
	if p.chance(20) {
		times = 3
	}
	options, sessions := p.publishOptions()
	p.tokens += times
	first := p.tokens - times
	return &operation{
		text: fmt.Sprintf("S%d: PUBLISH %q %v %v, %d times", by+1, topic, options, sessions, times), by: by,
		send: func(r *playedRouter) []wamp.Message {
			all := []wamp.Message{}
			for i := range times {
				o := copied(options)
				for key, names := range sessions {
					o[key] = r.ids(names)
				}
				all = append(all, &wamp.Publish{
					Request: r.sessions[by].request(), Options: o, Topic: wamp.URI(topic),
					Arguments: wamp.List{fmt.Sprint("p", first+i)}, ArgumentsKw: wamp.Dict{"n": i},
				})
			}
			return all
		},
	}
}

// publishOptions are random options, and the lists of sessions by their names.
func (p *play) publishOptions() (options wamp.Dict, sessions map[string][]string) {
	options, sessions = wamp.Dict{}, map[string][]string{}
	if p.chance(70) {
		options["acknowledge"] = true
	}
	if p.chance(50) {
		options["exclude_me"] = p.chance(40)
	}
	if p.chance(20) {
		options["disclose_me"] = p.chance(50)
	}
	some := func(all ...any) wamp.List { return all[:1+p.rnd.IntN(len(all))] }
	for _, key := range []string{"exclude", "eligible"} {
		if p.chance(20) {
			sessions[key] = []string{fmt.Sprint(sessionID, 1+p.rnd.IntN(len(p.actors)))}
		}
		if p.chance(12) {
			options[key+"_authid"] = some("nobody", p.authID())
		}
		if p.chance(12) {
			options[key+"_authrole"] = some(wire.AuthAnonymous, roleOwner)
		}
	}
	return options, sessions
}

func (p *play) authID() string {
	id, _ := p.routers[1].witness.welcome.Details["authid"].(string)
	return id
}

func (r *playedRouter) ids(names []string) wamp.List {
	l := wamp.List{}
	for _, n := range names {
		l = append(l, r.idOf(n))
	}
	return l
}

func (p *play) call(by int) *operation {
	a := p.actors[by]
	if p.chance(40) {
		if o := p.callMore(by); o != nil {
			return o
		}
	}
	procedure, options := p.callable(), wamp.Dict{}
	if p.chance(40) {
		options["receive_progress"] = true
	}
	if p.chance(30) {
		options["disclose_me"] = true
	}
	c := &openCall{procedure: procedure}
	switch n := p.rnd.IntN(100); {
	case n < 20:
		options["progress"], c.more = true, true
	case n < 30:
		options["timeout"], c.timed = 30000, true
	case n < 36 && procedure != "net.d.robin":
		options["timeout"] = 50
	case n < 42:
		procedure, options = randomProcedure, wamp.Dict{}
	}
	p.tokens++
	c.token = fmt.Sprint("c", p.tokens)
	o := oneRequest(by, fmt.Sprintf("CALL %q %v %s", procedure, options, c.token), func(_ *playedRouter, id wamp.ID) wamp.Message {
		c.request = uint64(id)
		return &wamp.Call{
			Request: id, Options: copied(options), Procedure: wamp.URI(procedure),
			Arguments: wamp.List{c.token}, ArgumentsKw: wamp.Dict{"null": nil},
		}
	})
	o.random = procedure == randomProcedure
	o.waits = options["timeout"] == 50
	if !o.random {
		a.calls = append(a.calls, c)
	}
	return o
}

// callable is mostly a procedure that a session has registered.
func (p *play) callable() string {
	registered := []string{}
	for _, a := range p.actors {
		for _, name := range a.regs {
			t := p.routers[0].patterns[name]
			if !a.left && t.match == session.Exact && t.uri != randomProcedure {
				registered = append(registered, t.uri)
			}
		}
	}
	if len(registered) > 0 && p.chance(70) {
		return drawn(p, registered)
	}
	return drawn(p, playedProcedures)
}

// callMore goes on with a progressive call whose callee still has the procedure, and
// by no pattern: else nexus may find another one (dealer.go:634).
func (p *play) callMore(by int) *operation {
	for _, c := range p.actors[by].calls {
		if !c.more || c.canceled != "" || c.callee == nil || c.callee.left || !slices.Contains(c.callee.regs, c.reg) ||
			p.routers[0].patterns[c.reg].match != session.Exact {
			continue
		}
		options := wamp.Dict{}
		if p.chance(50) {
			options["progress"] = true
		}
		c.more = len(options) > 0
		return &operation{
			text: fmt.Sprintf("S%d: CALL %d goes on %v", by+1, c.request, options), by: by,
			send: func(*playedRouter) []wamp.Message {
				return []wamp.Message{&wamp.Call{
					Request: wamp.ID(c.request), Options: copied(options), Procedure: wamp.URI(c.procedure), Arguments: wamp.List{c.token, "more"},
				}}
			},
		}
	}
	return nil
}

// answer answers an invocation: with progress, a result, both, or an error.
func (p *play) answer(by int) *operation {
	if len(p.actors[by].invoked) == 0 {
		for i, a := range p.actors { // then another session does
			if !a.left && len(a.invoked) > 0 {
				by = i
			}
		}
	}
	a := p.actors[by]
	if len(a.invoked) == 0 {
		return nil
	}
	v := drawn(p, a.invoked)
	parts, last := 0, "YIELD"
	if v.progress || p.chance(5) {
		parts = p.rnd.IntN(4)
	}
	switch n := p.rnd.IntN(10); {
	case v.more || n < 2 && parts > 0:
		last = "" // to a final YIELD in the middle of a progressive call the two need not say the same
	case n < 4:
		last = drawn(p, []string{"net.error.own", wire.ErrInvalidArgument, forgedError})
	}
	if parts == 0 && last == "" {
		last = "net.error.own"
	}
	if last != "" {
		a.invoked = slices.DeleteFunc(a.invoked, func(o *openInvocation) bool { return o == v })
	}
	return &operation{
		kind: answerCall, text: fmt.Sprintf("S%d answers %s: progress %d times, then %s", by+1, v.name, parts, last), by: by,
		send: func(r *playedRouter) []wamp.Message { return repliesTo(r.idOf(v.name), parts, last) },
	}
}

func repliesTo(id wamp.ID, parts int, last string) []wamp.Message {
	all := []wamp.Message{}
	for n := range parts {
		all = append(all, &wamp.Yield{Request: id, Options: wamp.Dict{"progress": true}, Arguments: wamp.List{n}})
	}
	switch last {
	case "":
	case "YIELD":
		all = append(all, &wamp.Yield{
			Request: id, Options: wamp.Dict{}, Arguments: wamp.List{"done", 1.5}, ArgumentsKw: wamp.Dict{"k": wamp.List{true}},
		})
	default:
		all = append(all, &wamp.Error{
			Type: wamp.INVOCATION, Request: id, Details: wamp.Dict{}, Error: wamp.URI(last),
			Arguments: wamp.List{"own"}, ArgumentsKw: wamp.Dict{"why": "own"},
		})
	}
	return all
}

func (p *play) cancel(by int) *operation {
	options := wamp.Dict{}
	if mode := drawn(p, []string{"skip", "kill", "kill", "killnowait", "", "nonsense"}); mode != "" {
		options["mode"] = mode
	}
	id := uint64(1 << 40) // of no call
	if calls := p.actors[by].calls; len(calls) > 0 && p.chance(95) {
		c := drawn(p, calls)
		id = c.request
		if mode, _ := options["mode"].(string); c.canceled == "" && mode != "nonsense" {
			c.canceled = cmpOr(mode, wamp.CancelModeKillNoWait)
		}
	}
	return &operation{text: fmt.Sprintf("S%d: CANCEL %d %v", by+1, id, options), by: by, send: func(*playedRouter) []wamp.Message {
		return []wamp.Message{&wamp.Cancel{Request: wamp.ID(id), Options: copied(options)}}
	}}
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// askMeta calls a procedure of the meta API.
func (p *play) askMeta(by int) *operation {
	procedures := []string{}
	for name := range metaResults {
		procedures = append(procedures, name)
	}
	slices.Sort(procedures)
	procedure, name, args := drawn(p, procedures), "", []any{}
	part, verb, _ := strings.Cut(strings.TrimPrefix(procedure, "wamp."), ".")
	switch {
	case verb == "list" || verb == "count":
	case verb == "lookup" || verb == "match":
		t := drawn(p, playedPatterns)
		if part == "registration" {
			t = pattern{uri: drawn(p, playedProcedures)}
		}
		if args = append(args, t.uri); verb == "lookup" && t.match != "" {
			args = append(args, map[string]any{"match": t.match})
		}
	case part == "session":
		name = fmt.Sprint(sessionID, 1+p.rnd.IntN(len(p.actors)))
	case part == "registration":
		name, _ = p.nameOf(by, func(a *playActor) []string { return a.regs })
	default:
		name, _ = p.nameOf(by, func(a *playActor) []string { return a.subs })
	}
	byID := len(args) == 0 && verb != "list" && verb != "count"
	return oneRequest(by, fmt.Sprintf("CALL %s %s %v", procedure, name, args), func(r *playedRouter, id wamp.ID) wamp.Message {
		args := slices.Clone(args)
		if byID {
			args = append(args, r.idOf(name))
		}
		return &wamp.Call{Request: id, Options: wamp.Dict{}, Procedure: wamp.URI(procedure), Arguments: args}
	})
}
