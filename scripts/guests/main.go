// Command guests has a paired device that turned hostile do everything at once that its
// default grant allows, and more: it holds sessions, patterns and calls at their limits,
// reads nothing, never finishes a message, floods, leaves and comes back. Run it inside
// this repository:
//
//	go run ./scripts/guests [-seconds N] [-tags TAGS]
//
// Meanwhile the owner and another device call as always. They must see no error, and
// wait at the 99th percentile no more than three times as long as when the guest does
// nothing; the daemon may take 64 MiB more than when it is idle, and log a line a second;
// afterwards everything must be given back. Then the guest does the same again and is
// revoked in the middle of it. The exit status is 1, with a sentence, when any of that
// does not hold.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

// The bars.
const (
	mostDelay  = 3.0      // times the p99 of a quiet daemon
	mostMemory = 64 << 20 // bytes above the idle daemon
	mostLines  = 1.0      // of log, a second
	settleTime = 30 * time.Second
)

func main() {
	seconds := flag.Float64("seconds", 60, "how long the guest works")
	tags := flag.String("tags", "", "build tags of dconn")
	only := flag.String("only", "", "do only what this `HABIT` says, and revoke nobody")
	child := flag.String("guest", "", "be the guest with this state directory, at this address (internal)")
	address := flag.String("address", "", "of the daemon, for -guest (internal)")
	flag.Parse()
	if *child != "" {
		if err := beGuest(*child, *address, *only); err != nil {
			fmt.Fprintln(os.Stderr, "guest:", err)
			os.Exit(1)
		}
		return
	}
	rig.Main("guests", *tags, func(ctx context.Context, r *rig.Rig) error {
		return run(ctx, r, time.Duration(*seconds*float64(time.Second)), *only)
	})
}
