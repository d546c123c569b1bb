package router

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
)

// raw is a session by hand: one goroutine says, another hears.
type raw struct {
	member
	world   *world
	w       *wild
	say     *rand.Rand // of the goroutine that says
	listen  *rand.Rand
	request int
	waiting map[int64]any // by request: *subscription, *registration, *placed, or what to do
	subs    map[int64]*subscription
	regs    map[int64]*registration
	tokens  map[*placed]string
	invoked []*invoked
	sending []*streamed         // progressive calls of this session, also those that have ended
	coming  map[int64]*streamed // progressive invocations by request, likewise
	ignored int                 // invocations that get no answer
	over    sync.Once
	done    chan struct{} // closed when the last event was heard, or nothing more is
	heard   sync.WaitGroup
}

// invoked is an invocation that waits for its answer.
type invoked struct {
	request  int64
	token    any
	progress bool
	call     *placed
}

func (w *world) newRaw(b *bench, rnd *rand.Rand, id int, c transport.Codec) actor {
	r := &raw{
		member: member{id: id}, world: w, w: b.wild(ways[rnd.IntN(len(ways))], c),
		say: rnd, listen: rand.New(rand.NewPCG(rnd.Uint64(), 0)),
		waiting: map[int64]any{}, subs: map[int64]*subscription{}, regs: map[int64]*registration{},
		coming: map[int64]*streamed{}, tokens: map[*placed]string{}, done: make(chan struct{}),
	}
	_ = r.w.nc.SetDeadline(time.Now().Add(3 * patienceOfTests))
	r.w.greet([]wamp.Dict{everyRole, everyFeature}[rnd.IntN(2)])
	r.heard.Go(r.hear)
	r.send(func() []any { return r.subscribe([2]string{endTopic, session.Exact}) })
	return r
}

// send says what a step makes of the model, nil for nothing.
func (r *raw) send(make func() []any) {
	r.world.mu.Lock()
	m := make()
	r.world.mu.Unlock()
	if m != nil {
		_ = r.w.put(m...) // hear says when the connection has ended
	}
}

// expect notes what the answer to the next request is for.
func (r *raw) expect(what any) int {
	r.request++
	r.waiting[int64(r.request)] = what
	return r.request
}

func (r *raw) step() {
	switch n := r.say.IntN(22); {
	case n > 19:
		r.send(r.chunk)
	case n < 3:
		r.send(func() []any { return r.subscribe(modelPatterns[r.say.IntN(len(modelPatterns))]) })
	case n < 4:
		r.send(r.unsubscribe)
	case n < 9:
		r.send(func() []any { return r.publish(modelTopics[r.say.IntN(len(modelTopics))], n < 7) })
	case n < 11:
		r.send(r.register)
	case n < 12:
		r.send(r.unregister)
	case n < 15:
		r.send(r.call)
	case n < 16:
		r.send(r.cancel)
	case n < 17:
		time.Sleep(time.Duration(r.say.IntN(500)) * time.Microsecond)
	default:
		r.answer(r.say.IntN(5))
	}
}

func (r *raw) subscribe(pattern [2]string) []any {
	for _, s := range r.world.subscriptions {
		if s.by == &r.member && s.uri == pattern[0] && s.match == pattern[1] && s.given == 0 {
			return nil
		}
	}
	s := r.world.subscribe(&r.member, pattern[0], pattern[1])
	return []any{wamp.SUBSCRIBE, r.expect(s), wamp.Dict{"match": pattern[1]}, pattern[0]}
}

func (r *raw) unsubscribe() []any {
	for id, s := range r.subs {
		if s.giving == 0 && s.uri != endTopic {
			s.giving = r.world.tick()
			return []any{wamp.UNSUBSCRIBE, r.expect(func() { s.given = r.world.tick(); delete(r.subs, id) }), id}
		}
	}
	return nil
}

func (r *raw) publish(topic string, acked bool) []any {
	toSelf := r.say.IntN(4) == 0
	token := r.world.publish(&r.member, topic, toSelf)
	options := wamp.Dict{"exclude_me": !toSelf}
	r.request++
	if acked {
		options["acknowledge"] = true
		r.waiting[int64(r.request)] = func() { r.world.acknowledge(token) }
	}
	return []any{wamp.PUBLISH, r.request, options, topic, wamp.List{token}}
}

func (r *raw) register() []any {
	procedure := modelProcedures[r.say.IntN(len(modelProcedures))]
	for _, g := range r.world.registrations {
		if g.by == &r.member && g.uri == procedure && g.given == 0 {
			return nil
		}
	}
	invoke := "single"
	if procedure == "org.m.shared" {
		invoke = "roundrobin"
	}
	return []any{wamp.REGISTER, r.expect(r.world.register(&r.member, procedure)), wamp.Dict{"invoke": invoke}, procedure}
}

func (r *raw) unregister() []any {
	for id, g := range r.regs {
		if g.giving == 0 {
			g.giving = r.world.tick()
			return []any{wamp.UNREGISTER, r.expect(func() { g.given = r.world.tick(); delete(r.regs, id) }), id}
		}
	}
	return nil
}

