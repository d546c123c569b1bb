package browse

import (
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// Bounds of what a cache holds, for anybody may fill it.
const (
	maxBeyond    = 1 << 16 // instances that are counted only
	maxAddresses = 16      // of a host on a link
	maxAsked     = 3       // times that something missing is asked for
)

// key is a name on a link.
type key struct {
	at   mdns.Place
	name string // by mdns.Key
}

// entry is what a link has told of an instance.
type entry struct {
	label   string // the instance
	name    string // its whole name
	latency time.Duration
	seen    time.Time     // last
	expires time.Time     // unless it is heard of again
	life    time.Duration // from when it was last seen to that

	target   string // host name; "" until there is a SRV record
	host     string // its mdns.Key
	port     uint16
	texted   bool // there is a TXT record
	id       string
	pairing  bool
	pointed  time.Time // the end of its PTR record
	pointTTL time.Duration

	asked int       // times that what is missing was asked for
	again time.Time // when that is due
}

func (s *entry) complete() bool { return s.target != "" && s.port != 0 && s.texted }

// host is what a link has told of a host name.
type host struct{ addresses map[netip.Addr]*address }

type address struct{ seen, expires time.Time }

// cache is what was heard, on every link.
type cache struct {
	services map[key]*entry
	names    map[string]int // of instances, with the number of links that have them
	hosts    map[key]*host  // those that instances are on
	beyond   map[uint64]bool
	seed     maphash.Seed
	untidy   bool // there may be hosts that nothing is on
}

func newCache() *cache {
	return &cache{
		services: map[key]*entry{}, names: map[string]int{}, hosts: map[key]*host{},
		beyond: map[uint64]bool{}, seed: maphash.MakeSeed(),
	}
}

func (c *cache) empty() bool { return len(c.services) == 0 }

// touch is called with the name, by mdns.Key, of an instance that may have
// changed.
type touch func(name string)

// learn takes in an answer. Records that a probe proposes (Ns) are nobody's yet.
func (c *cache) learn(in mdns.Packet, now time.Time, latency time.Duration, changed touch) {
	records := slices.Concat(in.Msg.Answer, in.Msg.Extra)
	for _, rr := range records {
		if rr.Header().Class != dns.ClassINET {
			continue
		}
		switch rr := rr.(type) {
		case *dns.PTR:
			if strings.EqualFold(rr.Hdr.Name, service) {
				c.point(in, rr, now, latency, changed)
			}
		case *dns.SRV:
			c.serve(in, rr, now, latency, changed)
		}
	}
	hosts := map[heard]bool{}
	for _, rr := range records {
		if rr.Header().Class != dns.ClassINET {
			continue
		}
		switch rr := rr.(type) {
		case *dns.TXT:
			c.text(in, rr, now, changed)
		case *dns.A:
			c.locate(in.Place, &rr.Hdr, rr.A, now, hosts)
		case *dns.AAAA:
			c.locate(in.Place, &rr.Hdr, rr.AAAA, now, hosts)
		}
	}
	c.replace(hosts, now, changed)
}

// instance is the entry of an instance, a new one if need be, nil if there are
// too many or it is of another service.
func (c *cache) instance(in mdns.Packet, name string, latency time.Duration) *entry {
	k := key{in.Place, mdns.Key(name)}
	if s := c.services[k]; s != nil {
		return s
	}
	if !strings.HasSuffix(k.name, "."+service) || mdns.Label(name) == "" {
		return nil
	}
	if c.names[k.name] == 0 && len(c.names) >= MaxMachines {
		if len(c.beyond) < maxBeyond {
			c.beyond[maphash.String(c.seed, k.name)] = true
		}
		return nil
	}
	s := &entry{label: mdns.Label(name), name: name, latency: latency}
	c.services[k] = s
	c.names[k.name]++
	return s
}

// point takes in that an instance is there, or says goodbye.
func (c *cache) point(in mdns.Packet, rr *dns.PTR, now time.Time, latency time.Duration, changed touch) {
	k := key{in.Place, mdns.Key(rr.Ptr)}
	if rr.Hdr.Ttl == 0 {
		if s := c.services[k]; s != nil { // a second, in which another may object (section 10.1)
			s.expires = now.Add(time.Second)
			s.life = 0
		}
		return
	}
	s := c.instance(in, rr.Ptr, latency)
	if s == nil {
		return
	}
	ttl := seconds(rr.Hdr.Ttl)
	if in.Asked {
		s.pointed, s.pointTTL = now.Add(recommendedTTL*time.Second), recommendedTTL*time.Second
	} else {
		s.pointed, s.pointTTL = now.Add(ttl), ttl
	}
	if s.target == "" || s.life == 0 { // else it lives as long as its SRV record
		s.live(now, ttl)
	}
	changed(k.name)
}

func (s *entry) live(now time.Time, ttl time.Duration) {
	s.seen, s.expires, s.life = now, now.Add(ttl), ttl
	s.asked = 0
}

// seconds is a TTL as a time, of a day at most.
func seconds(ttl uint32) time.Duration { return time.Duration(min(ttl, 86400)) * time.Second }

// serve takes in where an instance is.
func (c *cache) serve(in mdns.Packet, rr *dns.SRV, now time.Time, latency time.Duration, changed touch) {
	if rr.Hdr.Ttl == 0 {
		return
	}
	s := c.instance(in, rr.Hdr.Name, latency)
	if s == nil {
		return
	}
	k := key{in.Place, mdns.Key(rr.Hdr.Name)}
	if s.target == "" {
		s.again = now // for its addresses, if they are not here
	} else if !strings.EqualFold(s.target, rr.Target) {
		c.untidy = true // nobody may be on the old one any more
	}
	s.target, s.host, s.port = rr.Target, mdns.Key(rr.Target), rr.Port
	s.live(now, seconds(rr.Hdr.Ttl))
	if h := (key{in.Place, s.host}); c.hosts[h] == nil {
		c.hosts[h] = &host{map[netip.Addr]*address{}}
	}
	changed(k.name)
}

// text takes in what an instance says about itself.
func (c *cache) text(in mdns.Packet, rr *dns.TXT, now time.Time, changed touch) {
	k := key{in.Place, mdns.Key(rr.Hdr.Name)}
	s := c.services[k]
	if s == nil || rr.Hdr.Ttl == 0 {
		return
	}
	id, pairing := "", ""
	for _, pair := range slices.Backward(rr.Txt) { // the first of a key holds (RFC 6763, section 6.4)
		switch name, value, _ := strings.Cut(pair, "="); strings.ToLower(name) {
		case wire.TextID:
			id = value
		case wire.TextPairing:
			pairing = value
		}
	}
	prefix, err := trust.ParsePrefix(id)
	if err != nil || len(prefix) > wire.IDHint {
		prefix = ""
	}
	s.texted, s.id, s.pairing = true, prefix, pairing == "1"
	changed(k.name)
}

// locate takes in an address of a host; hosts then has that, and whether the
// address is new.
func (c *cache) locate(at mdns.Place, hdr *dns.RR_Header, ip []byte, now time.Time, hosts map[heard]bool) {
	k := key{at, mdns.Key(hdr.Name)}
	h := c.hosts[k]
	a, ok := netip.AddrFromSlice(ip)
	if h == nil || !ok || !usable(a) {
		return
	}
	one := heard{k, a.Is4()}
	if _, before := hosts[one]; !before {
		hosts[one] = false
	}
	switch known := h.addresses[a]; {
	case hdr.Ttl == 0 && known != nil:
		known.expires = now.Add(time.Second)
	case hdr.Ttl > 0 && known != nil:
		known.seen, known.expires = now, now.Add(seconds(hdr.Ttl))
	case hdr.Ttl > 0 && len(h.addresses) < maxAddresses:
		h.addresses[a] = &address{now, now.Add(seconds(hdr.Ttl))}
		hosts[one] = true
	}
}

// usable reports whether another machine can have an address.
func usable(a netip.Addr) bool {
	return !a.Is4In6() && (a.IsGlobalUnicast() || a.IsLinkLocalUnicast()) && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// heard is a host whose addresses of one kind a message had.
type heard struct {
	key
	v4 bool
}

// replace ends the addresses that hosts no longer name: those that were heard of
// within a second may be in another message of the same (section 10.2).
func (c *cache) replace(hosts map[heard]bool, now time.Time, changed touch) {
	news := false
	for k, more := range hosts {
		news = news || more
		for ip, a := range c.hosts[k.key].addresses {
			if ip.Is4() == k.v4 && now.Sub(a.seen) > time.Second && a.expires.Sub(now) > time.Second {
				a.expires = now.Add(time.Second)
			}
		}
	}
	if !news {
		return
	}
	for k, s := range c.services {
		host := key{k.at, s.host}
		if hosts[heard{host, true}] || hosts[heard{host, false}] {
			changed(k.name)
		}
	}
}

// addresses are those of a host on a link.
func (c *cache) addresses(at mdns.Place, name string) []netip.Addr {
	if h := c.hosts[key{at, name}]; h != nil {
		return slices.Collect(maps.Keys(h.addresses))
	}
	return nil
}
