package load

import (
	"bufio"
	"context"
	"net"
	"sync"
)

// stream is what the clients of WAMP, NATS and MQTT have in common: buffered reads,
// writes that leave together when several wait, and requests in flight.
type stream struct {
	nc net.Conn

	mu      sync.Mutex
	queue   []byte
	spare   []byte
	writing bool
	err     error
	ended   bool
	wake    chan struct{} // the writer has something to do
	done    chan struct{} // closed when it has ended

	calls    requests
	confirms requests // in the order in which they were made
}

// readAhead is the buffer of what is read.
const readAhead = 64 << 10

// open starts a stream whose messages are read by read until it fails, which
// must not keep what it gets from the reader.
func (s *stream) open(ctx context.Context, network, address string, read func(*bufio.Reader) error) error {
	nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	s.nc, s.wake, s.done = nc, make(chan struct{}, 1), make(chan struct{})
	go s.write()
	go func() {
		r := bufio.NewReaderSize(nc, readAhead)
		for {
			if err := read(r); err != nil {
				s.fail(err)
				return
			}
			if r.Buffered() == 0 {
				s.flush() // the answers to all that came together
			}
		}
	}()
	return nil
}

// put queues what add appends to the queue.
func (s *stream) put(add func([]byte) []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.queue = add(s.queue)
	}
	return s.err
}

// flush writes what is queued. If another goroutine writes, that one does it.
func (s *stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing {
		return
	}
	s.writing = true
	for len(s.queue) > 0 && s.err == nil {
		out := s.queue
		s.queue = s.spare[:0]
		s.mu.Unlock()
		_, err := s.nc.Write(out)
		s.mu.Lock()
		s.spare = out
		if err != nil && s.err == nil {
			s.err = err
		}
	}
	s.writing = false
}

// soon has what is queued written soon, together with what comes until then.
func (s *stream) soon() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) write() {
	for {
		select {
		case <-s.wake:
			s.flush()
		case <-s.done:
			return
		}
	}
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	if !s.ended {
		s.ended = true
		close(s.done)
	}
	_ = s.nc.Close()
	s.calls.fail(s.err)
	s.confirms.fail(s.err)
}

// Err is why it ended, nil while it lives.
func (s *stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends it; what is queued is lost.
func (s *stream) Close() { s.fail(errClosed) }

// answer is that to a request: so many bytes, or an error.
type answer struct {
	n   int
	err error
}

// requests are those that wait for an answer, by a number, from 1.
type requests struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan answer
	err     error
}

func (r *requests) begin() (uint64, chan answer) {
	ch := make(chan answer, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		ch <- answer{err: r.err}
		return 0, ch
	}
	if r.waiting == nil {
		r.waiting = map[uint64]chan answer{}
	}
	r.last++
	r.waiting[r.last] = ch
	return r.last, ch
}

// skip is a number that gets no answer.
func (r *requests) skip() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	return r.last
}

// end answers a request; one that nobody made, or that was answered, is ignored.
func (r *requests) end(number uint64, a answer) {
	r.mu.Lock()
	ch := r.waiting[number]
	delete(r.waiting, number)
	r.mu.Unlock()
	if ch != nil {
		ch <- a
	}
}

func (r *requests) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	for _, ch := range r.waiting {
		ch <- answer{err: err}
	}
	r.waiting = nil
}

// received waits for an answer until ctx ends.
func received(ctx context.Context, ch chan answer) (int, error) {
	select {
	case a := <-ch:
		return a.n, a.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
