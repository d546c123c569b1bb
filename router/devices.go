package router

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// devices are the machines that may come in over the network, and what each may
// do. The store says so, which other processes change: it is asked each time.
type devices struct {
	store *trust.Store // nil: there are none
	audit trust.Audit
	log   *slog.Logger
	all   bool // in tests: they may do everything

	refused chan denial // to be noted

	mu    sync.Mutex
	noted map[trust.ID]time.Time    // when it was last noted where a device is
	came  map[trust.ID][]netip.Addr // from where, the latest first
}

func newDevices(o *Options) *devices {
	d := &devices{store: o.Trust, log: o.Log, all: o.admitAll, refused: make(chan denial, maxDenials), noted: map[trust.ID]time.Time{}, came: map[trust.ID][]netip.Addr{}}
	if d.store != nil {
		d.audit = trust.OpenAudit(d.store.Dir())
	}
	return d
}

// find is the device of that id, if it may have a session now.
func (d *devices) find(id trust.ID) (trust.Device, bool) {
	if d.store == nil || id == (trust.ID{}) { // most sessions are no device's
		return trust.Device{}, false
	}
	device, found := d.store.Find(id)
	return device, found && device.Known(time.Now())
}

// grants reports whether a device may do that. What a daemon offers to whoever is
// paired needs no scope: its list is of what the device may use.
func (d *devices) grants(id trust.ID, action trust.Action, uri, match string) bool {
	device, found := d.find(id)
	if !found || d.all {
		return found
	}
	paired := !device.Paired.IsZero() && action == trust.Call && uri == wire.Describe
	return paired || device.Allows(time.Now(), action, uri, match)
}

// noteEvery is how often it is noted where a device comes from: one that comes from
// everywhere must not wear out a disk.
const noteEvery = time.Minute

// met notes that a device has come, from where, and confirms its pairing by that. It
// is an error if that cannot be noted: what was pending does not hold then.
func (d *devices) met(id trust.ID, from netip.Addr) error {
	before, _ := d.store.Find(id)
	d.mu.Lock()
	d.remember(id, from)
	due := before.Pending != nil || time.Since(d.noted[id]) >= noteEvery
	if due {
		d.noted[id] = time.Now()
	}
	d.mu.Unlock()
	if !due {
		return nil
	}
	err := d.store.Met(id, from)
	if err != nil {
		d.log.Warn("device not noted", "device", id.Short(), "error", err)
	}
	now, _ := d.store.Find(id)
	if before.Pending != nil && now.Pending == nil {
		d.write(trust.Entry{Event: "paired", Device: id.String(), Name: now.Name, From: from.String(), Scopes: now.Scopes})
		d.log.Info("paired", "device", now.Name, "id", id.Short(), "scopes", now.Scopes)
	}
	if before.Pending == nil {
		return nil
	}
	return err
}

// maxCame is how many addresses of a device are remembered: it may have several of
// IPv6, which change, beside those of IPv4.
const maxCame = 8

// remember keeps in mind that a device has come from addr, which the store is told
// once a minute at most. d.mu is held.
func (d *devices) remember(id trust.ID, addr netip.Addr) {
	list := d.came[id]
	if !addr.IsValid() || len(list) > 0 && list[0] == addr {
		return
	}
	list = slices.DeleteFunc(list, func(a netip.Addr) bool { return a == addr })
	list = slices.Insert(list, 0, addr)
	d.came[id] = list[:min(len(list), maxCame)]
}

// write adds to the audit log.
func (d *devices) write(e trust.Entry) {
	if err := d.audit.Add(e); err != nil {
		d.log.Error("audit log not written", "event", e.Event, "error", err)
	}
}

// cameFrom reports whether a device has come from addr before.
func (d *devices) cameFrom(addr netip.Addr) bool {
	if d.store == nil {
		return false
	}
	if d.cameLately(addr) {
		return true
	}
	list, err := d.store.Devices()
	for _, device := range list {
		if err == nil && device.From == addr && device.Known(time.Now()) {
			return true
		}
	}
	return false
}

// cameLately reports whether a device that is still paired has come from addr since
// the daemon began.
func (d *devices) cameLately(addr netip.Addr) bool {
	var who []trust.ID
	d.mu.Lock()
	for id, list := range d.came {
		if slices.Contains(list, addr) {
			who = append(who, id)
		}
	}
	d.mu.Unlock()
	return slices.ContainsFunc(who, func(id trust.ID) bool {
		_, known := d.find(id)
		return known
	})
}

// watchDevices ends sessions whose device has lost something that it might do,
// until ctx ends.
func (r *Router) watchDevices(ctx context.Context) {
	changed := make(chan struct{}, 1)
	r.watching.Go(func() {
		r.devices.store.Watch(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	})
	r.watching.Go(func() { r.devices.noteDenials(ctx) })
	// The kernel may lose count of what it has to tell, timers stand still while the
	// machine sleeps, and clocks are set: as long as a device is here, it is looked at.
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		here := r.recheckAll()
		r.boundMemory(here)
		if here {
			tick.Reset(time.Second)
		} else {
			tick.Stop()
		}
		select {
		case <-changed:
		case <-r.arrived:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// recheckAll looks at every session of a device, and reports whether there is one,
// or is about to be.
func (r *Router) recheckAll() bool {
	for _, a := range r.ledger.joined() {
		r.recheck(&a)
	}
	return r.ledger.hasDevices()
}

// recheck ends the session of a device that may do less than when it was last
// looked at: what it has subscribed to or registered may be more than that.
func (r *Router) recheck(a *account) {
	if a.identity.Device == (trust.ID{}) {
		return
	}
	device, known := r.devices.find(a.identity.Device)
	if a.guard.mayStill(device.Scopes, known) {
		return
	}
	if !a.conn.Dismiss(wire.Errorf(wire.ErrRights, "what this device may do here has become less")) {
		return // it was told
	}
	r.log.Info("session ended: its device may do less now", "device", device.Name, "id", a.identity.AuthID)
}

// mayStill notes what the session's device may do now, and reports whether that
// is all it might do before.
func (g *guard) mayStill(now trust.Scopes, known bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.granted
	g.granted = now
	return known && before.Within(now)
}
