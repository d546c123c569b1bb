package router

import (
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// crowd is how many must come or go to be worth an effort.
	crowd = 64
	// quietAfter is how long nobody has come or gone when it is quiet again.
	quietAfter = 2 * time.Second
)

// newQuiet returns a timer, stopped, that gives memory back to the system when
// it fires. A crowd leaves garbage behind, and stacks that have grown: those
// shrink by half in each collection.
func (r *Router) newQuiet() *time.Timer {
	t := time.AfterFunc(time.Hour, func() {
		r.mu.Lock()
		r.stirred = 0
		r.mu.Unlock()
		runtime.GC()
		debug.FreeOSMemory()
	})
	t.Stop()
	return t
}

// stir says that somebody has come or gone.
func (r *Router) stir() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stirred++; r.stirred >= crowd && !r.closing {
		r.quiet.Reset(quietAfter)
	}
}
