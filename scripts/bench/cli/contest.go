package main

import (
	"context"
	"errors"
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
	base    *contestant // the same with the base binary, nil without one
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
	for round := range b.rounds {
		b.Say("round %d of %d: %s", round+1, b.rounds, c.title)
		if b.base != nil {
			if err := errors.Join(b.renew(ctx), b.base.renew(ctx)); err != nil {
				return err
			}
		}
		for _, i := range rand.Perm(len(c.contestants)) {
			p := c.contestants[i]
			for _, turn := range rig.Turns(round, p, p.base) {
				if err := b.once(ctx, turn); err != nil {
					return fmt.Errorf("%s: %w", turn.name, err)
				}
			}
		}
	}
	return nil
}

// once runs a contestant when the daemons are idle.
func (b *bench) once(ctx context.Context, p *contestant) error {
	if err := b.calm(ctx); err != nil {
		return err
	}
	before, err := rig.CPUTime(p.bus.daemon.Process.Pid)
	if err != nil {
		return err
	}
	p.bus.runs++
	s, err := p.run(ctx)
	if err != nil {
		return err
	}
	if s.daemon, err = rig.CPUTime(p.bus.daemon.Process.Pid); err != nil {
		return err
	}
	s.daemon -= before
	p.samples = append(p.samples, s)
	return nil
}

// contests are all there are, with what the base does beside.
func (b *bench) contests() []*contest {
	all := []*contest{b.batch(), b.endToEnd(), b.alone()}
	if b.base == nil {
		return all
	}
	for i, theirs := range b.base.contests() {
		for j, p := range theirs.contestants { // the base has no others than dconn
			p.name, p.ours = "base: "+p.name, false
			all[i].contestants[j].base = p
		}
	}
	return all
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
