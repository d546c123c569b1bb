package main

import (
	"math"
	"regexp"
	"testing"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
	"github.com/deskconn/dconn/scripts/bench/rig"
)

// both is a field with a base, and what else there may be.
func both(t *testing.T) *bench {
	b := &bench{Rig: &rig.Rig{}, base: &rig.Rig{}}
	for _, c := range b.all() {
		if b.wants(c, regexp.MustCompile("")) {
			b.field = append(b.field, c)
		}
	}
	if len(b.field) != 7 {
		t.Fatalf("%d contestants, expected three of dconn, three of the base and the ping-pong", len(b.field))
	}
	return b
}

func TestWants(t *testing.T) {
	b := both(t)
	stock := contestant{name: nameStock, protocol: load.WAMP}
	if b.wants(stock, regexp.MustCompile("")) {
		t.Error("stock nexus takes part beside a base")
	}
	b.contestants = "stock"
	if !b.wants(stock, regexp.MustCompile("stock")) || b.wants(b.field[0], regexp.MustCompile("stock")) {
		t.Error("beside a base, -contestants has no effect")
	}
}

// The base comes right after dconn with the same client, and in the next round
// right before it.
func TestOrder(t *testing.T) {
	b := both(t)
	for round := range 20 {
		at := map[string]int{}
		for i, c := range b.order(round) {
			at[c.name] = i
		}
		step := 1 - 2*(round%2)
		if len(at) != len(b.field) || at[nameBase] != at[nameDconn]+step || at[nameBase+ownClient] != at[nameDconn+ownClient]+step {
			t.Errorf("round %d: %v", round, at)
		}
	}
}

func TestBesides(t *testing.T) {
	b := both(t)
	loads := chosen(workloads(1, 3), regexp.MustCompile("capability 1x1$|rpc 10x4$|idle"))
	one, rpc, idle := loads[0], loads[1], loads[2]
	one.samples = map[string][]sample{
		nameDconn: runs(30, 30), nameBase: runs(10, 15), nameRaw: runs(60, 90), nameDconn + lockstep: runs(30, 45), nameBase + lockstep: runs(30, 30),
	}
	rpc.samples = map[string][]sample{nameDconn: runs(9, 0), nameBase: runs(10, 10), nameDconn + ownClient: runs(2), nameBase + ownClient: runs(0)}
	weighed := func(before, each int64) sample {
		return sample{Result: load.Result{Before: before << 20, After: before<<20 + idleSessions*each<<10}}
	}
	idle.samples = map[string][]sample{
		nameDconn: {weighed(10, 10), weighed(10, 20), weighed(40, 10)}, nameBase: {weighed(20, 20), weighed(20, 20), weighed(20, 20)},
	}
	want := map[string]float64{
		"capability 1x1, calls/s: dconn unix":              2.5,
		"capability 1x1, calls/s: dconn unix, in lockstep": 1.25,
		"rpc 10x4, calls/s: dconn unix":                    0.9,
		"idle, KiB of a session: dconn unix":               2,
		"idle, MiB with no session: dconn unix":            2,
	}
	rows := besides(b.field, loads)
	if len(rows) != len(want)+1 {
		t.Errorf("%d rows, expected %d", len(rows), len(want)+1)
	}
	for _, p := range rows {
		if w, ok := want[p.Name]; ok && p.Ratio() != w {
			t.Errorf("%s: %v, expected %v", p.Name, p.Ratio(), w)
		} else if !ok && !math.IsNaN(p.Ratio()) {
			t.Errorf("%s: %v, expected no ratio where a round failed", p.Name, p.Ratio())
		}
	}
	checkTables(t, b.field, one, idle)
}

// checkTables looks at what the report says of these loads.
func checkTables(t *testing.T, field []contestant, one, idle *workload) {
	table := verdicts([]*workload{one, idle})
	for what, want := range map[string]string{
		"capability 1x1 ÷ " + nameBase:               "2.50 ≥ 1.50 bar met",
		"capability 1x1, in lockstep ÷ " + nameRaw:   "2.00 ≤ 2.70 bar, time met",
		"KiB of an idle session, the most of 3 runs": "20.00 ≤ 20.00 stretch met",
	} {
		if got := verdict(table, what); got != want {
			t.Errorf("%s: %s, expected %s", what, got, want)
		}
	}
	if got := idle.idleTable(field)[1][4]; got != "10.00 20.00 10.00" {
		t.Errorf("the idle sessions of every run are %q", got)
	}
	if head := one.table(field); head[0][2] != "÷ raw" || len(head) != 6 || head[1][2] != "2.50" || head[5][2] != "1.00" {
		t.Errorf("the table of one call at a time: %q", head)
	}
}
