package router

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// polite is a session of ours. It keeps what it subscribes to and registers.
type polite struct {
	member
	world *world
	b     *bench
	conn  *transport.Conn // nil for one inside the daemon
	s     *session.Session
	rnd   *rand.Rand
	calls sync.WaitGroup
	over  chan struct{}
}

func (w *world) newPolite(b *bench, rnd *rand.Rand, id int, c transport.Codec) actor {
	y := ways[rnd.IntN(len(ways))]
	conn, err := y.upgrade(b, y.dial(b), c)
	if err != nil {
		b.t.Error(err)
		runtime.Goexit()
	}
	s, err := session.Join(b.ctx(), conn, "polite")
	if err != nil {
		b.t.Error(err)
		runtime.Goexit()
	}
	return w.polite(b, rnd, id, s, conn)
}

// newOwn is a session inside the daemon.
func (w *world) newOwn(b *bench, rnd *rand.Rand, id int) actor {
	part, err := b.router.join(b.ctx(), fmt.Sprint("own", id))
	if err != nil {
		b.t.Error(err)
		runtime.Goexit()
	}
	return w.polite(b, rnd, id, part.session, nil)
}

func (w *world) polite(b *bench, rnd *rand.Rand, id int, s *session.Session, conn *transport.Conn) actor {
	p := &polite{member: member{id: id}, world: w, b: b, conn: conn, s: s, rnd: rnd, over: make(chan struct{})}
	if err := p.s.Subscribe(b.ctx(), endTopic, session.Exact, func(*session.Event) { close(p.over) }); err != nil {
		b.t.Error(err)
	}
	return p
}

// under does something to the model.
func (p *polite) under(do func()) {
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	do()
}

// must notes an error of a session that stays.
func (p *polite) must(what string, err error) {
	p.under(func() {
		if err != nil && p.left == 0 {
			p.world.wrongf("session %d: %s: %v", p.id, what, err)
		}
	})
}

func (p *polite) step() {
	switch n := p.rnd.IntN(20); {
	case n < 3:
		p.subscribe(modelPatterns[p.rnd.IntN(len(modelPatterns))])
	case n < 10:
		p.publish(modelTopics[p.rnd.IntN(len(modelTopics))], n < 7)
	case n < 12:
		p.register([]string{"org.m.other", "org.m.shared"}[n-10])
	case n < 18:
		after := time.Duration(p.rnd.IntN(3000)) * time.Microsecond
		procedure, progress := modelProcedures[p.rnd.IntN(len(modelProcedures))], p.rnd.IntN(2) == 0
		p.calls.Go(func() { p.call(procedure, progress, n == 17, after) })
	default:
		time.Sleep(time.Duration(p.rnd.IntN(500)) * time.Microsecond)
	}
}

func (p *polite) subscribe(pattern [2]string) {
	var s *subscription
	p.under(func() {
		for _, held := range p.world.subscriptions {
			if held.by == &p.member && held.uri == pattern[0] && held.match == pattern[1] {
				return
			}
		}
		s = p.world.subscribe(&p.member, pattern[0], pattern[1])
	})
	if s == nil {
		return
	}
	p.must("subscribe", p.s.Subscribe(p.b.ctx(), pattern[0], pattern[1], func(e *session.Event) {
		p.under(func() {
			token, _ := e.Args[0].(string)
			s.got = append(s.got, token)
		})
	}))
	p.under(func() { s.granted = p.world.tick() })
}

func (p *polite) publish(topic string, ack bool) {
	var token string
	p.under(func() { token = p.world.publish(&p.member, topic, false) })
	err := p.s.Publish(p.b.ctx(), topic, []any{token}, nil, ack)
	p.must("publish", err)
	if ack && err == nil {
		p.under(func() { p.world.acknowledge(token) })
	}
}

func (p *polite) register(procedure string) {
	var r *registration
	p.under(func() {
		held := func(g *registration) bool { return g.by == &p.member && g.uri == procedure && g.given == 0 }
		if !slices.ContainsFunc(p.world.registrations, held) {
			r = p.world.register(&p.member, procedure)
		}
	})
	if r == nil {
		return
	}
	policy := "single"
	if procedure == "org.m.shared" {
		policy = "roundrobin"
	}
	err := p.s.RegisterShared(p.b.ctx(), procedure, policy, p.answer)
	if e, ok := errors.AsType[*wire.Error](err); ok && e.URI == wire.ErrAlreadyExists {
		p.under(func() { r.given = p.world.tick() })
		return
	}
	p.must("register", err)
	p.under(func() { r.granted = p.world.tick() })
}

// answer answers in one of the ways of raw.
func (p *polite) answer(ctx context.Context, v *session.Invocation) (session.Result, error) {
	how := 2
	p.under(func() {
		if c := p.world.invoke(v.Args[0]); c.procedure != v.Procedure || v.Progress != nil && !c.wantsProgress {
			p.world.wrongf("session %d was called as %s with progress %v: %+v", p.id, v.Procedure, v.Progress != nil, c)
		}
		how = p.rnd2()
	})
	switch how {
	case 0:
		return session.Result{}, &wire.Error{URI: ownError, Args: v.Args}
	case 1:
		select {
		case <-ctx.Done():
		case <-p.world.settling:
		}
	default:
		for n := 0; n < how && v.Progress != nil; n++ {
			_ = v.Progress(ctx, session.Result{Args: []any{n}})
		}
	}
	return session.Result{Args: v.Args}, nil
}

// rnd2 is a number of an answer: it depends on the moment, not on the seed.
func (p *polite) rnd2() int { return int(p.world.tick() % 5) }

func (p *polite) call(procedure string, progress, cancels bool, after time.Duration) {
	var token string
	var c *placed
	p.under(func() { token, c = p.world.call(&p.member, procedure, progress) })
	ctx, stop := context.WithCancel(p.b.ctx())
	defer stop()
	if cancels {
		timer := time.AfterFunc(after, func() { p.under(func() { c.canceled = p.world.tick() }); stop() })
		defer timer.Stop()
	}
	var onProgress func(session.Result)
	if progress {
		onProgress = func(r session.Result) { p.under(func() { p.world.step(c, r.Args) }) }
	}
	r, err := p.s.CallProgressive(ctx, procedure, []any{token}, nil, onProgress)
	p.under(func() {
		e, ok := errors.AsType[*wire.Error](err)
		switch {
		case p.left != 0:
		case err == nil:
			p.world.end(token, c, "", r.Args)
		case ok:
			p.world.end(token, c, e.URI, e.Args)
		case c.canceled != 0:
			p.world.end(token, c, wire.ErrCanceled, nil)
		default:
			p.world.wrongf("call %s: %v", token, err)
		}
	})
}

func (p *polite) settle() { p.world.settled(func() {}) }

func (p *polite) last() { p.publish("org.m.a", true) }

func (p *polite) ended() <-chan struct{} { return p.over }

func (p *polite) leave() {
	p.under(func() { p.left = p.world.tick() })
	if p.conn == nil || p.rnd.IntN(2) == 0 {
		p.s.Leave(p.b.ctx())
	} else {
		p.conn.Abandon()
		<-p.s.Done()
	}
	p.calls.Wait()
}
