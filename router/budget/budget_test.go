package budget

import (
	"sync"
	"testing"
	"time"
)

func TestTake(t *testing.T) {
	whole := New("whole", 5, nil)
	one, other := New("part", 3, whole), New("part", 3, whole)
	for _, row := range []struct {
		of   *Budget
		n    int
		over *Budget
	}{
		{one, 3, nil}, {one, 1, one}, {other, 2, nil}, {other, 1, whole}, {one, -1, nil}, {other, 1, nil}, {other, 1, other},
	} {
		if over := row.of.Take(row.n); over != row.over {
			t.Errorf("Take(%d) = %v, expected %v", row.n, over, row.over)
		}
	}
	if one.Held() != 2 || other.Held() != 3 || whole.Held() != 5 {
		t.Errorf("held %d, %d, %d: what was refused is held", one.Held(), other.Held(), whole.Held())
	}
	one.Give(2)
	other.Give(3)
	if one.Held() != 0 || whole.Held() != 0 {
		t.Errorf("held %d, %d after all was given back", one.Held(), whole.Held())
	}
	var none *Budget
	if none.Take(1<<40) != nil || none.Held() != 0 {
		t.Error("no budget is a bound")
	}
	none.Give(1)
}

// Who waits goes on when another gives back, or stops.
func TestAwait(t *testing.T) {
	whole := New("whole", 10, nil)
	stop := make(chan struct{})
	first := New("part", 8, whole)
	if n := first.Fit(100); n != 8 || first.Fit(3) != 3 || New("part", 100, whole).Fit(100) != 10 || !first.Await(n, stop) {
		t.Fatalf("Fit = %d, expected all there is", n)
	}
	other := New("part", 8, whole)
	got := make(chan bool)
	go func() { got <- other.Await(4, stop) }()
	select {
	case <-got:
		t.Fatal("there is not enough, and nobody waits")
	case <-time.After(20 * time.Millisecond):
	}
	first.Give(8)
	if !<-got || whole.Held() != 4 {
		t.Errorf("held %d, expected 4", whole.Held())
	}
	close(stop)
	if other.Await(7, stop) {
		t.Error("more than there is was taken")
	}
}

// What many take and give back at random is never more than there is.
func TestTogether(t *testing.T) {
	whole := New("whole", 64, nil)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		part := New("part", 16, whole)
		for range 4 {
			all.Go(func() {
				for i := range 500 {
					n := 1 + i%16
					ok := part.Await(n, stop)
					if held := whole.Held(); !ok || held > 64 || part.Held() > 16 {
						t.Errorf("%d of 64 are held", held)
					}
					part.Give(n)
				}
			})
		}
	}
	all.Wait()
	if whole.Held() != 0 {
		t.Errorf("%d are held after all", whole.Held())
	}
}
