package commands

import (
	"os"
	"runtime/debug"
)

// pace lets a command that handles many messages collect its garbage less
// often: its heap is small, and messages are mostly garbage. Beyond
// paceLimit, and the bytes that may wait, memory counts for more than time. GOGC
// and GOMEMLIMIT still say otherwise.
func pace(waiting int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(paceLimit + int64(waiting))
	}
}

// paceLimit is in bytes.
const paceLimit = 256 << 20
