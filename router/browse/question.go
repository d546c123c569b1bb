package browse

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
	"github.com/deskconn/dconn/router/wire"
)

// service is the name that instances are announced under.
const service = wire.ServiceType + ".local."

// recommendedTTL is that of a PTR record, in seconds, which an answer to one that
// does not listen hides (RFC 6762, sections 10 and 6.7).
const recommendedTTL = 4500

// room is what the records of a question may take, in bytes, so that it fits a
// packet.
const room = 1200

// question asks on each link where it is due who is there.
func (b *browser) question(now time.Time) {
	for at, p := range b.places {
		if now.Before(p.next) {
			continue
		}
		m := &dns.Msg{Question: []dns.Question{{Name: service, Qtype: dns.TypePTR, Qclass: dns.ClassINET}}}
		alone := p.wait == soon && p.ask != nil || p.listen == nil
		if !alone {
			m.Answer = b.cache.known(at, now)
		}
		b.send(p, m, alone)
		if p.asked = now; alone {
			p.alone = now
		}
		p.next = now.Add(p.wait)
		switch {
		case p.wait == soon:
			p.wait = first
		default:
			p.wait = min(factor*p.wait, longest)
		}
	}
}

// send asks on a link; alone says that only we are to be answered.
func (b *browser) send(p *place, m *dns.Msg, alone bool) {
	s := p.listen
	if alone && p.ask != nil || s == nil {
		s = p.ask
	}
	if s == p.ask {
		m.Id = b.id
		for i := range m.Question {
			m.Question[i].Qclass |= mdns.Flush
		}
	}
	p.err = s.Send(m)
}

// asks bounds the questions about single instances, of which anybody can announce as
// many as he likes.
type asks struct {
	left float64
	at   time.Time
}

const (
	asksPerSecond = 50 // messages
	askedAbout    = 2  // instances of a message at least: for each there are four questions at most
)

// resolve asks for what is missing of an instance, or is about to expire.
func (b *browser) resolve(now time.Time) {
	a := &b.asks
	a.left, a.at = min(asksPerSecond, a.left+now.Sub(a.at).Seconds()*asksPerSecond), now
	if a.left < 1 {
		return
	}
	for at, want := range b.cache.wants(now, int(a.left)*askedAbout) {
		p := b.places[at]
		if p == nil {
			continue
		}
		for questions := range slices.Chunk(want.missing, 10) {
			b.send(p, &dns.Msg{Question: questions}, true)
			a.left--
		}
		for questions := range slices.Chunk(want.late, 10) {
			b.send(p, &dns.Msg{Question: questions}, false)
			a.left--
		}
	}
}

// variant tells those apart that announce one instance: where links, or liars, differ.
type variant struct {
	id   string
	port uint16
}

// machines are those of an instance name.
func (b *browser) machines(name string) map[variant]Machine {
	found, seen := map[variant]Machine{}, map[variant]time.Time{}
	for _, k := range b.cache.names[name] {
		p, s := b.places[k.at], b.cache.services[k]
		addresses := b.cache.addresses(k, s)
		if p == nil || !s.complete() || len(addresses) == 0 {
			continue
		}
		v := variant{s.id, s.port}
		m := found[v]
		if s.seen.After(seen[v]) {
			seen[v] = s.seen
			m.Host = mdns.Clean(strings.TrimSuffix(s.target, "."))
			m.Pairing = s.pairing
		}
		m.ID, m.Port, m.Instance, m.Name = s.id, s.port, s.label, mdns.Clean(s.label)
		if s.latency > 0 && (m.Latency == 0 || s.latency < m.Latency) {
			m.Latency = s.latency
		}
		for _, a := range addresses {
			if a.Is6() && a.IsLinkLocalUnicast() {
				a = a.WithZone(p.link.Name)
			}
			m.Addresses = append(m.Addresses, a)
		}
		found[v] = m
	}
	for v, m := range found {
		slices.SortFunc(m.Addresses, order)
		m.Addresses = slices.Compact(m.Addresses)
		found[v] = m
	}
	return found
}

// order puts first what is tried first: what works from anywhere on the network.
func order(a, b netip.Addr) int {
	if a.IsLinkLocalUnicast() != b.IsLinkLocalUnicast() {
		if b.IsLinkLocalUnicast() {
			return -1
		}
		return 1
	}
	return a.Compare(b)
}

func (b *browser) stats() Stats {
	s := Stats{Beyond: len(b.cache.beyond), Failed: b.failed}
	for _, p := range b.places {
		if p.err == nil {
			s.Links++
			continue
		}
		s.Failed = append(s.Failed, fmt.Sprintf("%s, IPv%d: %v", p.link.Name, p.link.Family, p.err))
	}
	slices.Sort(s.Failed)
	return s
}

func join(l []string) string { return strings.Join(l, "; ") }
