package router

import (
	"context"
	"log/slog"
	"net/netip"
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

	mu     sync.Mutex
	denied fold[denial]
}

// denial is what a device was not allowed to do.
type denial struct {
	device trust.ID
	action trust.Action
	uri    string
}

func newDevices(o *Options) *devices {
	d := &devices{store: o.Trust, log: o.Log, all: o.admitAll}
	if d.store != nil {
		d.audit = trust.OpenAudit(d.store.Dir())
	}
	return d
}

// find is the device of that id, if it may have a session now.
func (d *devices) find(id trust.ID) (trust.Device, bool) {
	if d.store == nil {
		return trust.Device{}, false
	}
	device, found := d.store.Find(id)
	return device, found && device.Known(time.Now())
}

// allow reports whether a device may do that, and notes where it may not.
func (d *devices) allow(who Identity, action trust.Action, uri, match string) bool {
	if d.grants(who.Device, action, uri, match) {
		return true
	}
	d.mu.Lock()
	times, say := d.denied.note(denial{who.Device, action, uri}, time.Now())
	d.mu.Unlock()
	if say && d.store != nil {
		device, _ := d.store.Find(who.Device)
		d.write(trust.Entry{
			Event: "denied", Device: who.AuthID, Name: device.Name, Action: string(action), URI: uri, Times: times,
		})
	}
	return false
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

// shows reports whether a device may know of an entry of the directory.
func (d *devices) shows(who Identity, entry map[string]any) bool {
	action := trust.Call
	if entry["kind"] == "topic" {
		action = trust.Subscribe
	}
	uri, _ := entry["uri"].(string)
	return d.grants(who.Device, action, uri, "exact")
}

// met notes that a device has come, from where, and confirms its pairing by that.
func (d *devices) met(id trust.ID, from netip.Addr) {
	before, _ := d.store.Find(id)
	if err := d.store.Met(id, from); err != nil {
		d.log.Warn("device not noted", "device", id.Short(), "error", err)
	}
	if now, _ := d.store.Find(id); before.Pending != nil && now.Pending == nil {
		d.write(trust.Entry{Event: "paired", Device: id.String(), Name: now.Name, From: from.String(), Scopes: now.Scopes})
		d.log.Info("paired", "device", now.Name, "id", id.Short(), "scopes", now.Scopes)
	}
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
	list, err := d.store.Devices()
	for _, device := range list {
		if err == nil && device.From == addr && device.Known(time.Now()) {
			return true
		}
	}
	return false
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
	for {
		r.recheckAll()
		expiry := time.NewTimer(r.devices.untilExpiry(time.Now()))
		select {
		case <-changed:
		case <-expiry.C:
		case <-ctx.Done():
			return
		}
		expiry.Stop()
	}
}

// untilExpiry is how long to sleep, for no device to stay longer than it may. A
// timer stands still while the machine sleeps, so it is never long where it counts.
func (d *devices) untilExpiry(now time.Time) time.Duration {
	sleep := 24 * time.Hour
	list, _ := d.store.Devices()
	for _, device := range list {
		if left := device.Expires.Sub(now); !device.Expires.IsZero() && left > 0 {
			sleep = min(sleep, left, time.Minute)
		}
	}
	return sleep
}

// recheckAll looks at every session of a device.
func (r *Router) recheckAll() {
	for _, a := range r.ledger.joined() {
		r.recheck(&a)
	}
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
	a.conn.Dismiss(wire.Errorf(wire.ErrRights, "what this device may do here has become less"))
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
