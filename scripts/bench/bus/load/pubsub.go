package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// stampBytes begin each event: its number, from 1, and when it was published.
const stampBytes = 16

// timed is how many events there are for each whose time is taken: all of them
// would cost a subscriber a tenth of what it does.
const timed = 16

// subscriber counts what it gets.
type subscriber struct {
	began    time.Time
	received atomic.Int64
	wrong    atomic.Int64 // events out of order, or twice
	last     uint64

	mu    sync.Mutex
	times []time.Duration
}

func (s *subscriber) handle(payload []byte) {
	if len(payload) < stampBytes {
		s.wrong.Add(1)
		return
	}
	number := binary.LittleEndian.Uint64(payload)
	if number <= s.last {
		s.wrong.Add(1)
		return
	}
	s.last = number
	s.received.Add(1)
	if number%timed == 0 {
		at := time.Duration(binary.LittleEndian.Uint64(payload[8:]))
		s.mu.Lock()
		s.times = append(s.times, time.Since(s.began)-at)
		s.mu.Unlock()
	}
}

// runPubSub publishes as fast as Window allows, to every subscriber.
func runPubSub(ctx context.Context, job Job) (Result, error) {
	if job.Size < stampBytes {
		return Result{}, fmt.Errorf("an event must have %d bytes or more, got %d", stampBytes, job.Size)
	}
	conns, err := job.dialMany(ctx, job.Subscribers)
	defer func() { closeAll(conns) }()
	if err != nil {
		return Result{}, err
	}
	began := time.Now()
	subscribers := make([]*subscriber, len(conns))
	for i, c := range conns {
		subscribers[i] = &subscriber{began: began}
		if err := c.Subscribe(ctx, topic, subscribers[i].handle); err != nil {
			return Result{}, err
		}
	}
	publisher, err := job.dial(ctx)
	if err != nil {
		return Result{}, err
	}
	defer publisher.Close()
	m, err := job.meter()
	if err != nil {
		return Result{}, err
	}
	p := &publication{Conn: publisher, began: began, payload: make([]byte, job.Size)}
	ctx, cancel := context.WithDeadline(ctx, m.began.Add(job.For+Patience))
	defer cancel()
	if err := p.run(ctx, m.began.Add(job.For), max(job.Window/2, 1)); err != nil {
		return Result{}, fmt.Errorf("publish: %w", err)
	}
	r := Result{Sent: int64(p.sent) * int64(len(conns))}
	r.Done, r.Took = await(subscribers, r.Sent, m.began)
	r.Lost = r.Sent - r.Done
	if err := m.stop(&r); err != nil {
		return r, err
	}
	return r, r.gather(conns, subscribers)
}

// publication is what the publisher does.
type publication struct {
	Conn
	began   time.Time
	payload []byte
	sent    uint64
}

// run publishes until end, with two batches under way that are not confirmed.
func (p *publication) run(ctx context.Context, end time.Time, batch int) error {
	last := func(context.Context) error { return nil }
	for time.Now().Before(end) {
		for range batch - 1 {
			if err := p.Publish(ctx, topic, p.next()); err != nil {
				return err
			}
		}
		wait, err := p.PublishConfirmed(ctx, topic, p.next())
		if err != nil {
			return err
		}
		if err := last(ctx); err != nil {
			return err
		}
		last = wait
	}
	return last(ctx)
}

func (p *publication) next() []byte {
	p.sent++
	binary.LittleEndian.PutUint64(p.payload, p.sent)
	binary.LittleEndian.PutUint64(p.payload[8:], uint64(time.Since(p.began)))
	return p.payload
}

// still is how long nothing may arrive until what is missing is lost.
const still = 2 * time.Second

// await waits until all events have arrived or none does any more, and says how
// many there were and how long after began the last came.
func await(subscribers []*subscriber, expected int64, began time.Time) (arrived int64, took time.Duration) {
	last := time.Now()
	for {
		var now int64
		for _, s := range subscribers {
			now += s.received.Load()
		}
		if now != arrived {
			arrived, last = now, time.Now()
		}
		if arrived == expected || time.Since(last) > still {
			return arrived, last.Sub(began)
		}
		time.Sleep(time.Millisecond)
	}
}

// gather adds up what the subscribers found.
func (r *Result) gather(conns []Conn, subscribers []*subscriber) error {
	var times []time.Duration
	for i, s := range subscribers {
		if n := s.wrong.Load(); n > 0 {
			return fmt.Errorf("%d events came out of order or twice", n)
		}
		if err := conns[i].Err(); err != nil && r.Note == "" {
			r.Note = err.Error()
		}
		s.mu.Lock()
		times = append(times, s.times...)
		s.mu.Unlock()
	}
	r.quantiles(times)
	return nil
}
