package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/browse"
	"github.com/deskconn/dconn/router/mdns"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

type discoverOptions struct {
	*streams

	output
	wait    seconds
	state   string
	count   int
	require int
	watch   bool
	paired  bool
}

func newDiscover(s *streams) *cobra.Command {
	o := &discoverOptions{streams: s}
	cmd := &cobra.Command{
		Use:   "discover [flags]",
		Short: "list the machines on this network that serve",
		Long: lines("List the machines on the local network that announce dconn (mDNS), until -W is over",
			"or -n of them are there. --watch goes on until it is stopped, or -W is over, and",
			"prints what is found, changed and gone as it happens, one JSON object on a line.",
			"",
			"Anybody on the network can announce anything. PAIRED is the name of the device that",
			"a machine claims to be by the first characters of an id, and whose key it has shown;",
			"with a ? behind it, it has not. --watch prints claims, and connects to nobody. PAIRING",
			"says that it has a pairing window open."),
		Example: lines("  dconn discover", "  dconn discover -n 1 --require 1 --paired -o json",
			`  dconn discover --watch | jq -r 'select(.event == "found") | .name'`),
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.prepare(cmd.Flags()); err != nil {
				return err
			}
			return runDiscover(cmd.Context(), o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *discoverOptions) addFlags(f *pflag.FlagSet) {
	o.wait = seconds(2 * time.Second)
	f.VarP(&o.wait, "wait", "W", "look for this long; 0 goes on for ever, as --watch does unless this is set")
	f.IntVarP(&o.count, "count", "n", 0, "stop after `N` machines; 0 goes on")
	f.IntVar(&o.require, "require", 0, "end with exit code 3 if there are fewer than `N` machines")
	f.BoolVar(&o.watch, "watch", false, "print what changes, until stopped")
	f.BoolVar(&o.paired, "paired", false, "only machines that claim to be paired with this one")
	f.StringVar(&o.state, "state", "", "directory `PATH` of the paired devices (default: $XDG_STATE_HOME/dconn)")
	o.output.addFlags(o.streams, f, "table", "json", "ndjson", "template")
}

// machineColumns are those of the table.
var machineColumns = []string{"name", "id", "addresses", "port", "paired", "pairing", "latency"}

func (o *discoverOptions) prepare(f *pflag.FlagSet) error {
	known := []string{"name", "instance", "id", "host", "addresses", "port", "paired", "verified", "ambiguous", "pairing", "latency_ms"}
	if o.watch {
		known = append(known, "event", "time")
		if !f.Changed("wait") {
			o.wait = 0
		}
		if !f.Changed("output") {
			o.format = "ndjson"
		}
	}
	if err := o.output.check(f, known...); err != nil {
		return err
	}
	switch {
	case o.watch && o.format == "table":
		return usage("--watch does not go with -o table").hint("--watch -o ndjson")
	case o.count < 0:
		return usage("-n must be 0 or more, got %d", o.count)
	case o.require < 0:
		return usage("--require must be 0 or more, got %d", o.require)
	case o.count > 0 && o.require > o.count:
		return usage("--require %d is never met with -n %d", o.require, o.count)
	}
	return nil
}

func runDiscover(ctx context.Context, o *discoverOptions) error {
	devices, err := o.devices()
	if err != nil {
		return err
	}
	within, cancel := within(ctx, time.Duration(o.wait))
	defer cancel()
	within, stop := context.WithCancelCause(within)
	defer stop(nil)
	d := newDiscovery(o, devices)
	if o.watch {
		return o.spooled(stop, func() error { return d.run(ctx, within) })
	}
	return d.run(ctx, within)
}

// devices are those that this machine knows.
func (o *discoverOptions) devices() (trust.Devices, error) {
	list, err := knownDevices(o.state)
	if err != nil && !o.paired {
		o.say("which machines are paired is not known: %v", err)
		return nil, nil
	}
	return list, err
}

// discovery is one run of discover.
type discovery struct {
	*discoverOptions

	verified map[browse.Key]bool // who has shown the key of the device it claims to be
	devices  trust.Devices
	shown    []browse.Machine // those there are
	screen   screen
	found    int
	failed   error
}

func newDiscovery(o *discoverOptions, devices trust.Devices) *discovery {
	return &discovery{discoverOptions: o, devices: devices, verified: map[browse.Key]bool{}, screen: screen{output: &o.output}}
}

// run looks around within, and gives the end of it its meaning.
func (d *discovery) run(ctx, within context.Context) error {
	stats, err := d.look(ctx, within)
	_, cut := errors.AsType[interrupted](context.Cause(ctx))
	switch {
	case cut:
		return context.Cause(ctx)
	case d.failed != nil:
		return d.failed
	case err != nil:
		return noNetwork(err)
	case stats.Links == 0 && d.found == 0:
		return own("no question could be sent: %s", strings.Join(stats.Failed, "; ")).hint("sudo nft list ruleset shows a firewall that keeps UDP port %d from others", mdns.Number)
	}
	if !d.watch {
		d.verify(ctx)
	}
	if err := d.finish(); err != nil {
		return err
	}
	if stats.Beyond > 0 {
		d.say("at least %d more are announced; no more than %d are looked at", stats.Beyond, browse.MaxMachines)
	}
	if len(d.shown) == 0 && d.require == 0 && !d.watch && !d.machine() {
		d.say("nothing answered: %s", silence(stats))
	}
	if n := len(d.shown); n < d.require {
		return &failure{Code: exitNotFound, Message: fmt.Sprintf("%d of %d machines found (--require)", n, d.require), Hint: silence(stats)}
	}
	return nil
}

// look begins with what the daemon of this machine knows. Where that has looked for
// as long as this would, it is all there is.
func (d *discovery) look(ctx, within context.Context) (browse.Stats, error) {
	known, looked := warm(ctx, "")
	for _, m := range known {
		if !d.event(browse.Event{Kind: browse.Found, Machine: m}) {
			return browse.Stats{Links: 1}, nil
		}
	}
	if o := time.Duration(d.wait); !d.watch && o > 0 && looked >= o {
		return browse.Stats{Links: 1}, nil
	}
	return browse.Browse(within, d.event)
}

// silence is what to try when too few have answered.
func silence(stats browse.Stats) string {
	if len(stats.Failed) > 0 {
		return strings.Join(stats.Failed, "; ")
	}
	return "does the other machine run dconn serve, and does this network let multicast through?"
}

// noNetwork says why there is nowhere to look, and what mends it.
func noNetwork(err error) error {
	f := own("%v", err)
	none, ok := errors.AsType[*mdns.NoLinkError](err)
	if !ok {
		return f.hint("which other program holds UDP port %d: sudo ss -ulpn sport = %d", mdns.Number, mdns.Number)
	}
	for _, why := range none.Why {
		switch name, lacks, _ := strings.Cut(why, " "); lacks {
		case "is down":
			return f.hint("sudo ip link set %s up", capabilities.ShellWord(name))
		case "does no multicast":
			return f.hint("sudo ip link set %s multicast on", capabilities.ShellWord(name))
		case "has no carrier", "has no address":
			return f.hint("is %s connected? see: ip address show dev %s", name, capabilities.ShellWord(name))
		}
	}
	return f.hint("connect this machine to a network")
}

// event takes in what has become of a machine, and reports whether to go on.
func (d *discovery) event(e browse.Event) bool {
	m := e.Machine
	if d.paired && d.deviceOf(m) == "" {
		return true
	}
	is := func(o browse.Machine) bool { return o.Key() == m.Key() }
	if e.Kind == browse.Found && slices.ContainsFunc(d.shown, is) { // the daemon knew it
		return true
	}
	d.shown = slices.DeleteFunc(d.shown, is)
	if e.Kind != browse.Gone {
		d.shown = append(d.shown, m)
	}
	if e.Kind == browse.Found {
		d.found++
	}
	if d.watch {
		doc := d.document(m)
		doc["event"], doc["time"] = string(e.Kind), time.Now().UTC().Format(time.RFC3339Nano)
		d.failed = d.record(doc)
	} else {
		d.failed = d.screen.draw(d.rows())
	}
	enough := d.count > 0 && (d.watch && d.found == d.count || !d.watch && len(d.shown) == d.count)
	return d.failed == nil && !enough
}

// finish prints the list.
func (d *discovery) finish() error {
	switch {
	case d.watch:
		return nil
	case d.format == "table":
		return d.screen.finish(d.rows())
	}
	var docs []map[string]any
	for _, m := range d.inOrder() {
		docs = append(docs, d.document(m))
	}
	return d.list(machineColumns, docs)
}

func (d *discovery) inOrder() []browse.Machine {
	return slices.SortedFunc(slices.Values(d.shown), func(a, b browse.Machine) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
}

// deviceOf is the name of the device that a machine claims to be, "" if none or
// several have such an id.
func (d *discovery) deviceOf(m browse.Machine) string {
	if len(m.ID) != wire.IDHint {
		return ""
	}
	name := ""
	for _, device := range d.devices {
		if !device.ID.HasPrefix(m.ID) || !device.Known(time.Now()) {
			continue
		}
		if name != "" {
			return ""
		}
		name = device.Name
	}
	return name
}

// ambiguous reports whether others elsewhere claim the id of a machine. One at
// the same place is this one, under the name that it had, or takes.
func (d *discovery) ambiguous(m browse.Machine) bool {
	return m.ID != "" && slices.ContainsFunc(d.shown, func(o browse.Machine) bool {
		return o.ID == m.ID && (o.Port != m.Port || !slices.Equal(o.Addresses, m.Addresses))
	})
}

// document is a machine for programs.
func (d *discovery) document(m browse.Machine) map[string]any {
	addresses := make([]any, len(m.Addresses))
	for i, a := range m.Addresses {
		addresses[i] = a.String()
	}
	doc := map[string]any{
		"name": m.Name, "instance": m.Instance, "id": m.ID, "host": m.Host, "addresses": addresses, "port": int64(m.Port),
		"paired": nil, "verified": nil, "ambiguous": d.ambiguous(m), "pairing": m.Pairing, "latency_ms": nil,
	}
	if is, tried := d.verified[m.Key()]; tried {
		doc["verified"] = is
	}
	if name := d.deviceOf(m); name != "" {
		doc["paired"] = name
	}
	if m.Latency > 0 {
		doc["latency_ms"] = millis(m.Latency)
	}
	return doc
}
