// Command soak holds a daemon to what it promises while it is used for long and
// badly: many sessions, of which some never read, and connections that come and
// go in every manner, beside ordinary calls and events. Run it inside this
// repository:
//
//	go run ./scripts/soak [-sessions N] [-stalled N] [-connects N] [-messages N] [-tags TAGS]
//
// Ordinary traffic must see no error, lose nothing and keep its order; every
// session that never reads must end as a slow consumer; when all have left, the
// daemon must be what it was after a warm-up, and end within 5 s when told to.
// The exit status is 1, with a sentence, when any of that does not hold.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

// plan is how much a load is.
type plan struct {
	sessions int   // at once
	stalled  int   // of them
	connects int64 // in all, besides
	messages int64 // calls answered and events delivered
}

func main() {
	var p plan
	flag.IntVar(&p.sessions, "sessions", 1000, "sessions at once")
	flag.IntVar(&p.stalled, "stalled", 50, "how many of them never read")
	flag.Int64Var(&p.connects, "connects", 100_000, "connections that come and go")
	flag.Int64Var(&p.messages, "messages", 10_000_000, "calls answered and events delivered")
	tags := flag.String("tags", "", "build tags of dconn")
	flag.Parse()
	rig.Main("soak", *tags, func(ctx context.Context, r *rig.Rig) error { return run(ctx, r, p) })
}

// warmUp is a load of the same kind after which the daemon has whatever it
// keeps: threads, pools, a heap of that size.
func (p plan) warmUp() plan {
	p.connects, p.messages = p.connects/20, p.messages/20
	return p
}

func (p plan) check() error {
	if p.stalled < 0 || p.connects < 0 || p.messages < 1 || p.sessions < p.stalled+fickle+feeding+cellSize {
		return fmt.Errorf("expected -messages of 1 or more and -sessions of %d more than -stalled, got %+v", fickle+feeding+cellSize, p)
	}
	return needFiles(uint64(p.sessions) + 500)
}

// needFiles lets this process and the daemon open so many files. Go lifts the
// soft limit by itself.
func needFiles(n uint64) error {
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err != nil || have.Max >= n {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		return fmt.Errorf("%d open files are needed, and the limit is %d: %w (ulimit -Hn %d)", n, have.Max, err, n)
	}
	return nil
}

// soak is one run.
type soak struct {
	*rig.Rig

	dconn  string
	daemon *exec.Cmd
}

func run(ctx context.Context, r *rig.Rig, p plan) error {
	if err := p.check(); err != nil {
		return err
	}
	s := &soak{Rig: r, dconn: filepath.Join(r.Dir, "dconn")}
	if err := s.BuildDconn(ctx, s.dconn); err != nil {
		return err
	}
	var err error
	if s.daemon, err = s.Serve(ctx, s.dconn); err != nil {
		return err
	}
	found, err := s.soak(ctx, p)
	if found != nil {
		err = joinFirst(err, found.print(os.Stdout))
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w\n%s", err, s.lastWords())
	}
	return err
}

// soak warms up, loads, and compares what is left. What it found is nil when
// it did not come to an end.
func (s *soak) soak(ctx context.Context, p plan) (*findings, error) {
	if _, err := s.load(ctx, p.warmUp()); err != nil {
		return nil, fmt.Errorf("the warm-up: %w", err)
	}
	base, err := s.baseline(ctx)
	if err != nil {
		return nil, err
	}
	cut, err := s.cutOff(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.load(ctx, p)
	if err != nil {
		return nil, err
	}
	f := &findings{plan: p, tally: t, base: base}
	if f.end, f.settled, err = s.settle(ctx, base); err != nil {
		return nil, err
	}
	if f.end.peak, err = peakOf(s.daemon.Process.Pid); err != nil {
		return nil, err
	}
	after, err := s.cutOff(ctx)
	if err != nil {
		return nil, err
	}
	f.cut = after.minus(cut)
	if f.stopped, err = s.stop(); err != nil {
		return nil, err
	}
	if f.versions, err = s.Versions(s.dconn); err != nil {
		return nil, err
	}
	return f, f.verdict()
}

// stop ends the daemon as a service manager does.
func (s *soak) stop() (time.Duration, error) {
	begin := time.Now()
	if err := s.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	force := time.AfterFunc(20*time.Second, func() { _ = s.daemon.Process.Kill() })
	defer force.Stop()
	if err := s.daemon.Wait(); err != nil {
		return 0, fmt.Errorf("the daemon did not end with 0 on SIGTERM: %w", err)
	}
	return time.Since(begin), nil
}

// cuts are sessions that the daemon has ended, by its status.
type cuts struct{ slow, other int }

func (s *soak) cutOff(ctx context.Context) (c cuts, err error) {
	said, err := s.status(ctx)
	for _, e := range said.Ended {
		switch e.Reason {
		case "normal", "lost", "closed": // by the peer
		case "slow_consumer":
			c.slow += e.Count
		default:
			c.other += e.Count
		}
	}
	return c, err
}

func (c cuts) minus(before cuts) cuts { return cuts{c.slow - before.slow, c.other - before.other} }

// lastWords are the end of the daemon's log.
func (s *soak) lastWords() string {
	said, _ := os.ReadFile(s.LogOf(s.daemon))
	return string(said[max(0, len(said)-2000):])
}

func joinFirst(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
