package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/session"
)

// Of all sessions, so many are not in a cell and not stalled.
const (
	fickle  = 10 // register and subscribe, and take it back
	feeding = 3  // send what the stalled ones do not read
)

// patience is how long anything ordinary may take: it says that something is
// lost, not that it is slow.
const patience = 60 * time.Second

// load is one load of a daemon.
type load struct {
	plan

	socket string
	ctx    context.Context // ends with the first violation
	fail   context.CancelCauseFunc
	enough chan struct{} // closed when messages and connects are reached
	tally  tally

	publishing, calling chan struct{} // places

	mu       sync.Mutex
	sessions []*session.Session
	leaving  bool
}

// tally counts. Everything in it was checked.
type tally struct {
	calls, events, connects atomic.Int64

	stalled atomic.Int64 // sessions that never read, each until it was ended
	turns   atomic.Int64 // of registrations and subscriptions that came and went
	took    time.Duration
}

func (t *tally) messages() int64 { return t.calls.Load() + t.events.Load() }

// load loads the daemon until the plan is met and everybody has left.
func (s *soak) load(ctx context.Context, p plan) (*tally, error) {
	l := &load{
		plan: p, socket: s.Socket(), enough: make(chan struct{}),
		publishing: make(chan struct{}, publishing), calling: make(chan struct{}, calling),
	}
	l.ctx, l.fail = context.WithCancelCause(ctx)
	defer l.fail(nil)
	begin := time.Now()
	var ordinary, stalled sync.WaitGroup
	feed := l.startFeed(&stalled)
	for i := range (p.sessions - p.stalled - fickle - feeding) / cellSize {
		ordinary.Go(func() { l.must(l.cell(i)) })
	}
	for i := range fickle {
		ordinary.Go(func() { l.must(l.comeAndGo(i)) })
	}
	for i := range churners {
		ordinary.Go(func() { l.must(l.churn(i)) })
	}
	l.watch(s)
	ordinary.Wait()
	stalled.Wait()
	feed()
	l.leave()
	l.tally.took = time.Since(begin)
	return &l.tally, context.Cause(l.ctx)
}

// must ends the load with an error, if there is one.
func (l *load) must(err error) {
	if err != nil {
		l.fail(err)
	}
}

// watch waits until there is enough of everything. On a terminal it says every
// 10 s how far it is.
func (l *load) watch(s *soak) {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	for said := time.Now(); l.ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		messages, connects := l.tally.messages(), l.tally.connects.Load()
		if messages >= l.messages && connects >= l.connects {
			break
		}
		if err == nil && time.Since(said) > 10*time.Second {
			said = time.Now()
			s.Say("%d of %d messages, %d of %d connections, %d stalled sessions ended",
				messages, l.messages, connects, l.connects, l.tally.stalled.Load())
		}
	}
	close(l.enough)
}

// done says whether there is enough of everything.
func (l *load) done() bool {
	select {
	case <-l.enough:
		return true
	case <-l.ctx.Done():
		return true
	default:
		return false
	}
}

// join adds an ordinary session, which must not end before the load does.
func (l *load) join() (*session.Session, error) {
	ctx, cancel := context.WithTimeout(l.ctx, patience)
	defer cancel()
	s, err := client.Dial(ctx, l.socket, "soak")
	if err != nil {
		return nil, fmt.Errorf("an ordinary session cannot join: %w", err)
	}
	l.mu.Lock()
	l.sessions = append(l.sessions, s)
	l.mu.Unlock()
	go func() {
		<-s.Done()
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.leaving {
			l.fail(fmt.Errorf("an ordinary session was ended: %w", s.Err()))
		}
	}()
	return s, nil
}

// leave ends all ordinary sessions.
func (l *load) leave() {
	l.mu.Lock()
	l.leaving = true
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range l.sessions {
		all.Go(func() { s.Leave(ctx) })
	}
	all.Wait()
}

// sleep returns early, with an error, when the load has failed.
func (l *load) sleep(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

var errLate = errors.New("it took more than a minute")
