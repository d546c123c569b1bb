package commands

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/client"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

type pingOptions struct {
	*streams

	target
	output
	name  string // of what answers, as it is shown
	count int
	every seconds
}

func newPing(s *streams) *cobra.Command {
	o := &pingOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "ping [flags] [DEVICE]",
		Short: "measure how soon a device answers",
		Long: lines("Ask a device, or without one the daemon here, for next to nothing, over one session,",
			"and print how long each answer took: through its router and back. What was sent and",
			"lost is on stderr at the end, with the shortest, the mean and the longest time; with",
			"-o json it is the last object. The time that it takes to connect is in none of them.",
			"",
			"A session that is lost, and an answer that does not come within -W, count as lost;",
			"the next ping connects anew. Exit code 0 says that every ping was answered, 6 that",
			"any was not."),
		Example: lines("  dconn ping pi", "  dconn ping -n 0 -i 0.2 pi", "  dconn ping -n 10 -o json pi | jq -s 'last.avg_ms'"),
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := o.prepare(cmd, words); err != nil {
				return err
			}
			return runPing(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.IntVarP(&o.count, "count", "n", 4, "stop after `N` pings; 0 goes on until it is stopped")
	o.every = seconds(time.Second)
	f.VarP(&o.every, "interval", "i", "from one ping to the next, 10ms at least")
	o.target.addFlags(f, 5*time.Second, "wait this long for each answer; 0 waits for ever")
	o.addDeviceFlags(f)
	o.addFormat(s, f, "raw", "json", "ndjson")
	return cmd
}

// minInterval is what a ping leaves to others.
const minInterval = 10 * time.Millisecond

func (o *pingOptions) prepare(cmd *cobra.Command, words []string) error {
	switch {
	case o.count < 0:
		return usage("-n must be 0 or more, got %d", o.count)
	case time.Duration(o.every) < minInterval:
		return usage("-i must be %v or more, got %v", minInterval, time.Duration(o.every))
	case len(words) == 1 && cmd.Flags().Changed("device"):
		return usage("DEVICE is there twice: %s and -d %s", words[0], o.device).hint("%s", cmd.UseLine())
	case len(words) == 1 && cmd.Flags().Changed("socket"):
		return usage("--socket does not go with DEVICE").hint("%s", cmd.UseLine())
	}
	if len(words) == 1 {
		_ = cmd.Flags().Set("device", words[0]) // hints are about that
	}
	o.name = o.device
	if o.name == "" {
		o.name = "here"
	}
	if list, err := knownDevices(o.state); err == nil {
		if d, err := client.FindDevice(list, o.device); err == nil {
			o.name = d.Name
		}
	}
	return nil
}

// pinger is one run of ping.
type pinger struct {
	*pingOptions

	session        *session.Session // nil until there is one
	sent, received int
	least, most    time.Duration
	total          time.Duration
	last           error // of the last that was lost
}

func runPing(ctx context.Context, o *pingOptions) error {
	p := &pinger{pingOptions: o, least: math.MaxInt64}
	defer p.drop()
	err := p.run(ctx)
	if errors.Is(err, errReaderGone) || p.sent == 0 {
		return err
	}
	if sumErr := p.sum(); err == nil {
		err = sumErr
	}
	lost := p.sent - p.received
	if err != nil || lost == 0 {
		return err
	}
	f := &failure{Code: exitUnreachable, WAMP: &wire.Error{URI: wire.ErrLost}}
	f.Message = fmt.Sprintf("%s: %d of %d pings had no answer", o.name, lost, p.sent)
	if p.received == 0 {
		f.Hint = explain(p.last, "").Hint
	}
	return f
}

func (p *pinger) run(ctx context.Context) error {
	for n := 1; ; n++ {
		began := time.Now()
		if err := p.ping(ctx, n); err != nil || n == p.count {
			return err
		}
		select {
		case <-time.After(time.Until(began.Add(time.Duration(p.every)))):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ping is one of them. Its error is one that the next would meet as well.
func (p *pinger) ping(ctx context.Context, n int) error {
	took, err := p.roundTrip(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		p.sent++
		p.received++
		p.total += took
		p.least, p.most = min(p.least, took), max(p.most, took)
		return p.record(map[string]any{"seq": n, "ms": millis(took)}, fmt.Sprintf("%s: %.2f ms", p.name, millis(took)))
	case !again(err) && !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	p.sent++
	p.last = err
	p.drop() // the device may have another address by now
	p.say("ping %d is lost: %s", n, explain(err, "").Message)
	return p.record(map[string]any{"seq": n, "ms": nil})
}

// probe is what a ping asks about: nothing has that name, and nobody may take it.
const probe = wire.Namespace + "ping"

func (p *pinger) roundTrip(ctx context.Context) (time.Duration, error) {
	ctx, cancel := within(ctx, time.Duration(p.wait))
	defer cancel()
	if p.session == nil {
		s, err := p.dial(ctx)
		if err != nil {
			return 0, err
		}
		p.session = s
	}
	began := time.Now()
	_, err := describe(ctx, p.session, probe)
	return time.Since(began), err
}

// drop ends the session without waiting for a peer that may have gone.
func (p *pinger) drop() {
	if p.session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	p.session.Leave(ctx)
	p.session = nil
}

// sum says what became of all of them.
func (p *pinger) sum() error {
	loss := float64(p.sent-p.received) / float64(p.sent)
	doc := map[string]any{"sent": p.sent, "received": p.received, "loss": loss, "min_ms": nil, "avg_ms": nil, "max_ms": nil}
	times := ""
	if p.received > 0 {
		mean := p.total / time.Duration(p.received)
		doc["min_ms"], doc["avg_ms"], doc["max_ms"] = millis(p.least), millis(mean), millis(p.most)
		times = fmt.Sprintf("; min/avg/max %.2f/%.2f/%.2f ms", millis(p.least), millis(mean), millis(p.most))
	}
	if p.machine() {
		return p.record(doc)
	}
	p.say("%s: %d sent, %d answered, %.0f%% lost%s", p.name, p.sent, p.received, 100*loss, times)
	return nil
}

// millis is d in milliseconds, with whole microseconds.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
