package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

func procedureURI(c capabilities.Capability, p capabilities.Procedure) string {
	return wire.Namespace + c.Name + "." + p.Verb
}

func topicURI(c capabilities.Capability, event string) string {
	return wire.Namespace + c.Name + ".on_" + event
}

// host runs the capabilities, each on a session of its own: a caller that
// stalls one of them stalls no other.
type host struct {
	mu    sync.Mutex
	parts map[string]*part // by the capability's name; the daemon's own procedures are at ""
}

// part is a capability that is offered.
type part struct {
	session  *session.Session
	stop     context.CancelFunc
	watching sync.WaitGroup
}

// startHost offers the capabilities, `status` and `describe`.
func (r *Router) startHost(ctx context.Context, caps []capabilities.Capability) error {
	r.host.parts = map[string]*part{}
	if err := r.Offer(ctx, caps, false); err != nil {
		return err
	}
	p, err := r.join(ctx, "")
	if err != nil {
		return err
	}
	for procedure, answer := range map[string]session.Handler{
		wire.Status: r.answerStatus, wire.Pair: r.answerPair, wire.Announce: r.answerAnnounce, wire.Discover: r.answerDiscover,
	} {
		if err := p.session.Register(ctx, procedure, answer); err != nil {
			return err
		}
	}
	return p.session.Register(ctx, wire.Describe, r.answerDescribe)
}

var describeTakes = []capabilities.Param{{Name: "uri", Type: capabilities.Text, Optional: true}}

// answerDescribe lists what the caller may use.
func (r *Router) answerDescribe(_ context.Context, call *session.Invocation) (session.Result, error) {
	args, err := capabilities.Decode(describeTakes, call.Args, call.Kwargs)
	if err != nil {
		return session.Result{}, onWire(err)
	}
	list := r.directory.describe(args.Text("uri"))
	caller := r.devices.rightsOf(call)
	list = slices.DeleteFunc(list, func(entry any) bool { return !caller.shows(entry.(map[string]any)) })
	return session.Result{Args: []any{list}}, nil
}

// Offer makes caps what the daemon offers. What it offers already stays, unless
// anew: then each capability is ended and started again.
func (r *Router) Offer(ctx context.Context, caps []capabilities.Capability, anew bool) error {
	for _, old := range r.directory.offered() {
		same := func(c capabilities.Capability) bool { return c.Name == old.Name }
		if anew || !slices.ContainsFunc(caps, same) {
			r.host.end(ctx, old.Name)
		}
	}
	r.directory.offer(caps)
	for _, c := range caps {
		if err := r.start(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// start registers a capability, unless that is done.
func (r *Router) start(ctx context.Context, c capabilities.Capability) error {
	if r.host.has(c.Name) {
		return nil
	}
	p, err := r.join(ctx, c.Name)
	if err != nil {
		return err
	}
	for _, proc := range c.Procedures {
		if err := p.session.Register(ctx, procedureURI(c, proc), answer(proc)); err != nil {
			r.host.end(ctx, c.Name)
			return fmt.Errorf("register %s: %w", procedureURI(c, proc), err)
		}
	}
	if c.Watch != nil {
		watch, stop := context.WithCancel(context.Background())
		p.stop = stop
		p.watching.Go(func() { c.Watch(watch, r.publisher(watch, p.session, c)) })
	}
	return nil
}

// Check calls a procedure of the daemon's own through the dealer, and one of nexus: an
// error says that the router no longer routes.
func (r *Router) Check(ctx context.Context) error {
	r.host.mu.Lock()
	describe := r.host.parts[""]
	r.host.mu.Unlock()
	if describe == nil {
		return errors.New("the router is closed")
	}
	for _, procedure := range []string{wire.Describe, string(wamp.MetaProcSessionCount)} {
		if _, err := describe.session.Call(ctx, procedure, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

var daemonLimits = DefaultSessionLimits()

// join attaches a session of the daemon's own for the capability name.
func (r *Router) join(ctx context.Context, name string) (*part, error) {
	g := r.newGuard(r.ledger.own(Identity{AuthID: "daemon", Role: roleDaemon, Method: wire.AuthPeerCred}))
	g.limits = &daemonLimits // not those that the owner sets for peers
	local := transport.NewLocal(g, r.opts.Transport)
	g.peer = transport.NewPeer(local, func() {})
	r.attaching.Go(func() {
		if err := r.engine.AttachClient(g.peer, g.identity.transportDetails()); err != nil {
			r.log.Error("attach", "session", name, "error", err)
			g.peer.Close()
		}
	})
	s, err := session.Join(ctx, local, "dconn "+name)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &part{session: s, stop: func() {}}
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	r.host.parts[name] = p
	return p, nil
}

func (r *Router) publisher(ctx context.Context, s *session.Session, c capabilities.Capability) capabilities.Publish {
	return func(event string, kwargs map[string]any) {
		if err := s.Publish(ctx, topicURI(c, event), nil, kwargs, false); err != nil && ctx.Err() == nil {
			r.log.Warn("event not published", "topic", topicURI(c, event), "error", err)
		}
	}
}

// answer turns a procedure into a WAMP handler.
func answer(p capabilities.Procedure) session.Handler {
	return func(ctx context.Context, call *session.Invocation) (session.Result, error) {
		args, err := capabilities.Decode(p.Params, call.Args, call.Kwargs)
		if err != nil {
			return session.Result{}, onWire(err)
		}
		v, err := p.Handle(ctx, capabilities.Call{Args: args, Caller: uint64(call.Caller)})
		if err != nil {
			return session.Result{}, onWire(err)
		}
		if v == nil {
			return session.Result{}, nil
		}
		return session.Result{Args: []any{v}}, nil
	}
}

// onWire gives the kinds of a capability's error their URI.
func onWire(err error) error {
	uri := wire.ErrApplication
	switch {
	case errors.Is(err, capabilities.ErrInvalid):
		uri = wire.ErrInvalidArgument
	case errors.Is(err, capabilities.ErrUnavailable):
		uri = wire.ErrUnavailable
	case errors.Is(err, capabilities.ErrBusy):
		uri = wire.ErrBusy
	case errors.Is(err, context.Canceled):
		uri = wire.ErrCanceled
	}
	return wire.Errorf(uri, "%s", err)
}

func (h *host) has(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.parts[name] != nil
}

// end ends a capability within ctx.
func (h *host) end(ctx context.Context, name string) {
	h.mu.Lock()
	p := h.parts[name]
	delete(h.parts, name)
	h.mu.Unlock()
	if p != nil {
		p.end(ctx)
	}
}

func (p *part) end(ctx context.Context) {
	p.stop()
	p.session.Leave(ctx)
	p.watching.Wait()
}

// close ends all of them within ctx.
func (h *host) close(ctx context.Context) {
	h.mu.Lock()
	parts := h.parts
	h.parts = map[string]*part{}
	h.mu.Unlock()
	for _, p := range parts {
		p.end(ctx)
	}
}
