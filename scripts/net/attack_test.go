//go:build netns

package net

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// play starts a role on this host, and returns once it is ready.
func (h *host) play(role string, args ...string) *process {
	h.lab.Helper()
	p := h.launch(func(ctx context.Context) *exec.Cmd { return h.role(ctx, role, args...) })
	p.until("ready", func(out, _ string) bool { return strings.Contains(out, "ready\n") })
	return p
}

// Somebody in between who ends TLS on both sides gets nothing, though both people
// type the right code; nor does one between paired machines.
func TestRelay(t *testing.T) {
	l := newLab(t)
	desk, laptop, evil := l.host("desk"), l.host("laptop"), l.host("evil")
	desk.serve()
	relay := evil.play("relay", desk.address+":5020")
	window := desk.start("pair")
	if o := laptop.with([]string{"DCONN_PAIR_CODE=" + window.line(0)}, "pair", evil.address); o.code != 7 {
		t.Errorf("through the relay: %+v", o)
	}
	relay.until("the exchange", func(out, _ string) bool { return strings.Contains(out, "relayed dconn-pair/1") })
	window.says("wrong code from " + evil.address)
	if len(desk.devices())+len(laptop.devices()) != 0 {
		t.Error("somebody is paired")
	}
	window.kill(syscall.SIGTERM)
	laptop.pair(desk)
	laptop.fails(4, "not paired", "call", "-d", evil.address, ".system.name")
	laptop.must("call", "-d", "desk", ".system.name")
}

// Wherever the connection is cut, within a minute both sides agree.
func TestCutEverywhere(t *testing.T) {
	for n := 1; n <= 14; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			desk, laptop, middle := l.host("desk"), l.host("laptop"), l.host("middle")
			desk.serve()
			middle.play("cutter", desk.address+":5020", fmt.Sprint(n))
			window := desk.start("pair")
			began := time.Now()
			o := laptop.with([]string{"DCONN_PAIR_CODE=" + window.line(0)}, "pair", "-W", "80", middle.address)
			knows := func(h *host) bool {
				for _, d := range h.devices() {
					if d.State == "paired" {
						return true
					}
				}
				return false
			}
			for knows(desk) != knows(laptop) || pending(desk) {
				if time.Since(began) > 65*time.Second {
					t.Fatalf("after a minute: desk %+v, laptop %+v; pair said %+v", desk.devices(), laptop.devices(), o)
				}
				time.Sleep(200 * time.Millisecond)
			}
			if (o.code == 0) != knows(laptop) {
				t.Errorf("pair ended with %d, and the laptop is paired: %v", o.code, knows(laptop))
			}
			if knows(laptop) {
				laptop.must("call", "-d", middle.address, ".system.name")
			} else {
				laptop.fails(4, "not paired", "call", "-d", middle.address, ".system.name")
			}
		})
	}
}

// pending reports whether a host waits for a device to come back.
func pending(h *host) bool {
	for _, d := range h.devices() {
		if d.State == "pending" {
			return true
		}
	}
	return false
}

// What is taken from a device ends what it does within a second.
func TestRevoked(t *testing.T) {
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	laptop.pair(desk, "--allow", "system,subscribe:org.news,register:org.laptop")
	name := desk.devices()[0].Name
	watch := func() (subscriber, callee *process) {
		subscriber = laptop.start("subscribe", "-d", "desk", "--on-ready", "echo subscribed >&2", "org.news")
		subscriber.says("subscribed")
		callee = laptop.start("register", "-d", "desk", "org.laptop.echo", "--", "echo", "hi")
		desk.must("wait", "-W", "20", "org.laptop.echo")
		return subscriber, callee
	}
	ended := func(p *process, since time.Time) {
		t.Helper()
		p.until("end", func(_, err string) bool { return strings.Contains(err, "has become less") })
		if took := time.Since(since); took > time.Second {
			t.Errorf("it took %v", took)
		}
	}
	subscriber, callee := watch()
	desk.must("publish", "org.news", "1")
	subscriber.line(0)
	began := time.Now()
	desk.must("devices", "deny", name, "subscribe:org.news")
	ended(subscriber, began)
	desk.must("publish", "org.news", "2")
	laptop.must("call", "-d", "desk", ".system.name")
	laptop.fails(5, "dconn devices grant", "subscribe", "-d", "desk", "org.news")
	ended(callee, began) // it comes back: its own is still granted
	desk.must("wait", "-W", "20", "org.laptop.echo")

	began = time.Now()
	desk.must("devices", "revoke", name)
	callee.until("end", func(_, err string) bool { return strings.Count(err, "has become less") == 2 })
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	desk.fails(3, "", "call", "org.laptop.echo")
	laptop.fails(4, "dconn pair desk", "call", "-d", "desk", ".system.name")
	if out, _ := subscriber.texts(); strings.Contains(out, "2") {
		t.Errorf("an event after that: %q", out)
	}
	if log := desk.must("audit", "--template", "{event}"); log != "paired\ndenied_scope\ndenied\nrevoked" {
		t.Errorf("audit: %q", log)
	}
}

// A device whose time is over is as one that was never paired, at that time.
func TestExpires(t *testing.T) {
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	desk.serve()
	laptop.pair(desk, "--allow", "subscribe:org.news", "--expires", "4s")
	subscriber := laptop.start("subscribe", "-d", "desk", "org.news")
	subscriber.says("has become less")
	laptop.fails(4, "not paired", "subscribe", "-d", "desk", "org.news")
	desk.must("devices", "grant", desk.devices()[0].Name, "system", "--expires", "1h")
	laptop.must("call", "-d", "desk", ".system.name")
}

// Strangers who hold every place, from eight addresses, keep no paired device out.
func TestHeldPlaces(t *testing.T) {
	l := newLab(t)
	desk, laptop, evil := l.host("desk"), l.host("laptop"), l.host("evil")
	desk.serve()
	laptop.pair(desk)
	addresses := []string{evil.address}
	for n := 101; n < 108; n++ {
		addresses = append(addresses, fmt.Sprint("10.99.0.", n))
		evil.addAddress(addresses[len(addresses)-1])
	}
	evil.play("holders", append([]string{desk.address + ":5020", "8"}, addresses...)...)
	calls := laptop.launch(func(ctx context.Context) *exec.Cmd {
		return laptop.command(ctx, "bash", "-c", "for i in $(seq 1000); do dconn call -d desk .system.name || exit; done | sort | uniq -c")
	})
	calls.ends(0)
	if out, _ := calls.texts(); strings.TrimSpace(out) != "1000 desk" {
		t.Errorf("%q", out)
	}
}

// Two daemons that want the same port both get one.
func TestNextPort(t *testing.T) {
	l := newLab(t)
	desk := l.host("desk")
	desk.serve()
	second := desk.start("serve", "--socket", desk.dir+"/second.sock")
	second.says(":5021")
}
