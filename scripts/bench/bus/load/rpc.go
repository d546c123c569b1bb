package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// rpc is what the callers of a run have in common.
type rpc struct {
	payload []byte
	answer  int // bytes of the answer to each call
	began   time.Time
	workers sync.WaitGroup

	mu     sync.Mutex
	result Result
	times  []time.Duration
	failed error
}

// runRPC has every caller call one callee, Window calls at a time.
func runRPC(ctx context.Context, job Job) (Result, error) {
	callees, err := job.dialMany(ctx, job.Callees)
	defer func() { closeAll(callees) }()
	if err != nil {
		return Result{}, err
	}
	for i, c := range callees {
		if err := c.Serve(ctx, job.procedure(i)); err != nil {
			return Result{}, err
		}
	}
	callers, err := job.dialMany(ctx, job.Callers)
	defer func() { closeAll(callers) }()
	if err != nil {
		return Result{}, err
	}
	r, err := job.rpc(ctx, callers)
	if err != nil {
		return Result{}, err
	}
	m, err := job.meter()
	if err != nil {
		return Result{}, err
	}
	r.began = m.began
	ctx, cancel := context.WithDeadline(ctx, m.began.Add(job.For+Patience))
	defer cancel()
	for i, c := range callers {
		for range job.Window {
			r.workers.Go(func() { r.work(ctx, c, job.called(i), job.For) })
		}
	}
	r.workers.Wait()
	r.result.quantiles(r.times)
	return r.result, errors.Join(r.failed, m.stop(&r.result))
}

// rpc is a run that has not begun. What the router answers itself is called
// once, to know how long the answer is.
func (job Job) rpc(ctx context.Context, callers []Conn) (*rpc, error) {
	if job.Procedure == "" {
		return &rpc{payload: make([]byte, job.Size), answer: job.Size}, nil
	}
	n, err := callers[0].Call(ctx, job.Procedure, nil)
	if err == nil && n == 0 {
		err = errors.New("the answer is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", job.Procedure, err)
	}
	return &rpc{answer: n}, nil
}

// called is the procedure of the caller with that number.
func (job Job) called(caller int) string {
	if job.Procedure != "" {
		return job.Procedure
	}
	return job.procedure(caller % job.Callees)
}

// work calls until the time is over; its last call is still waited for, until
// ctx ends.
func (r *rpc) work(ctx context.Context, c Conn, procedure string, limit time.Duration) {
	var own Result
	times := make([]time.Duration, 0, 1<<10)
	var err error
	for now := time.Since(r.began); now < limit && err == nil; {
		own.Sent++
		err = r.call(ctx, c, procedure)
		after := time.Since(r.began)
		switch {
		case err == nil:
			own.Done++
			own.Took = after
			times = append(times, after-now)
		case errors.Is(err, ErrRefused):
			own.Refused++
			own.Note, err = err.Error(), nil
		case errors.Is(err, context.DeadlineExceeded):
			own.Lost++
			own.Note = "no answer"
			r.add(own, times, nil)
			return
		}
		now = after
	}
	r.add(own, times, err)
}

// call also checks the answer.
func (r *rpc) call(ctx context.Context, c Conn, procedure string) error {
	n, err := c.Call(ctx, procedure, r.payload)
	if err == nil && n != r.answer {
		return fmt.Errorf("the answer to a call has %d bytes, expected %d", n, r.answer)
	}
	return err
}

func (r *rpc) add(own Result, times []time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Sent += own.Sent
	r.result.Done += own.Done
	r.result.Lost += own.Lost
	r.result.Refused += own.Refused
	r.result.Took = max(r.result.Took, own.Took)
	if r.result.Note == "" {
		r.result.Note = own.Note
	}
	r.times = append(r.times, times...)
	if r.failed == nil {
		r.failed = err
	}
}
