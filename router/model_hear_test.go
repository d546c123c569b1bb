package router

import (
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// handle compares a message with the model, and says what is wrong with it.
func (r *raw) handle(m []any) (wrong string) {
	switch kindOf(m) {
	case wamp.EVENT:
		s := r.subs[m[1].(int64)]
		args, _ := m[len(m)-1].([]any)
		switch {
		case s == nil:
			return "an event of a subscription that it does not have"
		case len(args) != 1:
			return "an event without its argument"
		case s.uri == endTopic:
			r.heardAll()
			return ""
		}
		token, _ := args[0].(string)
		s.got = append(s.got, token)
	case wamp.INVOCATION:
		return r.invocation(m)
	case wamp.INTERRUPT:
		for _, v := range r.invoked {
			if v.request == m[1] && v.call.canceled == 0 && !v.call.timed && v.call.by.left == 0 {
				return "an interrupt of a call that its caller still wants"
			}
		}
	case wamp.RESULT:
		return r.result(m)
	case wamp.ERROR:
		return r.failed(m)
	case wamp.SUBSCRIBED, wamp.UNSUBSCRIBED, wamp.REGISTERED, wamp.UNREGISTERED, wamp.PUBLISHED:
		return r.granted(m)
	default:
		return "this is not for a client"
	}
	return ""
}

// take is what waits for an answer to a request.
func (r *raw) take(request any) any {
	id, _ := request.(int64)
	what := r.waiting[id]
	delete(r.waiting, id)
	return what
}

func (r *raw) granted(m []any) (wrong string) {
	switch what := r.take(m[1]).(type) {
	case *subscription:
		if kindOf(m) != wamp.SUBSCRIBED || r.subs[m[2].(int64)] != nil {
			return "a SUBSCRIBE is answered so"
		}
		what.granted = r.world.tick()
		r.subs[m[2].(int64)] = what
	case *registration:
		if kindOf(m) != wamp.REGISTERED {
			return "a REGISTER is answered so"
		}
		what.granted = r.world.tick()
		r.regs[m[2].(int64)] = what
	case func():
		what()
	default:
		return "an answer to nothing"
	}
	return ""
}

func (r *raw) invocation(m []any) (wrong string) {
	args, _ := m[len(m)-1].([]any)
	g := r.regs[m[2].(int64)]
	details := m[3].(map[string]any)
	more := details["progress"] == true
	if s := r.coming[m[1].(int64)]; s != nil {
		return r.world.chunk(s, args, more)
	}
	switch {
	case g == nil:
		return "an invocation of a registration that it does not have"
	case len(args) != 1:
		return "an invocation without its argument"
	}
	v := &invoked{request: m[1].(int64), token: args[0], call: r.world.invoke(args[0])}
	v.progress = details["receive_progress"] == true
	if more {
		r.coming[v.request] = &streamed{token: v.token, chunks: 1}
	}
	r.invoked = append(r.invoked, v)
	if v.call.procedure != g.uri || more && !v.call.streams || v.progress && !v.call.wantsProgress {
		return "not as it was called"
	}
	return ""
}

func (r *raw) result(m []any) (wrong string) {
	id, _ := m[1].(int64)
	c, ok := r.waiting[id].(*placed)
	if !ok {
		return "an answer to nothing"
	}
	args, _ := m[len(m)-1].([]any)
	if m[2].(map[string]any)["progress"] == true {
		r.world.step(c, args)
		return ""
	}
	delete(r.waiting, id)
	r.world.end(r.tokens[c], c, "", args)
	return ""
}

func (r *raw) failed(m []any) (wrong string) {
	args, _ := m[len(m)-1].([]any)
	uri, _ := m[4].(string)
	switch what := r.take(m[2]).(type) {
	case *placed:
		r.world.end(r.tokens[what], what, uri, args)
		return ""
	case *registration:
		if uri != wire.ErrAlreadyExists {
			return "a REGISTER is refused"
		}
		what.given = r.world.tick()
		return ""
	}
	return "an error for nothing, or what must not fail"
}
