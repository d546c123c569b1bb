package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func row(name string, ours bool, samples ...sample) *contestant {
	return &contestant{name: name, ours: ours, samples: samples}
}

func TestLost(t *testing.T) {
	whole, partly := sample{count: 10, wall: time.Second}, sample{count: 7, lost: 3, wall: time.Second}
	for name, c := range map[string]struct {
		dconn, other sample
		want         string
	}{
		"nothing":      {whole, whole, ""},
		"by the other": {whole, partly, ""},
		"by dconn":     {partly, whole, "dconn lost 3 of 10 lines in round 2"},
	} {
		err := lost([]*contest{{unit: "lines", contestants: []*contestant{
			row("other", false, whole, c.other), row("dconn", true, whole, c.dconn),
		}}})
		if (c.want == "") != (err == nil) || err != nil && err.Error() != c.want {
			t.Errorf("%s: lost = %v, expected %q", name, err, c.want)
		}
	}
}

func TestBesides(t *testing.T) {
	one, two := sample{count: 10, wall: time.Second}, sample{count: 20, wall: time.Second}
	partly := sample{count: 7, lost: 3, wall: time.Second}
	p := row("publish", true, one, two, partly)
	p.base = row("base: publish", false, two, two, two)
	c := &contest{title: "lines", unit: "lines", peer: -1, contestants: []*contestant{p, row("mosquitto", false, one)}}
	rows := besides([]*contest{c})
	if len(rows) != 1 || rows[0].Name != "lines, lines/s: publish" || rows[0].Ratio() != 0.75 {
		t.Errorf("besides = %+v, expected one row with the ratio of two rounds", rows)
	}
	if table := c.table(); len(table) != 4 || table[2][0] != "base: publish" {
		t.Errorf("table = %q, expected the base below its row", table)
	}
}

// What lost something has no rate, is nobody's peer, and meets no bar.
func TestLossIsNoSpeed(t *testing.T) {
	whole, partly := sample{count: 100_000, wall: time.Second}, sample{count: 100_000, lost: 1, wall: time.Second}
	c := &contest{peer: 1, contestants: []*contestant{row(nameAcknowledged, true, whole), row(nameMosquitto, false, partly)}}
	if got := c.row(c.contestants[0])[1:6]; !slices.Equal(got, []string{"100000", "100000", "100000", "-", "0"}) {
		t.Errorf("beside a peer that lost something: %q", got)
	}
	if got := c.row(c.contestants[1])[1:6]; !slices.Equal(got, []string{"-", "-", "-", "-", "1"}) {
		t.Errorf("what lost something: %q", got)
	}
	c.contestants[0].samples[0].lost = 1
	empty := &contest{}
	rows := verdicts([]*contest{empty, empty, c})
	if len(rows) != 2 || !strings.HasPrefix(rows[1][0], nameAcknowledged) || rows[1][4] != "missed" {
		t.Errorf("verdicts = %q, expected one, missed", rows)
	}
}
