// Package browse finds the machines on the local network that announce dconn, by
// mDNS and DNS-SD (RFC 6762 and 6763). What it finds is what anybody there may
// say: whose key a machine has shows only when connecting.
package browse

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

// Machine is one that announces itself.
type Machine struct {
	Name      string // to be shown; what must not be is left out of it
	Instance  string // as it was announced: any bytes
	ID        string // the first characters of an id; empty if what it announces is none
	Host      string // host name, to be shown
	Port      uint16
	Addresses []netip.Addr  // of IPv6's link-local ones with a zone
	Pairing   bool          // it says that a pairing window is open
	Latency   time.Duration // from the question to its answer; 0 if it was not asked
}

// Key tells machines apart.
type Key struct{ ID, Instance string }

// Key is what the machine is told from others by.
func (m Machine) Key() Key { return Key{m.ID, m.Instance} }

// HostPorts are where the machine says that it serves, HOST:PORT.
func (m Machine) HostPorts() []string {
	list := make([]string, len(m.Addresses))
	for i, a := range m.Addresses {
		list[i] = net.JoinHostPort(a.String(), strconv.Itoa(int(m.Port)))
	}
	return list
}

// Kind says what has become of a machine.
type Kind string

// The kinds of events.
const (
	Found   Kind = "found"
	Changed Kind = "changed"
	Gone    Kind = "gone"
)

// Event is a machine of which something is new. One is the same as before if its Key
// is.
type Event struct {
	Kind    Kind
	Machine Machine
}

// MaxMachines is how many instances are looked at; those that come later are
// only counted.
const MaxMachines = 1000

// Stats are what a browse went through.
type Stats struct {
	Beyond int      // instances over MaxMachines; itself bounded
	Links  int      // where the question could be sent
	Failed []string // why it could not, elsewhere
}

// asking is when the question is asked on a link after it was first. The very
// first is of one that does not listen, and answered at once; firewalls may drop
// that answer, so the next comes soon. Then it follows section 5.2 of RFC 6762:
// twice as long at least, and an hour at most.
const (
	soon    = 100 * time.Millisecond
	first   = time.Second
	factor  = 3
	longest = time.Hour
)

// How often what is known is looked through: when nothing comes, and at most.
const (
	pulse  = 250 * time.Millisecond
	breath = 10 * time.Millisecond
)

// socket is how a Browser speaks on a link.
type socket interface {
	Send(*dns.Msg) error
	Close()
}

// network is what a browser knows of this machine's links.
type network struct {
	links   func() ([]mdns.Link, error)
	listen  func(mdns.Link, chan<- mdns.Packet) (socket, error)
	ask     func(mdns.Link, chan<- mdns.Packet) (socket, error)
	changed <-chan struct{}
}

// Browse tells each of what it finds, until ctx ends, or each returns false. A
// *mdns.NoLinkError says that there is nowhere to look, any other error that no
// question could be sent.
func Browse(ctx context.Context, each func(Event) bool) (Stats, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed, err := mdns.Watch(ctx)
	if err != nil {
		return Stats{}, err
	}
	return browse(ctx, each, network{
		links:   mdns.Links,
		listen:  func(l mdns.Link, p chan<- mdns.Packet) (socket, error) { return mdns.Listen(l, p) },
		ask:     func(l mdns.Link, p chan<- mdns.Packet) (socket, error) { return mdns.Ask(l, p) },
		changed: changed,
	})
}

func browse(ctx context.Context, each func(Event) bool, n network) (Stats, error) {
	b := &browser{
		network: n, packets: make(chan mdns.Packet, 64), places: map[mdns.Place]*place{},
		id: uint16(1 + rand.N(65535)), cache: newCache(), report: newReport(each),
	}
	defer b.close()
	if err := b.relink(); err != nil {
		return b.stats(), err
	}
	err := b.run(ctx)
	return b.stats(), err
}

