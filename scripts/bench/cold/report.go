package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/deskconn/dconn/scripts/bench/figures"
)

// bars are what one call may cost beside another program.
var bars = []struct {
	of, than string
	limit    float64
	word     string
}{
	{nameCall, nameBusctl, 1.1, "bar"},
	{nameCall, nameCLI, 0.9, "bar"},
	{nameCall, nameNexus, 0.9, "bar, without what every command line links"},
	{nameCall, nameFloor, 1.25, "stretch"},
	{nameDevice, nameCall, 1.8, "bar"},
	{nameDevice, nameCall, 1.4, "stretch"},
}

const sizeBar = 20 // MiB of the stripped binary

// report prints what was measured as two tables.
func report(w io.Writer, versions string, programs []program, samples map[string][]sample, size int64) error {
	rows := [][]string{{"command", "wall ms", "p10", "p90", "CPU ms", "× empty"}}
	for _, p := range programs {
		wall, cpu := column(samples[p.name], wallOf), column(samples[p.name], cpuOf)
		rows = append(rows, []string{p.name, two(figures.Quantile(wall, 0.5)), two(figures.Quantile(wall, 0.1)), two(figures.Quantile(wall, 0.9)),
			two(figures.Quantile(cpu, 0.5)), two(ratio(samples[p.name], samples[nameEmpty]))})
	}
	_, err := fmt.Fprintf(w, "%d rounds, medians; %s\n\n", len(samples[nameEmpty]), versions)
	return errors.Join(err, figures.Print(w, rows), figures.Print(w, verdicts(samples, size)))
}

func two(v float64) string { return figures.Decimal(v, 2) }

// verdicts compares with the bars, where the peer was measured.
func verdicts(samples map[string][]sample, size int64) [][]string {
	rows := [][]string{{"wall time", "is", "at most", "", ""}}
	add := func(what string, is, limit float64, word string) {
		rows = append(rows, []string{what, two(is), two(limit), word, figures.Verdict(is <= limit)})
	}
	for _, b := range bars {
		if peer := samples[b.than]; peer != nil {
			add(b.of+" ÷ "+b.than, ratio(samples[b.of], peer), b.limit, b.word)
		}
	}
	add("stripped binary, MiB", float64(size)/(1<<20), sizeBar, "bar")
	return rows
}

func wallOf(s sample) time.Duration { return s.wall }
func cpuOf(s sample) time.Duration  { return s.cpu }

// column is one measure of all rounds, in milliseconds.
func column(samples []sample, of func(sample) time.Duration) []float64 {
	ms := make([]float64, len(samples))
	for i, s := range samples {
		ms[i] = of(s).Seconds() * 1e3
	}
	return ms
}

func ratio(a, b []sample) float64 {
	return figures.PairedRatio(column(a, wallOf), column(b, wallOf))
}
