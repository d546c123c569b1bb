// Package figures makes tables of what was measured.
package figures

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Print prints rows, of which the first is the head, as a table that Markdown
// can show too.
func Print(w io.Writer, rows [][]string) error {
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

// Decimal is v with that many digits after the point.
func Decimal(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }

// Verdict is the last word on a bar.
func Verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

// PairedRatio is the median of a/b taken within each round.
func PairedRatio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return Quantile(ratios, 0.5)
}

// Quantile is the value below which the part q of values lies, between two of
// them in proportion.
func Quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}
