package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// bars are what one call may cost beside another program.
var bars = []struct {
	than  string
	limit float64
	word  string
}{
	{nameBusctl, 1.1, "bar"},
	{nameCLI, 0.9, "bar"},
	{nameNexus, 0.9, "bar, without what every command line links"},
	{nameFloor, 1.25, "stretch"},
}

const sizeBar = 20 // MiB of the stripped binary

// report prints what was measured as two tables that Markdown can show too.
func report(w io.Writer, versions string, programs []program, samples map[string][]sample, size int64) error {
	rows := [][]string{{"command", "wall ms", "p10", "p90", "CPU ms", "× empty"}}
	for _, p := range programs {
		wall, cpu := column(samples[p.name], wallOf), column(samples[p.name], cpuOf)
		rows = append(rows, []string{p.name, ms(quantile(wall, 0.5)), ms(quantile(wall, 0.1)), ms(quantile(wall, 0.9)),
			ms(quantile(cpu, 0.5)), ms(pairedRatio(samples[p.name], samples[nameEmpty]))})
	}
	_, err := fmt.Fprintf(w, "%d rounds, medians; %s\n\n", len(samples[nameEmpty]), versions)
	return errors.Join(err, printTable(w, rows), printTable(w, verdicts(samples, size)))
}

func ms(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

// verdicts compares with the bars, where the peer was measured.
func verdicts(samples map[string][]sample, size int64) [][]string {
	rows := [][]string{{nameCall, "is", "at most", "", ""}}
	add := func(what string, is, limit float64, word string) {
		verdict := "missed"
		if is <= limit {
			verdict = "met"
		}
		rows = append(rows, []string{what, ms(is), ms(limit), word, verdict})
	}
	for _, b := range bars {
		if peer := samples[b.than]; peer != nil {
			add("÷ "+b.than, pairedRatio(samples[nameCall], peer), b.limit, b.word)
		}
	}
	add("stripped binary, MiB", float64(size)/(1<<20), sizeBar, "bar")
	return rows
}

func printTable(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	for i, row := range rows {
		fmt.Fprintf(t, "| %s\t|\n", strings.Join(row, "\t| "))
		if i == 0 {
			fmt.Fprintf(t, "|%s\n", strings.Repeat("---\t|", len(row)))
		}
	}
	fmt.Fprintln(t)
	return t.Flush()
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

// pairedRatio is the median of a/b taken within each round.
func pairedRatio(a, b []sample) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i].wall.Seconds() / b[i].wall.Seconds()
	}
	return quantile(ratios, 0.5)
}

// quantile is the value below which the part q of values lies, between two of
// them in proportion.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}
