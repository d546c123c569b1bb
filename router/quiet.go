package router

import (
	"runtime"
	"runtime/debug"
	"time"
)

// quietAfter is how long nobody has come or gone when it is quiet.
const quietAfter = 2 * time.Second

// newQuiet returns a timer that gives memory back to the system when it fires.
// To come and to go leaves garbage, and stacks that have grown: they shrink by
// half in each collection.
func newQuiet() *time.Timer {
	return time.AfterFunc(quietAfter, func() {
		runtime.GC()
		debug.FreeOSMemory()
	})
}

// stir says that somebody has come or gone.
func (r *Router) stir() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closing {
		r.quiet.Reset(quietAfter)
	}
}
