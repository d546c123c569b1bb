package main

import (
	"errors"
	"fmt"
	"time"
)

// outcome is a phase, and what remained after it.
type outcome struct {
	*phase
	left remains
}

// report prints what was seen, and is an error if a bar is missed.
func report(quiet *phase, idle remains, outcomes []outcome) error {
	var missed []error
	bar := func(ok bool, format string, a ...any) {
		verdict := "met"
		if !ok {
			verdict = "MISSED"
			missed = append(missed, fmt.Errorf(format, a...))
		}
		fmt.Printf("  %-7s %s\n", verdict, fmt.Sprintf(format, a...))
	}
	fmt.Printf("nobody else: p99 of the owner's calls %v, pi's %v, of a new session with a call %v; %.1f MiB\n",
		round(p99(quiet.owner)), round(p99(quiet.pi)), round(p99(quiet.fresh)), mib(idle.rss))
	for _, o := range outcomes {
		fmt.Printf("%s, for %v:\n", o.name, o.while)
		for _, v := range []struct {
			who         string
			now, before []time.Duration
		}{{"the owner's calls", o.owner, quiet.owner}, {"pi's calls", o.pi, quiet.pi}, {"new sessions", o.fresh, quiet.fresh}} {
			now, quiet := p99(v.now), p99(v.before)
			times := float64(now) / float64(quiet)
			bar(times <= mostDelay, "%s: p99 %v of %d, %.2f times that of nobody else, at most %.0f", v.who, round(now), len(v.now), times, mostDelay)
		}
		bar(o.peak <= idle.rss+mostMemory, "memory: %.1f MiB, %.1f more than idle, at most %d", mib(o.peak), mib(o.peak-idle.rss), mostMemory>>20)
		bar(float64(o.lines) <= mostLines*o.while.Seconds()+20, "log: %d lines, at most one a second and 20; the last: %.200s", o.lines, o.said)
		bar(o.left.within(idle), "left: %d sessions, %d goroutines, %d files, %.1f MiB; before: %d, %d, %d, %.1f",
			o.left.sessions, o.left.goroutines, o.left.files, mib(o.left.rss), idle.sessions, idle.goroutines, idle.files, mib(idle.rss))
		missed = append(missed, o.failed...)
	}
	return errors.Join(missed...)
}

func round(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
