package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"time"
)

// sample is what one run of a program took.
type sample struct{ wall, cpu time.Duration }

// measure runs every program once a round. The order is drawn anew for each:
// were it only rotated, each program would keep its predecessor, and with it
// what that leaves in caches and gives the daemon still to clean up.
func (b *bench) measure(ctx context.Context, rounds int) (map[string][]sample, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }()
	attr := &os.ProcAttr{Env: b.Env(), Files: []*os.File{null, null, os.Stderr}}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would run beside a program
	samples := map[string][]sample{}
	for r := range rounds {
		for _, i := range rand.Perm(len(b.programs)) {
			p := b.programs[i]
			s, err := once(ctx, p.paths[r%len(p.paths)], p.args, attr)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			samples[p.name] = append(samples[p.name], s)
		}
	}
	return samples, nil
}

// once runs a program from start to exit.
func once(ctx context.Context, path string, args []string, attr *os.ProcAttr) (sample, error) {
	argv := append([]string{path}, args...)
	begin := time.Now()
	process, err := os.StartProcess(path, argv, attr)
	if err != nil {
		return sample{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = process.Kill() })
	state, err := process.Wait()
	wall := time.Since(begin)
	stop()
	switch {
	case ctx.Err() != nil:
		return sample{}, context.Cause(ctx)
	case err != nil:
		return sample{}, err
	case !state.Success():
		return sample{}, errors.New(state.String())
	}
	return sample{wall: wall, cpu: state.UserTime() + state.SystemTime()}, nil
}
