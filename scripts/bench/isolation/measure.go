package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"time"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

// bench holds the daemon, and the pair that is measured.
type bench struct {
	*rig.Rig
	size

	daemon  int // process
	victim  *victim
	alone   sample // the pair with nobody else
	results []*result

	base *bench // with the base binary, nil without one
}

// sample is one measurement of the pair.
type sample struct {
	calls, events []float64 // µs
	errors        []error
	daemon        float64 // CPUs
	other         float64 // CPUs of who disturbs or burns
	threads       int     // of it that ran
}

func (s sample) count() float64 { return float64(len(s.calls) + len(s.events)) }

// result is what came of a disturbance, one entry a round.
type result struct {
	name                string
	cost                []float64 // CPUs
	threads             int
	disturbed, burdened []sample
}

// prepare builds dconn, and gets the base ready too.
func (b *bench) prepare(ctx context.Context, chosen []disturber) error {
	if err := b.BuildDconn(ctx, b.Dconn()); err != nil {
		return err
	}
	if b.binary != "" {
		r, err := b.Base(b.binary)
		if err != nil {
			return err
		}
		b.base = &bench{Rig: r, size: b.size}
	}
	for _, side := range rig.Turns(0, b, b.base) {
		if err := side.begin(ctx, chosen); err != nil {
			return err
		}
	}
	return nil
}

// begin starts the daemon and the pair.
func (b *bench) begin(ctx context.Context, chosen []disturber) error {
	for _, d := range chosen {
		b.results = append(b.results, &result{name: d.name})
	}
	err := b.serve(ctx)
	if err != nil {
		return err
	}
	b.alone, err = b.measure(ctx, nil)
	return err
}

// serve starts the daemon and the pair, and warms them up.
func (b *bench) serve(ctx context.Context) error {
	daemon, err := b.Serve(ctx, b.Dconn())
	if err != nil {
		return err
	}
	b.daemon = daemon.Process.Pid
	if b.victim, err = newVictim(ctx, b.Socket()); err != nil {
		return err
	}
	b.victim.run(ctx, min(b.load, warmUp))
	return nil
}

// warmUp is at most how long the pair is busy before it is measured.
const warmUp = 200 * time.Millisecond

// renew gives both sides a new daemon and a new pair: what one process was given by
// chance is not that of a whole run. Without a base both stay.
func (b *bench) renew(ctx context.Context) error {
	if b.base == nil {
		return nil
	}
	b.StopDaemons()
	if err := b.Renew(); err != nil {
		return err
	}
	if err := b.base.Renew(); err != nil {
		return err
	}
	return errors.Join(b.serve(ctx), b.base.serve(ctx))
}

// hold measures every disturbance once a round, and in each round this tree and
// the base one after the other.
func (b *bench) hold(ctx context.Context, chosen []disturber) error {
	for i, d := range chosen {
		b.Say("%s", d.name)
		for round := range b.rounds {
			if err := b.renew(ctx); err != nil {
				return err
			}
			for _, side := range rig.Turns(round, b, b.base) {
				if err := side.round(ctx, d, side.results[i]); err != nil {
					return fmt.Errorf("%s: %w", d.name, err)
				}
			}
		}
	}
	return nil
}

// round measures the pair under a disturbance, then beside a burner of the
// same cost if that is wanted.
func (b *bench) round(ctx context.Context, d disturber, r *result) error {
	if d.begin == nil {
		alone, err := b.measure(ctx, nil)
		r.add(alone, alone.other)
		return err
	}
	disturbed, err := b.beside(ctx, "-as", d.name, "-socket", b.Socket())
	if err != nil {
		return err
	}
	// the daemon's share for the pair is as much for each message as it is alone
	own := b.alone.daemon / b.alone.count() * disturbed.count()
	cost := math.Max(0, disturbed.daemon-own) + disturbed.other
	r.add(disturbed, cost)
	if !b.burner {
		return nil
	}
	threads := max(1, disturbed.threads)
	burdened, err := b.beside(ctx, "-as", burner, "-share", fmt.Sprint(cost), "-threads", fmt.Sprint(threads))
	if err != nil {
		return err
	}
	r.burdened = append(r.burdened, burdened)
	return nil
}

func (r *result) add(disturbed sample, cost float64) {
	r.disturbed = append(r.disturbed, disturbed)
	r.cost, r.threads = append(r.cost, cost), max(r.threads, disturbed.threads)
}

// beside measures the pair while this program runs once more.
func (b *bench) beside(ctx context.Context, args ...string) (sample, error) {
	self, err := os.Executable()
	if err != nil {
		return sample{}, err
	}
	other := exec.CommandContext(ctx, self, args...)
	other.Env, other.Stderr = b.Env(), os.Stderr
	stdin, err := other.StdinPipe() // its end ends it
	if err != nil {
		return sample{}, err
	}
	stdout, err := other.StdoutPipe()
	if err != nil {
		return sample{}, err
	}
	if err := other.Start(); err != nil {
		return sample{}, err
	}
	s, err := b.underWay(ctx, other, stdout)
	_ = stdin.Close()
	err = errors.Join(err, other.Wait())
	if err != nil {
		return sample{}, err
	}
	return s, b.calm(ctx)
}

// underWay measures once the other has said that it began.
func (b *bench) underWay(ctx context.Context, other *exec.Cmd, said io.Reader) (sample, error) {
	if _, err := bufio.NewReader(said).ReadString('\n'); err != nil {
		return sample{}, fmt.Errorf("it did not begin: %w", err)
	}
	return b.measure(ctx, other.Process)
}

// calm waits until the daemon has nothing to do: it may still route what the
// disturber left it with.
func (b *bench) calm(ctx context.Context) error {
	last, err := rig.CPUTime(b.daemon)
	for limit := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(limit); {
		select {
		case <-time.After(5 * rig.Tick):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var now time.Duration
		if now, err = rig.CPUTime(b.daemon); now-last <= rig.Tick {
			return err
		}
		last = now
	}
	return errors.Join(err, errors.New("the daemon is still busy after 10 s"))
}

// measure measures the pair and, beside it, what the daemon and another
// process take.
func (b *bench) measure(ctx context.Context, other *os.Process) (sample, error) {
	daemon, err := rig.CPUTime(b.daemon)
	if err != nil {
		return sample{}, err
	}
	before := map[string]time.Duration{}
	if other != nil {
		if before, err = rig.ThreadTimes(other.Pid); err != nil {
			return sample{}, err
		}
	}
	begin := time.Now()
	s := b.victim.run(ctx, b.load)
	took := time.Since(begin)
	after, err := rig.CPUTime(b.daemon)
	if err != nil {
		return s, err
	}
	s.daemon = (after - daemon).Seconds() / took.Seconds()
	if other == nil {
		return s, nil
	}
	threads, err := rig.ThreadTimes(other.Pid)
	for t, cpu := range threads {
		ran := cpu - before[t]
		s.other += ran.Seconds() / took.Seconds()
		if ran > 2*rig.Tick {
			s.threads++
		}
	}
	return s, err
}
