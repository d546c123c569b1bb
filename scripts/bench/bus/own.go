package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
	"github.com/deskconn/dconn/scripts/bench/figures"
)

// The client that users have is measured as they run it, by `dconn bench rpc`, beside
// the lean one and on the same router.

// Clients by the name they have in an ownRun.
const (
	clientOwn  = "dconn bench"
	clientBase = "dconn bench of the base"
	clientLean = "lean client"
)

const (
	ownBar     = 0.5  // of the calls/s of our client to those of the lean one
	ownBaseBar = 1.05 // of the time of a call to that with the base: a few percent are noise
)

// ownRun is one load on all clients: a result of each for each round.
type ownRun struct {
	job     load.Job
	results map[string][]load.Result
}

// measureOwn puts the two loads of the bars, where they were chosen, on each
// client. binaries are those of dconn by the name of the client.
func (b *bench) measureOwn(ctx context.Context, loads []*workload, binaries map[string]string) (map[string]*ownRun, error) {
	runs := map[string]*ownRun{}
	for _, name := range []string{ownLoaded, ownAlone} {
		if w := named(loads, name); w != nil {
			runs[name] = &ownRun{w.job, map[string][]load.Result{}}
		}
	}
	names := []string{clientLean}
	for name := range binaries {
		names = append(names, name)
	}
	for round := range b.rounds {
		for name, run := range runs {
			b.Say("round %d of %d: %s with our client", round+1, b.rounds, name)
			for _, i := range rand.Perm(len(names)) {
				result, err := b.onceOwn(ctx, run.job, binaries[names[i]])
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", name, names[i], err)
				}
				run.results[names[i]] = append(run.results[names[i]], result)
			}
		}
	}
	return runs, nil
}

// The loads of the bars.
const (
	ownLoaded = "rpc 10x4x16"
	ownAlone  = "rpc 1x1"
)

// onceOwn runs a job with the client of a binary, or the lean one without.
func (b *bench) onceOwn(ctx context.Context, job load.Job, binary string) (r load.Result, err error) {
	defer b.StopDaemons()
	daemon, err := b.Serve(ctx, b.path("dconn"))
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, job.For+time.Minute)
	defer cancel()
	if binary != "" {
		return b.benchRPC(ctx, job, binary)
	}
	return b.leanRPC(ctx, job, daemon)
}

func (b *bench) leanRPC(ctx context.Context, job load.Job, daemon *exec.Cmd) (r load.Result, err error) {
	job.Protocol, job.Network, job.Address, job.Router = load.WAMP, "unix", b.Socket(), daemon.Process.Pid
	text, err := json.Marshal(job)
	if err != nil {
		return r, err
	}
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	out, err := b.Output(ctx, self, loadWord, string(text))
	if err == nil {
		err = json.Unmarshal([]byte(out), &r)
	}
	return r, err
}

func (b *bench) benchRPC(ctx context.Context, job load.Job, binary string) (load.Result, error) {
	out, err := b.Output(ctx, binary, "bench", "rpc", "--socket", b.Socket(), "-o", "ndjson",
		"--callers", strconv.Itoa(job.Callers), "--callees", strconv.Itoa(job.Callees),
		"--in-flight", strconv.Itoa(job.Window), "--size", strconv.Itoa(job.Size), "--duration", job.For.String())
	if err != nil {
		return load.Result{}, err
	}
	return parseBench(out)
}

// parseBench reads what `dconn bench rpc` prints.
func parseBench(out string) (load.Result, error) {
	var doc struct {
		Sent, Received, Refused, Lost int64
		Seconds                       float64
		P50                           float64 `json:"p50_us"`
		P99                           float64 `json:"p99_us"`
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		return load.Result{}, fmt.Errorf("dconn bench rpc printed %q: %w", out, err)
	}
	us := func(v float64) time.Duration { return time.Duration(v * float64(time.Microsecond)) }
	r := load.Result{
		Sent: doc.Sent, Done: doc.Received, Lost: doc.Lost, Refused: doc.Refused, P50: us(doc.P50), P99: us(doc.P99),
		Took: time.Duration(doc.Seconds * float64(time.Second)),
	}
	if r.Done == 0 || r.Lost > 0 || r.Refused > 0 {
		return r, fmt.Errorf("of %d calls %d were answered, %d lost and %d refused", r.Sent, r.Done, r.Lost, r.Refused)
	}
	return r, nil
}

// ownTable compares our client with the bars.
func ownTable(runs map[string]*ownRun) [][]string {
	rows := [][]string{{"the client of dconn bench", "is", "must be", "", ""}}
	add := func(name, what, than string, of func(load.Result) float64, limit float64, atLeast bool) {
		run := runs[name]
		if run == nil || len(run.results[clientOwn]) == 0 || len(run.results[than]) == 0 {
			return
		}
		is := figures.PairedRatio(values(run.results[clientOwn], of), values(run.results[than], of))
		sign, met := "≤", is <= limit
		if atLeast {
			sign, met = "≥", is >= limit
		}
		rows = append(rows, []string{name + what + " ÷ " + than, figures.Decimal(is, 2), sign + " " + figures.Decimal(limit, 2), "bar", figures.Verdict(met)})
	}
	p50 := func(r load.Result) float64 { return micro(r.P50) }
	add(ownLoaded, "", clientLean, rate, ownBar, true)
	add(ownLoaded, "", clientBase, rate, 1, true)
	add(ownAlone, " p50", clientBase, p50, ownBaseBar, false)
	add(ownAlone, " p99", clientBase, p99, ownBaseBar, false)
	return rows
}

func values(results []load.Result, of func(load.Result) float64) []float64 {
	all := make([]float64, len(results))
	for i, r := range results {
		all[i] = of(r)
	}
	return all
}
