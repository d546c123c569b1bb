package commands

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

type subscribeOptions struct {
	*streams

	target
	output
	count     int
	idle      seconds
	match     string
	get       string
	exec      string
	allowDash bool
	onReady   string
	readyFD   int
	reconnect bool
	strict    bool
	uri       string
}

func newSubscribe(s *streams) *cobra.Command {
	o := &subscribeOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "subscribe [flags] URI",
		Short: "print the events of a topic",
		Long: lines("Print the events of a topic, one on a line, until -n of them came, -W is over or",
			"none came for --idle. With -n, -W is a timeout (exit code 124); otherwise both are a",
			"normal end.",
			"",
			"--match prefix takes every topic that begins with URI, --match wildcard those that",
			"fit it with any one part where URI has an empty one (org..door). --get calls a",
			"procedure once subscribed and prints its result as the first record, not counted by",
			"-n: what is true now, then what changes.",
			"",
			"--exec runs CMD by sh for each record instead of printing it, one after another. The",
			"event's arguments are $1, $2 and so on; all of it is JSON on stdin, and in the",
			"environment are DCONN_URI, DCONN_CALLER (who published) and DCONN_ARGS_JSON.",
			"",
			"When the connection is lost, events may be missing: --reconnect goes on after that,",
			"and says so; --strict ends with exit code 9."),
		Example: lines("  dconn subscribe -n 1 -W 60 org.example.door",
			"  dconn subscribe -o json .brightness.on_changed | jq .kwargs.percent",
			"  dconn subscribe --reconnect --exec 'notify-send Door \"$1\"' org.example.door"),
		Args: exactlyOneURI,
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			if err := o.prepare(cmd, words[0]); err != nil {
				return err
			}
			return runSubscribe(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	o.target.addFlags(f, 0, "stop after this long; 0 goes on for ever")
	o.output.addFlags(s, f, "raw", "json", "ndjson", "template")
	f.IntVarP(&o.count, "count", "n", 0, "stop after `N` events; 0 goes on for ever")
	f.Var(&o.idle, "idle", "stop when no event came for this long")
	f.Var(newChoice(&o.match, session.Exact, session.Prefix, session.Wildcard), "match", "how URI is compared with a topic: exact, prefix, wildcard")
	f.StringVar(&o.get, "get", "", "print the result of this procedure `URI` first")
	f.StringVar(&o.exec, "exec", "", "run `CMD` by sh for each record, instead of printing it")
	f.BoolVar(&o.allowDash, "allow-dash", false, "let an event's argument begin with a dash, where CMD may take it for an option")
	f.StringVar(&o.onReady, "on-ready", "", "run `CMD` by sh once subscribed")
	f.IntVar(&o.readyFD, "ready-fd", -1, "write a newline to this file descriptor `FD` once subscribed")
	f.BoolVar(&o.reconnect, "reconnect", false, "subscribe again when the connection was lost")
	f.BoolVar(&o.strict, "strict", false, "end with exit code 9 when events may be missing")
	onlyOnCommandLine(f, "ready-fd")
	return cmd
}

func exactlyOneURI(cmd *cobra.Command, words []string) error {
	if err := atLeast(1, "a URI")(cmd, words); err != nil {
		return err
	}
	return atMost(1)(cmd, words)
}

func (o *subscribeOptions) prepare(cmd *cobra.Command, word string) (err error) {
	fields := []string{"topic", "publication", "publisher", "time", "args", "kwargs"}
	if o.get != "" {
		fields = append(fields, "procedure")
	}
	if err := o.output.check(cmd.Flags(), fields...); err != nil {
		return err
	}
	switch {
	case o.count < 0:
		return usage("-n must be 0 or more, got %d", o.count)
	case o.exec != "" && cmd.Flags().Changed("output"):
		return usage("--exec takes the place of output: -o does not go with it")
	}
	if o.get != "" {
		if o.get, err = uriOf(cmd, o.get); err != nil {
			return err
		}
	}
	o.uri = wire.Expand(word)
	if err := wire.CheckPattern(o.uri, o.match); err != nil {
		return usage("%v", err)
	}
	about(cmd, o.uri)
	return nil
}

// errEnough ends a subscription that has all it asked for.
var errEnough = errors.New("enough events")

func runSubscribe(ctx context.Context, o *subscribeOptions) error {
	pace()
	ctx, cancel := within(ctx, time.Duration(o.wait))
	defer cancel()
	outer := ctx
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := &watch{subscribeOptions: o, outer: outer, ctx: ctx, stop: stop}
	run := func() error {
		err := o.keep(ctx, o.streams, kept{uri: o.uri, begin: w.follow, lost: w.lost})
		w.hooks.Wait()
		return w.ended(err)
	}
	if o.exec != "" { // what it prints is not ours to hold back
		return run()
	}
	return o.spooled(stop, run)
}

// watch is one run of subscribe, whatever number of connections it takes.
type watch struct {
	*subscribeOptions

	outer context.Context // ends by a signal or -W
	ctx   context.Context // ends also when there are events enough, or an error
	stop  context.CancelCauseFunc
	alarm *time.Timer    // of --idle
	hooks sync.WaitGroup // --on-ready

	subscribed bool // at least once

	mu      sync.Mutex // held while an event is handled
	records int        // of events
	failed  int        // commands of --exec
	last    error
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
		if err := w.fetch(ctx); err != nil {
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
func (w *watch) fetch(ctx context.Context) error {
	s, err := w.dial(ctx)
	if err != nil {
		return err
	}
	defer leave(s)
	r, err := s.Call(ctx, w.get, nil, nil)
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return explain(e, w.get)
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
	case w.reconnect && comesBack(err):
		return nil
	}
	w.say("%s: events may be missing", w.uri)
	return err
}

// ended gives the end of it all its meaning.
func (w *watch) ended(err error) error {
	inTime := errors.Is(err, context.DeadlineExceeded) && w.subscribed && w.count == 0
	if inTime || errors.Is(err, errEnough) {
		err = nil
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

// event is one event of the subscription.
func (w *watch) event(e *session.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return
	}
	if w.alarm != nil {
		w.alarm.Reset(time.Duration(w.idle))
	}
	err := w.put(e.Args, e.Kwargs, func() map[string]any {
		return map[string]any{"topic": cmp.Or(e.Topic, w.uri), "publication": e.Publication, "publisher": e.Publisher}
	})
	if err != nil {
		w.stop(err)
		return
	}
	if w.records++; w.records == w.count {
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
		return w.execute(doc)
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
		w.alarm = time.AfterFunc(time.Duration(w.idle), func() { w.stop(errEnough) })
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
