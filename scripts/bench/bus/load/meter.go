package load

import (
	"errors"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

// meter counts what a run takes.
type meter struct {
	router, awake         int
	began                 time.Time
	routerCPU, load, busy time.Duration
}

func (j Job) meter() (meter, error) {
	cpu, err := rig.CPUTime(j.Router)
	busy, busyErr := busyBut(j.Awake)
	return meter{router: j.Router, awake: j.Awake, began: time.Now(), routerCPU: cpu, load: ownCPU(), busy: busy}, errors.Join(err, busyErr)
}

// stop notes in r what was taken since.
func (m meter) stop(r *Result) error {
	cpu, err := rig.CPUTime(m.router)
	busy, busyErr := busyBut(m.awake)
	if err = errors.Join(err, busyErr); err != nil {
		return err
	}
	r.RouterCPU, r.LoadCPU = cpu-m.routerCPU, ownCPU()-m.load
	others := busy - m.busy - r.RouterCPU - r.LoadCPU
	r.Others = max(0, others.Seconds()/time.Since(m.began).Seconds()/float64(runtime.NumCPU()))
	_, r.Peak, err = rig.Memory(m.router)
	return err
}

// busyBut is what all programs have taken but this one, if there is one.
func busyBut(pid int) (time.Duration, error) {
	busy, err := rig.BusyTime()
	if err != nil || pid == 0 {
		return busy, err
	}
	own, err := rig.CPUTime(pid)
	return busy - own, err
}

// ownCPU is what this process has taken.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// quantiles notes in r those of times, which it sorts.
func (r *Result) quantiles(times []time.Duration) {
	slices.Sort(times)
	for _, q := range []struct {
		of float64
		to *time.Duration
	}{{0.5, &r.P50}, {0.9, &r.P90}, {0.99, &r.P99}, {0.999, &r.P999}} {
		*q.to = quantile(times, q.of)
	}
}

// quantile is the least of sorted times that the part q of them does not
// exceed, 0 if there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	at := int(q * float64(len(sorted)))
	return sorted[min(at, len(sorted)-1)]
}
