package router

import (
	"fmt"
	"slices"

	"github.com/gammazero/nexus/v3/wamp"
)

// note draws from what session i has heard what it may do next.
func (p *play) note(o *operation, i int, stock, ours []*canonical) {
	a := p.actors[i]
	for _, m := range stock {
		switch m.kind {
		case wamp.SUBSCRIBED:
			a.subs = withName(a.subs, m.grants)
		case wamp.REGISTERED:
			a.regs = withName(a.regs, m.grants)
		case wamp.UNSUBSCRIBED:
			a.subs = slices.DeleteFunc(a.subs, func(n string) bool { return n == o.target })
		case wamp.UNREGISTERED:
			a.regs = slices.DeleteFunc(a.regs, func(n string) bool { return n == o.target })
		case wamp.INVOCATION:
			p.invoked(a, m)
		}
	}
	for _, m := range slices.Concat(stock, ours) {
		if m.kind == wamp.RESULT && m.details["progress"] != true || m.kind == wamp.ERROR {
			a.calls = slices.DeleteFunc(a.calls, func(c *openCall) bool {
				return m.request == fmt.Sprint(c.request) || m.request == fmt.Sprint(wamp.CALL, " ", c.request)
			})
		}
	}
}

func withName(all []string, name string) []string {
	if slices.Contains(all, name) {
		return all
	}
	return append(all, name)
}

// invoked notes an invocation that waits for its answer.
func (p *play) invoked(a *playActor, m *canonical) {
	for _, caller := range p.actors {
		for _, c := range caller.calls {
			if len(m.args) > 0 && m.args[0] == c.token {
				c.callee, c.reg = a, m.grants
			}
		}
	}
	more := m.details["progress"] == true
	for _, v := range a.invoked {
		if v.name == m.request {
			v.more = more
			return
		}
	}
	a.invoked = append(a.invoked, &openInvocation{name: m.request, progress: m.details["receive_progress"] == true, more: more})
}

// answerRandom answers a call of which each router invokes a callee of its choice.
func (p *play) answerRandom(o *operation) string {
	if wrong := p.counted(); wrong != "" {
		return wrong
	}
	invoked := [2]string{}
	for i, r := range p.routers {
		for _, s := range r.sessions {
			at := slices.IndexFunc(s.heard, func(m wamp.Message) bool { return m.MessageType() == wamp.INVOCATION })
			if at < 0 {
				continue
			}
			inv := s.heard[at].(*wamp.Invocation)
			s.heard = slices.Delete(s.heard, at, at+1)
			invoked[i] += fmt.Sprint(r.names.of(registrationID, inv.Registration), inv.Arguments, inv.ArgumentsKw)
			s.send(&wamp.Yield{Request: inv.Request, Options: wamp.Dict{}, Arguments: inv.Arguments})
		}
		r.settle(o.by) // of all sessions, because the two callees may not be the same
		r.settle(o.by)
	}
	if invoked[0] != invoked[1] {
		return fmt.Sprintf("random callees: stock invokes %q, ours %q", invoked[0], invoked[1])
	}
	return ""
}

// odd is an operation that a polite session would not do.
func (p *play) odd(by int) *operation {
	a := p.actors[by]
	acknowledged := func(topic string, more wamp.Dict) func(*playedRouter, wamp.ID) wamp.Message {
		return func(_ *playedRouter, id wamp.ID) wamp.Message {
			options := copied(more)
			options["acknowledge"] = true
			return &wamp.Publish{Request: id, Options: options, Topic: wamp.URI(topic), Arguments: wamp.List{"odd"}}
		}
	}
	var o *operation
	switch p.rnd.IntN(6) {
	case 0:
		o = oneRequest(by, "PUBLISH wamp.registration.forged", acknowledged("wamp.registration.forged", nil))
		o.kind = publishReserved
	case 1:
		o = oneRequest(by, "PUBLISH net.a to nobody", acknowledged("net.a", wamp.Dict{"eligible": wamp.List{}}))
		o.kind = publishToNobody
	case 2:
		o = oneRequest(by, "REGISTER wamp.net", func(_ *playedRouter, id wamp.ID) wamp.Message {
			return &wamp.Register{Request: id, Options: wamp.Dict{}, Procedure: "wamp.net"}
		})
		o.kind = registerReserved
	case 3:
		return p.callAgain(by)
	case 4:
		if slices.ContainsFunc(a.calls, func(c *openCall) bool { return c.request == 1 }) {
			return nil
		}
		return p.reuse(by)
	case 5:
		parts := p.rnd.IntN(2)
		last := drawn(p, []string{"YIELD", "net.error.own"})
		return &operation{
			kind: answerCall, text: fmt.Sprintf("S%d answers no invocation: progress %d times, then %s", by+1, parts, last), by: by,
			send: func(*playedRouter) []wamp.Message { return repliesTo(1<<40, parts, last) },
		}
	}
	return o
}

// reuse uses the id of a request that was answered long ago.
func (p *play) reuse(by int) *operation {
	if p.chance(50) {
		t := drawn(p, playedPatterns)
		return &operation{text: fmt.Sprintf("S%d: SUBSCRIBE %q %s with id 1", by+1, t.uri, t.match), by: by, send: func(*playedRouter) []wamp.Message {
			return []wamp.Message{&wamp.Subscribe{Request: 1, Options: matching(t), Topic: wamp.URI(t.uri)}}
		}}
	}
	p.tokens++
	c := &openCall{request: 1, procedure: drawn(p, playedProcedures), token: fmt.Sprint("c", p.tokens)}
	p.actors[by].calls = append(p.actors[by].calls, c)
	return &operation{text: fmt.Sprintf("S%d: CALL %q with id 1", by+1, c.procedure), by: by, send: func(*playedRouter) []wamp.Message {
		return []wamp.Message{&wamp.Call{Request: 1, Options: wamp.Dict{}, Procedure: wamp.URI(c.procedure), Arguments: wamp.List{c.token}}}
	}}
}

// callAgain sends a CALL with the id of a call in flight, but of none with a timeout:
// nexus would start a second timer and never stop the first, which ends the process
// when the router is closed (dealer.go:893).
func (p *play) callAgain(by int) *operation {
	for _, c := range p.actors[by].calls {
		if c.more || c.timed || c.canceled != "" || c.callee == nil || c.callee.left || !slices.Contains(c.callee.regs, c.reg) {
			continue
		}
		return &operation{
			kind: callInFlight, text: fmt.Sprintf("S%d: CALL %q with id %d, which is in flight", by+1, c.procedure, c.request), by: by,
			send: func(*playedRouter) []wamp.Message {
				return []wamp.Message{&wamp.Call{
					Request: wamp.ID(c.request), Options: wamp.Dict{}, Procedure: wamp.URI(c.procedure), Arguments: wamp.List{c.token, "again"},
				}}
			},
		}
	}
	return nil
}
