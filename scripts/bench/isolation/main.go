// Command isolation measures what one peer can do to the others: the p99 of an
// ordinary pair of sessions (serial calls; serial events) while another process
// disturbs the daemon, beside the p99 of the same pair while a neutral process
// burns as much CPU on as many threads. Run it inside this repository:
//
//	go run ./scripts/bench/isolation [-rounds N] [-load D] [-only TEXT] [-tags TAGS]
//		[-base BINARY [-burner]]
//
// Each round measures the pair under the disturbance, notes what that cost (the
// CPU of the disturber, and of the daemon beyond what it takes for the pair),
// and measures the pair beside a burner of that cost; the ratios are those
// within a round. Its exit status is 0 whether or not a bar is met, and 1 when
// the pair saw an error or anything broke.
//
// With -base it measures this tree's dconn and another binary in turn, each with a
// daemon and a pair of its own, and in place of the burner's p99 it compares with
// the other binary's. Its exit status is then 1 too when a row is below the bar of
// that table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/deskconn/dconn/scripts/bench/rig"
)

// size is how much a run measures.
type size struct {
	rounds int
	load   time.Duration // of each measurement
	only   string        // disturbances whose name has it
	binary string        // another dconn to measure beside this tree's, empty for none
	burner bool          // the burner is measured
}

func main() {
	var s size
	flag.IntVar(&s.rounds, "rounds", 5, "number of rounds")
	flag.DurationVar(&s.load, "load", 1500*time.Millisecond, "how long each measurement lasts")
	flag.StringVar(&s.only, "only", "", "only disturbances whose name has this `TEXT`")
	flag.StringVar(&s.binary, "base", "", "measure this `BINARY` of dconn beside this tree's")
	flag.BoolVar(&s.burner, "burner", false, "measure the burner with -base too")
	tags := flag.String("tags", "", "build tags of dconn")
	// this program is the disturber and the burner too
	as := flag.String("as", "", "be this disturber, or `burner`")
	socket := flag.String("socket", "", "of the daemon that is disturbed")
	share := flag.Float64("share", 0, "CPUs to burn")
	threads := flag.Int("threads", 1, "threads that burn")
	flag.Parse()
	if *as != "" {
		if err := be(*as, *socket, *share, *threads); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", *as, err)
			os.Exit(1)
		}
		return
	}
	s.burner = s.burner || s.binary == ""
	rig.Main("bench-isolation", *tags, func(ctx context.Context, r *rig.Rig) error {
		return run(ctx, &bench{Rig: r, size: s})
	})
}

func run(ctx context.Context, b *bench) error {
	if b.rounds < 1 || b.load < 100*time.Millisecond {
		return fmt.Errorf("-rounds must be 1 and -load 100ms or more, got %d and %v", b.rounds, b.load)
	}
	chosen := slices.DeleteFunc(slices.Clone(disturbers), func(d disturber) bool { return !strings.Contains(d.name, b.only) })
	if len(chosen) == 0 {
		return fmt.Errorf("-only %q: no disturbance has such a name", b.only)
	}
	if b.binary != "" {
		chosen = append([]disturber{nobody}, chosen...)
	}
	if err := b.prepare(ctx, chosen); err != nil {
		return err
	}
	if err := b.hold(ctx, chosen); err != nil {
		return err
	}
	versions, err := b.versions(ctx)
	if err != nil {
		return err
	}
	return errors.Join(report(os.Stdout, versions, b), harmed(b.results))
}

func (b *bench) versions(ctx context.Context) (string, error) {
	if b.base == nil {
		return b.Versions(b.Dconn())
	}
	return b.Versions(b.Dconn(), b.base.SaysItIs(ctx))
}
