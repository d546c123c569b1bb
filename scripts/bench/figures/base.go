package figures

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// BaseBar is the least median ratio of a row to the base.
const BaseBar = 0.95

// Paired is a row that was measured with this tree's binary and with the base,
// one value for each round. The value of a round that failed is Failed.
type Paired struct {
	Name       string
	Digits     int  // of the values, after the point
	Less       bool // the smaller value is the better one: a time, memory
	This, Base []float64
}

// Failed stands for the value of a round that has none.
var Failed = math.NaN()

// ratios are above 1 where this tree is better, and Failed for a round in which
// either failed.
func (p Paired) ratios() []float64 {
	all := make([]float64, min(len(p.This), len(p.Base)))
	for i := range all {
		all[i] = p.This[i] / p.Base[i]
		if p.Less {
			all[i] = p.Base[i] / p.This[i]
		}
		if math.IsInf(all[i], 0) {
			all[i] = Failed
		}
	}
	return all
}

// Ratio is the median of the rounds in which neither failed, and Failed without
// such a round.
func (p Paired) Ratio() float64 { return medianOf(p.ratios()) }

func medianOf(values []float64) float64 {
	var measured []float64
	for _, v := range values {
		if !math.IsNaN(v) {
			measured = append(measured, v)
		}
	}
	if len(measured) == 0 {
		return Failed
	}
	return Quantile(measured, 0.5)
}

// PrintBase prints rows beside the base. Its error names those that are below
// the bar or were not measured.
func PrintBase(w io.Writer, rows []Paired) error {
	bar := Decimal(BaseBar, 2)
	table := [][]string{{"row", "this (median)", "base (median)", "ratio per round", "median ratio", "at least " + bar}}
	var below []string
	for _, p := range rows {
		ratio := p.Ratio()
		met := ratio >= BaseBar // a failed one is not
		mark := ""
		if !met {
			mark = "BELOW"
			below = append(below, fmt.Sprintf("%s (%s)", p.Name, cell(ratio, 3)))
		}
		table = append(table, []string{p.Name, cell(medianOf(p.This), p.Digits), cell(medianOf(p.Base), p.Digits),
			cells(p.ratios()), cell(ratio, 3), mark})
	}
	if err := Print(w, table); err != nil || below == nil {
		return err
	}
	return fmt.Errorf("%d of %d rows are below %s of the base: %s", len(below), len(rows), bar, strings.Join(below, "; "))
}

func cells(values []float64) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = cell(v, 2)
	}
	return strings.Join(texts, " ")
}

func cell(v float64, digits int) string {
	if math.IsNaN(v) {
		return "-"
	}
	return Decimal(v, digits)
}
