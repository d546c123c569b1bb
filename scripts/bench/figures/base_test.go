package figures

import (
	"strings"
	"testing"
)

func TestPrintBase(t *testing.T) {
	var out strings.Builder
	err := PrintBase(&out, []Paired{
		{Name: "rate", This: []float64{100, 300, 90}, Base: []float64{100, 200, 100}},
		{Name: "time", Digits: 1, Less: true, This: []float64{2, 4}, Base: []float64{1, 3}},
		{Name: "at the bar", This: []float64{95}, Base: []float64{100}},
		{Name: "a round failed", This: []float64{Failed, 6, 8}, Base: []float64{1, 5, 0}},
		{Name: "all failed", This: []float64{Failed}, Base: []float64{1}},
	})
	const want = "2 of 5 rows are below 0.95 of the base: time (0.625); all failed (-)"
	if err == nil || err.Error() != want {
		t.Errorf("PrintBase = %v, expected %s", err, want)
	}
	lines := strings.Split(out.String(), "\n")[2:]
	for i, want := range []string{
		"rate 100 100 1.00 1.50 0.90 1.000",
		"time 3.0 2.0 0.50 0.75 0.625 BELOW",
		"at the bar 95 100 0.95 0.950",
		"a round failed 7 1 - 1.20 - 1.200",
		"all failed - 1 - - BELOW",
	} {
		if got := strings.Join(strings.Fields(strings.ReplaceAll(lines[i], "|", "")), " "); got != want {
			t.Errorf("row %d: %q, expected %q", i, got, want)
		}
	}
}

func TestPrintBaseAbove(t *testing.T) {
	var out strings.Builder
	if err := PrintBase(&out, []Paired{{Name: "a", This: []float64{1}, Base: []float64{1}}}); err != nil {
		t.Errorf("PrintBase = %v", err)
	}
}
