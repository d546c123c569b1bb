// Package router is the daemon: nexus's routing engine behind our own
// listeners, transport and rules, and the host of the capabilities.
package router

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"
	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/announce"
	"github.com/deskconn/dconn/router/broker"
	"github.com/deskconn/dconn/router/dealer"
	"github.com/deskconn/dconn/router/pairing"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// Options configures a Router.
type Options struct {
	Name         string // of this machine, for the owner's status
	Version      string // of dconn
	Capabilities []capabilities.Capability
	Log          *slog.Logger
	Transport    transport.Limits
	Session      SessionLimits
	Door         DoorLimits
	Origins      []string // of pages that may use a websocket, beside our own
	Devices      DeviceLimits
	Backlog      int              // bytes that may wait to be written to all sessions together; 0 is no bound
	MemoryLimit  int64            // of debug.SetMemoryLimit, in bytes, while no device is here; 0 leaves it alone
	Drain        time.Duration    // how long Close waits for calls in flight
	Certificate  *tls.Certificate // this machine's identity; nil speaks no TLS
	Trust        *trust.Store     // the devices that may come in over the network; nil is none

	admitAll bool                      // in tests: strangers and devices may do what no rule reserves
	from     func(net.Conn) netip.Addr // in tests: where a connection comes from
}

// Router routes calls and events between the sessions of its listeners and
// the capabilities.
type Router struct {
	log       *slog.Logger
	opts      Options
	engine    nexus.Router
	dealer    *dealer.Dealer
	broker    *broker.Broker
	directory *directory
	ledger    *ledger
	quiet     *time.Timer
	host      host
	door      *door
	devices   *devices
	pairing   sync.Mutex // held while a window is open
	window    atomic.Pointer[pairing.Window]
	closed    context.Context
	close     context.CancelFunc

	mu          sync.Mutex
	name        string
	closing     bool
	stirred     int // how many have come or gone since it was quiet
	listeners   []net.Listener
	raw         map[net.Conn]bool        // in the handshake
	conns       map[*transport.Conn]bool // true once nexus has attached it
	held        map[trust.ID]holdings    // of each device that was here
	heldByAll   holdings                 // of all of these
	memoryLimit int64                    // of watchDevices: the one that is set
	latest      Identity                 // of whom details is
	details     wamp.Dict
	serving     sync.WaitGroup
	watching    sync.WaitGroup // the store, and the network
	arrived     chan struct{}  // a device has
	scout       scout
	announcer   *announce.Announcer // with mu held; nil until it is wanted
	attaching   sync.WaitGroup
}

// New starts the engine and the capabilities. Close must be called.
func New(ctx context.Context, opts Options) (*Router, error) {
	opts.Transport.Pace = &transport.Pace{}
	opts.Transport.Backlog = transport.NewBacklog(transport.LimitBacklog, "all sessions", opts.Backlog, nil)
	r := &Router{
		log: opts.Log, name: opts.Name, opts: opts,
		dealer: dealer.New(), broker: broker.New(), ledger: newLedger(opts.Log),
		devices: newDevices(&opts), arrived: make(chan struct{}, 1),
		raw: map[net.Conn]bool{}, conns: map[*transport.Conn]bool{},
		held: map[trust.ID]holdings{}, heldByAll: opts.Devices.ofAll(opts.Transport.Backlog),
	}
	r.directory = &directory{dealer: r.dealer}
	r.door, r.quiet = newDoor(opts.Door, r.devices.cameFrom, opts.Log), r.newQuiet()
	if opts.from != nil {
		r.door.from = opts.from
	}
	r.closed, r.close = context.WithCancel(context.Background())
	engine, err := nexus.NewRouter(&nexus.Config{RealmConfigs: []*nexus.RealmConfig{{
		URI:              wire.Realm,
		AllowDisclose:    true,
		Authenticators:   opts.authenticators(),
		RequireLocalAuth: true,
		MetaStrict:       true,
	}}}, noLog{})
	if err != nil {
		return nil, err
	}
	r.engine = engine
	if err := r.startHost(ctx, opts.Capabilities); err != nil {
		r.Close()
		return nil, err
	}
	if opts.Trust != nil {
		r.watching.Go(func() { r.watchDevices(r.closed) })
		r.watching.Go(func() { r.watchAddresses(r.closed) })
	}
	return r, nil
}

func (o *Options) authenticators() []auth.Authenticator {
	all := []auth.Authenticator{authenticator{wire.AuthPeerCred}, authenticator{wire.AuthTLS}}
	if o.admitAll {
		all = append(all, authenticator{wire.AuthAnonymous})
	}
	return all
}

// greet takes a connection as far as a session may begin, and opens an account
// for the peer, which it has named.
type greet func(net.Conn) (*transport.Conn, *account, error)