// browser is one run of Browse.
type browser struct {
	network network
	packets chan mdns.Packet
	places  map[mdns.Place]*place
	id      uint16 // of what is asked from sockets that do not listen
	cache   *cache
	report  *report
	passed  time.Time // when what is known was last looked through
	failed  []string
}

// place is a link where machines are looked for.
type place struct {
	link   mdns.Link
	listen socket // nil if another one holds the port alone
	ask    socket
	wait   time.Duration // between the next two questions
	next   time.Time     // when the next is due
	asked  time.Time     // when the last was
	alone  time.Time     // when the last from a socket that does not listen was
	err    error         // of the last
}

func (b *browser) run(ctx context.Context) error {
	tick := time.NewTimer(0)
	defer tick.Stop()
	for b.report.wanted {
		select {
		case <-ctx.Done():
			return nil
		case in := <-b.packets:
			b.receive(in)
		case <-b.network.changed:
			if err := b.relink(); err != nil {
				b.failed = []string{err.Error()} // it may come back
			}
		case <-tick.C:
		}
		now := time.Now()
		if wait := b.passed.Add(breath).Sub(now); wait > 0 {
			tick.Reset(wait)
			continue
		}
		b.passed = now
		b.question(now)
		b.cache.sweep(now, b.report.touch)
		b.resolve(now)
		b.report.flush(now, b.machines)
		tick.Reset(b.rest(now))
	}
	return nil
}

// rest is how long there is nothing to do unless something comes.
func (b *browser) rest(now time.Time) time.Duration {
	rest := longest
	if !b.cache.empty() || b.report.waiting() {
		rest = pulse
	}
	for _, p := range b.places {
		rest = min(rest, p.next.Sub(now))
	}
	return max(rest, time.Millisecond)
}

// receive learns from an answer.
func (b *browser) receive(in mdns.Packet) {
	p := b.places[in.Place]
	if p == nil || !in.Msg.Response || in.From.Port() != mdns.Number || !p.link.Local(in.From.Addr()) {
		return
	}
	asked := p.asked
	if in.Asked {
		asked = p.alone
	}
	if in.Asked && in.Msg.Id != b.id {
		return
	}
	now := time.Now()
	latency := now.Sub(asked)
	if latency > first { // it was not us who asked
		latency = 0
	}
	b.cache.learn(in, now, latency, b.report.touch)
}

// relink follows the links that there are. It fails if there is none to use.
func (b *browser) relink() error {
	links, err := b.network.links()
	if err != nil {
		links = nil
	}
	there := map[mdns.Place]bool{}
	b.failed = nil
	for _, l := range links {
		there[l.Place] = true
		if p := b.places[l.Place]; p != nil {
			if !slices.Equal(p.link.Prefixes, l.Prefixes) { // another network, it may be
				p.wait, p.next = soon, time.Now()
			}
			p.link = l
			continue
		}
		if p := b.open(l); p != nil {
			b.places[l.Place] = p
		}
	}
	for at, p := range b.places {
		if !there[at] {
			p.close()
			delete(b.places, at)
			b.cache.leave(at, b.report.touch)
		}
	}
	if err == nil && len(b.places) == 0 {
		err = fmt.Errorf("nowhere to ask: %s", join(b.failed))
	}
	return err
}

// open begins on a link. A port that another responder holds alone leaves the
// answers to this machine.
func (b *browser) open(l mdns.Link) *place {
	p := &place{link: l, wait: soon, next: time.Now()}
	listen, err := b.network.listen(l, b.packets)
	if err != nil {
		b.failed = append(b.failed, err.Error())
	} else {
		p.listen = listen
	}
	ask, askErr := b.network.ask(l, b.packets)
	if askErr != nil {
		b.failed = append(b.failed, askErr.Error())
	} else {
		p.ask = ask
	}
	if p.listen == nil && p.ask == nil {
		return nil
	}
	return p
}

func (p *place) close() {
	if p.listen != nil {
		p.listen.Close()
	}
	if p.ask != nil {
		p.ask.Close()
	}
}

func (b *browser) close() {
	for _, p := range b.places {
		p.close()
	}
}
