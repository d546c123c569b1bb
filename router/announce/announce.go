// Package announce tells the local network that this machine serves, by mDNS and
// DNS-SD (RFC 6762 and 6763).
//
// The records are made by brutella/dnssd; what is sent when is ours. That
// library's own responder sleeps for each question of a packet while it holds its
// lock, never joins a network that comes later, and leaves a goroutine with 64
// KiB behind for each name that is contested: a stranger could stop or fill it.
package announce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
	"github.com/deskconn/dconn/router/wire"
)

// Options configures an Announcer.
type Options struct {
	Name string // of this machine, as people shall see it
	Port int    // where it serves, 1 to 65535
	ID   string // the text of its trust.ID
	Log  *slog.Logger

	// Renamed is told the name that is announced from now on: another machine has
	// the one that was asked for, or Rename was called. It must return soon, and
	// not call the Announcer except for Status.
	Renamed func(name string)
}

// Status is what is announced.
type Status struct {
	Name      string   // of the instance; differs from the one asked for where somebody else has that
	Host      string   // the host name that the addresses belong to
	Port      int      // where it serves
	Pairing   bool     // a pairing window is said to be open
	Paused    bool     // nothing is announced
	Links     []string // the interfaces where it is announced by now
	Conflicts int      // how often somebody else had the name
}

// socket is how an Announcer speaks on a link.
type socket interface {
	Send(*dns.Msg) error
	Reply(*dns.Msg, netip.AddrPort) error
	Close()
}

// network is what an Announcer knows of this machine's links.
type network struct {
	links   func() ([]mdns.Link, error)
	listen  func(mdns.Link, chan<- mdns.Packet) (socket, error)
	changed <-chan struct{}
}

// Announcer announces until Close.
type Announcer struct {
	opts    Options
	network network
	packets chan mdns.Packet
	orders  chan func()
	stop    context.CancelFunc
	done    chan struct{}
	status  atomic.Pointer[Status]

	// of the goroutine in run
	agenda   agenda
	name     naming
	places   map[mdns.Place]*place
	paused   bool
	said     said
	budget   budget
	failed   string // why some links could not be used, as it was logged
	retrying bool
}

