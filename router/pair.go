package router

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/pairing"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

var pairTakes = []capabilities.Param{
	{Name: "window", Type: capabilities.Float, Min: 1, Max: 900, Named: true, Optional: true},
	{Name: "allow", Type: capabilities.List, Named: true, Optional: true},
	{Name: "expires", Type: capabilities.Text, Named: true, Optional: true},
	{Name: "name", Type: capabilities.Text, Named: true, Optional: true},
	{Name: "reset", Type: capabilities.Bool, Named: true, Optional: true},
}

// DefaultScopes stands, among scopes, for what a pairing gives where nothing is
// said: the capabilities that are offered then and are not sensitive.
const DefaultScopes = "default"

// answerPair opens a pairing window for the owner and tells what happens at it,
// until a device is paired. It closes with the call.
func (r *Router) answerPair(ctx context.Context, call *session.Invocation) (session.Result, error) {
	args, err := capabilities.Decode(pairTakes, call.Args, call.Kwargs)
	if err != nil {
		return session.Result{}, onWire(err)
	}
	if call.Progress == nil {
		return session.Result{}, wire.Errorf(wire.ErrInvalidArgument, "the code comes before the result: this call must ask for progress")
	}
	if !r.lockPairing(ctx) {
		return session.Result{}, wire.Errorf(wire.ErrBusy, "a pairing window is open already")
	}
	defer r.pairing.Unlock()
	w, err := r.openWindow(args, func(kwargs map[string]any) {
		_ = call.Progress(ctx, session.Result{Kwargs: kwargs})
	})
	if err != nil {
		return session.Result{}, err
	}
	r.announcePairing(true)
	defer func() {
		r.window.Store(nil)
		r.announcePairing(false)
	}()
	defer context.AfterFunc(ctx, w.Close)()
	device, err := w.await(ctx)
	if err != nil {
		return session.Result{}, err
	}
	return session.Result{Kwargs: map[string]any{
		"id": device.ID.String(), "name": device.Name, "scopes": anyOf(device.Scopes),
	}}, nil
}

