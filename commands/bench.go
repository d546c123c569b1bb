package commands

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

func newBench(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "measure how fast calls and events go through a router",
		Long: lines("Measure calls (rpc) or events (pubsub) through the daemon, or through any other WAMP",
			"router, from sessions that this command opens itself. Refused is what was answered",
			"with an error. Lost is what was sent and neither arrived nor was refused: an answer to",
			"each call, each event at each subscriber. Neither ends the measurement, nor makes it a",
			"failure. CPU is of the daemon, where the kernel tells; with --router it is unknown."),
		Example: lines("  dconn bench rpc --callers 10 --callees 4",
			"  dconn bench pubsub --subscribers 100 --duration 10s -o json",
			"  dconn bench rpc --router ws://127.0.0.1:8080/ws --realm realm1"),
		Args: known,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchRPC(s), newBenchPubSub(s))
	return cmd
}

// benchOptions are those of both kinds.
type benchOptions struct {
	*streams

	target
	output
	duration seconds
	window   int
	size     int
	refusals tally
}

// tally counts the requests that were answered with an error, and keeps the
// first.
type tally struct {
	count atomic.Int64
	once  sync.Once
	first error
}

func (r *tally) add(err error) {
	r.count.Add(1)
	r.once.Do(func() { r.first = err })
}

// maxBench bounds each number of a bench.
const maxBench = 10000

func (o *benchOptions) addFlags(f *pflag.FlagSet, window int, what string) {
	o.target.addFlags(f, 10*time.Second, "give up if the router does not answer for this long; 0 waits for ever")
	o.addDeviceFlags(f)
	o.addRouterFlags(f)
	o.output.addFlags(o.streams, f, "table", "json", "ndjson", "template")
	o.duration = seconds(5 * time.Second)
	f.Var(&o.duration, "duration", "how long to measure")
	f.IntVar(&o.window, "in-flight", window, "how many "+what)
	f.IntVar(&o.size, "size", 16, "bytes of payload")
}

// check refuses numbers out of range; counts are by the names of their flags.
func (o *benchOptions) check(cmd *cobra.Command, counts map[string]int) error {
	if err := o.output.check(cmd.Flags()); err != nil {
		return err
	}
	counts["in-flight"] = o.window
	for name, n := range counts {
		if n < 1 || n > maxBench {
			return usage("--%s must be a whole number from 1 to %d, got %d", name, maxBench, n)
		}
	}
	if o.size < 0 || o.size > 4<<20-4<<10 {
		return usage("--size must be a number of bytes from 0 to %d, got %d", 4<<20-4<<10, o.size)
	}
	if o.duration <= 0 {
		return usage("--duration must be longer than 0")
	}
	return o.checkRouter(cmd.Flags())
}

func (o *benchOptions) payload() []any { return []any{strings.Repeat("x", o.size)} }

// benchURI is a URI that nobody else uses.
func benchURI() string { return "org.dconn.bench." + strings.ToLower(rand.Text()) }

// dialMany joins n sessions; those that were joined are returned with an error,
// too.
func (o *benchOptions) dialMany(ctx context.Context, n int) (all []*session.Session, err error) {
	for range n {
		s, err := o.dialInTime(ctx)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}

func leaveAll(all []*session.Session) {
	for _, s := range all {
		leave(s)
	}
}

// inTime asks the router for something, within -W.
func (o *benchOptions) inTime(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := within(ctx, time.Duration(o.wait))
	defer cancel()
	return ask(ctx)
}

// shift is the time in which a bench measures, and those who work then.
type shift struct {
	wait      time.Duration   // for each answer
	answers   context.Context // which may come after the end
	measuring context.Context
	stop      context.CancelFunc
	workers   sync.WaitGroup

	mu     sync.Mutex
	failed error
}

// measure lets those work whom load starts, for the duration or until one fails.
func (o *benchOptions) measure(ctx context.Context, load func(*shift)) error {
	pace(0)
	s := &shift{wait: time.Duration(o.wait), answers: ctx}
	s.measuring, s.stop = context.WithTimeout(ctx, time.Duration(o.duration))
	shown := make(chan struct{})
	go func() {
		o.countdown(s.measuring, time.Duration(o.duration))
		close(shown)
	}()
	load(s)
	s.workers.Wait()
	s.stop()
	<-shown
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.failed
}

// start lets a worker work; its first error ends the shift.
func (s *shift) start(work func(*worker) error) {
	s.workers.Go(func() {
		w := newWorker(s)
		defer w.leave(nil)
		if err := work(w); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failed = cmp.Or(s.failed, err)
			s.stop()
		}
	})
}

