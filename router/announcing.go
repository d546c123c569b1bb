package router

import (
	"context"
	"errors"
	"net"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/announce"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

// errNobodyHears says that there is nothing to announce.
var errNobodyHears = errors.New("no port is open to other machines: see serve --listen")

// Announce tells the local network that this machine serves at a TCP port, until
// Close or Silence.
func (r *Router) Announce(port int) error {
	if port == 0 {
		return errNobodyHears
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closing:
		return errors.New("the router is closed")
	case r.announcer != nil:
		r.announcer.Resume()
		return nil
	}
	a, err := announce.Start(r.closed, announce.Options{
		Name: r.name, Port: port, ID: r.id().String(), Log: r.log,
		Renamed: func(name string) { r.log.Info("announced under another name", "name", name) },
	})
	if err != nil {
		return err
	}
	a.SetPairing(r.window.Load() != nil)
	r.announcer = a
	return nil
}

// Silence ends what Announce has begun.
func (r *Router) Silence() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.announcer != nil {
		r.announcer.Pause()
	}
}

// announcePairing says whether a pairing window is open.
func (r *Router) announcePairing(open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.announcer != nil {
		r.announcer.SetPairing(open)
	}
}

// portForOthers is a TCP port that is not open on loopback alone, 0 if there is
// none.
func (r *Router) portForOthers() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ln := range r.listeners {
		if at, isTCP := ln.Addr().(*net.TCPAddr); isTCP && !at.IP.IsLoopback() && r.opts.Certificate != nil {
			return at.Port
		}
	}
	return 0
}

var announceTakes = []capabilities.Param{{Name: "do", Type: capabilities.Text, Optional: true}}

// answerAnnounce turns the announcement on or off for the owner, and says what is
// announced.
func (r *Router) answerAnnounce(_ context.Context, call *session.Invocation) (session.Result, error) {
	args, err := capabilities.Decode(announceTakes, call.Args, call.Kwargs)
	if err != nil {
		return session.Result{}, onWire(err)
	}
	switch args.Text("do") {
	case "on":
		if err := r.Announce(r.portForOthers()); err != nil {
			return session.Result{}, wire.Errorf(wire.ErrUnavailable, "cannot announce: %v", err)
		}
	case "off":
		r.Silence()
	case "":
	default:
		return session.Result{}, wire.Errorf(wire.ErrInvalidArgument, "do must be on or off, got %q", args.Text("do"))
	}
	return session.Result{Args: []any{r.announced()}}, nil
}

// announced is what is announced now, and the TCP addresses that the daemon is at.
func (r *Router) announced() map[string]any {
	r.mu.Lock()
	a, name, listen := r.announcer, r.name, []any{}
	for _, ln := range r.listeners {
		if ln.Addr().Network() == "tcp" {
			listen = append(listen, ln.Addr().String())
		}
	}
	r.mu.Unlock()
	if a == nil {
		return map[string]any{"state": "off", "listen": listen}
	}
	s := a.Status()
	state := map[bool]string{true: "off", false: "on"}[s.Paused]
	return map[string]any{
		"state": state, "name": s.Name, "host": s.Host, "port": int64(s.Port), "pairing": s.Pairing,
		"links": anyOf(s.Links), "conflicts": int64(s.Conflicts), "asked": announce.CleanName(name), "listen": listen,
	}
}