// Start announces, on every link that there is and comes to be. It is an error
// if no link can be used because of its socket; that there is none is no error.
func Start(ctx context.Context, opts Options) (*Announcer, error) {
	ctx, stop := context.WithCancel(ctx)
	changed, err := mdns.Watch(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	a, err := start(ctx, stop, opts, network{
		links:   mdns.Links,
		listen:  func(l mdns.Link, p chan<- mdns.Packet) (socket, error) { return mdns.Listen(l, p) },
		changed: changed,
	})
	if err != nil {
		stop()
	}
	return a, err
}

func start(ctx context.Context, stop context.CancelFunc, opts Options, n network) (*Announcer, error) {
	id := strings.ReplaceAll(opts.ID, "-", "")
	switch {
	case opts.Port < 1 || opts.Port > 65535:
		return nil, fmt.Errorf("a port is 1 to 65535, got %d", opts.Port)
	case len(id) < wire.IDHint:
		return nil, fmt.Errorf("an id has at least %d characters, got %q", wire.IDHint, opts.ID)
	}
	id = id[:wire.IDHint]
	a := &Announcer{
		opts: opts, network: n, stop: stop, done: make(chan struct{}),
		packets: make(chan mdns.Packet, 64), orders: make(chan func(), 16),
		places: map[mdns.Place]*place{},
		name:   naming{wanted: CleanName(opts.Name), host: "dconn-" + strings.ToLower(id)},
		said:   said{id: id, port: opts.Port},
	}
	a.agenda.init()
	a.say()
	if err := a.relink(); err != nil {
		return nil, err
	}
	go a.run(ctx)
	return a, nil
}

// CleanName is a name as an instance can have it.
func CleanName(name string) string {
	if name = mdns.Fit(mdns.Clean(name), mdns.MaxLabel-len(" (999)")); name != "" {
		return name
	}
	return "dconn"
}

func (a *Announcer) run(ctx context.Context) {
	defer close(a.done)
	defer a.leave()
	for {
		select {
		case <-ctx.Done():
			return
		case order := <-a.orders:
			order()
		case p := <-a.packets:
			a.receive(p)
		case <-a.network.changed:
			if err := a.relink(); err != nil {
				a.opts.Log.Warn("announcing", "error", err)
			}
		case <-a.agenda.timer.C:
			a.agenda.run()
		}
		a.publish()
	}
}

// leave says goodbye, twice, for the one may be lost.
func (a *Announcer) leave() {
	a.farewell()
	time.Sleep(50 * time.Millisecond)
	a.farewell()
	a.drop()
}

// farewell says goodbye where the instance is announced.
func (a *Announcer) farewell() {
	for _, p := range a.places {
		if p.settled {
			_ = p.socket.Send(p.records.goodbye())
		}
	}
}

// drop leaves all links.
func (a *Announcer) drop() {
	for at, p := range a.places {
		p.socket.Close()
		delete(a.places, at)
	}
}

// order has f done by the goroutine that knows all.
func (a *Announcer) order(f func()) {
	select {
	case a.orders <- f:
	case <-a.done:
	}
}

// SetPairing says whether a pairing window is open.
func (a *Announcer) SetPairing(open bool) {
	a.order(func() {
		if a.said.pairing != open {
			a.said.pairing = open
			a.again()
		}
	})
}

// Rename announces another name from now on.
func (a *Announcer) Rename(name string) {
	a.order(func() {
		if name = CleanName(name); name != a.name.wanted {
			a.farewell()
			a.name = naming{wanted: name, host: a.name.host, clashes: a.name.clashes}
			a.restart(0)
			a.tell()
		}
	})
}

// Pause says goodbye, and leaves the network until Resume.
func (a *Announcer) Pause() {
	a.order(func() {
		a.farewell()
		a.drop()
		a.paused = true
	})
}

// Resume announces again.
func (a *Announcer) Resume() {
	a.order(func() {
		a.paused = false
		if err := a.relink(); err != nil {
			a.opts.Log.Warn("announcing", "error", err)
		}
	})
}

// Status is what is announced now.
func (a *Announcer) Status() Status { return *a.status.Load() }

// Close says goodbye and ends the announcement, within half a second.
func (a *Announcer) Close() {
	a.stop()
	<-a.done
}

// relink follows the links that there are. It is an error if none of them can
// be used.
func (a *Announcer) relink() error {
	defer a.publish()
	if a.paused {
		return nil
	}
	links, err := a.network.links()
	if _, none := errors.AsType[*mdns.NoLinkError](err); err != nil && !none {
		return err
	}
	there := map[mdns.Place]bool{}
	var failed error
	for _, l := range links {
		there[l.Place] = true
		if err := a.visit(l); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	for at, p := range a.places {
		if !there[at] {
			p.socket.Close()
			delete(a.places, at)
		}
	}
	if failed == nil {
		a.failed = ""
		return nil
	}
	if !a.retrying {
		a.retrying = true
		a.agenda.after(10*time.Second, func() {
			a.retrying = false
			_ = a.relink()
		})
	}
	if len(a.places) == 0 {
		return failed
	}
	if failed.Error() != a.failed {
		a.failed = failed.Error()
		a.opts.Log.Warn("not announced on every link", "error", failed)
	}
	return nil
}

// visit begins on a link, or takes over its new addresses.
func (a *Announcer) visit(l mdns.Link) error {
	if p := a.places[l.Place]; p != nil {
		return a.readdress(p, l)
	}
	s, err := a.network.listen(l, a.packets)
	if err != nil {
		return err
	}
	p := &place{link: l, socket: s}
	if p.records, err = newRecords(a.said, l); err != nil {
		s.Close()
		return err
	}
	a.places[l.Place] = p
	a.begin(p, 0)
	return nil
}
