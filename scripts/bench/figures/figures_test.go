package figures

import "testing"

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{7}, 0.9, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{10, 0}, 0.1, 1},
		{[]float64{2, 1}, 1, 2},
	} {
		if got := Quantile(c.values, c.q); got != c.want {
			t.Errorf("Quantile(%v, %v) = %v, expected %v", c.values, c.q, got, c.want)
		}
	}
}

// A round in which the whole machine was slow must not move the ratio.
func TestPairedRatio(t *testing.T) {
	if got := PairedRatio([]float64{4, 400, 6}, []float64{2, 200, 3}); got != 2 {
		t.Errorf("PairedRatio = %v, expected 2", got)
	}
}
