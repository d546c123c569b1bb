//go:build netns

package net

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// bond is a laptop that has subscribed to a topic of desk, and offers it a procedure.
type bond struct {
	desk, laptop       *host
	subscriber, callee *process
	steps              int
}

func (l *lab) bond(desk, laptop *host) *bond {
	l.Helper()
	desk.serve()
	laptop.pair(desk, "--allow", "system,subscribe:org.news,register:org.laptop")
	b := &bond{desk: desk, laptop: laptop}
	b.subscriber = laptop.start("subscribe", "-d", "desk", "--reconnect", "--on-ready", "echo subscribed >&2", "org.news")
	b.subscriber.says("subscribed")
	b.callee = laptop.start("register", "-d", "desk", "org.laptop.echo", "--", "echo", "hi")
	desk.must("wait", "-W", "20", "org.laptop.echo")
	return b
}

// goesOn insists that events and calls arrive soon after something has happened.
func (b *bond) goesOn(what string, within time.Duration) {
	l := b.desk.lab
	l.Helper()
	b.steps++
	news := fmt.Sprintf("news-%d", b.steps)
	began := time.Now()
	var heard, called time.Duration
	var last outcome
	for heard == 0 || called == 0 {
		if time.Since(began) > within+5*time.Second {
			_, one := b.subscriber.texts()
			_, two := b.callee.texts()
			l.Fatalf("%s: heard after %v, called after %v; subscribe says %s; register says %s; call says %+v", what, heard, called, one, two, last)
		}
		if heard == 0 {
			b.desk.must("publish", "org.news", news)
			if out, _ := b.subscriber.texts(); strings.Contains(out, news) {
				heard = time.Since(began)
			}
		}
		if called == 0 {
			if last = b.desk.dconn("call", "-W", "0.2", "org.laptop.echo"); last.code == 0 {
				called = time.Since(began)
			}
		}
	}
	l.Logf("%s: events after %v, calls after %v", what, heard.Round(time.Millisecond), called.Round(time.Millisecond))
	if max(heard, called) > within {
		l.Errorf("%s: that is too long", what)
	}
}

// cable pulls the cable of an interface, or plugs it in.
func (h *host) cable(name, state string) {
	h.lab.Helper()
	h.lab.ip("-n", h.space, "link", "set", name, state)
}

// Wherever either of them goes, a subscription and a registration follow.
func TestBondMoves(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.bond(l.host("desk"), l.host("laptop"))
	b.goesOn("at first", time.Second)
	b.desk.move("10.99.0.77")
	b.goesOn("desk has another address", 5*time.Second)
	b.laptop.move("10.99.0.78")
	b.goesOn("the laptop has another address", 5*time.Second)
	for _, h := range []*host{b.desk, b.laptop} {
		h.cable("e0", "down")
		time.Sleep(3 * time.Second) // without a network
		h.cable("e0", "up")
		b.goesOn(h.name+" was away", 5*time.Second)
	}
	b.desk.cable("e0", "down")
	time.Sleep(time.Second)
	b.desk.move("10.99.0.79")
	b.desk.cable("e0", "up")
	b.goesOn("desk is somewhere else", 5*time.Second)
}

// Of two ways to a device one is enough.
func TestTwoWays(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	desk, laptop := l.host("desk"), l.host("laptop")
	l.bridge("br1")
	desk.plug("e1", "q1", "br1", "10.99.1.1")
	laptop.plug("e1", "q2", "br1", "10.99.1.2")
	b := l.bond(desk, laptop)
	laptop.cable("e0", "down")
	b.goesOn("the laptop has lost one way", 5*time.Second)
	laptop.called("desk")
	laptop.cable("e0", "up")
	laptop.cable("e1", "down")
	b.goesOn("it has lost the other", 5*time.Second)
	laptop.cable("e1", "up")
	desk.cable("e0", "down")
	if took := laptop.called("desk"); took > time.Second {
		t.Errorf("after desk has lost one way a call takes %v", took)
	}
}
