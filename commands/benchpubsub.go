package commands

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/session"
)

type benchPubSubOptions struct {
	benchOptions
	publishers  int
	subscribers int
	ahead       int // events that no subscriber may be behind; 0 is no limit
}

func newBenchPubSub(s *streams) *cobra.Command {
	o := &benchPubSubOptions{benchOptions: benchOptions{streams: s}}
	cmd := &cobra.Command{
		Use:   "pubsub [flags]",
		Short: "measure events",
		Long: lines("Measure events: each publisher sends as fast as it may, to every subscriber. The",
			"times are from the publication of an event to its arrival."),
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd, map[string]int{"publishers": o.publishers, "subscribers": o.subscribers}); err != nil {
				return err
			}
			if in := cmd.Flags().Lookup("in-flight"); !in.Changed && in.Annotations[originKey] == nil {
				o.fit()
			}
			return o.run(cmd.Context())
		},
	}
	o.addFlags(cmd.Flags(), 1000, "events of each publisher may await their acknowledgement; if not given, large ones are bounded by 4 MiB at each subscriber")
	cmd.Flags().IntVar(&o.publishers, "publishers", 1, "sessions that publish")
	cmd.Flags().IntVar(&o.subscribers, "subscribers", 1, "sessions that listen")
	return cmd
}

// fit bounds large events by their bytes: half of what the daemon lets wait for a
// session.
func (o *benchPubSubOptions) fit() {
	const most = 4 << 20
	if o.size*o.window*o.publishers <= most {
		return
	}
	o.ahead = max(most/o.size, 1)
	o.window = max(o.ahead/o.publishers, 2)
}

func (o *benchPubSubOptions) run(ctx context.Context) error {
	r := pubSubRun{topic: benchURI(), args: o.payload(), refusals: &o.refusals, arrived: make(chan struct{}, 1), epoch: time.Now()}
	subscribers, err := o.dialMany(ctx, o.subscribers)
	defer leaveAll(subscribers)
	if err != nil {
		return err
	}
	r.ahead.Store(int64(o.ahead))
	r.listeners = make([]listener, len(subscribers))
	for i, s := range subscribers {
		err := o.inTime(ctx, func(ctx context.Context) error {
			return s.Subscribe(ctx, r.topic, session.Exact, func(e *session.Event) { r.receive(&r.listeners[i], e) })
		})
		if err != nil {
			return err
		}
	}
	publishers, err := o.dialMany(ctx, o.publishers)
	defer leaveAll(publishers)
	if err != nil {
		return err
	}
	cpu := o.daemonCPU()
	r.began = time.Since(r.epoch)
	err = o.measure(ctx, func(shift *shift) {
		for _, s := range publishers {
			shift.start(func(w *worker) error { return r.publish(w, s, max(o.window/2, 1)) })
		}
	})
	if err != nil {
		return err
	}
	expected := (r.sent.Load() - o.refusals.count.Load()) * int64(o.subscribers)
	if err := r.await(ctx, subscribers, expected); err != nil {
		return err
	}
	leaveAll(subscribers) // no histogram changes any more
	var times histogram
	for i := range r.listeners {
		times.merge(&r.listeners[i].times)
	}
	return o.show(figures{
		what: "pubsub", sent: r.sent.Load(), received: r.received.Load(),
		lost: expected - r.received.Load(),
		took: r.took(), times: &times, cpu: cpu(),
	})
}

// pubSubRun is what the sessions of a bench have in common.
type pubSubRun struct {
	topic    string
	args     []any
	epoch    time.Time     // what events are stamped against
	began    time.Duration // of the measurement, since then
	sent     atomic.Int64
	refusals *tally
	received atomic.Int64
	last     atomic.Int64  // arrival since epoch, in ns
	arrived  chan struct{} // something did

	ahead     atomic.Int64 // as in the options
	listeners []listener   // one of each subscriber
}

type listener struct {
	times histogram
	heard atomic.Int64
}

func (r *pubSubRun) receive(l *listener, e *session.Event) {
	now := time.Since(r.epoch)
	if at, ok := e.Kwargs["at"].(int64); ok {
		l.times.add(now - time.Duration(at))
	}
	l.heard.Add(1)
	r.last.Store(int64(now))
	r.received.Add(1)
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

// publish publishes as long as there is time, two batches ahead of what the
// router has acknowledged. What it has sent then is acknowledged.
func (r *pubSubRun) publish(w *worker, s *session.Session, batch int) error {
	var last *session.Receipt
	for w.more() {
		r.room(w)
		for range batch - 1 {
			if err := s.Publish(w, r.topic, r.args, r.stamp(), false); err != nil {
				return err
			}
			r.sent.Add(1)
		}
		receipt, err := s.PublishAcknowledged(w, r.topic, r.args, r.stamp())
		if err != nil {
			return err
		}
		r.sent.Add(1)
		if err := r.acknowledged(w, s, last); err != nil {
			return err
		}
		last = &receipt
	}
	return r.acknowledged(w, s, last)
}

// room waits until every subscriber has heard so much that there may be more.
// What a router has lost is waited for once.
func (r *pubSubRun) room(w *worker) {
	heard, since := int64(-1), time.Now()
	for w.shift.measuring.Err() == nil {
		ahead, slowest := r.ahead.Load(), r.slowest()
		if ahead == 0 || r.sent.Load()-r.refusals.count.Load()-slowest < ahead {
			return
		}
		if slowest > heard {
			heard, since = slowest, time.Now()
		} else if time.Since(since) > benchPatience {
			r.ahead.Store(0)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// slowest is how much that subscriber has heard that has heard the least.
func (r *pubSubRun) slowest() int64 {
	least := r.sent.Load()
	for i := range r.listeners {
		least = min(least, r.listeners[i].heard.Load())
	}
	return least
}

func (r *pubSubRun) acknowledged(w *worker, s *session.Session, receipt *session.Receipt) error {
	if receipt == nil {
		return nil
	}
	_, err := receipt.Wait(w)
	if err != nil && refused(s, err) {
		r.refusals.add(err)
		return nil
	}
	return err
}

// took is how long it took until the last event had arrived: not what was then
// waited for those that are lost.
func (r *pubSubRun) took() time.Duration {
	if last := time.Duration(r.last.Load()); last > 0 {
		return last - r.began
	}
	return time.Since(r.epoch) - r.began
}

func (r *pubSubRun) stamp() map[string]any {
	return map[string]any{"at": int64(time.Since(r.epoch))}
}

// benchPatience is how long nothing may arrive until what is missing is lost.
const benchPatience = 2 * time.Second

// await waits until everything has arrived, or nothing does any more. A
// subscriber that was cut off is an error: its events were not lost silently.
func (r *pubSubRun) await(ctx context.Context, subscribers []*session.Session, expected int64) error {
	for r.received.Load() < expected {
		select {
		case <-r.arrived:
		case <-time.After(benchPatience):
			for _, s := range subscribers {
				if s.Err() != nil && !errors.Is(s.Err(), session.ErrLeft) {
					return s.Err()
				}
			}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
