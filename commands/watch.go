package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

// watch is one run of subscribe, whatever number of connections it takes.
type watch struct {
	*subscribeOptions

	outer context.Context // ends by a signal or -W
	ctx   context.Context // ends also when there are events enough, or an error
	stop  context.CancelCauseFunc
	alarm *time.Timer    // of --idle
	hooks sync.WaitGroup // --on-ready

	subscribed bool // at least once

	mu     sync.Mutex   // held while an event is handled
	seen   atomic.Int64 // events
	failed int          // commands of --exec
	last   error
}

// follow subscribes on s.
func (w *watch) follow(ctx context.Context, s *session.Session, again bool) error {
	known := make(chan struct{}) // closed once the record of --get is out
	err := s.Subscribe(ctx, w.uri, w.match, func(e *session.Event) {
		select {
		case <-known:
			w.event(e)
		case <-w.ctx.Done():
		case <-s.Done():
		}
	})
	if err != nil {
		return err
	}
	if w.get != "" {
		if err := w.fetch(ctx, again); err != nil {
			return err
		}
	}
	if again {
		w.say("%s: subscribed again, events may be missing", w.uri)
	} else if err := w.ready(); err != nil {
		return err
	}
	w.subscribed = true
	close(known)
	return nil
}

// fetch prints the result of --get. It has a session of its own: that of the
// subscription waits in its first event.
func (w *watch) fetch(ctx context.Context, again bool) error {
	s, err := w.dial(ctx)
	if err != nil {
		return err
	}
	defer leave(s)
	r, err := s.Call(ctx, w.get, nil, nil)
	if e, ok := errors.AsType[*wire.Error](err); ok {
		f := explain(e, w.get)
		if again && f.Code == exitNotFound { // its callee comes back later than the router
			return wire.Errorf(wire.ErrLost, "%s", f.Message)
		}
		return f
	}
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put(r.Args, r.Kwargs, func() map[string]any { return map[string]any{"procedure": w.get} })
}

// lost gives the end of a session its meaning.
func (w *watch) lost(err error) error {
	switch f := explain(err, w.uri); {
	case w.strict:
		return &failure{Code: exitProtocol, Message: f.Message + "; events may be missing (--strict)", WAMP: f.WAMP}
	case w.reconnect && again(err):
		return nil
	}
	w.say("%s: events may be missing", w.uri)
	return err
}

// ended gives the end of it all its meaning.
func (w *watch) ended(err error) error {
	switch {
	case errors.Is(err, errEnough):
		err = nil
	case errors.Is(err, errIdle), errors.Is(err, context.DeadlineExceeded):
		w.patience = timedPatience
		err = w.endedInTime(err)
	}
	if w.exec == "" {
		return err
	}
	w.mu.Lock() // until the command that runs has been ended
	defer w.mu.Unlock()
	if err == nil && w.failed > 0 {
		return own("--exec: %d of the commands failed, the last one: %v", w.failed, w.last)
	}
	return err
}

// endedInTime gives the end by -W or --idle its meaning.
func (w *watch) endedInTime(err error) error {
	if w.exec == "" && w.stuck() {
		const missing = "events may be missing: they come faster than the output is read"
		if w.strict {
			return &failure{Code: exitProtocol, Message: fmt.Sprintf("%s: %s (--strict)", w.uri, missing)}
		}
		w.say("%s: %s", w.uri, missing)
	}
	switch {
	case errors.Is(err, errIdle):
		return nil
	case !w.subscribed:
		return err
	case w.count == 0:
		return nil
	}
	return &failure{
		Code: exitTimeout, WAMP: &wire.Error{URI: wire.ErrTimeout},
		Message: fmt.Sprintf("%s: %d of %d events within %v (-W)", w.uri, w.seen.Load(), w.count, time.Duration(w.wait)),
	}
}

// stuck reports whether an event waits for the output. Others may wait behind it
// then, or may have been lost.
func (w *watch) stuck() bool {
	for range 20 {
		if w.mu.TryLock() {
			w.mu.Unlock()
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// event is one event of the subscription.
func (w *watch) event(e *session.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return
	}
	if w.alarm != nil { // this event may take its time
		w.alarm.Stop()
		defer w.alarm.Reset(time.Duration(w.idle))
	}
	err := w.put(e.Args, e.Kwargs, func() map[string]any {
		return map[string]any{"topic": cmp.Or(e.Topic, w.uri), "publication": e.Publication, "publisher": e.Publisher}
	})
	if err != nil {
		w.stop(err)
		return
	}
	if w.seen.Add(1) == int64(w.count) {
		w.stop(errEnough)
	}
}

// put prints a record, or runs --exec for it. about is what there is to know
// beside its arguments; raw output does without.
func (w *watch) put(args []any, kwargs map[string]any, about func() map[string]any) error {
	if w.exec == "" && w.format == "raw" {
		return w.record(nil, bare(args, kwargs))
	}
	doc := about()
	doc["args"], doc["kwargs"] = orEmptyList(args), orEmptyDict(kwargs)
	doc["time"] = time.Now().UTC().Format(time.RFC3339Nano)
	if w.exec != "" {
		return w.execute(args, kwargs, doc)
	}
	return w.record(doc)
}

// bare is an event as raw output shows it: a single argument like the result of
// a call, and anything else as compact JSON.
func bare(args []any, kwargs map[string]any) any {
	switch {
	case len(args) == 1 && len(kwargs) == 0 && args[0] == nil:
		return "" // an event is a line, whatever it says
	case len(args) == 1 && len(kwargs) == 0:
		return args[0]
	case len(args) == 0 && len(kwargs) > 0:
		return kwargs
	case len(kwargs) == 0:
		return orEmptyList(args)
	}
	return map[string]any{"args": orEmptyList(args), "kwargs": kwargs}
}

// ready tells whoever waits for the subscription, and starts the clock of
// --idle.
func (w *watch) ready() error {
	if w.idle > 0 {
		w.alarm = time.AfterFunc(time.Duration(w.idle), func() { w.stop(errIdle) })
	}
	if w.onReady != "" {
		w.hooks.Go(func() {
			if err := w.announce(); err != nil && w.outer.Err() == nil {
				w.stop(own("--on-ready: %v", err))
			}
		})
	}
	return ready(w.readyFD)
}