// worker waits for answers with its context, which ends when one takes too
// long.
type worker struct {
	context.Context

	shift *shift
	leave context.CancelCauseFunc
	watch *time.Timer // nil: it waits for ever
}

func newWorker(s *shift) *worker {
	w := &worker{shift: s}
	w.Context, w.leave = context.WithCancelCause(s.answers)
	if s.wait > 0 {
		w.watch = time.AfterFunc(s.wait, func() { w.leave(timedOut{s.wait}) })
	}
	return w
}

// more reports whether there is still time to ask for something. The wait for
// its answer begins.
func (w *worker) more() bool {
	if w.watch != nil {
		w.watch.Reset(w.shift.wait)
	}
	return w.shift.measuring.Err() == nil
}

// refused reports whether err is an answer: s lives on.
func refused(s *session.Session, err error) bool {
	_, isAnswer := errors.AsType[*wire.Error](err)
	return isAnswer && s.Err() == nil
}

// figures are what a bench found.
type figures struct {
	what     string
	sent     int64
	received int64
	lost     int64
	took     time.Duration
	times    *histogram
	cpu      time.Duration // of the daemon; negative if nobody knows
}

// show prints r when nobody works any more.
func (o *benchOptions) show(r figures) error {
	if o.refusals.first != nil {
		o.say("the first refusal: %s", explain(o.refusals.first, "").Message)
	}
	doc := map[string]any{
		"bench": r.what, "sent": r.sent, "received": r.received, "refused": o.refusals.count.Load(), "lost": r.lost,
		"per_second": int64(float64(r.received) / r.took.Seconds()), "seconds": r.took.Seconds(), "size": o.size,
		"daemon_cpu_us": nil,
	}
	for name, q := range map[string]float64{"p50_us": 0.5, "p90_us": 0.9, "p99_us": 0.99, "p999_us": 0.999} {
		doc[name] = float64(r.times.quantile(q)) / 1e3
	}
	if r.cpu >= 0 && r.received > 0 {
		doc["daemon_cpu_us"] = float64(r.cpu.Microseconds()) / float64(r.received)
	}
	columns := []string{"bench", "per_second", "refused", "lost", "p50_us", "p90_us", "p99_us", "p999_us", "daemon_cpu_us", "sent", "received"}
	if o.format == "table" { // for people
		for _, name := range []string{"p50_us", "p90_us", "p99_us", "p999_us", "daemon_cpu_us"} {
			if v, ok := doc[name].(float64); ok {
				doc[name] = fmt.Sprintf("%.1f", v)
			}
		}
	}
	return o.list(columns, []map[string]any{doc})
}

// countdown shows on a terminal how long a bench still takes, until ctx ends.
func (s *streams) countdown(ctx context.Context, d time.Duration) {
	if !s.errTTY {
		return
	}
	end := time.Now().Add(d)
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		select {
		case <-tick.C:
			done := int(20 * (1 - max(time.Until(end), 0).Seconds()/d.Seconds()))
			_, _ = fmt.Fprintf(s.err, "\r[%-20s]", strings.Repeat("=", done))
		case <-ctx.Done():
			tick.Stop()
			_, _ = fmt.Fprint(s.err, "\r\x1b[K")
			return
		}
	}
}

// daemonCPU begins to count the CPU time of the daemon, in the kernel's ticks;
// what it returns says how much there was since. It is negative for a daemon
// that this user may not look at, or whose socket is not its own.
func (o *benchOptions) daemonCPU() func() time.Duration {
	if o.router != "" {
		return func() time.Duration { return -1 }
	}
	pid, err := client.ServerPID(cmp.Or(o.socket, client.FindSocket()))
	before, ok := cpuOf(pid)
	return func() time.Duration {
		if after, still := cpuOf(pid); err == nil && ok && still {
			return after - before
		}
		return -1
	}
}

// cpuOf is the CPU time of a dconn process: proc(5), fields 14 and 15 of stat.
func cpuOf(pid int) (time.Duration, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	name, rest, found := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if err != nil || !found || !strings.HasSuffix(name, "(dconn") || len(fields) < 13 {
		return 0, false
	}
	user, userErr := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	const tick = time.Second / 100 // USER_HZ, the same on every Linux
	return time.Duration(user+system) * tick, errors.Join(userErr, systemErr) == nil
}