// lockPairing reports whether no other window is open, and keeps others from opening
// one. A window whose caller has just left takes a moment to close.
func (r *Router) lockPairing(ctx context.Context) bool {
	for range 10 {
		if r.pairing.TryLock() {
			return true
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// window is the time in which the owner lets a device in.
type window struct {
	*pairing.Window
	devices *devices
	scopes  trust.Scopes
	expires time.Time
	name    string // that the owner gives the device, "" if its own will do
	place   pairing.Place
	tell    func(kwargs map[string]any)
}

// openWindow opens a window as args have it. r.pairing is held.
func (r *Router) openWindow(args capabilities.Args, tell func(map[string]any)) (*window, error) {
	if r.devices.store == nil || r.opts.Certificate == nil {
		return nil, wire.Errorf(wire.ErrUnavailable, "this daemon listens on no TCP port, so nobody can pair with it")
	}
	w := &window{devices: r.devices, tell: tell, place: r.place()}
	if err := w.take(args, r.directory.offered()); err != nil {
		return nil, onWire(err)
	}
	if args.Bool("reset") {
		if err := r.devices.resetGuesses(); err != nil {
			return nil, wire.Errorf(wire.ErrApplication, "%v", err)
		}
	}
	var err error
	w.Window, err = pairing.Open(pairing.Options{
		Length:       time.Duration(args.Float("window") * float64(time.Second)),
		Introduction: pairing.Introduction{Name: r.called(), Scopes: texts(w.scopes), Addresses: w.place.Addresses},
		Place:        w.place,
		Grant:        w.grant,
		Counters:     guesses{r.devices.store},
		Report:       w.report,
	})
	if err != nil {
		return nil, windowError(err)
	}
	r.window.Store(w.Window)
	return w, nil
}

// take reads what the owner wants to give.
func (w *window) take(args capabilities.Args, offered []capabilities.Capability) (err error) {
	if text := args.Text("expires"); text != "" {
		if w.expires, err = time.Parse(time.RFC3339, text); err != nil {
			return capabilities.Invalid("expires must be a time like 2026-12-31T23:59:59Z, got %q", text)
		}
	}
	if text := args.Text("name"); text != "" {
		w.name = trust.PlainName(pairing.CleanName(text))
	}
	words := args.List("allow")
	if !args.Has("allow") {
		words = []any{DefaultScopes}
	}
	w.scopes, err = scopesOf(words, offered)
	return err
}

// await waits until a device has been let in and has come back to confirm it.
func (w *window) await(ctx context.Context) (trust.Device, error) {
	paired, err := w.Result()
	if err != nil {
		return trust.Device{}, windowError(err)
	}
	limit := time.After(trust.PendingFor)
	for {
		device, found := w.devices.store.Find(paired.ID)
		if found && device.Pending == nil {
			return device, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-limit:
			return device, wire.Errorf(wire.ErrTimeout, "%s did not come back within %v to confirm the pairing", paired.Name, trust.PendingFor)
		case <-ctx.Done():
			return device, context.Cause(ctx)
		}
	}
}

// grant notes what a device may do once it has come back.
func (w *window) grant(peer pairing.ID, name string) error {
	if name = trust.PlainName(name); w.name != "" {
		name = w.name
	}
	return w.devices.store.Grant(peer, name, w.scopes, w.expires)
}

// report tells the owner what happened at the window.
func (w *window) report(what pairing.Report) {
	d := w.devices
	switch what := what.(type) {
	case pairing.Shown:
		event := map[string]any{
			"event": "code", "code": what.Code, "token": what.Token, "left": what.Left.Seconds(),
			"addresses": anyOf(w.place.Addresses), "port": int64(w.place.Port), "scopes": anyOf(w.scopes),
		}
		if what.Code == "" {
			event["event"] = "token"
			delete(event, "code")
		}
		w.tell(event)
	case pairing.Wrong:
		d.write(trust.Entry{Event: "wrong_code", From: what.From})
		d.log.Warn("wrong pairing code", "from", what.From)
		w.tell(map[string]any{"event": "wrong_code", "from": what.From, "left": int64(what.Left)})
	case *pairing.LockedError:
		d.write(trust.Entry{Event: "locked"})
		d.log.Warn("pairing by digits is locked", "reason", what)
	case pairing.DigitsOver:
		w.tell(map[string]any{"event": "digits_over", "message": what.Reason.Error()})
	case pairing.Paired:
		w.tell(map[string]any{"event": "granted", "id": trust.ID(what.ID).String(), "name": what.Name})
	}
}

// windowError gives the end of a window its URI.
func windowError(err error) error {
	_, locked := errors.AsType[*pairing.LockedError](err)
	switch {
	case errors.Is(err, pairing.ErrExpired):
		return wire.Errorf(wire.ErrTimeout, "nobody has paired: the window has closed")
	case locked || errors.Is(err, pairing.ErrExhausted):
		return wire.Errorf(wire.ErrPairing, "%v", err)
	case errors.Is(err, pairing.ErrCanceled):
		return wire.Errorf(wire.ErrCanceled, "%v", err)
	}
	return wire.Errorf(wire.ErrApplication, "%v", err)
}

// scopesOf are the scopes that words name.
func scopesOf(words []any, offered []capabilities.Capability) (trust.Scopes, error) {
	scopes := trust.Scopes{}
	add := func(s trust.Scope) {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	for _, word := range words {
		text, _ := word.(string)
		if text == DefaultScopes {
			for _, c := range offered {
				if !c.Sensitive {
					add(trust.Scope(c.Name))
				}
			}
			continue
		}
		scope, err := trust.ParseScope(text)
		if err != nil {
			return nil, capabilities.Invalid("allow: %v", err)
		}
		add(scope)
	}
	return scopes, nil
}

// guesses keeps the counters of pairing in the store.
type guesses struct{ store *trust.Store }

func (g guesses) Load() (pairing.Counters, error) {
	kept, err := g.store.Guesses()
	return pairing.Counters(kept), err
}

func (g guesses) Save(c pairing.Counters) error { return g.store.SaveGuesses(trust.Guesses(c)) }

// resetGuesses forgets how often a wrong code was tried: the owner says so.
func (d *devices) resetGuesses() error {
	d.write(trust.Entry{Event: "reset"})
	return pairing.Reset(guesses{d.store})
}

// answerPairing is the exchange with whoever speaks dconn-pair/1.
func (r *Router) answerPairing(ctx context.Context, tc *tls.Conn, from string) error {
	c, err := pairing.NewChannel(tc, r.id())
	if err != nil {
		return err
	}
	w := r.window.Load()
	if w == nil {
		return pairing.Closed(ctx, c)
	}
	return w.Answer(ctx, c, from)
}

// maxShown is how many addresses of this machine are said, in a token too.
const maxShown = 6

// place is who this machine is, and where others reach it. A port that is open on
// loopback alone is said to be there.
func (r *Router) place() pairing.Place {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := pairing.Place{Peer: r.id()}
	for _, ln := range r.listeners {
		if at, isTCP := ln.Addr().(*net.TCPAddr); isTCP {
			p.Port = uint16(at.Port)
			p.Addresses = append(p.Addresses, addressesOf(at)...)
		}
	}
	p.Addresses = p.Addresses[:min(len(p.Addresses), maxShown)]
	return p
}

// addressesOf are those, HOST:PORT, where others reach a listener at at.
func addressesOf(at *net.TCPAddr) (list []string) {
	if !at.IP.IsUnspecified() {
		return []string{at.String()}
	}
	interfaces, _ := net.InterfaceAddrs()
	for _, a := range interfaces {
		ip, isIP := a.(*net.IPNet)
		if isIP && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			list = append(list, net.JoinHostPort(ip.IP.String(), strconv.Itoa(at.Port)))
		}
	}
	return list
}

// id is that of this machine.
func (r *Router) id() trust.ID { return trust.IDOf(r.opts.Certificate.Leaf) }

func texts(scopes trust.Scopes) (list []string) {
	for _, s := range scopes {
		list = append(list, string(s))
	}
	return list
}

func anyOf[T ~string](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
