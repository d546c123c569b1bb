// Command bus measures routers under load, dconn's beside others: calls, events
// and idle sessions. Run it inside this repository:
//
//	go run ./scripts/bench/bus [-rounds N] [-seconds N] [-quick] [-only REGEXP] [-contestants REGEXP] [-tags TAGS]
//
// Every round puts each load on each router, in an order of its own: a router
// that was just started, and one process that is all its clients, which runs
// the same loops for every protocol. The ratios are those within a round. It
// builds everything, talks only to daemons it starts itself, one at a time, and
// leaves nothing behind. (As root it installs nats-server and mosquitto where
// they are missing.) Its exit status is 0 whether or not a bar is met, and 1
// when dconn lost or refused anything or anything broke.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
	"github.com/deskconn/dconn/scripts/bench/figures"
	"github.com/deskconn/dconn/scripts/bench/rig"
)

// size is how much a run measures, and of what.
type size struct {
	rounds      int
	seconds     float64 // of each load
	only        string  // pattern of the names of loads
	contestants string  // of those of contestants
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == loadWord {
		os.Exit(runLoad(os.Args[2]))
	}
	var s size
	flag.IntVar(&s.rounds, "rounds", 4, "number of rounds")
	flag.Float64Var(&s.seconds, "seconds", 2, "how long each load lasts")
	flag.StringVar(&s.only, "only", "", "the loads whose name matches this `regexp`")
	flag.StringVar(&s.contestants, "contestants", "", "the contestants whose name matches this `regexp`")
	quick := flag.Bool("quick", false, "one round of a second each")
	tags := flag.String("tags", "", "build tags of dconn")
	flag.Parse()
	if *quick {
		s.rounds, s.seconds = 1, 1
	}
	rig.Main("bench-bus", *tags, func(ctx context.Context, r *rig.Rig) error {
		return run(ctx, &bench{Rig: r, size: s})
	})
}

// loadWord makes this program a load: its other argument is the job, and it
// prints the result, both as JSON.
const loadWord = "load"

func runLoad(text string) int {
	debug.SetGCPercent(400) // less noise of ours, whoever the router is
	var job load.Job
	err := json.Unmarshal([]byte(text), &job)
	var result load.Result
	if err == nil {
		result, err = load.Run(context.Background(), job)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, b *bench) error {
	if b.rounds < 1 || b.seconds <= 0 {
		return fmt.Errorf("-rounds must be 1 or more and -seconds more than 0, got -rounds %d -seconds %v", b.rounds, b.seconds)
	}
	only, err := regexp.Compile(b.only)
	if err != nil {
		return err
	}
	contestants, err := regexp.Compile(b.contestants)
	if err != nil {
		return err
	}
	loads := chosen(workloads(b.seconds), only)
	if len(loads) == 0 {
		return fmt.Errorf("no load is named like -only %q", b.only)
	}
	if err := b.prepare(ctx, contestants); err != nil {
		return err
	}
	if err := b.hold(ctx, loads); err != nil {
		return err
	}
	own, err := b.measureOwn(ctx, loads, map[string]string{clientOwn: b.path("dconn")})
	if err != nil {
		return err
	}
	versions, err := b.versions(ctx)
	if err != nil {
		return err
	}
	return errors.Join(report(os.Stdout, versions, b.size, b.field, loads),
		figures.Print(os.Stdout, ownTable(own)), faults(b.field, loads))
}
