package main

import (
	"fmt"
	"regexp"
	"time"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
)

// workload is one table.
type workload struct {
	name    string
	unit    string // of what is counted
	awake   bool   // no CPU sleeps
	runs    int    // of all, 0 for one in each round
	job     load.Job
	samples map[string][]sample // by the name of the contestant, one for each round
}

// sample is one run, which failed if there is an error.
type sample struct {
	load.Result
	err error
}

// window is how many events a publisher may be ahead, as with `dconn bench
// pubsub`.
const window = 1000

// idleSessions is how many there are when they are weighed.
const idleSessions = 5000

// nameCapability is one call at a time of what the daemon answers itself, without
// touching a device.
const (
	nameCapability = "capability 1x1"
	nameAwake      = "capability 1x1, CPUs awake"
	capability     = "org.deskconn.system.name"
)

// workloads are all there are.
func workloads(seconds float64, idleRuns int) []*workload {
	limit := time.Duration(seconds * float64(time.Second))
	var all []*workload
	rpc := func(callers, callees, inFlight, size int) {
		name := fmt.Sprintf("rpc %dx%d", callers, callees)
		if inFlight > 1 {
			name += fmt.Sprintf("x%d", inFlight)
		}
		switch {
		case size >= 1<<20:
			name += fmt.Sprintf(" %dMiB", size>>20)
		case size >= 1<<10:
			name += fmt.Sprintf(" %dKiB", size>>10)
		}
		all = append(all, &workload{name: name, unit: "calls", job: load.Job{
			Kind: load.RPC, Callers: callers, Callees: callees, Window: inFlight, Size: size, For: limit,
		}})
	}
	rpc(1, 1, 1, 16)
	one := load.Job{Kind: load.RPC, Callers: 1, Window: 1, Procedure: capability, For: limit}
	all = append(all, &workload{name: nameCapability, unit: "calls", job: one},
		&workload{name: nameAwake, unit: "calls", awake: true, job: one})
	rpc(10, 4, 1, 16)
	rpc(100, 1, 1, 16)
	rpc(10, 4, 4, 16)
	rpc(10, 4, 16, 16)
	rpc(10, 4, 1, 64<<10)
	rpc(1, 1, 1, 1<<20)
	rpc(1, 1, 1, 3<<20)
	for _, subscribers := range []int{1, 10, 100} {
		all = append(all, &workload{name: fmt.Sprintf("pubsub 1→%d", subscribers), unit: "events", job: load.Job{
			Kind: load.PubSub, Subscribers: subscribers, Window: window, Size: 16, For: limit,
		}})
	}
	return append(all, &workload{name: nameIdle, runs: idleRuns, job: load.Job{Kind: load.Idle, Sessions: idleSessions, For: 4 * time.Second}})
}

const nameIdle = "idle"

// has reports whether the contestant has this load. An idle session has no client
// to speak of, and only dconn has capabilities.
func (w *workload) has(c contestant) bool {
	switch {
	case w.job.Procedure != "":
		return c.protocol == load.Raw || c.protocol == load.Lockstep || c.protocol == load.WAMP && (c.ours || c.base)
	case w.job.Kind == load.Idle:
		return c.protocol != load.Raw && c.protocol != load.Lockstep && c.protocol != load.Session
	}
	return c.protocol != load.Raw && c.protocol != load.Lockstep
}

func chosen(all []*workload, only *regexp.Regexp) (some []*workload) {
	for _, w := range all {
		if only.MatchString(w.name) {
			w.samples = map[string][]sample{}
			some = append(some, w)
		}
	}
	return some
}
