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
	"os/signal"
	"syscall"
)

func main() {
	rounds := flag.Int("n", 200, "number of rounds")
	tags := flag.String("tags", "", "build tags of dconn")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *rounds, *tags)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // rather than what it broke
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-cold:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, tags string) error {
	if rounds < 1 || flag.NArg() > 0 {
		return fmt.Errorf("expected -n of at least 1 and no arguments, got -n %d and %q", rounds, flag.Args())
	}
	dir, err := os.MkdirTemp("", "dconn-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{dir: dir, tags: tags}
	defer b.stopDaemons()
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
