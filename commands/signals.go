package commands

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// grace is how long a command may take to end after a signal: serve and
// register stop what they run, within 5 s.
const grace = 6 * time.Second

// catchSignals cancels with the first signal as the cause, and ends this
// process by a second one, or when grace is over: a command may hang in a
// write to a pipe that nobody reads. SIGPIPE is caught
// so that a write to a closed pipe returns EPIPE; ignoring it instead would be
// inherited by the commands that register runs.
func (s *streams) catchSignals(cancel context.CancelCauseFunc, armed chan<- struct{}) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	caught := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) { // nohup, trap '' INT, or & in a script
			signal.Notify(caught, sig)
		}
	}
	close(armed)
	first := <-caught
	for ; first == syscall.SIGHUP && s.reloads(); first = <-caught {
	}
	cancel(interrupted{first})
	select {
	case second := <-caught:
		die(second)
	case <-time.After(grace):
		die(first)
	}
}

// reloads tells the command of a SIGHUP, if it reloads by it. A terminal that
// was closed is another matter: what ran on it ends.
func (s *streams) reloads() bool {
	_, alive := terminal(os.Stderr)
	if s.errTTY && !alive || !s.reloading.Load() {
		return false
	}
	select {
	case s.reload <- struct{}{}:
	default: // one is due already
	}
	return true
}

// die ends this process by sig, so that a shell sees what happened: a bash
// loop stops on ^C only when the command itself died of it.
func die(sig os.Signal) {
	signal.Reset(sig)
	if n, ok := sig.(syscall.Signal); ok {
		_ = syscall.Kill(os.Getpid(), n)
		time.Sleep(time.Second) // until it arrives
		os.Exit(128 + int(n))
	}
}
