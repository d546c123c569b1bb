package browse

import (
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

// sweep forgets what was not heard of again.
func (c *cache) sweep(now time.Time, changed touch) {
	for k, s := range c.services {
		if !now.Before(s.expires) {
			c.forget(k, changed)
		}
	}
	expired := map[key]bool{}
	for k, h := range c.hosts {
		for ip, a := range h.addresses {
			if !now.Before(a.expires) {
				delete(h.addresses, ip)
				expired[k] = true
			}
		}
	}
	if c.untidy || len(expired) > 0 {
		c.tidy(expired, changed)
	}
}

// tidy drops hosts that no instance is on, and tells of those that are on one
// whose addresses are fewer now.
func (c *cache) tidy(fewer map[key]bool, changed touch) {
	c.untidy = false
	used := map[key]bool{}
	for k, s := range c.services {
		host := key{k.at, s.host}
		used[host] = true
		if fewer[host] {
			changed(k.name)
		}
	}
	for k := range c.hosts {
		if !used[k] {
			delete(c.hosts, k)
		}
	}
}

func (c *cache) forget(k key, changed touch) {
	delete(c.services, k)
	c.untidy = true
	if c.names[k.name]--; c.names[k.name] == 0 {
		delete(c.names, k.name)
	}
	changed(k.name)
}

// leave forgets what was heard on a link.
func (c *cache) leave(at mdns.Place, changed touch) {
	for k := range c.services {
		if k.at == at {
			c.forget(k, changed)
		}
	}
	c.tidy(nil, changed)
}

// known are the instances that a link need not name again: half of their time is
// still ahead (RFC 6762, section 7.1). As many as fit are listed.
func (c *cache) known(at mdns.Place, now time.Time) (records []dns.RR) {
	size := 0
	for k, s := range c.services {
		left := s.pointed.Sub(now)
		if k.at != at || left <= s.pointTTL/2 || s.life == 0 {
			continue
		}
		rr := &dns.PTR{Hdr: dns.RR_Header{Name: service, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: uint32(left / time.Second)}, Ptr: s.name}
		if size += len(s.label) + 16; size > room {
			break
		}
		records = append(records, rr)
	}
	return records
}

// want is what to ask on a link.
type want struct {
	missing []dns.Question // asked alone: nobody else wants to know
	late    []dns.Question // for all to hear
}

// wants are what is missing of instances, and what expires soon: that is asked
// for at 80 % of its time, and again (section 5.2).
func (c *cache) wants(now time.Time) map[mdns.Place]*want {
	wants := map[mdns.Place]*want{}
	for k, s := range c.services {
		if s.asked == maxAsked || now.Before(s.again) || s.life == 0 {
			continue
		}
		questions := c.missing(k, s)
		refresh := len(questions) == 0
		if refresh && now.Before(s.expires.Add(-s.life/5)) {
			continue
		}
		wait := time.Second << s.asked
		if refresh {
			wait = max(wait, s.life/20)
			questions = ask(ask(nil, s.name, dns.TypeSRV, dns.TypeTXT), s.target, dns.TypeA, dns.TypeAAAA)
		}
		w := wants[k.at]
		if w == nil {
			w = &want{}
			wants[k.at] = w
		}
		if s.asked == 0 && !refresh {
			w.missing = append(w.missing, questions...)
		} else {
			w.late = append(w.late, questions...)
		}
		s.again = now.Add(wait)
		s.asked++
	}
	return wants
}

// missing are the questions for what an instance lacks to be shown.
func (c *cache) missing(k key, s *entry) (questions []dns.Question) {
	if s.target == "" || !s.texted {
		return ask(nil, s.name, dns.TypeSRV, dns.TypeTXT)
	}
	if h := c.hosts[key{k.at, s.host}]; h == nil || len(h.addresses) == 0 {
		return ask(nil, s.target, dns.TypeA, dns.TypeAAAA)
	}
	return nil
}

func ask(to []dns.Question, name string, types ...uint16) []dns.Question {
	for _, t := range types {
		to = append(to, dns.Question{Name: name, Qtype: t, Qclass: dns.ClassINET})
	}
	return to
}
