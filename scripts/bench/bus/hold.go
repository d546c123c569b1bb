package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
	"github.com/deskconn/dconn/scripts/bench/rig"
)

// hold puts every load on every contestant once a round. The order is drawn
// anew for each, so that none keeps its predecessor.
func (b *bench) hold(ctx context.Context, loads []*workload) error {
	if err := openFiles(idleSessions + 100); err != nil {
		return err
	}
	for round := range max(b.rounds, b.idleRuns) {
		for _, w := range loads {
			runs := b.rounds
			if w.runs > 0 {
				runs = w.runs
			}
			if round >= runs {
				continue
			}
			b.Say("round %d of %d: %s", round+1, runs, w.name)
			if err := b.round(ctx, w, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// order is that of a round: drawn, but dconn and the base come one right after
// the other.
func (b *bench) order(round int) (all []contestant) {
	for _, i := range rand.Perm(len(b.field)) {
		c := b.field[i]
		if c.base {
			continue
		}
		for _, turn := range rig.Turns(round, &c, twin(b.field, c)) {
			all = append(all, *turn)
		}
	}
	return all
}

func (b *bench) round(ctx context.Context, w *workload, round int) error {
	for _, c := range b.order(round) {
		if !w.has(c) {
			continue
		}
		result, err := b.once(ctx, c, w)
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

// once runs a load on a router of its own.
func (b *bench) once(ctx context.Context, c contestant, w *workload) (result load.Result, err error) {
	defer b.StopDaemons()
	daemon, address, err := c.start(ctx)
	if err != nil {
		return result, err
	}
	self, err := os.Executable()
	if err != nil {
		return result, err
	}
	job := w.job
	job.Protocol, job.Network, job.Address, job.Router = c.protocol, c.network, address, daemon.Process.Pid
	if w.awake {
		spins := exec.Command(self, awakeWord)
		if err := b.Start(spins); err != nil {
			return result, err
		}
		job.Awake = spins.Process.Pid
	}
	text, err := json.Marshal(job)
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
