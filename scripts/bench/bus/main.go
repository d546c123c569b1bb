// Command bus measures routers under load, dconn's beside others: calls, events
// and idle sessions. Run it inside this repository:
//
//	go run ./scripts/bench/bus [-rounds N] [-seconds N] [-quick] [-only REGEXP] [-contestants REGEXP] [-tags TAGS]
//		[-idle-runs N] [-base BINARY]
//
// Every round puts each load on each router, in an order of its own: a router
// that was just started, and one process that is all its clients, which runs
// the same loops for every protocol. The ratios are those within a round. It
// builds everything, talks only to daemons it starts itself, one at a time, and
// leaves nothing behind. (As root it installs nats-server and mosquitto where
// they are missing.) Its exit status is 0 whether or not a bar is met, and 1
// when dconn lost or refused anything or anything broke.
//
// With -base it measures this tree's dconn and another binary one right after the
// other, first the one and in the next round first the other, and leaves out the
// routers that -contestants does not ask for. Its exit status is then 1 too when a
// row is below the bar of that comparison.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"

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
	idleRuns    int     // how often idle sessions are weighed
	binary      string  // another dconn to measure beside this tree's, empty for none
}

func main() {
	if len(os.Args) > 1 {
		if be := helpers[os.Args[1]]; be != nil {
			os.Exit(exitOf(os.Args[1], be(os.Args[2:])))
		}
	}
	var s size
	flag.IntVar(&s.rounds, "rounds", 4, "number of rounds")
	flag.Float64Var(&s.seconds, "seconds", 2, "how long each load lasts")
	flag.StringVar(&s.only, "only", "", "the loads whose name matches this `regexp`")
	flag.StringVar(&s.contestants, "contestants", "", "the contestants whose name matches this `regexp`")
	flag.IntVar(&s.idleRuns, "idle-runs", 1, "how often idle sessions are weighed")
	flag.StringVar(&s.binary, "base", "", "measure this `BINARY` of dconn beside this tree's")
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

// The words that make this program something else: a load, whose argument is the
// job and which prints the result, both as JSON; the other end of a raw ping-pong
// at a socket; what keeps the CPUs awake.
const (
	loadWord  = "load"
	echoWord  = "echo"
	awakeWord = "awake"
)

var helpers = map[string]func(args []string) error{loadWord: runLoad, echoWord: runEcho, awakeWord: runAwake}

func exitOf(word string, err error) int {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", word, err)
		return 1
	}
	return 0
}

func runLoad(args []string) error {
	debug.SetGCPercent(400) // less noise of ours, whoever the router is
	var job load.Job
	if err := json.Unmarshal([]byte(strings.Join(args, "")), &job); err != nil {
		return err
	}
	result, err := load.Run(context.Background(), job)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func runEcho(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return load.Echo(ctx, "unix", strings.Join(args, ""))
}

func runAwake([]string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return load.KeepAwake(ctx)
}

func run(ctx context.Context, b *bench) error {
	if b.rounds < 1 || b.idleRuns < 1 || b.seconds <= 0 {
		return fmt.Errorf("-rounds and -idle-runs must be 1 or more and -seconds more than 0, got -rounds %d -idle-runs %d -seconds %v",
			b.rounds, b.idleRuns, b.seconds)
	}
	only, err := regexp.Compile(b.only)
	if err != nil {
		return err
	}
	contestants, err := regexp.Compile(b.contestants)
	if err != nil {
		return err
	}
	loads := chosen(workloads(b.seconds, b.idleRuns), only)
	if len(loads) == 0 {
		return fmt.Errorf("no load is named like -only %q", b.only)
	}
	if err := b.prepare(ctx, contestants); err != nil {
		return err
	}
	if err := b.hold(ctx, loads); err != nil {
		return err
	}
	clients := map[string]string{clientOwn: b.path("dconn")}
	if b.base != nil {
		clients[clientBase] = b.base.Dconn()
	}
	own, err := b.measureOwn(ctx, loads, clients)
	if err != nil {
		return err
	}
	versions, err := b.versions(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(report(os.Stdout, versions, b.size, b.field, loads),
		figures.Print(os.Stdout, ownTable(own)), faults(b.field, loads))
	if b.base != nil {
		err = errors.Join(err, figures.PrintBase(os.Stdout, besides(b.field, loads)))
	}
	return err
}
