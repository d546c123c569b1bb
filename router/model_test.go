package router

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

// world is a tiny model of broker and dealer: what each session asked for, was
// told and got, ordered by one clock. It knows only what the sessions know, so
// what happened between a request and its answer may have happened at any time
// between them.
type world struct {
	mu            sync.Mutex
	clock         int64
	publications  map[string]*publication
	calls         map[string]*placed
	subscriptions []*subscription
	registrations []*registration
	chunks        int // that callees got, after the first of each call
	wrong         []string
	settling      chan struct{} // closed when nobody starts anything any more
}

// member is a session as the model sees it. Times are 0 while they have not come.
type member struct {
	id   int
	left int64 // when it began to leave
	sent int   // publications and calls, to name them
}

type publication struct {
	by          *member
	number      int
	topic       string
	toSelf      bool
	sent, acked int64 // acked also by the acknowledgment of a later one
}

// lease is a subscription or a registration from its request to its end.
type lease struct {
	by             *member
	uri, match     string
	asked, granted int64
	giving, given  int64 // UNSUBSCRIBE sent, UNSUBSCRIBED received
}

type subscription struct {
	lease
	got []string
}

type registration struct{ lease }

type placed struct {
	by             *member
	procedure      string
	wantsProgress  bool
	timed          bool // it has a timeout
	streams        bool // its arguments come in chunks
	sent, canceled int64
	ended          int64
	invoked        int
	progress       int
	uri            string // of the error, "" for a result
}

// streamed is a progressive call as one end sees it: its caller what it has sent, its
// callee what has come.
type streamed struct {
	request int64
	token   any
	chunks  int
	whole   bool // the last was among them
}

func newWorld() *world {
	return &world{publications: map[string]*publication{}, calls: map[string]*placed{}, settling: make(chan struct{})}
}

// tick is the next moment. w.mu is held, as in everything that follows.
func (w *world) tick() int64 { w.clock++; return w.clock }

func (w *world) wrongf(format string, a ...any) { w.wrong = append(w.wrong, fmt.Sprintf(format, a...)) }

func (w *world) publish(by *member, topic string, toSelf bool) (token string) {
	by.sent++
	token = fmt.Sprintf("%d.%d", by.id, by.sent)
	w.publications[token] = &publication{by: by, number: by.sent, topic: topic, toSelf: toSelf, sent: w.tick()}
	return token
}

// acknowledge notes that the router has a publication, and so all before it.
func (w *world) acknowledge(token string) {
	last, now := w.publications[token], w.tick()
	for _, p := range w.publications {
		if p.by == last.by && p.number <= last.number && p.acked == 0 {
			p.acked = now
		}
	}
}

func (w *world) subscribe(by *member, topic, match string) *subscription {
	s := &subscription{lease: lease{by: by, uri: topic, match: match, asked: w.tick()}}
	w.subscriptions = append(w.subscriptions, s)
	return s
}

func (w *world) register(by *member, procedure string) *registration {
	r := &registration{lease{by: by, uri: procedure, asked: w.tick()}}
	w.registrations = append(w.registrations, r)
	return r
}

func (w *world) call(by *member, procedure string, progress bool) (token string, c *placed) {
	by.sent++
	token = fmt.Sprintf("%d.%d", by.id, by.sent)
	c = &placed{by: by, procedure: procedure, wantsProgress: progress, sent: w.tick()}
	w.calls[token] = c
	return token, c
}

// invoke notes that a callee got a call.
func (w *world) invoke(token any) *placed {
	name, _ := token.(string)
	c := w.calls[name]
	if c == nil {
		w.wrongf("an INVOCATION of a call that nobody made: %v", token)
		return &placed{by: &member{}}
	}
	if c.invoked++; c.invoked > 1 {
		w.wrongf("call %s was delivered %d times", name, c.invoked)
	}
	return c
}

// chunk compares one that a callee got, after the first, with what is due.
func (w *world) chunk(v *streamed, args []any, more bool) (wrong string) {
	switch {
	case len(args) != 2 || args[0] != v.token:
		return "a chunk of another call"
	case args[1] != int64(v.chunks):
		return fmt.Sprintf("a chunk where number %d is due", v.chunks)
	case v.whole:
		return "a chunk after the last"
	}
	v.chunks++
	v.whole = !more
	w.chunks++
	return ""
}

// step notes a progressive result; they are numbered from 0.
func (w *world) step(c *placed, args []any) {
	if !c.wantsProgress || len(args) != 1 || args[0] != int64(c.progress) {
		w.wrongf("progress %v where %d is due (asked for: %v)", args, c.progress, c.wantsProgress)
	}
	c.progress++
}

