package commands

import (
	"os"
	"runtime/debug"
)

// pace lets a command that handles many messages collect its garbage less
// often: its heap is small, and messages are mostly garbage. Beyond
// paceLimit, and the bytes that may wait, memory counts for more than time. GOGC
// and GOMEMLIMIT still say otherwise. It returns the limit that it has set, 0 if none.
func pace(waiting int) (limit int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		limit = paceLimit + int64(waiting)
		debug.SetMemoryLimit(limit)
	}
	return limit
}

// paceLimit is in bytes.
const paceLimit = 256 << 20
