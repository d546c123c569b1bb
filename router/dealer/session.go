package dealer

import (
	"sync"
	"sync/atomic"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/budget"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// Session is one session as a caller and as a callee.
type Session struct {
	dealer *Dealer
	peer   *transport.Peer
	Member

	// what it announced as a callee
	interruptible bool // call_canceling
	progresses    bool // progressive_call_results, and call_canceling
	streams       bool // progressive_call_invocations, and call_canceling
	identifies    bool // caller_identification

	// outstanding are the final answers that it may still send, one for each
	// invocation, at most maxOutstanding.
	outstanding atomic.Int64

	mu             sync.Mutex
	gone           bool
	calls          map[wamp.ID]*call // that it has made, by their request
	late           []wamp.ID         // requests of streams that ended before their last chunk
	invocations    map[wamp.ID]*call // that it is to answer
	lastInvocation wamp.ID
	registrations  map[wamp.ID]Procedure
}

// Member is what the dealer knows of the one who has a session.
type Member struct {
	Limits  *Limits
	Calls   *budget.Budget // of calls in flight, that it shares with others; nil is no bound
	Callee  wamp.Dict      // the features that its HELLO announces for that role
	Owner   string         // whom what it registers belongs to
	Trusted bool           // one of the daemon's own: it may answer with any error
	Over    func(limit, message string)
	End     func(why *wire.Error) (ended <-chan struct{}) // ends the session
}

// Join makes s a session of the dealer.
func (d *Dealer) Join(s *Session, peer *transport.Peer, m Member) {
	s.dealer, s.peer, s.Member = d, peer, m
	callee := m.Callee
	s.interruptible = callee["call_canceling"] == true
	s.progresses = s.interruptible && callee["progressive_call_results"] == true
	s.streams = s.interruptible && callee["progressive_call_invocations"] == true
	s.identifies = callee["caller_identification"] == true
}

// put makes the map when it is needed: most sessions hold little.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// Register has calls to a procedure delivered to s. tell queues the REGISTERED: no
// INVOCATION comes before it.
func (s *Session) Register(id wamp.ID, p Procedure, tell func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tell()
	if s.gone {
		return
	}
	put(&s.registrations, id, p)
	s.dealer.add(id, p, s)
}

// Unregister undoes Register. No INVOCATION comes afterwards.
func (s *Session) Unregister(id wamp.ID) {
	s.dealer.remove(id, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.registrations, id)
}

// Registration is what s has registered under id.
func (s *Session) Registration(id wamp.ID) (Procedure, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.registrations[id]
	return p, ok
}

// Registrations are the ids of those that s has, by what they are for.
func (s *Session) Registrations(each func(id wamp.ID, p Procedure)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range s.registrations {
		each(id, p)
	}
}

// Open is how many calls of s wait for an answer, and how many procedures it has
// registered.
func (s *Session) Open() (calls, registrations int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls), len(s.registrations)
}

// maxOutstanding bounds what a callee may save up that answers nothing.
const maxOutstanding = 4096

// Owes reports whether a final answer that s sends is one that it owes: an answer to
// an invocation, which may come too late, but there are not more of them than
// invocations.
func (s *Session) Owes() bool {
	for n := s.outstanding.Load(); n > 0; n = s.outstanding.Load() {
		if s.outstanding.CompareAndSwap(n, n-1) {
			return true
		}
	}
	return false
}

// Leave ends what s has open. Its callees hear that nobody waits, its callers that
// their callee is lost.
func (s *Session) Leave() {
	s.mu.Lock()
	s.gone = true
	calls, invocations, registrations := s.calls, s.invocations, s.registrations
	s.calls, s.invocations, s.registrations = nil, nil, nil
	for _, c := range calls {
		c.stopTimers()
	}
	s.Calls.Give(len(calls))
	s.mu.Unlock()
	for id := range registrations {
		s.dealer.remove(id, s)
	}
	for _, c := range calls {
		c.interrupt(nil, wire.ErrCanceled, wamp.CancelModeKillNoWait)
	}
	for _, c := range invocations {
		c.answer(nil, calleeLost(c.request), true)
	}
}

func calleeLost(request wamp.ID) wamp.Message {
	return transport.Refuse(&wamp.Call{}, request, wire.ErrCalleeLost, "the callee went away during the call")
}
