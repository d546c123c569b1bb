package announce

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/brutella/dnssd"
	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
	"github.com/deskconn/dconn/router/wire"
)

// kinds are kinds of records, as a set.
type kinds uint8

const (
	kindTypes     kinds = 1 << iota // that there is such a service type
	kindInstance                    // PTR: that the type has our instance
	kindServer                      // SRV: where it is
	kindText                        // TXT
	kindAddresses                   // A, AAAA
	kindNone                        // NSEC: that there are no other addresses

	kindAll = 1<<iota - 1
)

// shared are those that other machines have as well: they answer with a delay.
const shared = kindTypes | kindInstance

// told are those that an announcement has.
const told = kindInstance | kindServer | kindText | kindAddresses

// each lists the kinds of a set.
func (k kinds) each(visit func(kinds)) {
	for one := kinds(1); one <= kindNone; one <<= 1 {
		if k&one != 0 {
			visit(one)
		}
	}
}

// records are what is said on a link, by kind, with names in canonical form.
type records struct {
	types, service, instance, host string // names
	id                             string
	of                             map[kinds][]dns.RR
}

// said is what the service says on a link, and its host name.
type said struct {
	name    string // of the instance
	host    string // without the domain
	id      string
	port    int
	pairing bool
}

// newRecords makes the records for a link.
func newRecords(s said, l mdns.Link) (*records, error) {
	pairing := "0"
	if s.pairing {
		pairing = "1"
	}
	service, err := dnssd.NewService(dnssd.Config{
		Name: s.name, Host: s.host, Type: wire.ServiceType, Port: s.port,
		Text: map[string]string{wire.TextVersion: strconv.Itoa(wire.Protocol), wire.TextID: s.id, wire.TextPairing: pairing},
	})
	if err != nil {
		return nil, err
	}
	service.Name = s.name // which NewService takes for its own where it ends in a number
	for _, p := range l.Prefixes {
		service.IPs = append(service.IPs, p.Addr().AsSlice())
	}
	on := &net.Interface{Index: l.Index, Name: l.Name}
	r := &records{id: s.id, of: map[kinds][]dns.RR{
		kindTypes:    {dnssd.DNSSDServicesPTR(service)},
		kindInstance: {dnssd.PTR(service)},
		kindServer:   {dnssd.SRV(service)},
		kindText:     {dnssd.TXT(service)},
	}}
	if none := dnssd.NSEC(dnssd.SRV(service), service, on); none != nil {
		r.of[kindNone] = []dns.RR{none}
	}
	for _, a := range dnssd.A(service, on) {
		r.of[kindAddresses] = append(r.of[kindAddresses], a)
	}
	for _, a := range dnssd.AAAA(service, on) {
		r.of[kindAddresses] = append(r.of[kindAddresses], a)
	}
	r.types, r.service = mdns.Canonical(service.ServicesMetaQueryName()), mdns.Canonical(service.ServiceName())
	r.instance, r.host = mdns.Canonical(service.EscapedServiceInstanceName()), mdns.Canonical(service.Hostname())
	return r, r.canonical()
}

// canonical takes each record through its form on the wire, so that it can be
// compared with what others send.
func (r *records) canonical() error {
	for kind, list := range r.of {
		m := &dns.Msg{Answer: list}
		b, err := m.Pack()
		if err != nil {
			return err
		}
		if err := m.Unpack(b); err != nil {
			return err
		}
		r.of[kind] = m.Answer
	}
	return nil
}

// asked are the kinds that answer a question.
func (r *records) asked(q dns.Question) kinds {
	if class := q.Qclass &^ mdns.Flush; class != dns.ClassINET && class != dns.ClassANY {
		return 0
	}
	is := func(types ...uint16) bool { return q.Qtype == dns.TypeANY || slices.Contains(types, q.Qtype) }
	switch {
	case strings.EqualFold(q.Name, r.service) && is(dns.TypePTR):
		return kindInstance
	case strings.EqualFold(q.Name, r.types) && is(dns.TypePTR):
		return kindTypes
	case strings.EqualFold(q.Name, r.host) && is(dns.TypeA, dns.TypeAAAA):
		return kindAddresses
	case !strings.EqualFold(q.Name, r.instance):
		return 0
	}
	var k kinds
	if is(dns.TypeSRV) {
		k |= kindServer
	}
	if is(dns.TypeTXT) {
		k |= kindText
	}
	return k
}

// known are the kinds that are all among answers, half of their life ahead of
// them: whoever sent those need not be told (RFC 6762, section 7.1).
func (r *records) known(k kinds, answers []dns.RR) (known kinds) {
	k.each(func(one kinds) {
		missing := slices.ContainsFunc(r.of[one], func(ours dns.RR) bool {
			return !slices.ContainsFunc(answers, func(a dns.RR) bool {
				return a.Header().Ttl >= ours.Header().Ttl/2 && dns.IsDuplicate(a, ours)
			})
		})
		if !missing {
			known |= one
		}
	})
	return known
}

