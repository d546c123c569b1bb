package commands

import (
	"io"
	"sync"
	"time"
)

// spool writes on a goroutine of its own, so that records leave one by one
// while there is time and many at once when there is not. Whoever writes waits
// while more than maxSpool bytes are on their way.
type spool struct {
	w      io.Writer
	failed func(error) // told of the write that failed, at once
	done   chan struct{}

	mu      sync.Mutex
	changed sync.Cond // any of what follows
	queue   []byte
	pending int // bytes that are not written yet
	closed  bool
	err     error
}

const (
	maxSpool   = 256 << 10
	spoolChunk = 32 << 10 // what a reader must take to count as reading
)

func newSpool(w io.Writer, failed func(error)) *spool {
	s := &spool{w: w, failed: failed, done: make(chan struct{})}
	s.changed.L = &s.mu
	go s.run()
	return s
}

// Write queues whole records. Its error is that of an earlier write.
func (s *spool) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pending > maxSpool && !s.closed {
		s.changed.Wait()
	}
	switch {
	case s.err != nil:
		return 0, s.err
	case s.closed:
		return 0, io.ErrClosedPipe
	}
	s.queue = append(s.queue, b...)
	s.pending += len(b)
	s.changed.Broadcast()
	return len(b), nil
}

func (s *spool) run() {
	defer close(s.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	var spare []byte
	for {
		for len(s.queue) == 0 && !s.closed {
			s.changed.Wait()
		}
		if len(s.queue) == 0 || s.err != nil {
			return
		}
		out := s.queue
		s.queue = spare[:0]
		s.write(out)
		spare = out
	}
}

// write writes all of b; s.mu is held, but not while a write is under way.
func (s *spool) write(b []byte) {
	for len(b) > 0 && s.err == nil {
		s.mu.Unlock()
		n, err := s.w.Write(b[:min(len(b), spoolChunk)])
		if err != nil {
			s.failed(err)
		}
		s.mu.Lock()
		b, s.err = b[n:], err
		s.pending -= n
		s.closed = s.closed || err != nil
		s.changed.Broadcast()
	}
}

// close waits until all is written and returns the error of a write. With a
// patience other than 0 it gives up when nothing was taken for so long: left is
// how many bytes that are.
func (s *spool) close(patience time.Duration) (left int, err error) {
	s.mu.Lock()
	s.closed = true
	s.changed.Broadcast()
	s.mu.Unlock()
	if patience == 0 {
		<-s.done
		return 0, s.err
	}
	for before := s.untaken(); ; {
		select {
		case <-s.done:
			return 0, s.err
		case <-time.After(patience):
		}
		now := s.untaken()
		if now == before {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.pending, nil
		}
		before = now
	}
}

// untaken is how many bytes are not written, or wait in the pipe to be read: a
// slow reader takes less than a whole write.
func (s *spool) untaken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending + inPipe()
}
