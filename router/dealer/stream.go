package dealer

import (
	"fmt"
	"slices"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// stream is what is still to come of a progressive call invocation (WAMP
// specification, section "Progressive Call Invocations"): its caller sends arguments
// in chunks, each a CALL with the same request.
type stream struct {
	bytes int // of all chunks so far
	idle  *time.Timer
}

// chunkBytes is what a chunk counts beside its arguments: one without any is not
// free.
const chunkBytes = 64

// maxLate is how many streams are kept in mind that ended before their last chunk.
const maxLate = 64

// newStream is that of a call whose first chunk is m. The caller's lock is held.
func (c *call) newStream(m *wamp.Call) *stream {
	return &stream{
		bytes: transport.PayloadOf(m).Len() + chunkBytes,
		idle:  time.AfterFunc(c.caller.Limits.StreamIdle, c.idles),
	}
}

// isLate reports whether m is a chunk of a call that has ended: it must not become a
// call of its own. s.mu is held.
func (s *Session) isLate(m *wamp.Call) bool {
	at := slices.Index(s.late, m.Request)
	if at >= 0 && m.Options["progress"] != true { // the last one
		s.late = slices.Delete(s.late, at, at+1)
	}
	return at >= 0
}

// idles ends a stream whose caller has fallen silent.
func (c *call) idles() {
	c.exceeds(nil, LimitStreamIdle, fmt.Sprintf("no further chunk of this call within %v", c.caller.Limits.StreamIdle))
}

// exceeds ends a call that went over a limit of streams. by is the reader that calls,
// nil where none does.
func (c *call) exceeds(by *transport.Peer, limit, message string) {
	if c.fail(by, overLimit(c.request, limit, message), wire.ErrLimit) {
		c.caller.Over(limit, message)
	}
}

// chunk passes on another chunk of the call. The caller's lock is held, and released.
func (c *call) chunk(m *wamp.Call) {
	s, to := c.caller, c.callee
	c.stream.bytes += transport.PayloadOf(m).Len() + chunkBytes
	tooMuch := c.stream.bytes > s.Limits.StreamBytes
	if m.Options["progress"] == true {
		c.stream.idle.Reset(s.Limits.StreamIdle)
	} else {
		c.stream.idle.Stop()
		c.stream = nil
	}
	s.mu.Unlock()
	if tooMuch {
		c.exceeds(s.peer, LimitStreamBytes, fmt.Sprintf("the arguments of one call have at most %d bytes in all chunks", s.Limits.StreamBytes))
		return
	}
	if err := to.continues(c, m); err != nil {
		c.fail(s.peer, undelivered(c.request, err), wire.ErrCanceled)
		return
	}
	s.peer.WriteLater(to.peer)
	if to.peer.Lags() {
		s.peer.WriteNow()
		to.peer.AwaitRoom()
	}
}

// continues queues an INVOCATION with another chunk of c, unless it has ended.
func (s *Session) continues(c *call, m *wamp.Call) error {
	if err := s.peer.Prepare(m); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.invocations[c.invocation] != c {
		return nil
	}
	var details wamp.Dict
	if m.Options["progress"] == true {
		details = progress
	}
	return s.peer.Put(&wamp.Invocation{
		Request: c.invocation, Registration: c.registration, Details: details,
		Arguments: m.Arguments, ArgumentsKw: m.ArgumentsKw,
	})
}
