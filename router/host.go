package router

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
	sessions []*session.Session
	stop     context.CancelFunc
	watching sync.WaitGroup
}

// startHost registers every capability and `describe`.
func (r *Router) startHost(ctx context.Context) error {
	watch, stop := context.WithCancel(context.Background())
	r.host.stop = stop
	for _, c := range r.directory.capabilities {
		s, err := r.join(ctx, c.Name)
		if err != nil {
			return err
		}
		for _, p := range c.Procedures {
			if err := s.Register(ctx, procedureURI(c, p), answer(p)); err != nil {
				return fmt.Errorf("register %s: %w", procedureURI(c, p), err)
			}
		}
		if c.Watch != nil {
			r.host.watching.Go(func() { c.Watch(watch, r.publisher(watch, s, c)) })
		}
	}
	s, err := r.join(ctx, "describe")
	if err != nil {
		return err
	}
	return s.Register(ctx, wire.Describe, func(_ context.Context, call *session.Invocation) (session.Result, error) {
		args, err := capabilities.Decode(describeTakes, call.Args, call.Kwargs)
		if err != nil {
			return session.Result{}, onWire(err)
		}
		return session.Result{Args: []any{r.directory.describe(args.Text("uri"))}}, nil
	})
}

var describeTakes = []capabilities.Param{{Name: "uri", Type: capabilities.Text, Optional: true}}

// join attaches a session of the daemon's own.
func (r *Router) join(ctx context.Context, name string) (*session.Session, error) {
	near, far := transport.Pipe()
	daemon := Identity{AuthID: "daemon", Role: roleDaemon, Method: wire.AuthPeerCred}
	r.attaching.Go(func() {
		if err := r.engine.AttachClient(far, daemon.transportDetails()); err != nil {
			r.log.Error("attach", "session", name, "error", err)
		}
	})
	s, err := session.Join(ctx, near, "dconn "+name)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	r.host.sessions = append(r.host.sessions, s)
	return s, nil
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
	}
	return wire.Errorf(uri, "%s", err)
}

// close ends the watchers and sessions within ctx.
func (h *host) close(ctx context.Context) {
	if h.stop != nil {
		h.stop()
	}
	for _, s := range h.sessions {
		s.Leave(ctx)
	}
	h.watching.Wait()
}
