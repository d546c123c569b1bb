package router

import (
	"github.com/deskconn/dconn/router/budget"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
)

// DeviceLimits bounds what all sessions of one paired device hold together; 0 is no
// bound.
type DeviceLimits struct {
	Subscriptions int
	Registrations int
	Calls         int // in flight
	Input         int // bytes of messages that are being read
	Queue         int // bytes that may wait to be written
	// Busy is how many devices may be at these limits at once: together all devices
	// hold so many times as much as one.
	Busy int
}

// DefaultDeviceLimits suit most.
func DefaultDeviceLimits() DeviceLimits {
	return DeviceLimits{Subscriptions: 4096, Registrations: 1024, Calls: 1024, Input: 4 << 20, Queue: 8 << 20, Busy: 2}
}

// The names of DeviceLimits.
const (
	limitDeviceSubscriptions = "device_subscriptions"
	limitDeviceRegistrations = "device_registrations"
	limitDeviceCalls         = "device_calls"
	limitDeviceInput         = "device_input"
	limitDeviceQueue         = "device_queue"
	limitBusyDevices         = "busy_devices"
)

// holdings is what the sessions of one paired device hold together, or those of all. The
// zero holdings have no bound, as those of the owner.
type holdings struct {
	subscriptions, registrations, calls, input *budget.Budget
	backlog                                    *transport.Backlog
	share                                      *transport.Share
}

// deviceValues is how many values one message of a device may hold: to decode one takes
// forty bytes of memory, and as long as to read twenty.
const deviceValues = 1 << 16

// ofAll are the holdings of all devices, a part of everything that may wait.
func (l DeviceLimits) ofAll(everything *transport.Backlog) holdings {
	return l.holdings(limitBusyDevices, "all devices", l.Busy, holdings{backlog: everything})
}

// ofOne are the holdings of one device, a part of those of all.
func (l DeviceLimits) ofOne(all holdings) holdings {
	h := l.holdings("", "this device", 1, all)
	h.share = &transport.Share{}
	return h
}

// holdings are so many times what one device may hold. An error about them has the name
// limit, or that of each limit of one device.
func (l DeviceLimits) holdings(limit, whose string, times int, whole holdings) holdings {
	named := func(own string) string {
		if limit != "" {
			return limit
		}
		return own
	}
	of := func(own string, most int, whole *budget.Budget) *budget.Budget {
		if most*times == 0 {
			return whole
		}
		return budget.New(named(own), most*times, whole)
	}
	h := holdings{
		subscriptions: of(limitDeviceSubscriptions, l.Subscriptions, whole.subscriptions),
		registrations: of(limitDeviceRegistrations, l.Registrations, whole.registrations),
		calls:         of(limitDeviceCalls, l.Calls, whole.calls),
		input:         of(limitDeviceInput, l.Input, whole.input),
		backlog:       whole.backlog,
	}
	if l.Queue*times > 0 {
		h.backlog = transport.NewBacklog(named(limitDeviceQueue), "all sessions of "+whose, l.Queue*times, whole.backlog)
	}
	return h
}

// holdingsOf are those of a paired device. They stay when it leaves: it may come back
// before all that it held was given back.
func (r *Router) holdingsOf(device trust.ID) holdings {
	if _, known := r.devices.find(device); !known { // it is no device's, or is refused
		return holdings{backlog: r.opts.Transport.Backlog}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h, has := r.held[device]
	if !has {
		h = r.opts.Devices.ofOne(r.heldByAll)
		r.held[device] = h
	}
	return h
}
