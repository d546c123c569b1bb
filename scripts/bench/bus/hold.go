package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
)

// hold puts every load on every contestant once a round. The order is drawn
// anew for each, so that none keeps its predecessor.
func (b *bench) hold(ctx context.Context, loads []*workload) error {
	if err := openFiles(idleSessions + 100); err != nil {
		return err
	}
	for round := range b.rounds {
		for _, w := range loads {
			if w.once && round > 0 {
				continue
			}
			b.Say("round %d of %d: %s", round+1, b.rounds, w.name)
			if err := b.round(ctx, w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) round(ctx context.Context, w *workload) error {
	for _, i := range rand.Perm(len(b.field)) {
		c := b.field[i]
		if c.protocol == load.Session && w.job.Kind == load.Idle {
			continue // an idle session has no client to speak of
		}
		result, err := b.once(ctx, c, w.job)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			b.Say("%s: %s: %v", w.name, c.name, err)
		}
		w.samples[c.name] = append(w.samples[c.name], sample{result, err})
	}
	return nil
}

// once runs a job on a router of its own.
func (b *bench) once(ctx context.Context, c contestant, job load.Job) (result load.Result, err error) {
	defer b.StopDaemons()
	daemon, address, err := c.start(ctx)
	if err != nil {
		return result, err
	}
	job.Protocol, job.Network, job.Address, job.Router = c.protocol, c.network, address, daemon.Process.Pid
	text, err := json.Marshal(job)
	if err != nil {
		return result, err
	}
	self, err := os.Executable()
	if err != nil {
		return result, err
	}
	ctx, cancel := context.WithTimeout(ctx, job.For+time.Minute)
	defer cancel()
	out, err := b.Output(ctx, self, loadWord, string(text))
	if err != nil {
		return result, err
	}
	err = json.Unmarshal([]byte(out), &result)
	return result, err
}

// openFiles lets this process, and what it starts, have n files open.
func openFiles(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < n {
		return fmt.Errorf("%d files may be open, expected %d or more (ulimit -Hn)", limit.Max, n)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
