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
	maxClaims    = 4       // machines of a link that announce one instance
)

// doubtFor is how long an instance that somebody else announces as well has to say
// that it is still there: a machine that has another address now is not, one that is
// impersonated is.
const doubtFor = 3 * time.Second

// key is a name on a link, as one machine there has announced it: nobody's records
// replace those of another.
type key struct {
	at   mdns.Place
	name string // by mdns.Key
	from netip.Addr
}

func keyOf(in mdns.Packet, name string) key { return key{in.Place, mdns.Key(name), in.From.Addr()} }

// entry is what a machine of a link has told of an instance.
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

	asked   int       // times that what is missing was asked for
	again   time.Time // when that is due
	doubted time.Time // the end, unless it is heard of again; zero if nobody else announces it
}

func (s *entry) complete() bool { return s.target != "" && s.port != 0 && s.texted }

// host is what a link has told of a host name.
type host struct{ addresses map[netip.Addr]*address }

type address struct{ seen, expires time.Time }

// cache is what was heard, on every link.
type cache struct {
	services map[key]*entry
	names    map[string][]key // of instances, with who announces them
	hosts    map[key]*host    // those that instances are on
	beyond   map[uint64]bool
	seed     maphash.Seed
	untidy   bool      // there may be hosts that nothing is on
	doubted  time.Time // when hosts were
}

func newCache() *cache {
	return &cache{
		services: map[key]*entry{}, names: map[string][]key{}, hosts: map[key]*host{},
		beyond: map[uint64]bool{}, seed: maphash.MakeSeed(),
	}
}

func (c *cache) empty() bool { return len(c.services) == 0 }

// touch is called with the name, by mdns.Key, of an instance that may have
// changed.
type touch func(name string)

// learn takes in an answer, and the addresses in it that count. Records that a probe
// proposes (Ns) are nobody's yet.
func (c *cache) learn(in mdns.Packet, counts func(netip.Addr) bool, now time.Time, latency time.Duration, changed touch) {
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
	hosts, strange := map[heard]bool{}, map[string]bool{}
	for _, rr := range records {
		if rr.Header().Class != dns.ClassINET {
			continue
		}
		switch rr := rr.(type) {
		case *dns.TXT:
			c.text(in, rr, now, changed)
		case *dns.A:
			c.locate(in, &rr.Hdr, rr.A, counts, now, hosts, strange)
		case *dns.AAAA:
			c.locate(in, &rr.Hdr, rr.AAAA, counts, now, hosts, strange)
		}
	}
	c.replace(hosts, now, changed)
	c.doubtHosts(in.Place, strange, now)
}

// instance is the entry of an instance, a new one if need be, nil if there are
// too many or it is of another service.
func (c *cache) instance(in mdns.Packet, name string, latency time.Duration, changed touch) *entry {
	k := keyOf(in, name)
	if s := c.services[k]; s != nil {
		return s
	}
	if !strings.HasSuffix(k.name, "."+service) || mdns.Label(name) == "" {
		return nil
	}
	if len(c.names[k.name]) == 0 && len(c.names) >= MaxMachines {
		if len(c.beyond) < maxBeyond {
			c.beyond[maphash.String(c.seed, k.name)] = true
		}
		return nil
	}
	if oldest, many := c.claims(k); many >= maxClaims {
		c.forget(oldest, changed)
	}
	s := &entry{label: mdns.Label(name), name: name, latency: latency}
	c.services[k] = s
	c.names[k.name] = append(c.names[k.name], k)
	return s
}

// claims counts who announces an instance on a link, and finds the one that was
// heard of least lately.
func (c *cache) claims(k key) (oldest key, many int) {
	for _, other := range c.names[k.name] {
		if other.at != k.at {
			continue
		}
		if many++; many == 1 || c.services[other].seen.Before(c.services[oldest].seen) {
			oldest = other
		}
	}
	return oldest, many
}

