package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"time"
)

const (
	procedure = ".system.name"
	device    = "desk" // as which the daemon is known to who is paired with it
)

// The names of the contestants.
const (
	nameLoop     = "loop of processes"
	nameBatch    = "call --lines"
	nameParallel = "call --lines --parallel 16"
	nameDevice   = "call -d " + device + " --lines"
)

// batch compares one process that calls for each line with a process for each
// call. All rounds together, the loop makes as many calls as a batch.
func (b *bench) batch() *contest {
	each := (b.calls + b.rounds - 1) / b.rounds
	loop := []string{"bash", "-c", `for ((i = 0; i < $1; i++)); do dconn call "$2"; done`, "bash", fmt.Sprint(each), procedure}
	record := `{"args":["` + b.name + `"],"kwargs":{}}`
	return &contest{
		title: "calls of " + procedure, unit: "calls", peer: 0,
		contestants: []*contestant{
			b.calling(nameLoop, each, b.name, loop...),
			b.calling(nameBatch, b.calls, record, "dconn", "call", "--lines", procedure),
			b.calling(nameParallel, b.calls, record, "dconn", "call", "--lines", "--parallel", "16", procedure),
			b.calling(nameDevice, b.calls, record, "dconn", "call", "-d", device, "--state", b.laptop(), "--lines", procedure),
		},
	}
}

// calling prints an answer for each call, and reads documents or nothing.
func (b *bench) calling(name string, calls int, answer string, argv ...string) *contestant {
	run := func(ctx context.Context) (s sample, err error) {
		in, err := os.Open(b.documents)
		if err != nil {
			return s, err
		}
		defer func() { _ = in.Close() }()
		out, err := os.Create(b.path("answers"))
		if err != nil {
			return s, err
		}
		defer func() { _ = out.Close() }()
		begin := time.Now()
		p, err := start(b.command(ctx, in, out, argv...))
		if err != nil {
			return s, err
		}
		if err := p.wait(); err != nil {
			return s, err
		}
		s = sample{wall: p.end.Sub(begin), sender: p.usage()}
		s.count, err = repeated(out.Name(), answer)
		s.lost = calls - s.count
		return s, err
	}
	return &contestant{name: name, ours: true, bus: b.dconn, run: run}
}

// repeated counts the lines of a file, which must all be this one.
func repeated(path, line string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	for r := bufio.NewScanner(f); r.Scan(); n++ {
		if r.Text() != line {
			return n, fmt.Errorf("line %d of the output is %q, expected %q", n+1, r.Text(), line)
		}
	}
	return n, nil
}
