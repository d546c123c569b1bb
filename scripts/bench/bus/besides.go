package main

import (
	"github.com/deskconn/dconn/scripts/bench/bus/load"
	"github.com/deskconn/dconn/scripts/bench/figures"
)

// besides are the rows that this tree and the base have in common.
func besides(field []contestant, loads []*workload) (rows []figures.Paired) {
	for _, w := range loads {
		for _, c := range field {
			if other := twin(field, c); other != nil && w.has(c) {
				rows = append(rows, w.besides(c.name, other.name)...)
			}
		}
	}
	return rows
}

func (w *workload) besides(this, base string) []figures.Paired {
	paired := func(what string, digits int, less bool, of func(load.Result) float64) figures.Paired {
		return figures.Paired{
			Name: w.name + what + ": " + this, Digits: digits, Less: less, This: w.values(this, of), Base: w.values(base, of),
		}
	}
	if w.job.Kind == load.Idle {
		return []figures.Paired{
			paired(", KiB of a session", 2, true, w.idleSession),
			paired(", MiB with no session", 2, true, idleDaemon),
		}
	}
	return []figures.Paired{paired(", "+w.unit+"/s", 0, false, rate)}
}

// values are those of all runs of a contestant.
func (w *workload) values(name string, of func(load.Result) float64) []float64 {
	values := make([]float64, len(w.samples[name]))
	for i, s := range w.samples[name] {
		if values[i] = of(s.Result); s.err != nil {
			values[i] = figures.Failed
		}
	}
	return values
}