func (r *raw) call() []any {
	progress := r.say.IntN(2) == 0
	procedure := modelProcedures[r.say.IntN(len(modelProcedures))]
	token, c := r.world.call(&r.member, procedure, progress)
	r.tokens[c] = token
	options := wamp.Dict{"receive_progress": progress}
	if c.timed = r.say.IntN(4) == 0; c.timed {
		options["timeout"] = 1 + r.say.IntN(20)
	}
	request := r.expect(c)
	if c.streams = r.say.IntN(3) == 0; c.streams {
		options["progress"] = true
		r.sending = append(r.sending, &streamed{request: int64(request), token: token, chunks: 1})
	}
	return []any{wamp.CALL, request, options, procedure, wamp.List{token}}
}

// chunk sends another chunk of a call, which may have ended.
func (r *raw) chunk() []any {
	if len(r.sending) == 0 {
		return nil
	}
	i := r.say.IntN(len(r.sending))
	s := r.sending[i]
	more := r.say.IntN(3) > 0
	if !more {
		r.sending = slices.Delete(r.sending, i, i+1)
	}
	s.chunks++
	return []any{wamp.CALL, s.request, wamp.Dict{"progress": more}, "org.m.ignored", wamp.List{s.token, s.chunks - 1}}
}

func (r *raw) cancel() []any {
	for id, what := range r.waiting {
		if c, ok := what.(*placed); ok && c.canceled == 0 {
			c.canceled = r.world.tick()
			return []any{wamp.CANCEL, id, wamp.Dict{"mode": []string{"skip", "kill", "killnowait"}[r.say.IntN(3)]}}
		}
	}
	return nil
}

// answer answers one invocation: 0 with an error, 1 never, else with a result,
// and progress before it.
func (r *raw) answer(how int) {
	r.world.mu.Lock()
	if len(r.invoked) == 0 {
		r.world.mu.Unlock()
		return
	}
	i := r.say.IntN(len(r.invoked))
	v := r.invoked[i]
	r.invoked = slices.Delete(r.invoked, i, i+1)
	if how == 1 {
		r.ignored++
	}
	r.world.mu.Unlock()
	switch how {
	case 0:
		r.send(func() []any {
			return []any{wamp.ERROR, wamp.INVOCATION, v.request, none, ownError, wamp.List{v.token}}
		})
	case 1:
	default:
		for n := range how {
			if v.progress {
				r.send(func() []any { return []any{wamp.YIELD, v.request, wamp.Dict{"progress": true}, wamp.List{n}} })
			}
		}
		r.send(func() []any { return []any{wamp.YIELD, v.request, none, wamp.List{v.token}} })
	}
}

func (r *raw) settle() {
	r.world.settled(func() {
		r.world.mu.Lock()
		ignores := r.ignored > 0
		r.world.mu.Unlock()
		if ignores {
			r.leave() // else the callers wait for ever, as they should
		}
		for range 20 {
			r.answer(2)
		}
	})
}

// last waits for its acknowledgment: the event that ends it all comes after it.
func (r *raw) last() {
	acknowledged := make(chan struct{})
	r.send(func() []any {
		m := r.publish("org.m.a", true)
		acknowledge := r.waiting[int64(r.request)].(func())
		r.waiting[int64(r.request)] = func() { acknowledge(); close(acknowledged) }
		return m
	})
	select {
	case <-acknowledged:
	case <-r.done:
	case <-time.After(patienceOfTests):
		r.w.t.Error("the last event is not acknowledged")
	}
}

func (r *raw) heardAll() { r.over.Do(func() { close(r.done) }) }

func (r *raw) ended() <-chan struct{} { return r.done }

// leave says GOODBYE, or hangs up, or does so in the middle of a frame.
func (r *raw) leave() {
	r.world.mu.Lock()
	again := r.left != 0
	if !again {
		r.left = r.world.tick()
	}
	r.world.mu.Unlock()
	if again {
		return
	}
	switch r.say.IntN(3) {
	case 0:
		_ = r.w.put(wamp.GOODBYE, none, "wamp.close.normal")
	case 1:
		_, _ = r.w.nc.Write(r.w.encoded(wamp.PUBLISH, 1, none, "org.m.a", wamp.List{"half"})[:9])
		_ = r.w.nc.Close()
	case 2:
		_ = r.w.nc.Close()
	}
	r.heard.Wait()
	_ = r.w.nc.Close()
}

func (r *raw) hear() {
	defer r.heardAll()
	for {
		m, err := r.w.next()
		r.world.mu.Lock()
		switch {
		case err != nil && r.left == 0:
			r.world.wrongf("session %d was ended: %v", r.id, err)
		case err == nil:
			if wrong := r.handle(m); wrong != "" && !(r.left != 0 && kindOf(m) == wamp.GOODBYE) {
				r.world.wrongf("session %d: %s: %v", r.id, wrong, m)
			}
		}
		r.world.mu.Unlock()
		if err != nil {
			return
		}
	}
}
