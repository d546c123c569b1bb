// Command discover measures how long dconn discover takes to its first row, and
// to the complete list, beside avahi-browse -rpt in the same network namespace.
// Run it inside this repository, as root:
//
//	go run ./scripts/bench/discover [-rounds N] [-machines N] [-tags TAGS]
//
// The machines are announced in another namespace on the same bridge, and are
// settled before. Both start with nothing known: avahi-daemon is started anew for
// each round, which is not counted. The ratios are those within a round. Its exit
// status is 0 whether or not a bar is met, and 1 when anything broke.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/deskconn/dconn/router/announce"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/scripts/bench/figures"
	"github.com/deskconn/dconn/scripts/bench/rig"
)

// bar is how long the first row may take, as a part of avahi-browse's.
const bar = 0.5

type bench struct {
	*rig.Rig
	rounds   int
	machines int
	dconn    string
}

func main() {
	var b bench
	flag.IntVar(&b.rounds, "rounds", 10, "number of rounds")
	flag.IntVar(&b.machines, "machines", 10, "how many are announced")
	tags := flag.String("tags", "", "build tags of dconn")
	as := flag.Bool("announce", false, "be the machines") // this program is them, too
	flag.Parse()
	if *as {
		if err := beMachines(b.machines); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	rig.Main("bench-discover", *tags, func(ctx context.Context, r *rig.Rig) error {
		b.Rig = r
		return b.run(ctx)
	})
}

// beMachines announces n machines, and says so on stdout once all are settled.
func beMachines(n int) error {
	var all []*announce.Announcer
	for i := range n {
		a, err := announce.Start(context.Background(), announce.Options{
			Name: fmt.Sprintf("machine %d", i), Port: 5020 + i, ID: trust.ID{byte(i), byte(i >> 8)}.String(), Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	for _, a := range all {
		for len(a.Status().Links) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	time.Sleep(3 * time.Second) // until they have said it unasked
	fmt.Println("settled")
	select {}
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.rounds < 1 || b.machines < 1 || b.machines > 500 {
		return fmt.Errorf("-rounds must be 1 or more and -machines 1 to 500, got %d and %d", b.rounds, b.machines)
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root, to make network namespaces")
	}
	if err := b.Need(ctx, []string{"ip", "avahi-daemon", "avahi-browse", "dbus-daemon"}, "iproute2", "avahi-daemon", "avahi-utils", "dbus"); err != nil {
		return err
	}
	b.dconn = filepath.Join(b.Dir, "dconn")
	if err := b.BuildDconn(ctx, b.dconn); err != nil {
		return err
	}
	n, err := newNetwork(ctx)
	defer func() { err = errors.Join(err, n.remove()) }()
	if err != nil {
		return err
	}
	if err := b.announce(ctx, n); err != nil {
		return err
	}
	var ours, theirs []times
	for round := range b.rounds {
		for i := range 2 { // who goes first changes each round
			contestant, results := b.avahi, &theirs
			if (round+i)%2 == 0 {
				contestant, results = b.discover, &ours
			}
			t, err := contestant(ctx, n)
			if err != nil {
				return err
			}
			*results = append(*results, t)
		}
	}
	return b.report(ctx, ours, theirs)
}

// report prints medians, and ratios within the rounds.
func (b *bench) report(ctx context.Context, ours, theirs []times) error {
	versions, err := b.Versions(b.dconn, b.FirstLine(ctx, "avahi-browse", "--version"))
	if err != nil {
		return err
	}
	fmt.Printf("%d rounds, medians; %d machines; %s\n\n", b.rounds, b.machines, versions)
	rows := [][]string{{"until", "dconn discover, ms", "avahi-browse -rpt, ms", "×", fmt.Sprintf("at most %v ×", bar)}}
	for _, until := range []struct {
		name string
		of   func(times) time.Duration
	}{{"the first row", func(t times) time.Duration { return t.first }}, {"all rows", func(t times) time.Duration { return t.all }}} {
		a, b := each(ours, until.of), each(theirs, until.of)
		ratio := figures.PairedRatio(a, b)
		rows = append(rows, []string{until.name, figures.Decimal(figures.Quantile(a, 0.5), 1), figures.Decimal(figures.Quantile(b, 0.5), 1),
			figures.Decimal(ratio, 3), figures.Verdict(ratio <= bar)})
	}
	return figures.Print(os.Stdout, rows)
}

func each(list []times, of func(times) time.Duration) []float64 {
	var all []float64
	for _, t := range list {
		all = append(all, float64(of(t))/float64(time.Millisecond))
	}
	return all
}
