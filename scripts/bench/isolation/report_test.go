package main

import (
	"slices"
	"strings"
	"testing"
)

// took is a measurement in which every call and event took as long.
func took(calls, events float64) sample {
	return sample{calls: []float64{calls, calls}, events: []float64{events, events}}
}

func TestRow(t *testing.T) {
	for want, r := range map[string]*result{
		"floods 0.50 4 300 200 1.50 90 30 3.00 0 missed": {
			name: "floods", cost: []float64{0.5}, threads: 4, disturbed: []sample{took(300, 90)}, burdened: []sample{took(200, 30)},
		},
		"half 0.00 1 300 - - 90 - - 0 -": {name: "half", cost: []float64{0}, threads: 1, disturbed: []sample{took(300, 90)}},
	} {
		row := r.row()
		if got := strings.Join(row, " "); got != want || len(row) != len(table("", nil)[0]) {
			t.Errorf("row = %q, expected %q", got, want)
		}
	}
}

// What took longer with the base has a ratio above 1.
func TestBesides(t *testing.T) {
	this := []*result{{name: "a", disturbed: []sample{took(10, 40), took(20, 40)}}}
	base := []*result{{name: "a", disturbed: []sample{took(20, 20), took(40, 20)}}}
	rows := besides(this, base)
	if len(rows) != 2 || rows[0].Name != "a: p99 of calls, µs" || rows[0].Ratio() != 2 || rows[1].Ratio() != 0.5 {
		t.Errorf("besides = %+v, expected a ratio of 2 for calls and of 0.5 for events", rows)
	}
	if !slices.Equal(rows[0].This, []float64{10, 20}) {
		t.Errorf("the p99 of calls are %v, expected one for each round", rows[0].This)
	}
}
