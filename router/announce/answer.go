package announce

import (
	"math/rand/v2"
	"time"

	"github.com/miekg/dns"

	"github.com/deskconn/dconn/router/mdns"
)

// answer answers a query, with one message whatever it asks.
func (a *Announcer) answer(p *place, in mdns.Packet) {
	if !p.settled {
		p.beaten = p.beaten || p.records.yields(in.Msg.Ns)
		return
	}
	var toAll, toOne kinds
	var answered []dns.Question
	for _, q := range in.Msg.Question {
		k := p.records.asked(q)
		if k == 0 {
			continue
		}
		if legacy := in.From.Port() != mdns.Number; legacy || q.Qclass&mdns.Flush != 0 {
			toOne |= k
		} else {
			toAll |= k
		}
		if len(answered) < 4 {
			answered = append(answered, q)
		}
	}
	known := p.records.known(toAll|toOne, in.Msg.Answer)
	toAll, toOne = toAll&^known, toOne&^known
	if toOne != 0 {
		toAll |= a.reply(p, in, toOne, answered)
	}
	if toAll != 0 {
		a.plan(p, toAll, len(in.Msg.Ns) > 0)
	}
}

// reply answers to who asked alone, and returns what has to go to all.
func (a *Announcer) reply(p *place, in mdns.Packet, k kinds, questions []dns.Question) kinds {
	legacy := in.From.Port() != mdns.Number
	if !legacy && p.stale(k) {
		return k
	}
	// whoever is not of this network would be sent what he never asked for
	if !p.link.Local(in.From.Addr()) || !a.budget.take() {
		return 0
	}
	m := p.records.reply(k)
	if legacy {
		forResolver(m, in.Msg.Id, questions)
	}
	_ = p.socket.Reply(m, in.From)
	return 0
}

// stale reports whether some records were last sent to all so long ago that it is
// time to, so that everybody keeps them (RFC 6762, section 5.4).
func (p *place) stale(k kinds) (stale bool) {
	k.each(func(one kinds) {
		for _, rr := range p.records.of[one] {
			quarter := time.Duration(rr.Header().Ttl) * time.Second / 4
			stale = stale || time.Since(p.sent[index(one)]) > quarter
		}
	})
	return stale
}

// plan answers to all: after a moment if others may answer too, and never the
// same twice within a second (section 6). Who probes for our name is answered
// sooner.
func (a *Announcer) plan(p *place, k kinds, probed bool) {
	now, gap := time.Now(), againAfter
	if probed {
		gap = defendAfter
	}
	at := now
	if k&shared != 0 {
		at = now.Add(20*time.Millisecond + rand.N(100*time.Millisecond))
	}
	k.each(func(one kinds) {
		if again := p.sent[index(one)].Add(gap); again.After(at) {
			at = again
		}
	})
	planned := p.due != 0 && !at.Before(p.at)
	p.due |= k
	if planned {
		return
	}
	p.at = at
	turn := p.at
	a.agenda.after(at.Sub(now), func() {
		if p.due != 0 && p.at.Equal(turn) && p.settled && a.places[p.link.Place] == p {
			due := p.due
			p.due = 0
			a.multicast(p, due)
		}
	})
}
