package main

import (
	"fmt"
	"io"
	"time"

	"github.com/deskconn/dconn/scripts/bench/figures"
)

// stopTime is how long the daemon may take to end.
const stopTime = 5 * time.Second

// findings are what a run came to.
type findings struct {
	plan

	versions  string
	tally     *tally
	cut       cuts // during the load
	base, end remains
	settled   time.Duration // from the last session's end on
	stopped   time.Duration // from SIGTERM on
}

// verdict is the first promise that was broken. Those of the ordinary traffic
// have ended the load already.
func (f *findings) verdict() error {
	switch stalled := int(f.tally.stalled.Load()); {
	case f.cut.slow != stalled:
		return fmt.Errorf("%d sessions never read and were ended, and the daemon counts %d slow consumers", stalled, f.cut.slow)
	case f.cut.other != 0:
		return fmt.Errorf("the daemon ended %d sessions for another reason than reading too slowly", f.cut.other)
	case stalled < f.stalled:
		return fmt.Errorf("%d sessions stalled, expected %d at least", stalled, f.stalled)
	case !f.end.within(f.base):
		return fmt.Errorf("%v after everybody had left, the daemon has %s; the baseline was %s", f.settled.Round(time.Second), f.end, f.base)
	case f.stopped > stopTime:
		return fmt.Errorf("the daemon took %v to end on SIGTERM, at most %v are allowed", f.stopped.Round(time.Millisecond), stopTime)
	}
	return nil
}

func (r remains) String() string {
	return fmt.Sprintf("%d goroutines, %d open files and %s MiB", r.goroutines, r.files, mib(r.rss))
}

func mib(bytes int64) string { return figures.Decimal(float64(bytes)/(1<<20), 1) }

// print makes two tables: what was done, and what remained of it.
func (f *findings) print(w io.Writer) error {
	t := f.tally
	seconds := t.took.Seconds()
	if _, err := fmt.Fprintln(w, f.versions+"\n"); err != nil {
		return err
	}
	err := figures.Print(w, [][]string{
		{"load", ""},
		{"sessions at once, of which never read", fmt.Sprintf("%d, %d", f.sessions, f.stalled)},
		{"calls answered", fmt.Sprint(t.calls.Load())},
		{"events delivered", fmt.Sprint(t.events.Load())},
		{"messages a second", figures.Decimal(float64(t.messages())/seconds, 0)},
		{"registrations and subscriptions that came and went", fmt.Sprint(2 * t.turns.Load())},
		{"connections that came and went", fmt.Sprint(t.connects.Load())},
		{"errors, lost, out of order", "0, 0, 0"},
		{"sessions that never read: all ended as slow consumers", fmt.Sprint(f.cut.slow)},
		{"seconds", figures.Decimal(seconds, 0)},
		{"peak RSS of the daemon, MiB", mib(f.end.peak)},
	})
	if err != nil {
		return err
	}
	return figures.Print(w, [][]string{
		{"the daemon", "after the warm-up", "at the end", "at most", ""},
		{"goroutines", fmt.Sprint(f.base.goroutines), fmt.Sprint(f.end.goroutines), "+0", figures.Verdict(f.end.goroutines <= f.base.goroutines)},
		{"open files", fmt.Sprint(f.base.files), fmt.Sprint(f.end.files), "+0", figures.Verdict(f.end.files <= f.base.files)},
		{"RSS, MiB", mib(f.base.rss), mib(f.end.rss), "+" + mib(moreRSS), figures.Verdict(f.end.rss <= f.base.rss+moreRSS)},
		{"s until it was so", "", figures.Decimal(f.settled.Seconds(), 1), figures.Decimal(settleTime.Seconds(), 0), figures.Verdict(f.settled <= settleTime)},
		{"s from SIGTERM to exit 0", "", figures.Decimal(f.stopped.Seconds(), 1), figures.Decimal(stopTime.Seconds(), 0), figures.Verdict(f.stopped <= stopTime)},
	})
}