// doubtOthers has those who announce the same instance say it again, for one of them
// has just been heard of.
func (c *cache) doubtOthers(k key, now time.Time) {
	for _, other := range c.names[k.name] {
		if other.at == k.at && other.from != k.from {
			c.services[other].doubt(now)
		}
	}
}

func (s *entry) doubt(now time.Time) {
	if s.doubted.IsZero() && now.Sub(s.seen) > time.Second {
		s.doubted, s.again = now.Add(doubtFor), now
	}
}

// point takes in that an instance is there, or says goodbye.
func (c *cache) point(in mdns.Packet, rr *dns.PTR, now time.Time, latency time.Duration, changed touch) {
	k := keyOf(in, rr.Ptr)
	if rr.Hdr.Ttl == 0 {
		if s := c.services[k]; s != nil { // a second, in which another may object (section 10.1)
			s.expires = now.Add(time.Second)
			s.life = 0
		}
		return
	}
	s := c.instance(in, rr.Ptr, latency, changed)
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
	s := c.instance(in, rr.Hdr.Name, latency, changed)
	if s == nil {
		return
	}
	k := keyOf(in, rr.Hdr.Name)
	if s.target == "" {
		s.again = now // for its addresses, if they are not here
	} else if !strings.EqualFold(s.target, rr.Target) {
		c.untidy = true // nobody may be on the old one any more
	}
	s.target, s.host, s.port = rr.Target, mdns.Key(rr.Target), rr.Port
	s.live(now, seconds(rr.Hdr.Ttl))
	s.doubted = time.Time{}
	c.doubtOthers(k, now)
	if h := keyOf(in, s.host); c.hosts[h] == nil {
		c.hosts[h] = &host{map[netip.Addr]*address{}}
	}
	changed(k.name)
}

// text takes in what an instance says about itself.
func (c *cache) text(in mdns.Packet, rr *dns.TXT, now time.Time, changed touch) {
	k := keyOf(in, rr.Hdr.Name)
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
// address is new, or strange has the name of the host, if nothing that this machine
// has announced is on it.
func (c *cache) locate(in mdns.Packet, hdr *dns.RR_Header, ip []byte, counts func(netip.Addr) bool, now time.Time, hosts map[heard]bool, strange map[string]bool) {
	k := keyOf(in, hdr.Name)
	h := c.hosts[k]
	a, ok := netip.AddrFromSlice(ip)
	switch {
	case !ok || !counts(a):
		return
	case h == nil:
		strange[k.name] = strange[k.name] || hdr.Ttl > 0
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

// doubtHosts asks again for what is on hosts of which somebody else has said an
// address: he may be the host itself, which has another one now. It does so ten times
// a second at most.
func (c *cache) doubtHosts(at mdns.Place, strange map[string]bool, now time.Time) {
	if len(strange) == 0 || now.Sub(c.doubted) < 100*time.Millisecond {
		return
	}
	c.doubted = now
	for k, s := range c.services {
		if k.at == at && strange[s.host] {
			s.doubt(now)
		}
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
		host := key{k.at, s.host, k.from}
		if hosts[heard{host, true}] || hosts[heard{host, false}] {
			changed(k.name)
		}
	}
}

// addresses are those of the host of an instance.
func (c *cache) addresses(k key, s *entry) []netip.Addr {
	if h := c.hosts[key{k.at, s.host, k.from}]; h != nil {
		return slices.Collect(maps.Keys(h.addresses))
	}
	return nil
}

// confine forgets the addresses of a link that do not count any more.
func (c *cache) confine(at mdns.Place, counts func(from, a netip.Addr) bool, changed touch) {
	fewer := map[key]bool{}
	for k, h := range c.hosts {
		for a := range h.addresses {
			if k.at == at && !counts(k.from, a) {
				delete(h.addresses, a)
				fewer[k] = true
			}
		}
	}
	c.tidy(fewer, changed)
}
