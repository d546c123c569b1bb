package announce

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

// place is where the instance is announced, or is going to be: a link.
type place struct {
	link    mdns.Link
	socket  socket
	records *records

	turn      int      // of the steps that are under way: those of an older one are void
	settled   bool     // nobody else has our names
	contested conflict // somebody has
	beaten    bool     // by one who probes as well

	sent [8]time.Time // when each kind was last sent to all
	due  kinds        // what an answer to all will have
	at   time.Time    // when it will be sent
}

// Times of RFC 6762, sections 6, 8.1 to 8.3 and 9.
const (
	probeWait   = 250 * time.Millisecond
	probes      = 3
	beatenWait  = time.Second
	manyClashes = 15
	clashWindow = time.Minute // the RFC has 10 s
	clashWait   = 5 * time.Second
	againAfter  = time.Second // between two times that a record is sent to all
	defendAfter = 250 * time.Millisecond
)

// announcements are when the records are sent once they are settled.
var announcements = []time.Duration{0, time.Second, 2 * time.Second}

// naming is which names are taken, and how often others had them.
type naming struct {
	wanted  string
	host    string
	number  int // 0, or what stands behind the name
	hosts   int // the same for the host name
	clashes []time.Time
	all     int
}

func (n *naming) instance() string {
	if n.number == 0 {
		return n.wanted
	}
	return fmt.Sprintf("%s (%d)", n.wanted, n.number)
}

func (n *naming) hostName() string {
	if n.hosts == 0 {
		return n.host
	}
	return fmt.Sprintf("%s-%d", n.host, n.hosts)
}

// maxNumber is the last that is tried; the first comes after it.
const maxNumber = 999

// next takes other names instead of those that are contested, and returns how
// long to wait: an attacker, or two machines gone wrong, must not make us flood
// the network (section 8.1).
func (n *naming) next(c conflict) time.Duration {
	if c.name {
		n.number = max(2, (n.number+1)%maxNumber)
	}
	if c.host {
		n.hosts = max(2, (n.hosts+1)%maxNumber)
	}
	now := time.Now()
	n.all++
	n.clashes = slices.DeleteFunc(append(n.clashes, now), func(t time.Time) bool { return now.Sub(t) > clashWindow })
	if len(n.clashes) > manyClashes {
		n.clashes = n.clashes[1:]
		return clashWait
	}
	return 0
}

// later does a step of p, unless other steps have begun by then.
func (a *Announcer) later(p *place, d time.Duration, step func()) {
	turn := p.turn
	a.agenda.after(d, func() {
		if p.turn == turn && a.places[p.link.Place] == p {
			step()
		}
	})
}

// begin probes on p, and announces there when nobody objects.
func (a *Announcer) begin(p *place, wait time.Duration) {
	p.turn++
	p.settled, p.contested, p.beaten, p.due = false, conflict{}, false, 0
	a.later(p, wait+rand.N(probeWait), func() { a.probe(p, 0) })
}

// probe sends the n-th probe, or finds that those before it were enough.
func (a *Announcer) probe(p *place, n int) {
	switch {
	case p.contested != (conflict{}):
		a.rename(p.contested)
		return
	case p.beaten:
		a.begin(p, beatenWait)
		return
	case n == probes:
		p.settled = true
		a.announce(p)
		return
	}
	_ = p.socket.Send(p.records.probe()) // a link that is not there yet comes again
	a.later(p, probeWait, func() { a.probe(p, n+1) })
}

// announce tells all on the link.
func (a *Announcer) announce(p *place) {
	p.turn++
	for _, after := range announcements {
		a.later(p, after, func() { a.multicast(p, told) })
	}
}

// multicast sends records to all on the link.
func (a *Announcer) multicast(p *place, k kinds) {
	now := time.Now()
	sent := func(one kinds) { p.sent[index(one)] = now }
	k.each(sent)
	_ = p.socket.Send(p.records.reply(k))
}

func index(one kinds) (i int) {
	for one > 1 {
		one >>= 1
		i++
	}
	return i
}

// rename takes other names on every link: a name is the machine's.
func (a *Announcer) rename(c conflict) {
	before := a.name.instance()
	a.farewell() // where nobody has contested it
	wait := a.name.next(c)
	a.restart(wait)
	if now := a.name.instance(); now != before {
		a.opts.Log.Warn("another machine has this name", "name", before, "announced as", now)
		a.tell()
	}
}

// tell tells the owner of the Announcer its name.
func (a *Announcer) tell() {
	if a.opts.Renamed != nil {
		a.publish()
		a.opts.Renamed(a.name.instance())
	}
}

// restart begins on every link, with the names that hold now.
func (a *Announcer) restart(wait time.Duration) {
	a.rewrite()
	for _, p := range a.places {
		a.begin(p, wait)
	}
}

// again announces what has changed.
func (a *Announcer) again() {
	a.rewrite()
	for _, p := range a.places {
		if p.settled {
			a.announce(p)
		}
	}
}

// say takes the names into what is said.
func (a *Announcer) say() { a.said.name, a.said.host = a.name.instance(), a.name.hostName() }

// rewrite makes the records of every link anew.
func (a *Announcer) rewrite() {
	a.say()
	for _, p := range a.places {
		r, err := newRecords(a.said, p.link)
		if err != nil {
			a.opts.Log.Warn("announcing", "name", a.said.name, "error", err)
			continue
		}
		p.records = r
	}
}

// readdress announces the addresses of a link if they have changed.
func (a *Announcer) readdress(p *place, l mdns.Link) error {
	if slices.Equal(p.link.Prefixes, l.Prefixes) {
		return nil
	}
	r, err := newRecords(a.said, l)
	if err != nil {
		return err
	}
	p.link, p.records = l, r
	if p.settled {
		a.announce(p)
	}
	return nil
}

// ours reports whether an address is of this machine.
func (a *Announcer) ours(addr netip.Addr) bool {
	for _, p := range a.places {
		if p.link.Has(addr) {
			return true
		}
	}
	return false
}

// publish makes what is announced known to Status.
func (a *Announcer) publish() {
	names := map[string]bool{}
	for _, p := range a.places {
		if p.settled {
			names[p.link.Name] = true
		}
	}
	a.status.Store(&Status{
		Name: a.name.instance(), Host: a.name.hostName() + ".local", Port: a.said.port, Pairing: a.said.pairing,
		Paused: a.paused, Links: slices.Sorted(maps.Keys(names)), Conflicts: a.name.all,
	})
}

// receive takes a message of somebody on the network, or of ourselves.
func (a *Announcer) receive(in mdns.Packet) {
	p := a.places[in.Place]
	switch {
	case p == nil: // it went meanwhile
	case !in.Msg.Response:
		a.answer(p, in)
	case in.From.Port() == mdns.Number:
		a.compare(p, in.Msg)
	}
}

// compare looks whether an answer of somebody contests our names.
func (a *Announcer) compare(p *place, m *dns.Msg) {
	c := p.records.contested(slices.Concat(m.Answer, m.Extra), a.ours)
	if c == (conflict{}) {
		return
	}
	if p.settled { // they may not know of us: it is settled anew (section 9)
		a.begin(p, 0)
		return
	}
	p.contested.name = p.contested.name || c.name
	p.contested.host = p.contested.host || c.host
}
