package load

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// KeepAwake keeps every CPU from going to sleep until ctx ends, and gives way to
// all that is not SCHED_IDLE. A virtual CPU that sleeps takes tens of µs to wake,
// which is then most of a call.
func KeepAwake(ctx context.Context) error {
	failed := make(chan error, runtime.NumCPU())
	runtime.GOMAXPROCS(runtime.NumCPU() + 1)
	for range runtime.NumCPU() {
		go func() {
			runtime.LockOSThread()
			idle := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
			if err := unix.SchedSetAttr(0, idle, 0); err != nil {
				failed <- fmt.Errorf("sched_setattr: %w", err)
				return
			}
			for ctx.Err() == nil {
				for range 1 << 20 {
				}
			}
		}()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}
