package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
	"github.com/deskconn/dconn/scripts/bench/figures"
)

// bar is what dconn must do beside another, in calls or events a second.
type bar struct {
	load, than string
	limit      float64
	word       string
}

var bars = []bar{
	{nameCapability, nameBase, 1.5, "bar"},
	{nameAwake, nameBase, 1.5, "bar"},
	{"rpc 10x4", nameStock, 2.2, "bar"},
	{"rpc 10x4", nameNATS, 1, "bar"},
	{"rpc 100x1", nameStock, 2.2, "bar"},
	{"rpc 100x1", nameNATS, 1, "bar"},
	{"rpc 10x4x4", nameStock, 2.2, "bar"},
	{"rpc 10x4x4", nameNATS, 1, "bar"},
	{"rpc 10x4x16", nameStock, 2.2, "bar"},
	{"rpc 10x4x16", nameNATS, 1, "bar"},
	{"pubsub 1→10", nameStock, 5, "bar"},
	{"pubsub 1→10", nameNATS, 0.4, "bar"},
	{"pubsub 1→100", nameStock, 5, "bar"},
	{"pubsub 1→100", nameNATS, 0.4, "bar"},
	{"rpc 10x4x16", nameStock, 3, "stretch"},
	{"rpc 10x4 64KiB", nameStock, 2.5, "stretch"},
	{"pubsub 1→1", nameStock, 10, "stretch"},
	{"pubsub 1→1", nameNATS, 0.7, "stretch"},
	{"pubsub 1→10", nameStock, 10, "stretch"},
	{"pubsub 1→10", nameNATS, 0.7, "stretch"},
	{"pubsub 1→100", nameStock, 10, "stretch"},
	{"pubsub 1→100", nameNATS, 0.7, "stretch"},
}

// Bars that are no ratio of rates.
const (
	rawBar         = 2.7  // of the time of a call of a capability to that of a raw ping-pong
	p99Bar         = 1.0  // of dconn's p99 at 100 callers to that of nats-server
	idleSessionBar = 20.0 // KiB
	idleDaemonBar  = 20.0 // MiB
)

// verdicts compares with the bars, where both were measured.
func verdicts(loads []*workload) [][]string {
	rows := [][]string{{nameDconn, "is", "must be", "", ""}}
	add := func(what string, is float64, sign string, limit float64, word string, met bool) {
		row := []string{what, figures.Decimal(is, 2), sign + " " + figures.Decimal(limit, 2), word, figures.Verdict(met)}
		rows = append(rows, row)
	}
	for _, b := range bars {
		w := named(loads, b.load)
		if w == nil {
			continue
		}
		if is, ok := w.ratio(nameDconn, b.than, rate); ok {
			add(b.load+" ÷ "+b.than, is, "≥", b.limit, b.word, is >= b.limit && w.faultless(nameDconn))
		}
	}
	for _, name := range []string{nameCapability, nameAwake} {
		w := named(loads, name)
		if w == nil {
			continue
		}
		if is, ok := w.tableRatio(nameDconn + lockstep); ok {
			add(name+lockstep+" ÷ "+nameRaw, is, "≤", rawBar, "bar, time", is <= rawBar && w.faultless(nameDconn+lockstep))
		}
	}
	if w := named(loads, "rpc 100x1"); w != nil {
		if is, ok := w.ratio(nameDconn, nameNATS, p99); ok {
			add(w.name+" p99 ÷ "+nameNATS, is, "≤", p99Bar, "stretch", is <= p99Bar && w.faultless(nameDconn))
		}
	}
	if w := named(loads, nameIdle); w != nil && len(w.done(nameDconn)) > 0 {
		done := w.done(nameDconn)
		session, daemon := most(done, w.idleSession), most(done, idleDaemon)
		add("KiB of an idle session"+ofRuns(done), session, "≤", idleSessionBar, "stretch", session <= idleSessionBar)
		add("MiB with no session"+ofRuns(done), daemon, "≤", idleDaemonBar, "stretch", daemon <= idleDaemonBar)
	}
	return append(rows, faultlessRow(loads))
}

func most(done []load.Result, of func(load.Result) float64) (largest float64) {
	for _, r := range done {
		largest = max(largest, of(r))
	}
	return largest
}

func ofRuns(done []load.Result) string {
	if len(done) == 1 {
		return ""
	}
	return fmt.Sprintf(", the most of %d runs", len(done))
}

// faultlessRow is the bar that dconn lost and refused nothing anywhere.
func faultlessRow(loads []*workload) []string {
	runs, faulty := 0, 0
	for _, w := range loads {
		for name, samples := range w.samples {
			for _, s := range samples {
				if !strings.HasPrefix(name, "dconn ") {
					continue
				}
				if runs++; s.fault(w.unit) != nil {
					faulty++
				}
			}
		}
	}
	return []string{fmt.Sprintf("of %d runs, lost or refused anything", runs), fmt.Sprint(faulty), "0", "bar", figures.Verdict(runs > 0 && faulty == 0)}
}

func named(loads []*workload, name string) *workload {
	i := slices.IndexFunc(loads, func(w *workload) bool { return w.name == name })
	if i < 0 {
		return nil
	}
	return loads[i]
}

// faultless reports whether a contestant answered and delivered everything.
func (w *workload) faultless(name string) bool {
	return !slices.ContainsFunc(w.samples[name], func(s sample) bool { return s.fault(w.unit) != nil })
}

// fault is what went wrong in a run.
func (s sample) fault(unit string) error {
	switch {
	case s.err != nil:
		return s.err
	case s.Lost > 0 || s.Refused > 0:
		return fmt.Errorf("%d of %d %s were lost and %d refused: %q", s.Lost, s.Sent, unit, s.Refused, s.Note)
	}
	return nil
}

// faults is an error if one of ours was not faultless.
func faults(field []contestant, loads []*workload) (err error) {
	for _, c := range field {
		if !c.ours {
			continue
		}
		for _, w := range loads {
			for i, s := range w.samples[c.name] {
				if fault := s.fault(w.unit); fault != nil {
					err = errors.Join(err, fmt.Errorf("%s, %s, round %d: %w", c.name, w.name, i+1, fault))
				}
			}
		}
	}
	return err
}
