package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
	"github.com/deskconn/dconn/scripts/bench/figures"
)

// report prints a table for each load, and one of the bars.
func report(w io.Writer, versions string, s size, field []contestant, loads []*workload) error {
	_, err := fmt.Fprintf(w, "%d rounds of %v s, medians; other programs took %s %% of the machine meanwhile; %s\n\n",
		s.rounds, s.seconds, figures.Decimal(100*others(loads), 0), versions)
	for _, l := range loads {
		err = errors.Join(err, figures.Print(w, l.table(field)))
	}
	return errors.Join(err, figures.Print(w, verdicts(loads)))
}

// others is the mean part of the machine that other programs took.
func others(loads []*workload) float64 {
	sum, n := 0.0, 0
	for _, w := range loads {
		for name := range w.samples {
			for _, r := range w.done(name) {
				if w.job.Kind != load.Idle {
					sum += r.Others
					n++
				}
			}
		}
	}
	return sum / float64(max(n, 1))
}

func (w *workload) table(field []contestant) [][]string {
	if w.job.Kind == load.Idle {
		return w.idleTable(field)
	}
	ratio := "× stock"
	if w.job.Procedure != "" {
		ratio = "÷ raw" // the time of a call, to that of a ping-pong
	}
	rows := [][]string{{w.name, w.unit + "/s", ratio, "p50 µs", "p90", "p99", "p999", "lost", "refused",
		"CPU µs each: router", "load", "router: peak MiB"}}
	for _, c := range field {
		if w.has(c) {
			rows = append(rows, w.row(c.name))
		}
	}
	return rows
}

func (w *workload) row(name string) []string {
	done := w.done(name)
	if len(done) == 0 {
		return []string{name, "failed", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}
	}
	ratio := "-"
	if r, ok := w.tableRatio(name); ok {
		ratio = figures.Decimal(r, 2)
	}
	row := []string{name, figures.Decimal(median(done, rate), 0), ratio}
	for _, of := range []func(load.Result) time.Duration{
		func(r load.Result) time.Duration { return r.P50 },
		func(r load.Result) time.Duration { return r.P90 },
		func(r load.Result) time.Duration { return r.P99 },
		func(r load.Result) time.Duration { return r.P999 },
	} {
		row = append(row, figures.Decimal(median(done, func(r load.Result) float64 { return micro(of(r)) }), 0))
	}
	return append(row,
		share(done, func(r load.Result) int64 { return r.Lost }),
		share(done, func(r load.Result) int64 { return r.Refused }),
		each(done, func(r load.Result) time.Duration { return r.RouterCPU }),
		each(done, func(r load.Result) time.Duration { return r.LoadCPU }),
		figures.Decimal(median(done, func(r load.Result) float64 { return mebi(r.Peak) }), 1))
}

func (w *workload) tableRatio(name string) (float64, bool) {
	if w.job.Procedure != "" {
		return w.ratio(nameRaw, name, rate)
	}
	return w.ratio(name, nameStock, rate)
}

func (w *workload) idleTable(field []contestant) [][]string {
	rows := [][]string{{"idle", "MiB with no session", fmt.Sprintf("MiB with %d", w.job.Sessions), "KiB each", "in each run"}}
	for _, c := range field {
		done := w.done(c.name)
		switch {
		case len(w.samples[c.name]) == 0:
			continue
		case len(done) == 0:
			rows = append(rows, []string{c.name, "failed", "-", "-", "-"})
			continue
		}
		rows = append(rows, []string{c.name, figures.Decimal(median(done, idleDaemon), 1),
			figures.Decimal(median(done, func(r load.Result) float64 { return mebi(r.After) }), 1),
			figures.Decimal(median(done, w.idleSession), 1), w.idleSessions(done)})
	}
	return rows
}

func (w *workload) idleSessions(done []load.Result) string {
	all := make([]string, len(done))
	for i, r := range done {
		all[i] = figures.Decimal(w.idleSession(r), 2)
	}
	return strings.Join(all, " ")
}

// done are the runs that did not fail.
func (w *workload) done(name string) (done []load.Result) {
	for _, s := range w.samples[name] {
		if s.err == nil {
			done = append(done, s.Result)
		}
	}
	return done
}

// ratio is the median, of the rounds in which neither failed.
func (w *workload) ratio(name, than string, of func(load.Result) float64) (float64, bool) {
	var a, b []float64
	theirs := w.samples[than]
	for i, s := range w.samples[name] {
		if i < len(theirs) && s.err == nil && theirs[i].err == nil && of(theirs[i].Result) > 0 {
			a, b = append(a, of(s.Result)), append(b, of(theirs[i].Result))
		}
	}
	if len(a) == 0 {
		return 0, false
	}
	return figures.PairedRatio(a, b), true
}

// rate is in calls or events a second.
func rate(r load.Result) float64 { return float64(r.Done) / max(r.Took.Seconds(), 1e-9) }

func p99(r load.Result) float64 { return micro(r.P99) }

func idleDaemon(r load.Result) float64 { return mebi(r.Before) }

// idleSession is what each takes, in KiB.
func (w *workload) idleSession(r load.Result) float64 {
	return float64(r.After-r.Before) / (1 << 10) / float64(w.job.Sessions)
}

func micro(d time.Duration) float64 { return d.Seconds() * 1e6 }

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func median(done []load.Result, of func(load.Result) float64) float64 {
	values := make([]float64, len(done))
	for i, r := range done {
		values[i] = of(r)
	}
	return figures.Quantile(values, 0.5)
}

// each is the CPU time of a call or event, in µs.
func each(done []load.Result, of func(load.Result) time.Duration) string {
	return figures.Decimal(median(done, func(r load.Result) float64 { return micro(of(r)) / float64(max(r.Done, 1)) }), 1)
}

// share is how much of all that was sent in all rounds.
func share(done []load.Result, of func(load.Result) int64) string {
	var part, whole int64
	for _, r := range done {
		part, whole = part+of(r), whole+r.Sent
	}
	switch percent := 100 * float64(part) / float64(max(whole, 1)); {
	case part == 0:
		return "0"
	case percent < 0.1:
		return "< 0.1 %"
	default:
		return figures.Decimal(percent, 1) + " %"
	}
}
