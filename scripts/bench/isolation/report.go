package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/deskconn/dconn/scripts/bench/figures"
)

// bar is how much more the p99 may be than beside a burner of the same cost.
const bar = 2.0

// report prints a table for each binary: medians of the rounds, ratios within
// them. Beside a base it prints the comparison last.
func report(w io.Writer, versions string, b *bench) error {
	_, err := fmt.Fprintf(w, "%d rounds of %v, medians; alone the pair has a p99 of %s µs for calls and %s µs for events; %s\n\n",
		b.rounds, b.load, whole(p99(calls(b.alone))), whole(p99(events(b.alone))), versions)
	err = errors.Join(err, figures.Print(w, table("another peer", b.results)))
	if b.base == nil {
		return err
	}
	return errors.Join(err, figures.Print(w, table("another peer of the base", b.base.results)),
		figures.PrintBase(w, besides(b.results, b.base.results)))
}

func table(title string, results []*result) [][]string {
	rows := [][]string{{
		title, "CPUs", "threads", "p99 of calls, µs", "burner", "×",
		"p99 of events, µs", "burner", "×", "errors", fmt.Sprintf("at most %s ×", figures.Decimal(bar, 0)),
	}}
	for _, r := range results {
		rows = append(rows, r.row())
	}
	return rows
}

// besides are the p99 of this tree and those of the base.
func besides(this, base []*result) (rows []figures.Paired) {
	for i, r := range this {
		for _, kind := range []struct {
			name string
			of   func(sample) []float64
		}{{"calls", calls}, {"events", events}} {
			rows = append(rows, figures.Paired{
				Name: r.name + ": p99 of " + kind.name + ", µs", Less: true,
				This: each(r.disturbed, kind.of), Base: each(base[i].disturbed, kind.of),
			})
		}
	}
	return rows
}

func (r *result) row() []string {
	row := []string{r.name, figures.Decimal(figures.Quantile(r.cost, 0.5), 2), fmt.Sprint(r.threads)}
	met := len(r.errors()) == 0
	for _, of := range []func(sample) []float64{calls, events} {
		disturbed, burdened := each(r.disturbed, of), each(r.burdened, of)
		row = append(row, whole(figures.Quantile(disturbed, 0.5)))
		if len(burdened) == 0 {
			row = append(row, "-", "-")
			continue
		}
		ratio := figures.PairedRatio(disturbed, burdened)
		met = met && ratio <= bar
		row = append(row, whole(figures.Quantile(burdened, 0.5)), figures.Decimal(ratio, 2))
	}
	row = append(row, fmt.Sprint(len(r.errors())))
	if len(r.burdened) == 0 {
		return append(row, "-")
	}
	return append(row, figures.Verdict(met))
}

func calls(s sample) []float64  { return s.calls }
func events(s sample) []float64 { return s.events }

// each is the p99 of every round.
func each(samples []sample, of func(sample) []float64) []float64 {
	all := make([]float64, len(samples))
	for i, s := range samples {
		all[i] = p99(of(s))
	}
	return all
}

func p99(values []float64) float64 { return figures.Quantile(values, 0.99) }

func whole(v float64) string { return figures.Decimal(v, 0) }

func (r *result) errors() (all []error) {
	for _, s := range slices.Concat(r.disturbed, r.burdened) {
		all = append(all, s.errors...)
	}
	return all
}

// harmed is an error if the pair saw any.
func harmed(results []*result) (err error) {
	for _, r := range results {
		for _, e := range r.errors() {
			err = errors.Join(err, fmt.Errorf("%s: the ordinary pair had an error: %w", r.name, e))
		}
	}
	return err
}
