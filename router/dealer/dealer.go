// Package dealer carries every CALL to a session that has registered its procedure,
// and what the callee answers back to the caller. nexus grants registrations and
// answers the meta API about them; the reader of each end puts what it has to say on
// the queue of the other.
//
// The locks of two sessions are never held at once. The caller's lock guards whether
// a call still waits for an answer, the callee's whether an answer is still due.
package dealer

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/pattern"
	"github.com/deskconn/dconn/router/wire"
)

// Limits bounds what one session may have open at the dealer.
type Limits struct {
	Calls       int           // calls in flight
	StreamBytes int           // of arguments in all chunks of one progressive call
	StreamIdle  time.Duration // between two chunks of it
}

// DefaultLimits suit most.
func DefaultLimits() Limits {
	return Limits{Calls: 1024, StreamBytes: 1 << 30, StreamIdle: time.Minute}
}

// Names of Limits, as an error about one of them has it.
const (
	LimitCalls       = "calls"
	LimitStreamBytes = "stream_bytes"
	LimitStreamIdle  = "stream_idle"
)

// Dealer knows the registrations of all sessions.
type Dealer struct {
	mu            sync.RWMutex
	registrations pattern.Table[*registration]
	byID          map[wamp.ID]*registration
}

// New makes a Dealer without registrations.
func New() *Dealer { return &Dealer{byID: map[wamp.ID]*registration{}} }

// Procedure is what a registration is for.
type Procedure struct {
	URI    wamp.URI
	Match  string // wamp.MatchExact, MatchPrefix or MatchWildcard
	Invoke string // wamp.InvokeSingle, InvokeRoundRobin, InvokeRandom, InvokeFirst or InvokeLast
	// DiscloseCaller says that this callee wants to know who calls.
	DiscloseCaller bool
}

// registration is a procedure with the sessions that share it, one where nobody else
// may register it.
type registration struct {
	id wamp.ID
	Procedure
	callees []*Session // with Dealer.mu

	turn sync.Mutex
	next int // index into callees, of the round robin
}

// add notes that s has registered a procedure.
func (d *Dealer) add(id wamp.ID, p Procedure, s *Session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.byID[id]
	if r == nil {
		r = &registration{id: id, Procedure: p}
		d.byID[id] = r
		d.registrations.Add(p.URI, p.Match, r)
	}
	r.callees = append(r.callees, s)
}

func (d *Dealer) remove(id wamp.ID, s *Session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.byID[id]
	if r == nil {
		return
	}
	// A lookup may still walk over the old list.
	r.callees = slices.DeleteFunc(slices.Clone(r.callees), func(c *Session) bool { return c == s })
	if len(r.callees) == 0 {
		delete(d.byID, id)
		d.registrations.Remove(r.URI, r.Match, r)
	}
}

// OwnerOf is whom a procedure belongs to, if somebody has registered it, or a pattern
// that calls to it would go to.
func (d *Dealer) OwnerOf(p Procedure) (owner string, has bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := d.registrations.Same(p.URI, p.Match)
	if len(r) == 0 && p.Match == wamp.MatchExact {
		if covering := d.findPattern(p.URI); covering != nil {
			r = []*registration{covering}
		}
	}
	if len(r) == 0 {
		return "", false
	}
	return newest(r).callees[0].Owner, true
}

// Displace ends the sessions of others than owner that have registered p, and waits
// until their registrations are free.
func (d *Dealer) Displace(p Procedure, owner string) {
	d.mu.RLock()
	var others []*Session
	for _, r := range d.registrations.Same(p.URI, p.Match) {
		for _, s := range r.callees {
			if s.Owner != owner {
				others = append(others, s)
			}
		}
	}
	d.mu.RUnlock()
	for _, s := range others {
		ended := s.End(wire.Errorf(wire.ErrAlreadyExists, "the owner of this daemon has registered %s", p.URI))
		select {
		case <-ended:
		case <-time.After(displacing):
		}
	}
}

// displacing is how long the end of one session is awaited.
const displacing = 2 * time.Second

// Registered are the procedures that sessions have registered, by their URIs.
func (d *Dealer) Registered() []Procedure {
	d.mu.RLock()
	defer d.mu.RUnlock()
	list := make([]Procedure, 0, len(d.byID))
	for _, r := range d.byID {
		list = append(list, r.Procedure)
	}
	slices.SortFunc(list, func(a, b Procedure) int {
		return cmp.Or(strings.Compare(string(a.URI), string(b.URI)), strings.Compare(a.Match, b.Match))
	})
	return list
}

// find is the registration that a call to procedure goes to, and the callee whose
// turn it is; nil if there is none. An exact registration goes before a prefix, the
// longest prefix before a wildcard, and the longest wildcard before another.
func (d *Dealer) find(procedure wamp.URI) (*registration, *Session) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var found *registration
	if exact := d.registrations.Exact(procedure); len(exact) > 0 {
		found = newest(exact)
	} else {
		found = d.findPattern(procedure)
	}
	if found == nil {
		return nil, nil
	}
	return found, found.pick()
}

func (d *Dealer) findPattern(procedure wamp.URI) (found *registration) {
	d.registrations.Prefixes(procedure, func(all []*registration) { found = newest(all) })
	if found != nil {
		return found
	}
	d.registrations.Wildcards(procedure, func(all []*registration) {
		if r := newest(all); found == nil || len(r.URI) > len(found.URI) {
			found = r
		}
	})
	return found
}

// newest is the registration that nexus granted last: an older one for the same
// procedure has ended at nexus, and its callee is about to be told.
func newest(all []*registration) *registration {
	return slices.MaxFunc(all, func(a, b *registration) int { return cmp.Compare(a.id, b.id) })
}

// pick is the callee whose turn it is. Dealer.mu is held.
func (r *registration) pick() *Session {
	n := len(r.callees)
	if n == 1 {
		return r.callees[0]
	}
	switch r.Invoke {
	case wamp.InvokeLast:
		return r.callees[n-1]
	case wamp.InvokeRandom:
		return r.callees[rand.IntN(n)]
	case wamp.InvokeRoundRobin:
		r.turn.Lock()
		defer r.turn.Unlock()
		if r.next >= n {
			r.next = 0
		}
		r.next++
		return r.callees[r.next-1]
	}
	return r.callees[0]
}
