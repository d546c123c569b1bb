//go:build netns

package net

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// device is an entry of `dconn devices -o json`.
type device struct {
	Name, ID, State string
	Scopes          []string
	Addresses       []string
}

// devices are those that a host knows.
func (h *host) devices() (list []device) {
	h.lab.Helper()
	if err := json.Unmarshal([]byte(h.must("devices", "-o", "json")), &list); err != nil {
		h.lab.Fatal(err)
	}
	return list
}

// pair pairs a host with one that serves, whose owner gives it scopes.
func (h *host) pair(with *host, flags ...string) {
	h.lab.Helper()
	window := with.start(append([]string{"pair"}, flags...)...)
	code := window.line(0)
	if o := h.with([]string{"DCONN_PAIR_CODE=" + code}, "pair", with.address); o.code != 0 {
		h.lab.Fatalf("pair: exit code %d: %s", o.code, o.err)
	}
	window.ends(0)
}

func TestPair(t *testing.T) {
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	laptop.pair(desk)
	if got := laptop.must("call", "-d", "desk", ".system.name"); got != "desk" {
		t.Errorf("called by name: %q", got)
	}
	if got := laptop.must("call", "-d", desk.address, ".system.name"); got != "desk" {
		t.Errorf("called by address: %q", got)
	}
	there := desk.devices()
	if len(there) != 1 || there[0].State != "paired" || there[0].ID != laptop.must("id") || strings.Join(there[0].Scopes, " ") != "brightness system" {
		t.Errorf("desk knows %+v", there)
	}
	here := laptop.devices()
	if len(here) != 1 || here[0].ID != desk.must("id") || len(here[0].Scopes) != 0 || here[0].Addresses[0] != desk.address+":5020" {
		t.Errorf("laptop knows %+v", here)
	}
	laptop.fails(5, "dconn devices grant "+here0(laptop), "call", "-d", "desk", "org.example.x")
	laptop.fails(5, "not granted", "subscribe", "-d", "desk", "org.example.x")
	laptop.fails(5, "only the owner", "call", "-d", "desk", ".status")
	desk.fails(6, "no address of it is known", "call", "-d", there[0].Name, ".system.name")
}

// here0 is the first group of a host's id.
func here0(h *host) string { return strings.SplitN(h.must("id"), "-", 2)[0] }

// One window lets one device in, and a code is good once.
func TestSecondDevice(t *testing.T) {
	l := newLab(t)
	desk, laptop, other := l.host("desk"), l.host("laptop"), l.host("other")
	desk.serve()
	window := desk.start("pair", "--allow", "system")
	code := "DCONN_PAIR_CODE=" + window.line(0)
	if o := laptop.with([]string{code}, "pair", desk.address); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	window.ends(0)
	if o := other.with([]string{code}, "pair", desk.address); o.code != 6 || !strings.Contains(o.err, "no pairing window is open there") {
		t.Errorf("with a used code: %+v", o)
	}
	if n := len(desk.devices()); n != 1 {
		t.Errorf("desk knows %d devices", n)
	}
	if n := len(other.devices()); n != 0 {
		t.Errorf("the other knows %d devices", n)
	}
	other.fails(4, "not paired", "call", "-d", desk.address, ".system.name")
}

// A wrong code is burnt. The third ends the digits, and so the command, which shows no QR
// code here.
func TestWrongCode(t *testing.T) {
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	window := desk.start("pair")
	for n := range 3 {
		right := window.line(n)
		wrong := "0000-0000"
		if right == wrong {
			wrong = "1111-1111"
		}
		if o := laptop.with([]string{"DCONN_PAIR_CODE=" + wrong}, "pair", desk.address); o.code != 7 {
			t.Fatalf("a wrong code: %+v", o)
		}
		window.says("wrong code from " + laptop.address)
	}
	window.ends(7)
	if len(desk.devices())+len(laptop.devices()) != 0 {
		t.Error("somebody is paired")
	}
	if log := desk.must("audit", "-o", "json"); strings.Count(log, "wrong_code") != 3 || !strings.Contains(log, laptop.address) {
		t.Errorf("audit: %s", log)
	}
}

// Guessing at full speed, with an owner who opens one window after the other, gets
// as far as the lock, which a restart does not lift.
func TestGuessing(t *testing.T) {
	l := newLab(t)
	desk, evil := l.host("desk"), l.host("evil")
	daemon := desk.serve()
	const seconds = "20"
	guesser := evil.launch(func(ctx context.Context) *exec.Cmd { return evil.role(ctx, "guesser", desk.address+":5020", seconds) })
	guesser.until("ready", func(out, _ string) bool { return out == "ready\n" })
	began := time.Now()
	windows := 0
	for ; ; windows++ {
		o := desk.dconn("pair", "--window", "60")
		if o.code != 7 {
			t.Fatalf("window %d: %+v", windows, o)
		}
		if strings.Contains(o.err, "locked") && !strings.Contains(o.err, "wrong code from") {
			break
		}
	}
	took := time.Since(began)
	daemon.kill(syscall.SIGKILL)
	desk.serve()
	desk.fails(7, "dconn pair --reset", "pair")
	guesser.ends(0)
	out, _ := guesser.texts()
	if strings.Contains(out, "paired") || len(desk.devices()) != 0 {
		t.Error("a guess was right")
	}
	guesses := strings.Count(desk.must("audit", "--template", "{event}"), "wrong_code")
	if guesses != 10 {
		t.Errorf("%d guesses were judged in an hour, want 10", guesses)
	}
	t.Logf("10 guesses an hour: %d windows in %v; the guesser: %s", windows, took, strings.TrimSpace(strings.TrimPrefix(out, "ready")))
	if o := desk.dconn("pair", "--reset", "--window", "1"); o.code != 124 {
		t.Errorf("after a reset: %+v", o)
	}
}
