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

// report prints a table: medians of the rounds, ratios within them.
func report(w io.Writer, versions string, b *bench, results []*result) error {
	_, err := fmt.Fprintf(w, "%d rounds of %v, medians; alone the pair has a p99 of %s µs for calls and %s µs for events; %s\n\n",
		b.rounds, b.load, whole(p99(calls(b.alone))), whole(p99(events(b.alone))), versions)
	rows := [][]string{{
		"another peer", "CPUs", "threads", "p99 of calls, µs", "burner", "×",
		"p99 of events, µs", "burner", "×", "errors", fmt.Sprintf("at most %s ×", figures.Decimal(bar, 0)),
	}}
	for _, r := range results {
		rows = append(rows, r.row())
	}
	return errors.Join(err, figures.Print(w, rows))
}

func (r *result) row() []string {
	row := []string{r.name, figures.Decimal(figures.Quantile(r.cost, 0.5), 2), fmt.Sprint(r.threads)}
	met := len(r.errors()) == 0
	for _, of := range []func(sample) []float64{calls, events} {
		disturbed, burdened := each(r.disturbed, of), each(r.burdened, of)
		ratio := figures.PairedRatio(disturbed, burdened)
		met = met && ratio <= bar
		row = append(row, whole(figures.Quantile(disturbed, 0.5)), whole(figures.Quantile(burdened, 0.5)), figures.Decimal(ratio, 2))
	}
	return append(row, fmt.Sprint(len(r.errors())), figures.Verdict(met))
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
