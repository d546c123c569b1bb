// Command cold measures the wall time of one `dconn call`, process start to
// exit, on a warm daemon, beside other programs that do the same or less. Run
// it inside this repository:
//
//	go run ./scripts/bench/cold [-n ROUNDS] [-tags TAGS]
//
// Every round runs each program once, in an order of its own, so that what
// disturbs the machine disturbs all of them: the ratios within a round hold
// better than the milliseconds. It builds everything, talks only to daemons it
// starts itself, and leaves nothing behind. (As root it installs busctl and
// dbus-daemon where they are missing.) Its exit status is 0 whether or not
// a bar is met.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

func main() {
	rounds := flag.Int("n", 200, "number of rounds")
	tags := flag.String("tags", "", "build tags of dconn")
	flag.Parse()
	rig.Main("bench-cold", *tags, func(ctx context.Context, r *rig.Rig) error {
		return run(ctx, &bench{Rig: r}, *rounds)
	})
}

func run(ctx context.Context, b *bench, rounds int) error {
	if rounds < 1 {
		return fmt.Errorf("-n must be 1 or more, got %d", rounds)
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	samples, err := b.measure(ctx, rounds)
	if err != nil {
		return err
	}
	versions, err := b.versions(ctx)
	if err != nil {
		return err
	}
	size, err := os.Stat(b.dconn())
	if err != nil {
		return err
	}
	return report(os.Stdout, versions, b.programs, samples, size.Size())
}