// end notes how a call ended; a result must be its own.
func (w *world) end(token string, c *placed, uri string, args []any) {
	if c.ended != 0 {
		w.wrongf("call %s ended twice: %q, then %q", token, c.uri, uri)
	}
	c.ended, c.uri = w.tick(), uri
	if (uri == "" || uri == ownError) && !(len(args) == 1 && args[0] == token) {
		w.wrongf("call %s was answered with %v", token, args)
	}
	lost := func(r *registration) bool { return r.uri == c.procedure && r.by.left != 0 }
	switch uri {
	case "", ownError, wire.ErrNoSuchProcedure: // the last is looked at in verify
	case wire.ErrNotSupported:
		if !c.streams {
			w.wrongf("call %s is no stream, and its callee takes none", token)
		}
	case wire.ErrTimeout:
		if !c.timed {
			w.wrongf("call %s had no timeout, and ran out of time", token)
		}
	case wire.ErrCanceled:
		if c.canceled == 0 && c.by.left == 0 {
			w.wrongf("call %s was not canceled, and ended so", token)
		}
	case wire.ErrCalleeLost:
		if !slices.ContainsFunc(w.registrations, lost) {
			w.wrongf("call %s lost its callee, but no callee left", token)
		}
	default:
		w.wrongf("call %s ended with %s %v", token, uri, args)
	}
}

// ownError is what callees of the model answer.
const ownError = "org.m.error.own"

// open counts the calls of those who stay that have not ended.
func (w *world) open() (n int) {
	for _, c := range w.calls {
		if c.ended == 0 && c.by.left == 0 {
			n++
		}
	}
	return n
}

// matches says whether a topic is one of the subscription.
func (l *lease) matches(topic string) bool {
	switch l.match {
	case session.Prefix:
		return strings.HasPrefix(topic, l.uri)
	case session.Wildcard:
		pattern, parts := strings.Split(l.uri, "."), strings.Split(topic, ".")
		for i, p := range pattern {
			if len(pattern) != len(parts) || p != "" && p != parts[i] {
				return false
			}
		}
		return true
	}
	return topic == l.uri
}

// covers says that a lease was held for all of the time between two moments.
func (l *lease) covers(from, to int64) bool {
	return l.granted != 0 && l.granted < from && (l.giving == 0 || l.giving > to) && (l.by.left == 0 || l.by.left > to)
}

// verify looks at the whole history.
func (w *world) verify() {
	for _, s := range w.subscriptions {
		w.verifyEvents(s)
	}
	for token, c := range w.calls {
		if c.uri != wire.ErrNoSuchProcedure || c.ended == 0 {
			continue
		}
		for _, r := range w.registrations {
			if r.uri == c.procedure && r.covers(c.sent, c.ended) {
				w.wrongf("call %s found no procedure, and session %d had it all the time", token, r.by.id)
			}
		}
	}
}

// verifyEvents: only what matches, in order, never twice, nothing from outside
// the subscription; and of what is certainly inside everything, if it stayed.
func (w *world) verifyEvents(s *subscription) {
	last, seen := map[string]int{}, map[string]bool{}
	for _, token := range s.got {
		p := w.publications[token]
		if p == nil {
			w.wrongf("session %d got an event that nobody published: %s", s.by.id, token)
			continue
		}
		stream := fmt.Sprint(p.by.id, p.topic)
		switch {
		case !s.matches(p.topic):
			w.wrongf("session %d got %s by %s %s", s.by.id, p.topic, s.match, s.uri)
		case seen[token]:
			w.wrongf("session %d got event %s twice by %s %s", s.by.id, token, s.match, s.uri)
		case p.number < last[stream]:
			w.wrongf("session %d got event %s after number %d of its publisher and topic", s.by.id, token, last[stream])
		case p.by == s.by && !p.toSelf:
			w.wrongf("session %d got its own event %s", s.by.id, token)
		case p.acked != 0 && p.acked < s.asked:
			w.wrongf("session %d got event %s, from before it subscribed", s.by.id, token)
		case s.given != 0 && p.sent > s.given:
			w.wrongf("session %d got event %s, from after it unsubscribed", s.by.id, token)
		}
		seen[token], last[stream] = true, p.number
	}
	for token, p := range w.publications {
		due := s.by.left == 0 && p.acked != 0 && s.matches(p.topic) && (p.by != s.by || p.toSelf) && s.covers(p.sent, p.acked)
		if due && !seen[token] {
			w.wrongf("session %d missed event %s on %s by %s %s", s.by.id, token, p.topic, s.match, s.uri)
		}
	}
}

// tally says what a round was about: one that only sees calls of nothing proves
// nothing.
func (w *world) tally() string {
	ends, got := map[string]int{}, 0
	for _, c := range w.calls {
		ends[fmt.Sprintf("%q", c.uri)]++
	}
	for _, s := range w.subscriptions {
		got += len(s.got)
	}
	return fmt.Sprintf("%d events arrived %d times by %d subscriptions; %d registrations; %d chunks; calls ended %v",
		len(w.publications), got, len(w.subscriptions), len(w.registrations), w.chunks, ends)
}
