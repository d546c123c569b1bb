package main

import (
	"testing"
	"time"

	"github.com/deskconn/dconn/scripts/bench/bus/load"
)

func TestOwnTable(t *testing.T) {
	results := func(calls int64, p50, p99 time.Duration) []load.Result {
		return []load.Result{{Done: calls, Took: time.Second, P50: p50, P99: p99}}
	}
	runs := map[string]*ownRun{
		ownLoaded: {results: map[string][]load.Result{clientOwn: results(60, 0, 0), clientLean: results(100, 0, 0), clientBase: results(80, 0, 0)}},
		ownAlone:  {results: map[string][]load.Result{clientOwn: results(1, 100, 300), clientLean: results(1, 50, 100), clientBase: results(1, 100, 200)}},
	}
	for what, want := range map[string]string{
		"rpc 10x4x16 ÷ " + clientLean: "0.60 ≥ 0.50 bar met",
		"rpc 10x4x16 ÷ " + clientBase: "0.75 ≥ 1.00 bar missed",
		"rpc 1x1 p50 ÷ " + clientBase: "1.00 ≤ 1.05 bar met",
		"rpc 1x1 p99 ÷ " + clientBase: "1.50 ≤ 1.05 bar missed",
		"rpc 1x1 p50 ÷ " + clientLean: "none",
	} {
		if got := verdict(ownTable(runs), what); got != want {
			t.Errorf("%s: %s, expected %s", what, got, want)
		}
	}
	if rows := ownTable(nil); len(rows) != 1 {
		t.Errorf("nothing was measured, and there are %d rows", len(rows)-1)
	}
}

func TestParseBench(t *testing.T) {
	r, err := parseBench(`{"bench":"rpc","sent":10,"received":10,"refused":0,"lost":0,"seconds":2,"p50_us":1.5,"p99_us":3,"daemon_cpu_us":null}`)
	if err != nil || rate(r) != 5 || r.P50 != 1500 || r.P99 != 3000 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, out := range []string{"", `{"sent":2,"received":1,"lost":1}`, `{"sent":0}`} {
		if _, err := parseBench(out); err == nil {
			t.Errorf("%q is no error", out)
		}
	}
}
