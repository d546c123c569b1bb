package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

// contest is one table.
type contest struct {
	title       string
	unit        string // of what is counted: calls, lines
	receives    bool   // there is a receiver, beside the sender
	peer        int    // the contestant that the others are compared with, -1 for none
	contestants []*contestant
}

// contestant is one row of it.
type contestant struct {
	name    string
	ours    bool // what it loses is our fault
	bus     *bus
	run     func(context.Context) (sample, error)
	samples []sample
}

// sample is one run.
type sample struct {
	count            int // of calls or lines
	lost             int
	wall             time.Duration
	sender, receiver usage
	daemon           time.Duration // of CPU
}

// rate is in calls or lines a second.
func (s sample) rate() float64 { return float64(s.count) / s.wall.Seconds() }

// hold runs every contestant once a round. The order is drawn anew for each, so
// that none keeps its predecessor.
func (b *bench) hold(ctx context.Context, c *contest) error {
	for range b.rounds {
		for _, i := range rand.Perm(len(c.contestants)) {
			p := c.contestants[i]
			if err := b.calm(ctx); err != nil {
				return err
			}
			before, err := rig.CPUTime(p.bus.daemon.Process.Pid)
			if err != nil {
				return err
			}
			b.runs++
			s, err := p.run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if s.daemon, err = rig.CPUTime(p.bus.daemon.Process.Pid); err != nil {
				return err
			}
			s.daemon -= before
			p.samples = append(p.samples, s)
		}
	}
	return nil
}

// calm waits until no daemon has anything to do: one may still route what the
// contestant before left it with.
func (b *bench) calm(ctx context.Context) error {
	last := time.Duration(-1)
	return rig.Eventually(ctx, 6*rig.Tick, func() (bool, error) {
		var now time.Duration
		for _, bus := range b.buses {
			cpu, err := rig.CPUTime(bus.daemon.Process.Pid)
			if err != nil {
				return false, err
			}
			now += cpu
		}
		idle := now == last
		last = now
		return idle, nil
	})
}

// lost is an error if dconn lost anything.
func lost(contests []*contest) error {
	for _, c := range contests {
		for _, p := range c.contestants {
			for i, s := range p.samples {
				if p.ours && s.lost > 0 {
					return fmt.Errorf("%s lost %d of %d %s in round %d", p.name, s.lost, s.count+s.lost, c.unit, i+1)
				}
			}
		}
	}
	return nil
}
