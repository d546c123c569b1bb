package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
)

// runs are those of one contestant, one for each number: so many calls in a
// second, or 0 for a run that failed.
func runs(numbers ...int64) (all []sample) {
	for _, n := range numbers {
		s := sample{Result: load.Result{Sent: n, Done: n, Took: time.Second}}
		if n == 0 {
			s.err = errors.New("broken")
		}
		all = append(all, s)
	}
	return all
}

// A round in which either failed counts for nothing, and each is compared with
// its own round.
func TestRatio(t *testing.T) {
	w := &workload{samples: map[string][]sample{"a": runs(4, 400, 0, 6, 99), "b": runs(2, 200, 7, 0, 33)}}
	if got, ok := w.ratio("a", "b", rate); !ok || got != 2 {
		t.Errorf("ratio = %v, %v, expected 2, true", got, ok)
	}
	if _, ok := w.ratio("a", "nobody", rate); ok {
		t.Error("there is a ratio to nobody")
	}
	if _, ok := w.ratio("nobody", "a", rate); ok {
		t.Error("there is a ratio of nobody")
	}
}

func TestShare(t *testing.T) {
	lost := func(r load.Result) int64 { return r.Lost }
	for want, r := range map[string]load.Result{
		"0":       {Sent: 10},
		"< 0.1 %": {Sent: 10_000, Lost: 1},
		"25.0 %":  {Sent: 8, Lost: 2},
	} {
		if got := share([]load.Result{r}, lost); got != want {
			t.Errorf("share of %+v = %q, expected %q", r, got, want)
		}
	}
}

// The row of a bar, if there is one.
func verdict(rows [][]string, what string) string {
	i := slices.IndexFunc(rows, func(row []string) bool { return row[0] == what })
	if i < 0 {
		return "none"
	}
	return strings.Join(rows[i][1:], " ")
}

func TestVerdicts(t *testing.T) {
	all := workloads(1, 1)
	loads := chosen(all, regexp.MustCompile(`rpc 10x4$|rpc 100x1|idle`))
	if len(loads) != 3 {
		t.Fatalf("%d loads of 3 were chosen", len(loads))
	}
	rpc, hundred, idle := loads[0], loads[1], loads[2]
	rpc.samples = map[string][]sample{nameDconn: runs(30, 30), nameStock: runs(10, 10), nameNATS: runs(40, 40)}
	hundred.samples = map[string][]sample{nameDconn: runs(30), nameStock: runs(10), nameNATS: runs(30)}
	hundred.samples[nameDconn][0].P99, hundred.samples[nameNATS][0].P99 = 1, 2
	idle.samples = map[string][]sample{nameDconn: {{Result: load.Result{Before: 10 << 20, After: 10<<20 + idleSessions*21<<10}}}}
	rows := verdicts(loads)
	for what, want := range map[string]string{
		"rpc 10x4 ÷ " + nameStock:             "3.00 ≥ 2.20 bar met",
		"rpc 10x4 ÷ " + nameNATS:              "0.75 ≥ 1.00 bar missed",
		"rpc 100x1 p99 ÷ " + nameNATS:         "0.50 ≤ 1.00 stretch met",
		"KiB of an idle session":              "21.00 ≤ 20.00 stretch missed",
		"MiB with no session":                 "10.00 ≤ 20.00 stretch met",
		"of 4 runs, lost or refused anything": "0 0 bar met",
		"pubsub 1→10 ÷ " + nameStock:          "none",
	} {
		if got := verdict(rows, what); got != want {
			t.Errorf("%s: %s, expected %s", what, got, want)
		}
	}
}

// What lost something meets no bar, however fast it was.
func TestFaults(t *testing.T) {
	w := chosen(workloads(1, 1), regexp.MustCompile(`rpc 10x4$`))[0]
	w.samples = map[string][]sample{nameDconn: runs(30, 30), nameStock: runs(10, 10), nameNATS: runs(0, 10)}
	w.samples[nameDconn][1].Result.Lost = 1
	w.samples[nameDconn][1].Note = "no answer"
	loads := []*workload{w}
	if got := verdict(verdicts(loads), "rpc 10x4 ÷ "+nameStock); got != "3.00 ≥ 2.20 bar missed" {
		t.Errorf("beside stock: %s", got)
	}
	if got := verdict(verdicts(loads), "of 2 runs, lost or refused anything"); got != "1 0 bar missed" {
		t.Errorf("lost or refused: %s", got)
	}
	field := []contestant{{name: nameDconn, ours: true}, {name: nameStock}, {name: nameNATS}}
	want := `dconn unix, rpc 10x4, round 2: 1 of 30 calls were lost and 0 refused: "no answer"`
	if err := faults(field, loads); err == nil || err.Error() != want {
		t.Errorf("faults = %v, expected %s", err, want)
	}
	if err := faults(field[1:], loads); err != nil {
		t.Errorf("faults of others: %v", err)
	}
	for _, c := range field {
		if row := w.row(c.name); len(row) != len(w.table(field)[0]) {
			t.Errorf("%s: a row of %d cells under a head of %d", c.name, len(row), len(w.table(field)[0]))
		}
	}
	w.samples[nameNATS] = runs(0)
	if row := w.row(nameNATS); row[1] != "failed" || len(row) != len(w.table(field)[0]) {
		t.Errorf("a contestant that always failed: %q", row)
	}
}

// Every bar is on a load that there is.
func TestBars(t *testing.T) {
	all := workloads(1, 1)
	for _, b := range bars {
		if named(all, b.load) == nil {
			t.Errorf("no load is named %q", b.load)
		}
	}
}