// more are the kinds that whoever is told of k will ask for next (RFC 6763,
// section 12).
func more(k kinds) kinds {
	var extra kinds
	if k&kindInstance != 0 {
		extra |= kindServer | kindText | kindAddresses
	}
	if k&kindServer != 0 {
		extra |= kindAddresses
	}
	if k&kindAddresses != 0 {
		extra |= kindNone
	}
	return extra &^ k
}

// reply makes the message that answers with k.
func (r *records) reply(k kinds) *dns.Msg {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}}
	k.each(func(one kinds) { m.Answer = append(m.Answer, r.copies(one)...) })
	more(k).each(func(one kinds) { m.Extra = append(m.Extra, r.copies(one)...) })
	return m
}

// copies are the records of a kind as they are sent.
func (r *records) copies(kind kinds) []dns.RR {
	list := make([]dns.RR, len(r.of[kind]))
	for i, rr := range r.of[kind] {
		list[i] = dns.Copy(rr)
		if kind&shared == 0 {
			list[i].Header().Class |= mdns.Flush
		}
	}
	return list
}

// legacyTTL is how many seconds a resolver that does not listen may keep what it
// is told (RFC 6762, section 6.7).
const legacyTTL = 10

// forResolver makes m what a resolver of ordinary DNS expects of its questions.
func forResolver(m *dns.Msg, id uint16, questions []dns.Question) {
	m.Id, m.Question = id, questions
	for _, section := range [][]dns.RR{m.Answer, m.Extra} {
		for _, rr := range section {
			rr.Header().Class &^= mdns.Flush
			rr.Header().Ttl = min(rr.Header().Ttl, legacyTTL)
		}
	}
}

// goodbye says that the instance is no more (section 10.1).
func (r *records) goodbye() *dns.Msg {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Answer: r.copies(kindInstance)}
	for _, rr := range m.Answer {
		rr.Header().Ttl = 0
	}
	return m
}

// probe asks whether anybody has these names, and says what we would put there
// (section 8.1).
func (r *records) probe() *dns.Msg {
	m := &dns.Msg{Ns: slices.Concat(r.of[kindServer], r.of[kindText])}
	for _, name := range []string{r.instance, r.host} {
		m.Question = append(m.Question, dns.Question{Name: name, Qtype: dns.TypeANY, Qclass: dns.ClassINET})
	}
	return m
}

// conflict is which of our names somebody else has.
type conflict struct{ name, host bool }

// contested looks at the answers of others for our names. ours are addresses of
// this machine, on whatever link.
func (r *records) contested(answers []dns.RR, ours func(netip.Addr) bool) (c conflict) {
	for _, rr := range answers {
		h := rr.Header()
		if h.Ttl == 0 || h.Class != dns.ClassINET {
			continue
		}
		named, hosted := strings.EqualFold(h.Name, r.instance), strings.EqualFold(h.Name, r.host)
		switch rr := rr.(type) {
		case *dns.SRV:
			c.name = c.name || named && !dns.IsDuplicate(rr, r.of[kindServer][0])
		case *dns.TXT:
			// the rest of ours may have changed since we said it
			c.name = c.name || named && !slices.Contains(rr.Txt, wire.TextID+"="+r.id)
		case *dns.A:
			c.host = c.host || hosted && !isOurs(rr.A, ours)
		case *dns.AAAA:
			c.host = c.host || hosted && !isOurs(rr.AAAA, ours)
		}
	}
	return c
}

func isOurs(ip net.IP, ours func(netip.Addr) bool) bool {
	a, ok := netip.AddrFromSlice(ip)
	return ok && ours(a.Unmap())
}

// yields reports whether another one that probes for the instance at the same
// time goes before us (section 8.2).
func (r *records) yields(theirs []dns.RR) bool {
	theirs = slices.DeleteFunc(slices.Clone(theirs), func(rr dns.RR) bool { return !strings.EqualFold(rr.Header().Name, r.instance) })
	theirs = theirs[:min(len(theirs), 8)] // nobody has more, but a stranger may say so
	return len(theirs) > 0 && slices.CompareFunc(inOrder(theirs), inOrder(r.probe().Ns), bytes.Compare) > 0
}

// inOrder are records as section 8.2 compares them: class, type, data.
func inOrder(list []dns.RR) [][]byte {
	var all [][]byte
	for _, rr := range list {
		b := make([]byte, dns.Len(rr)+256)
		n, err := dns.PackRR(rr, b, 0, nil, false)
		if err != nil {
			continue
		}
		_, data, err := dns.UnpackDomainName(b[:n], 0)
		if err != nil {
			continue
		}
		all = append(all, slices.Concat(b[data+2:data+4], b[data:data+2], b[data+10:n]))
	}
	slices.SortFunc(all, bytes.Compare)
	return all
}
