package router

import (
	"runtime"
	"time"
)

// arrivals space out the connections to the unix socket, so that whoever comes and
// goes without end does not take the processors from those who are there. To start a
// process for each takes longer. Over TCP, where a crowd of strangers must not keep a
// device waiting, there is the door instead.
type arrivals struct{ due time.Time }

const (
	arrivalsPerSecond = 1000 // for each processor
	arrivalsAtOnce    = 64
)

// next is how long the connection that has come at now must wait.
func (a *arrivals) next(now time.Time) time.Duration {
	each := time.Second / time.Duration(arrivalsPerSecond*runtime.GOMAXPROCS(0))
	if early := now.Add(-arrivalsAtOnce * each); a.due.Before(early) {
		a.due = early
	}
	a.due = a.due.Add(each)
	return max(0, a.due.Sub(now))
}