// Serve accepts connections on ln until Close. The kernel names the peers of a
// unix socket; those of any other come through the door.
func (r *Router) Serve(ln net.Listener) error {
	greet, space := r.greetStranger, func() {}
	if ln.Addr().Network() == "unix" {
		var queue arrivals
		greet, space = r.greetLocal, func() { time.Sleep(queue.next(time.Now())) }
	}
	r.mu.Lock()
	if r.closing {
		r.mu.Unlock()
		return ln.Close()
	}
	r.listeners = append(r.listeners, ln)
	r.mu.Unlock()
	for {
		nc, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil: // too many open files, or a peer that is gone already
			r.log.Warn("accept", "error", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		space()
		if !r.track(nc) {
			_ = nc.Close()
			continue
		}
		go r.serve(nc, greet)
	}
}

// track counts nc as being served, unless the router is closing.
func (r *Router) track(nc net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.serving.Add(1)
	r.attaching.Add(1)
	r.raw[nc] = true
	return true
}

// serve takes one connection from its first byte until it is attached.
func (r *Router) serve(nc net.Conn, greet greet) {
	account, err := r.open(nc, greet)
	if err != nil {
		r.log.Debug("no connection", "error", err)
		account.end(err, false)
		r.serving.Done()
	}
	r.stir()
}

// served notes the end of a connection that was attached.
func (r *Router) served(conn *transport.Conn, a *account) {
	r.mu.Lock()
	delete(r.conns, conn)
	closing := r.closing
	r.mu.Unlock()
	a.end(conn.Err(), closing)
	r.log.Debug("connection ended", "reason", conn.Err())
	r.stir()
	r.serving.Done()
}

// open identifies the peer, and attaches it to the engine.
func (r *Router) open(nc net.Conn, greet greet) (*account, error) {
	defer r.attaching.Done()
	conn, account, err := greet(nc)
	r.mu.Lock()
	delete(r.raw, nc)
	if err == nil {
		r.conns[conn] = false
	}
	r.mu.Unlock()
	if err != nil {
		_ = nc.Close()
		return account, err
	}
	peer := transport.NewPeer(conn, func() { r.served(conn, account) })
	account.guard.peer = peer
	if err := r.engine.AttachClient(peer, r.transportDetails(account.identity)); err != nil {
		r.log.Debug("no session", "peer", account.identity.AuthID, "error", err)
		peer.Close()
	}
	r.mu.Lock()
	r.conns[conn] = true
	r.mu.Unlock()
	if account.identity.Role == roleDevice {
		r.recheck(account) // it may have become less meanwhile
		r.doubtOthers(account)
		select {
		case r.arrived <- struct{}{}:
		default:
		}
	}
	return account, nil
}

// transportDetails are those of id. Most sessions are of one identity: nobody
// writes to them, so they have them together.
func (r *Router) transportDetails(id Identity) wamp.Dict {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.details == nil || r.latest != id {
		r.latest, r.details = id, id.transportDetails()
	}
	return r.details
}

// shutdown is how long Close waits, in all.
const shutdown = 4500 * time.Millisecond

// drain waits until no call is in flight, for Options.Drain at most. New ones are
// refused meanwhile.
func (r *Router) drain() {
	r.ledger.draining.Store(true)
	for limit := time.Now().Add(r.opts.Drain); r.ledger.calls() > 0 && time.Now().Before(limit); {
		time.Sleep(10 * time.Millisecond)
	}
}

// Close ends every session with a GOODBYE and returns within shutdown,
// whatever the peers do.
func (r *Router) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdown)
	defer cancel()
	r.mu.Lock()
	r.closing = true
	if r.announcer != nil {
		r.announcer.Close()
	}
	r.close()
	r.quiet.Stop()
	for _, ln := range r.listeners {
		_ = ln.Close()
	}
	for nc := range r.raw {
		_ = nc.Close()
	}
	r.hangUp(func(conn *transport.Conn, attached bool) bool {
		return !attached || errors.Is(conn.Err(), &wire.Error{URI: wire.ErrSlowConsumer}) // and has had its chance
	})
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.drain()
		r.attaching.Wait() // nexus must not be closed while a peer attaches
		r.host.close(ctx)
		r.engine.Close()
		r.serving.Wait()
		r.watching.Wait()
		r.scout.active.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		r.log.Warn("closing takes too long, the rest is cut off")
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hangUp(func(*transport.Conn, bool) bool { return true })
	}
}

// hangUp cuts the connections that which wants cut. r.mu is held.
func (r *Router) hangUp(which func(conn *transport.Conn, attached bool) bool) {
	for conn, attached := range r.conns {
		if which(conn, attached) {
			conn.Abandon()
		}
	}
}

// noLog drops nexus's log: it is about its own workings, and some of it carries
// arguments.
type noLog struct{}

func (noLog) Print(...any)          {}
func (noLog) Println(...any)        {}
func (noLog) Printf(string, ...any) {}
