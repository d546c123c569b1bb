// Command isolation measures what one peer can do to the others: the p99 of an
// ordinary pair of sessions (serial calls; serial events) while another process
// disturbs the daemon, beside the p99 of the same pair while a neutral process
// burns as much CPU on as many threads. Run it inside this repository:
//
//	go run ./scripts/bench/isolation [-rounds N] [-load D] [-only TEXT] [-tags TAGS]
//
// Each round measures the pair under the disturbance, notes what that cost (the
// CPU of the disturber, and of the daemon beyond what it takes for the pair),
// and measures the pair beside a burner of that cost; the ratios are those
// within a round. Its exit status is 0 whether or not a bar is met, and 1 when
// the pair saw an error or anything broke.
package main

import (
	"context"
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
}

func main() {
	var s size
	flag.IntVar(&s.rounds, "rounds", 5, "number of rounds")
	flag.DurationVar(&s.load, "load", 1500*time.Millisecond, "how long each measurement lasts")
	flag.StringVar(&s.only, "only", "", "only disturbances whose name has this `TEXT`")
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
	if err := b.prepare(ctx); err != nil {
		return err
	}
	var results []*result
	for _, d := range chosen {
		r := &result{name: d.name}
		results = append(results, r)
		for range b.rounds {
			if err := b.round(ctx, d, r); err != nil {
				return fmt.Errorf("%s: %w", d.name, err)
			}
		}
	}
	versions, err := b.Versions(b.dconn)
	if err != nil {
		return err
	}
	if err := report(os.Stdout, versions, b, results); err != nil {
		return err
	}
	return harmed(results)
}
