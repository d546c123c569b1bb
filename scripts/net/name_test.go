//go:build netns

package net

import (
	"encoding/json"
	"strings"
	"testing"
)

// Two machines pair by the name that one announces while it shows a code, also from
// what a daemon knows already, and not where the name is nobody's or two machines'.
func TestPairByName(t *testing.T) {
	l := newLab(t)
	desk, laptop, other := l.host("desk"), l.host("laptop"), l.host("other")
	desk.serve()
	laptop.fails(6, "has its pairing window open", "pair", "desk")
	window := desk.start("pair")
	code := "DCONN_PAIR_CODE=" + window.line(0)
	if o := laptop.with([]string{code}, "pair", "Desk"); o.code != 0 || !strings.Contains(o.err, "paired with desk") {
		t.Fatalf("%+v", o)
	}
	window.ends(0)
	if got := laptop.must("call", "-d", "desk", ".system.name"); got != "desk" {
		t.Errorf("called by name: %q", got)
	}

	other.serve()
	other.must("discover", "-W", "1") // from now on its daemon looks
	window = desk.start("pair")
	code = "DCONN_PAIR_CODE=" + window.line(0)
	other.wait("open window in sight", "dconn __complete pair d | grep -q ^desk")
	if o := other.with([]string{code}, "pair", "desk"); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	window.ends(0)
}

// doctor names what keeps others away, and its fix mends it.
func TestDoctor(t *testing.T) {
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	desk.wait("announcement", "dconn announce | grep -q e0")
	check := func(name string) (found, fix, state string) {
		t.Helper()
		var rows []struct{ Check, Found, Fix, State string }
		if err := json.Unmarshal([]byte(desk.dconn("doctor", "-o", "json").out), &rows); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.Check == name {
				return r.Found, r.Fix, r.State
			}
		}
		return "", "", ""
	}
	for _, name := range []string{"port", "announce", "network", "mdns", "firewall"} {
		if found, _, state := check(name); state != "ok" {
			t.Errorf("%s: %s: %s", name, state, found)
		}
	}
	desk.shell("nft add table inet t && nft 'add chain inet t in { type filter hook input priority 0; policy drop; }'")
	if o := laptop.with([]string{"DCONN_PAIR_CODE=1234-5678"}, "pair", "-W", "1", desk.address); o.code != 124 {
		t.Errorf("through a firewall: %+v", o)
	}
	_, fix, state := check("firewall")
	if state != "fail" || !strings.Contains(fix, "udp dport 5353 accept && ") {
		t.Fatalf("%s: %q", state, fix)
	}
	desk.shell(strings.ReplaceAll(fix, "sudo ", ""))
	if all := laptop.discover("-W", "5", "-n", "1"); len(all) != 1 {
		t.Errorf("found after the fix: %v", all)
	}
	laptop.pair(desk)

	rival := laptop.announce("attic", idA, 5020)
	defer rival.kill(9)
	again := l.host("again")
	again.wait("sight of the first", "dconn discover -W 1 -o json | grep -q attic") // the bridge forwards by now
	again.serve("--name", "attic")
	again.wait("another name", "dconn doctor | grep -q 'another machine is called .attic'")
}
