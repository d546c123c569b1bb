//go:build netns

package net

import (
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/deskconn/dconn/router/wire"
)

// hinted is what a host announces of its id.
func (h *host) hinted() string {
	h.lab.Helper()
	return strings.ReplaceAll(h.must("id"), "-", "")[:wire.IDHint]
}

// browsed is what avahi's own command finds from this host.
func (h *host) browsed() string {
	h.lab.Helper()
	out, err := h.avahi(h.lab.Context(), "avahi-browse", "-rpt", "_deskconn._tcp").CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		h.lab.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// A daemon says that it is there, whether it can be paired with, and goodbye.
func TestServeAnnounces(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop, other := l.host("desk"), l.host("laptop"), l.host("other")
	w := laptop.watch()
	daemon := desk.serve()
	m := w.event("found", "desk")
	if m.Port != wire.Port || m.ID != desk.hinted() || m.Pairing || m.Paired != nil || len(m.Addresses) == 0 || m.Addresses[0] != desk.address {
		t.Errorf("%+v", m)
	}
	if seen := other.browsed(); !strings.Contains(seen, ";desk;_deskconn._tcp;local;") || !strings.Contains(seen, `"p=0"`) || !strings.Contains(seen, `"id=`+desk.hinted()+`"`) {
		t.Errorf("avahi finds %s", seen)
	}
	window := desk.start("pair")
	w.next("an open window", func(m machine) bool { return m.Event == "changed" && m.Pairing })
	if seen := other.browsed(); !strings.Contains(seen, `"p=1"`) {
		t.Errorf("avahi finds %s", seen)
	}
	if o := laptop.with([]string{"DCONN_PAIR_CODE=" + window.line(0)}, "pair", desk.address); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	window.ends(0)
	w.next("a closed window", func(m machine) bool { return m.Event == "changed" && !m.Pairing })
	if m := find(l, laptop.discover("--paired", "-n", "1", "-W", "10"), "desk"); m.Paired == nil || *m.Paired != "desk" || m.Verified == nil || !*m.Verified {
		t.Errorf("%+v", m)
	}
	if table := laptop.must("discover", "--paired", "-n", "1"); !strings.Contains(table, "  desk  ") {
		t.Errorf("%s", table)
	}

	desk.must("announce", "off")
	w.event("gone", "desk")
	desk.must("announce", "on")
	w.event("found", "desk")

	second := desk.start("serve", "--name", "attic", "--socket", desk.dir+"/second.sock", "--state", desk.dir+"/second")
	if m := w.event("found", "attic"); m.Port != wire.Port+1 || m.ID == desk.hinted() || m.Addresses[0] != desk.address {
		t.Errorf("%+v", m)
	}
	second.kill(syscall.SIGTERM)
	w.event("gone", "attic")
	daemon.kill(syscall.SIGTERM)
	w.event("gone", "desk")
	if seen := other.browsed(); strings.Contains(seen, "desk") {
		t.Errorf("avahi still finds %s", seen)
	}
}

// A daemon that shall not announce itself does not, until it is told to.
func TestServeIsSilent(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve("--no-announce")
	if found := laptop.discover("-W", "3"); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	var status struct{ State string }
	if err := json.Unmarshal([]byte(desk.must("announce", "-o", "json")), &status); err != nil || status.State != "off" {
		t.Errorf("%+v, %v", status, err)
	}
	desk.must("announce", "on")
	find(l, laptop.discover("-n", "1", "-W", "10"), "desk")
}

// Two machines of one name are two rows, and two devices; neither is ever reached
// for the other.
func TestSameName(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a, b, c := l.host("a"), l.host("b"), l.host("c")
	first := a.start("serve", "--name", "pi")
	first.says("msg=serving")
	find(l, c.discover("-n", "1", "-W", "10"), "pi")
	b.start("serve", "--name", "pi").says("announced under another name")
	c.pair(a)
	c.pair(b)
	all := c.discover("-n", "2", "-W", "10")
	one, two := find(l, all, "pi"), find(l, all, "pi (2)")
	if one.Paired == nil || two.Paired == nil || *one.Paired != "pi" || *two.Paired != "pi 2" || one.Ambiguous || two.Ambiguous || one.ID == two.ID {
		t.Errorf("%+v", all)
	}
	c.must("call", "-d", "pi 2", ".system.name")
	first.kill(syscall.SIGKILL)
	c.fails(6, "", "call", "-d", "pi", ".system.name")
	b.move("10.99.0.77")
	c.fails(6, "", "call", "-d", "pi", ".system.name")
	c.must("call", "-d", "pi 2", ".system.name")
}

// A machine that announces the id of another is shown as doubtful beside it, and
// never called in its place.
func TestImpostor(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop, evil := l.host("desk"), l.host("laptop"), l.host("evil")
	daemon := desk.serve()
	laptop.pair(desk)
	evil.serve("--no-announce")
	evil.announce("a desk", desk.must("id"), wire.Port)
	all := laptop.discover("-n", "2", "-W", "10")
	if !find(l, all, "desk").Ambiguous || !find(l, all, "a desk").Ambiguous {
		t.Errorf("%+v", all)
	}
	if table := laptop.must("discover", "-n", "2", "-W", "10"); strings.Count(table, "desk ?") != 1 {
		t.Errorf("%s", table)
	}
	desk.move("10.99.0.77") // so that it must be looked for, among two
	laptop.called("desk")
	daemon.kill(syscall.SIGTERM)
	laptop.fails(6, "", "call", "-d", "desk", ".system.name")
	for _, a := range laptop.devices()[0].Addresses {
		if strings.HasPrefix(a, evil.address) {
			t.Errorf("the impostor's address is kept: %s", a)
		}
	}
}
