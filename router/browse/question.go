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

// resolve asks for what is missing of an instance, or is about to expire.
func (b *browser) resolve(now time.Time) {
	for at, want := range b.cache.wants(now) {
		p := b.places[at]
		if p == nil {
			continue
		}
		for questions := range slices.Chunk(want.missing, 10) {
			b.send(p, &dns.Msg{Question: questions}, true)
		}
		for questions := range slices.Chunk(want.late, 10) {
			b.send(p, &dns.Msg{Question: questions}, false)
		}
	}
}

// machines are those of an instance name, by their ids: several where links, or
// liars, differ.
func (b *browser) machines(name string) map[string]Machine {
	found, seen := map[string]Machine{}, map[string]time.Time{}
	for at, p := range b.places {
		s := b.cache.services[key{at, name}]
		if s == nil || !s.complete() {
			continue
		}
		m := found[s.id]
		if s.seen.After(seen[s.id]) {
			seen[s.id] = s.seen
			m.Port, m.Pairing, m.Host = s.port, s.pairing, mdns.Clean(strings.TrimSuffix(s.target, "."))
		}
		m.ID, m.Instance, m.Name = s.id, s.label, mdns.Clean(s.label)
		if s.latency > 0 && (m.Latency == 0 || s.latency < m.Latency) {
			m.Latency = s.latency
		}
		for _, a := range b.cache.addresses(at, s.host) {
			if a.Is6() && a.IsLinkLocalUnicast() {
				a = a.WithZone(p.link.Name)
			}
			m.Addresses = append(m.Addresses, a)
		}
		found[s.id] = m
	}
	for id, m := range found {
		slices.SortFunc(m.Addresses, order)
		m.Addresses = slices.Compact(m.Addresses)
		found[id] = m
		if len(m.Addresses) == 0 {
			delete(found, id)
		}
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
