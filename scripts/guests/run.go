package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/scripts/bench/rig"
)

// house is a daemon with its owner and two paired devices.
type house struct {
	*rig.Rig

	dconn, address string
	only           string // of the guest's habits
	daemon         *exec.Cmd
}

func run(ctx context.Context, r *rig.Rig, while time.Duration, only string) error {
	h := &house{Rig: r, only: only, dconn: filepath.Join(r.Dir, "dconn")}
	if err := h.open(ctx); err != nil {
		return err
	}
	quiet, err := h.phase(ctx, "nobody else", while/6, nil)
	if err != nil {
		return err
	}
	idle, err := h.look(ctx)
	if err != nil {
		return err
	}
	worst, err := h.phase(ctx, "a guest at all its limits", while, h.guest)
	if err != nil {
		return err
	}
	left, err := h.settled(ctx, idle)
	if err != nil {
		return err
	}
	if only != "" {
		return report(quiet, idle, []outcome{{worst, left}})
	}
	revoked, err := h.phase(ctx, "the guest is revoked", max(while/6, 8*time.Second), h.revoked)
	if err != nil {
		return err
	}
	gone, err := h.settled(ctx, idle)
	if err != nil {
		return err
	}
	return report(quiet, idle, []outcome{{worst, left}, {revoked, gone}})
}

// open starts the daemon and pairs the devices with it.
func (h *house) open(ctx context.Context) (err error) {
	if err := h.BuildDconn(ctx, h.dconn); err != nil {
		return err
	}
	if h.daemon, err = h.Serve(ctx, h.dconn); err != nil {
		return err
	}
	for _, device := range []string{"pi", "guest"} {
		if err := h.Pair(ctx, h.dconn, device, h.state(device)); err != nil {
			return err
		}
	}
	h.address, err = h.announced(ctx)
	return err
}

func (h *house) state(device string) string { return filepath.Join(h.Dir, device) }

// announced is the address at which the guest knows the daemon.
func (h *house) announced(ctx context.Context) (string, error) {
	out, err := h.Output(ctx, h.dconn, "devices", "--state", h.state("guest"), "-o", "json")
	if err != nil {
		return "", err
	}
	for _, word := range strings.FieldsFunc(out, func(r rune) bool { return strings.ContainsRune(`" ,[]`, r) }) {
		if strings.HasPrefix(word, "127.0.0.1:") {
			return word, nil
		}
	}
	return "", fmt.Errorf("no address of the daemon in %s", out)
}

// phase is what the owner and pi see while something happens.
type phase struct {
	name      string
	while     time.Duration
	owner, pi []time.Duration // of each call
	fresh     []time.Duration // of each new session of the owner, with one call
	peak      int64           // bytes, of the daemon
	lines     int             // of its log
	said      string          // its last line
	failed    []error
}

