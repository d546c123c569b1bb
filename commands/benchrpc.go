package commands

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/session"
)

type benchRPCOptions struct {
	benchOptions
	callers int
	callees int
}

func newBenchRPC(s *streams) *cobra.Command {
	o := &benchRPCOptions{benchOptions: benchOptions{streams: s}}
	cmd := &cobra.Command{
		Use:   "rpc [flags]",
		Short: "measure calls",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd, map[string]int{"callers": o.callers, "callees": o.callees}); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.addFlags(cmd.Flags(), 1, "calls may be under way, of each session")
	cmd.Flags().IntVar(&o.callers, "callers", 1, "sessions that call")
	cmd.Flags().IntVar(&o.callees, "callees", 1, "sessions that answer, each with a procedure of its own")
	return cmd
}

func (o *benchRPCOptions) run(ctx context.Context) error {
	callees, err := o.dialMany(ctx, o.callees)
	defer leaveAll(callees)
	if err != nil {
		return err
	}
	uri := benchURI()
	for i, s := range callees {
		err := o.inTime(ctx, func(ctx context.Context) error {
			return s.Register(ctx, fmt.Sprintf("%s.n%d", uri, i), echo)
		})
		if err != nil {
			return err
		}
	}
	callers, err := o.dialMany(ctx, o.callers)
	defer leaveAll(callers)
	if err != nil {
		return err
	}
	r := rpcRun{args: o.payload(), refusals: &o.refusals}
	cpu, began := o.daemonCPU(), time.Now()
	err = o.measure(ctx, func(shift *shift) {
		for i, s := range callers {
			for range o.window {
				shift.start(func(w *worker) error { return r.call(w, s, fmt.Sprintf("%s.n%d", uri, i%o.callees)) })
			}
		}
	})
	if err != nil {
		return err
	}
	return o.show(figures{
		what: "rpc", sent: r.sent.Load(), received: r.times.n,
		lost: r.sent.Load() - r.times.n - o.refusals.count.Load(),
		took: time.Since(began), times: &r.times, cpu: cpu(),
	})
}

func echo(_ context.Context, call *session.Invocation) (session.Result, error) {
	return session.Result{Args: call.Args}, nil
}

// rpcRun is what the callers of a bench have in common.
type rpcRun struct {
	args     []any
	sent     atomic.Int64
	refusals *tally

	mu    sync.Mutex
	times histogram
}

// call calls as long as there is time; the last call is still waited for.
func (r *rpcRun) call(w *worker, s *session.Session, uri string) error {
	var times histogram
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.times.merge(&times)
	}()
	for w.more() {
		r.sent.Add(1)
		began := time.Now()
		switch _, err := s.Call(w, uri, r.args, nil); {
		case err == nil:
			times.add(time.Since(began))
		case refused(s, err):
			r.refusals.add(err)
		default:
			return err
		}
	}
	return nil
}
