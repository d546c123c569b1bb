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
			return o.run(cmd.Context())
		},
	}
	o.addFlags(cmd.Flags(), 1000, "events that nobody has acknowledged")
	cmd.Flags().IntVar(&o.publishers, "publishers", 1, "sessions that publish")
	cmd.Flags().IntVar(&o.subscribers, "subscribers", 1, "sessions that listen")
	return cmd
}

func (o *benchPubSubOptions) run(ctx context.Context) error {
	r := pubSubRun{topic: benchURI(), args: o.payload(), arrived: make(chan struct{}, 1)}
	subscribers, err := o.dialMany(ctx, o.subscribers)
	defer leaveAll(subscribers)
	if err != nil {
		return err
	}
	all := make([]*histogram, len(subscribers))
	for i, s := range subscribers {
		all[i] = &histogram{}
		err := o.inTime(ctx, func(ctx context.Context) error {
			return s.Subscribe(ctx, r.topic, session.Exact, func(e *session.Event) { r.receive(all[i], e) })
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
	r.began = time.Now()
	err = o.measure(ctx, func(shift *shift) {
		for _, s := range publishers {
			shift.start(func(w *worker) error { return r.publish(w, s, max(o.window/2, 1)) })
		}
	})
	if err != nil {
		return err
	}
	expected := (r.sent.Load() - r.refused.Load()) * int64(o.subscribers)
	if err := r.await(ctx, subscribers, expected); err != nil {
		return err
	}
	leaveAll(subscribers) // no histogram changes any more
	var times histogram
	for _, h := range all {
		times.merge(h)
	}
	return o.show(figures{
		what: "pubsub", sent: r.sent.Load(), received: r.received.Load(),
		refused: r.refused.Load(), lost: expected - r.received.Load(),
		took: r.took(), times: &times, cpu: cpu(),
	})
}

// pubSubRun is what the sessions of a bench have in common.
type pubSubRun struct {
	topic    string
	args     []any
	began    time.Time
	sent     atomic.Int64
	refused  atomic.Int64
	received atomic.Int64
	last     atomic.Int64  // arrival since began, in ns
	arrived  chan struct{} // something did
}

func (r *pubSubRun) receive(times *histogram, e *session.Event) {
	now := time.Since(r.began)
	if at, ok := e.Kwargs["at"].(int64); ok {
		times.add(now - time.Duration(at))
	}
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

func (r *pubSubRun) acknowledged(w *worker, s *session.Session, receipt *session.Receipt) error {
	if receipt == nil {
		return nil
	}
	_, err := receipt.Wait(w)
	if err != nil && refused(s, err) {
		r.refused.Add(1)
		return nil
	}
	return err
}

// took is how long it took until the last event had arrived: not what was then
// waited for those that are lost.
func (r *pubSubRun) took() time.Duration {
	if last := time.Duration(r.last.Load()); last > 0 {
		return last
	}
	return time.Since(r.began)
}

func (r *pubSubRun) stamp() map[string]any {
	return map[string]any{"at": int64(time.Since(r.began))}
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