// phase has the victims call for a while, beside what disturb begins.
func (h *house) phase(ctx context.Context, name string, while time.Duration, disturb func(context.Context) (stop func() error, err error)) (*phase, error) {
	h.Say("%s, for %v", name, while)
	p := &phase{name: name, while: while}
	before := h.lines()
	owner, err := client.Dial(ctx, h.Socket(), "guests")
	if err != nil {
		return nil, err
	}
	defer owner.Leave(ctx)
	home, err := client.OpenHome(h.state("pi"))
	if err != nil {
		return nil, err
	}
	pi, err := home.DialDevice(ctx, h.address, "", "guests")
	if err != nil {
		return nil, err
	}
	defer pi.Leave(ctx)
	if disturb != nil {
		stop, err := disturb(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { p.failed = append(p.failed, stop()) }()
	}
	until := time.Now().Add(while)
	var all sync.WaitGroup
	var errs [4]error
	all.Go(func() {
		p.owner, errs[0] = serially(ctx, until, func(ctx context.Context) error { return call(ctx, owner) })
	})
	all.Go(func() { p.pi, errs[1] = serially(ctx, until, func(ctx context.Context) error { return call(ctx, pi) }) })
	all.Go(func() {
		p.fresh, errs[2] = serially(ctx, until, func(ctx context.Context) error {
			defer time.Sleep(20 * time.Millisecond)
			s, err := client.Dial(ctx, h.Socket(), "guests")
			if err != nil {
				return err
			}
			defer s.Leave(ctx)
			return call(ctx, s)
		})
	})
	all.Go(func() {
		for time.Now().Before(until) {
			rss, _, err := rig.Memory(h.daemon.Process.Pid)
			p.peak, errs[3] = max(p.peak, rss), errors.Join(errs[3], err)
			time.Sleep(50 * time.Millisecond)
		}
	})
	all.Wait()
	p.lines, p.said = h.lines()-before, h.lastLine()
	return p, errors.Join(errs[:]...)
}

// patience is how long a call may take before it is an error.
const patience = 10 * time.Second

// serially does something again and again. The first error is the end.
func serially(ctx context.Context, until time.Time, do func(context.Context) error) (took []time.Duration, err error) {
	for time.Now().Before(until) {
		limit, cancel := context.WithTimeout(ctx, patience)
		began := time.Now()
		err := do(limit)
		took = append(took, time.Since(began))
		cancel()
		if err != nil {
			return took, err
		}
		time.Sleep(time.Millisecond)
	}
	return took, nil
}

func call(ctx context.Context, s *session.Session) error {
	_, err := s.Call(ctx, openCall, nil, nil)
	return err
}

// guest begins the guest.
func (h *house) guest(ctx context.Context) (stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	guest := exec.CommandContext(ctx, self, "-guest", h.state("guest"), "-address", h.address, "-only", h.only)
	in, err := guest.StdinPipe()
	if err != nil {
		return nil, err
	}
	guest.Stderr = os.Stderr
	if err := startIdle(guest); err != nil {
		return nil, err
	}
	return func() error {
		_ = in.Close()
		if err := guest.Wait(); err != nil {
			return fmt.Errorf("the guest: %w", err)
		}
		return nil
	}, nil
}

// startIdle starts a command that gets the CPUs only while nobody else wants them: a guest
// has CPUs of its own.
func startIdle(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with this goroutine
		idle := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
		err := unix.SchedSetAttr(0, idle, 0)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

// revoked begins the guest, and revokes it after two seconds.
func (h *house) revoked(ctx context.Context) (stop func() error, _ error) {
	id, err := h.Output(ctx, h.dconn, "id", "--state", h.state("guest"))
	if err != nil {
		return nil, err
	}
	end, err := h.guest(ctx)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	time.AfterFunc(2*time.Second, func() {
		_, err := h.Output(ctx, h.dconn, "devices", "revoke", strings.Fields(id)[0])
		done <- err
	})
	return func() error { return errors.Join(<-done, end()) }, nil
}

// remains is what the daemon holds.
type remains struct {
	sessions, goroutines, files int
	rss                         int64 // bytes
}

type status struct {
	Daemon struct {
		Goroutines int
		Sessions   int
	}
}

func (h *house) status(ctx context.Context) (said status, err error) {
	out, err := h.Output(ctx, h.dconn, "status", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &said)
	}
	return said, err
}

// look is after a while without anybody: the daemon gives memory back 2 s after a crowd.
func (h *house) look(ctx context.Context) (remains, error) {
	time.Sleep(3 * time.Second)
	said, err := h.status(ctx)
	if err != nil {
		return remains{}, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.daemon.Process.Pid))
	if err != nil {
		return remains{}, err
	}
	rss, _, err := rig.Memory(h.daemon.Process.Pid)
	return remains{said.Daemon.Sessions, said.Daemon.Goroutines, len(files), rss}, err
}

// moreRSS is what a heap that was larger leaves behind, in bytes.
const moreRSS = 12 << 20

// settled is what remains, once that is no more than before.
func (h *house) settled(ctx context.Context, before remains) (now remains, err error) {
	for began := time.Now(); time.Since(began) < settleTime; {
		now, err = h.look(ctx)
		if err != nil || now.within(before) {
			return now, err
		}
	}
	return now, nil
}

func (r remains) within(before remains) bool {
	return r.sessions <= before.sessions && r.goroutines <= before.goroutines && r.files <= before.files && r.rss <= before.rss+moreRSS
}

// lines is how many the daemon has logged.
func (h *house) lines() int {
	log, _ := os.ReadFile(h.LogOf(h.daemon))
	return strings.Count(string(log), "\n")
}

func (h *house) lastLine() string {
	log, _ := os.ReadFile(h.LogOf(h.daemon))
	said := strings.TrimSpace(string(log))
	return said[strings.LastIndexByte(said, '\n')+1:]
}

// p99 is the 99th percentile.
func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)*99/100]
}
