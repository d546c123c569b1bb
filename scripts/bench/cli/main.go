// Command cli measures the command line as a whole, as a user types it: a batch
// of calls beside a loop of processes, and lines sent through the daemon beside
// mosquitto's. Run it inside this repository:
//
//	go run ./scripts/bench/cli [-rounds N] [-calls N] [-lines N] [-tags TAGS]
//		[-base BINARY [-mosquitto]]
//
// Every round runs each contestant once, in an order of its own, and begins
// each when both daemons are idle; the ratios are those within a round. It
// compares what arrived with what was sent, builds everything, talks only to
// daemons it starts itself, and leaves nothing behind. (As root it installs
// mosquitto where that is missing.) Its exit status is 0 whether or not a bar
// is met, and 1 when dconn lost a line or anything broke.
//
// With -base it measures this tree's dconn and another binary one right after the
// other, each with a daemon of its own, and leaves out mosquitto. Its exit status
// is then 1 too when a row is below the bar of that comparison.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/deskconn/dconn/scripts/bench/figures"
	"github.com/deskconn/dconn/scripts/bench/rig"
)

// size is how much a run measures.
type size struct {
	rounds int
	calls  int // of a batch, and of all the processes of the loop
	lines  int

	binary        string // another dconn to measure beside this tree's, empty for none
	withMosquitto bool   // beside the two of them
}

func main() {
	var s size
	flag.IntVar(&s.rounds, "rounds", 8, "number of rounds")
	flag.IntVar(&s.calls, "calls", 10_000, "calls of a batch in each round, and processes in all rounds together")
	flag.IntVar(&s.lines, "lines", 200_000, "lines in each round")
	flag.StringVar(&s.binary, "base", "", "measure this `BINARY` of dconn beside this tree's")
	flag.BoolVar(&s.withMosquitto, "mosquitto", false, "measure mosquitto with -base too")
	tags := flag.String("tags", "", "build tags of dconn")
	flag.Parse()
	debug.SetGCPercent(10) // what we take hides what a small process takes: usage.text
	rig.Main("bench-cli", *tags, func(ctx context.Context, r *rig.Rig) error {
		return run(ctx, &bench{Rig: r, size: s})
	})
}

func run(ctx context.Context, b *bench) error {
	if b.rounds < 1 || b.calls < b.rounds || b.lines < 1 {
		return fmt.Errorf("-rounds, -lines and -calls for each round must be 1 or more, got -rounds %d -lines %d -calls %d", b.rounds, b.lines, b.calls)
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	contests := b.contests()
	for _, c := range contests {
		if err := b.hold(ctx, c); err != nil {
			return err
		}
	}
	versions, err := b.versions(ctx)
	if err != nil {
		return err
	}
	b.StopDaemons() // their peaks are known when they have ended
	err = errors.Join(report(os.Stdout, versions, contests, b.buses), lost(contests))
	if b.base != nil {
		err = errors.Join(err, figures.PrintBase(os.Stdout, besides(contests)))
	}
	return err
}
