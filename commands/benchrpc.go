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
	o.addFlags(cmd.Flags(), 1, "calls")
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
		err := s.Register(ctx, fmt.Sprintf("%s.n%d", uri, i), func(_ context.Context, call *session.Invocation) (session.Result, error) {
			return session.Result{Args: call.Args}, nil
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
	r := rpcRun{args: o.payload()}
	cpu, began := o.daemonCPU(), time.Now()
	err = o.measure(ctx, func(ctx context.Context) error {
		for i, s := range callers {
			for range o.window {
				r.workers.Go(func() { r.call(ctx, s, fmt.Sprintf("%s.n%d", uri, i%o.callees)) })
			}
		}
		r.workers.Wait()
		return r.failed
	})
	if err != nil {
		return err
	}
	return o.show(figures{
		what: "rpc", sent: r.sent.Load(), received: r.times.n, lost: r.sent.Load() - r.times.n,
		took: time.Since(began), times: &r.times, cpu: cpu(),
	})
}

// rpcRun is what the callers of a bench have in common.
type rpcRun struct {
	args    []any
	workers sync.WaitGroup
	sent    atomic.Int64

	mu     sync.Mutex
	times  histogram
	failed error
}

// call calls until ctx ends; the last call is still waited for.
func (r *rpcRun) call(ctx context.Context, s *session.Session, uri string) {
	var times histogram
	var err error
	for ctx.Err() == nil && err == nil {
		r.sent.Add(1)
		began := time.Now()
		if _, err = s.Call(context.WithoutCancel(ctx), uri, r.args, nil); err == nil {
			times.add(time.Since(began))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times.merge(&times)
	if r.failed == nil {
		r.failed = err
	}
}
