package main

import (
	"fmt"
	"time"

	"github.com/deskconn/dconn/scripts/bench/bare"
)

// churners connect and disconnect.
const churners = 32

// ways to come and go.
var ways = []struct {
	name string
	do   func(*bare.Peer) error
}{
	{"clean", clean},
	{"abrupt", abrupt},
	{"half a frame", half},
	{"HELLO and away", (*bare.Peer).Greet},
	{"not a word", func(*bare.Peer) error { return nil }},
}

// churn comes and goes for as long as there is need, not much ahead of the
// messages, so that both last as long.
func (l *load) churn(worker int) error {
	for n := worker; ; n++ {
		for l.ahead() && !l.done() {
			time.Sleep(time.Millisecond)
		}
		if l.done() {
			return nil
		}
		way := ways[n%len(ways)]
		if err := l.once(way.do); err != nil {
			return fmt.Errorf("a connection that comes and goes (%s): %w", way.name, err)
		}
		l.tally.connects.Add(1)
	}
}

func (l *load) ahead() bool {
	share := float64(l.tally.messages()) / float64(l.messages)
	return float64(l.tally.connects.Load()) > float64(l.connects)*(share+0.02)
}

func (l *load) once(way func(*bare.Peer) error) error {
	p, err := bare.Connect(l.socket)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	return way(p)
}

// clean says GOODBYE and waits for the answer.
func clean(p *bare.Peer) error {
	if err := p.Join(); err != nil {
		return err
	}
	if err := p.Say(bare.Message{bare.Goodbye, bare.None, "wamp.close.normal"}); err != nil {
		return err
	}
	_, err := p.Await(bare.Goodbye)
	return err
}

// abrupt closes in the middle of everything.
func abrupt(p *bare.Peer) error {
	if err := p.Join(); err != nil {
		return err
	}
	return p.Say(
		bare.Message{bare.Subscribe, 1, bare.None, busyTopic},
		bare.Message{bare.Register, 2, map[string]any{"invoke": "roundrobin"}, "org.soak.abrupt"},
		bare.Message{bare.Call, 3, bare.None, "org.soak.cell0"},
	)
}

// half leaves a message unfinished.
func half(p *bare.Peer) error {
	if err := p.Join(); err != nil {
		return err
	}
	return p.SayHalf(bare.Message{bare.Publish, 1, bare.None, busyTopic, []any{short}})
}
