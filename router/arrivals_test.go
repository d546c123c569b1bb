package router

import (
	"runtime"
	"testing"
	"time"
)

// A crowd comes in at once, and whoever comes and goes without end waits; who comes
// later does not wait for that.
func TestArrivals(t *testing.T) {
	var a arrivals
	now, each := time.Now(), time.Second/time.Duration(arrivalsPerSecond*runtime.GOMAXPROCS(0))
	for n := range 10 * arrivalsAtOnce {
		want := max(0, time.Duration(n+1-arrivalsAtOnce)*each)
		if wait := a.next(now); wait != want {
			t.Fatalf("connection %d waits %v, want %v", n, wait, want)
		}
	}
	if wait := a.next(now.Add(10 * arrivalsAtOnce * each)); wait != 0 {
		t.Errorf("a connection after that waits %v", wait)
	}
}
