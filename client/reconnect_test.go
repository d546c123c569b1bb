package client

import (
	"testing"
	"time"
)

// Pauses stay within their bounds, grow, and differ between clients.
func TestBackoff(t *testing.T) {
	firsts := map[time.Duration]bool{}
	for range 100 {
		var b Backoff
		last := time.Duration(0)
		for i := range 20 {
			d := b.Next()
			if d < 500*time.Millisecond || d > 30*time.Second {
				t.Fatalf("pause %d is %v, want 0.5 to 30 s", i, d)
			}
			if i == 0 {
				firsts[d] = true
				if d > time.Second {
					t.Fatalf("the first pause is %v, want 1 s at most", d)
				}
			} else if d > 3*last {
				t.Fatalf("a pause of %v follows one of %v", d, last)
			}
			last = d
		}
		b.Reset()
		if d := b.Next(); d > time.Second {
			t.Fatalf("after Reset the pause is %v", d)
		}
	}
	if len(firsts) < 50 {
		t.Errorf("100 clients have %d different first pauses", len(firsts))
	}
}
