package commands

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A quantile is never less than the true one, and at most a thirty-second more.
func TestHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 200).Draw(t, "durations")
		var h, half histogram
		for i, d := range all {
			if i%2 == 0 {
				half.add(time.Duration(d))
			} else {
				h.add(time.Duration(d))
			}
		}
		h.merge(&half)
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
			want := all[max(int(q*float64(len(all))), 1)-1]
			got := int64(h.quantile(q))
			if got < want || float64(got) > float64(want)*(1+1.0/histogramSteps)+1 {
				t.Fatalf("quantile %v of %v is %d, want %d", q, all, got, want)
			}
		}
	})
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("there is a median of nothing")
	}
	h.add(math.MaxInt64)
	h.add(-1)
	if h.quantile(1) != math.MaxInt64 || h.quantile(0.5) != 0 {
		t.Errorf("extremes are %v and %v", h.quantile(0.5), h.quantile(1))
	}
}
