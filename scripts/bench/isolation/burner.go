package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// burner is the name of who burns CPU and does nothing else.
const burner = "burner"

// slice is how finely a burner spreads what it burns.
const slice = time.Millisecond

// burn takes share CPUs on so many threads for ever. What a thread did not get
// in one slice it takes in the next ones: a disturber does not give up either.
func burn(share float64, threads int) {
	runtime.GOMAXPROCS(threads + 1)
	for range threads {
		go func() {
			runtime.LockOSThread()
			each, began := share/float64(threads), time.Now()
			for {
				due := time.Duration(each * float64(time.Since(began)))
				if ahead := threadTime() - due; ahead >= 0 {
					time.Sleep(slice)
				}
				spin(slice / 10)
			}
		}()
	}
}

func spin(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
	}
}

func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}
