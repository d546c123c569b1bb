package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

// remains is what a daemon holds when nobody uses it.
type remains struct {
	goroutines int
	files      int
	rss        int64 // bytes
	peak       int64 // bytes, since it began
}

// What may be left beyond the baseline within settleTime of the last session's
// end: no goroutine and no file. A heap that was larger leaves spans in use here
// and there, and tables of them.
const (
	settleTime = 30 * time.Second
	moreRSS    = 12 << 20 // bytes
)

// A look comes and goes like anybody, and the daemon gives memory back 2 s after
// the last of a crowd: it is let alone for longer than that before each look. It
// no longer shrinks when a look finds less than steadyWithin gone.
const (
	letAlone     = 3 * time.Second
	steadyWithin = 1 << 20 // bytes
)

func (r remains) within(base remains) bool {
	return r.goroutines <= base.goroutines && r.files <= base.files && r.rss <= base.rss+moreRSS
}

// baseline is what remains after the warm-up, once it no longer shrinks.
func (s *soak) baseline(ctx context.Context) (remains, error) {
	least, err := s.lookLater(ctx)
	for err == nil {
		var now remains
		now, err = s.lookLater(ctx)
		shrinks := now.rss < least.rss-steadyWithin || now.files < least.files || now.goroutines < least.goroutines
		least = remains{
			goroutines: min(now.goroutines, least.goroutines), files: min(now.files, least.files), rss: min(now.rss, least.rss),
		}
		if !shrinks {
			break
		}
	}
	return least, err
}

// settle waits until no more remains than the baseline allows, for settleTime
// at most, and says how long it took.
func (s *soak) settle(ctx context.Context, base remains) (remains, time.Duration, error) {
	begin := time.Now()
	now, err := s.lookLater(ctx)
	for err == nil && !now.within(base) && time.Since(begin) < settleTime {
		now, err = s.lookLater(ctx)
	}
	return now, time.Since(begin), err
}

func (s *soak) lookLater(ctx context.Context) (remains, error) {
	time.Sleep(letAlone)
	return s.remains(ctx)
}

// remains looks at the daemon, from outside but for its goroutines.
func (s *soak) remains(ctx context.Context) (remains, error) {
	pid := s.daemon.Process.Pid
	said, err := s.status(ctx)
	if err != nil {
		return remains{}, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return remains{}, err
	}
	rss, _, err := rig.Memory(pid)
	return remains{goroutines: said.Daemon.Goroutines, files: len(files), rss: rss}, err
}

// status is what the daemon says of itself.
type status struct {
	Daemon struct{ Goroutines int }
	Ended  []struct {
		Reason string
		Count  int
	}
}

func (s *soak) status(ctx context.Context) (said status, err error) {
	out, err := s.Output(ctx, s.dconn, "status", "-o", "json")
	if err != nil {
		return status{}, err
	}
	if err = json.Unmarshal([]byte(out), &said); err == nil && said.Daemon.Goroutines == 0 {
		err = fmt.Errorf("the daemon does not say how many goroutines it has: %.200s", out)
	}
	return said, err
}

func peakOf(pid int) (int64, error) {
	_, peak, err := rig.Memory(pid)
	return peak, err
}
