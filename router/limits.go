package router

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deskconn/dconn/router/dealer"
	"github.com/deskconn/dconn/router/transport"
)

// Unit is what a limit is measured in.
type Unit string

// Units of limits.
const (
	Bytes    Unit = "bytes"
	Count    Unit = "count"
	Duration Unit = "duration"
)

// Limit is one bound on what a peer may cost.
type Limit struct {
	Name     string
	Unit     Unit
	Min, Max int64 // what it may be set to; a duration in nanoseconds
	Doc      string

	at func(*Options) any // where it stands there: *int, *time.Duration
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// The names of SessionLimits.
const (
	limitRegistrations = "registrations"
	limitSubscriptions = "subscriptions"
	limitDevice        = "device_sessions"
)

// Limits are all of them that can be set, in the order in which a connection
// may meet them.
var Limits = []Limit{
	{limitDoorConnections, Count, 1, 1 << 20,
		"connections over TCP that have not authenticated",
		func(o *Options) any { return &o.Door.Connections }},
	{limitDoorPerAddress, Count, 1, 1 << 20,
		"of these, those from one address: IPv4, IPv6 on our own link, or an IPv6 /64",
		func(o *Options) any { return &o.Door.PerAddress }},
	{limitDoorReserved, Count, 1, 1 << 20,
		"beside these, connections from the last good addresses of paired devices",
		func(o *Options) any { return &o.Door.Reserved }},
	{limitDoorFailures, Count, 1, 1 << 20,
		"connections of one address that may fail; 5 a second are forgiven",
		func(o *Options) any { return &o.Door.Failures }},
	{limitDoorDeadline, Duration, int64(100 * time.Millisecond), int64(10 * time.Minute),
		"how long a connection over TCP may take to authenticate",
		func(o *Options) any { return &o.Door.Deadline }},
	{transport.LimitGreeting, Bytes, 1 * kib, 1 * mib,
		"the longest message before that, and head of an HTTP request",
		func(o *Options) any { return &o.Door.Bytes }},
	{transport.LimitHandshake, Duration, int64(100 * time.Millisecond), int64(10 * time.Minute),
		"how long a connection may take to say which serializer it speaks",
		func(o *Options) any { return &o.Transport.Handshake }},
	{transport.LimitMessage, Bytes, 4 * kib, 16 * mib,
		"the longest message that is accepted",
		func(o *Options) any { return &o.Transport.Message }},
	{transport.LimitDepth, Count, 8, 128,
		"how deep lists and dicts in a message may nest",
		func(o *Options) any { return &o.Transport.Depth }},
	{limitDevice, Count, 1, 1 << 20,
		"sessions of one paired device, and connections of its that are none yet",
		func(o *Options) any { return &o.Session.PerDevice }},
	{limitDeviceSubscriptions, Count, 1, 1 << 24,
		"subscriptions of all sessions of one paired device",
		func(o *Options) any { return &o.Devices.Subscriptions }},
	{limitDeviceRegistrations, Count, 1, 1 << 24,
		"procedures that all sessions of one paired device register",
		func(o *Options) any { return &o.Devices.Registrations }},
	{limitDeviceCalls, Count, 1, 1 << 24,
		"calls in flight of all sessions of one paired device",
		func(o *Options) any { return &o.Devices.Calls }},
	{limitDeviceInput, Bytes, 64 * kib, 1 * gib,
		"messages of one paired device that are being read: beyond it the next one waits",
		func(o *Options) any { return &o.Devices.Input }},
	{limitDeviceQueue, Bytes, 64 * kib, 1 * gib,
		"what may wait for all sessions of one paired device: over it the one that it waits for most is cut off",
		func(o *Options) any { return &o.Devices.Queue }},
	{limitBusyDevices, Count, 1, 1 << 10,
		"devices at these limits at once: all devices together hold so many times what one may",
		func(o *Options) any { return &o.Devices.Busy }},
	{transport.LimitAssembly, Duration, int64(100 * time.Millisecond), int64(time.Hour),
		"how long a message over TCP may take to arrive, once it has begun",
		func(o *Options) any { return &o.Transport.Assembly }},
	{dealer.LimitCalls, Count, 1, 1 << 20,
		"calls in flight of one session",
		func(o *Options) any { return &o.Session.Calls }},
	{dealer.LimitStreamBytes, Bytes, 64 * kib, 1 * gib,
		"the arguments of one progressive call in all its chunks",
		func(o *Options) any { return &o.Session.StreamBytes }},
	{dealer.LimitStreamIdle, Duration, int64(100 * time.Millisecond), int64(24 * time.Hour),
		"how long the caller of a progressive call may send no further chunk",
		func(o *Options) any { return &o.Session.StreamIdle }},
	{limitRegistrations, Count, 1, 1 << 20,
		"procedures that one session registers",
		func(o *Options) any { return &o.Session.Registrations }},
	{limitSubscriptions, Count, 1, 1 << 20,
		"subscriptions of one session",
		func(o *Options) any { return &o.Session.Subscriptions }},
	{transport.LimitQueue, Bytes, 64 * kib, 1 * gib,
		"what may wait for one session that reads slowly",
		func(o *Options) any { return &o.Transport.Queue }},
	{transport.LimitBacklog, Bytes, 1 * mib, 1 * gib,
		"what may wait for all sessions together: over it the one that it waits for most is cut off",
		func(o *Options) any { return &o.Backlog }},
	{transport.LimitStall, Duration, int64(100 * time.Millisecond), int64(time.Hour),
		"how long a session may read nothing of what waits for it",
		func(o *Options) any { return &o.Transport.Stall }},
	{transport.LimitKeepalive, Duration, int64(100 * time.Millisecond), int64(time.Hour),
		"how long a peer over TCP may be silent, and then how long a ping may go unanswered",
		func(o *Options) any { return &o.Transport.Keepalive }},
}

// DefaultOptions has limits that suit most, and nothing else.
func DefaultOptions() Options {
	return Options{
		Transport: transport.DefaultLimits(), Session: DefaultSessionLimits(), Door: DefaultDoorLimits(),
		Devices: DefaultDeviceLimits(), Backlog: 128 * mib, Drain: 2 * time.Second,
	}
}

// LimitNamed finds a limit by its name.
func LimitNamed(name string) (Limit, bool) {
	i := slices.IndexFunc(Limits, func(l Limit) bool { return l.Name == name })
	if i < 0 {
		return Limit{}, false
	}
	return Limits[i], true
}

// Of is the value in o: bytes, a count or nanoseconds.
func (l Limit) Of(o *Options) int64 {
	if d, ok := l.at(o).(*time.Duration); ok {
		return int64(*d)
	}
	return int64(*l.at(o).(*int))
}

// Set gives the limit in o the value that text says: 4MiB, 1024, 10s, or
// a bare number of seconds. The case of a unit does not matter. Its error
// says the range.
func (l Limit) Set(o *Options, text string) error {
	v, err := l.parse(text)
	if err != nil || (v < l.Min || v > l.Max) && !(v == 0 && l.mayBeOff()) {
		return fmt.Errorf("must be %s, got %q", l.Range(), text)
	}
	if d, ok := l.at(o).(*time.Duration); ok {
		*d = time.Duration(v)
		return nil
	}
	*l.at(o).(*int) = int(v)
	return nil
}

// mayBeOff reports whether 0, below Min, switches it off.
func (l Limit) mayBeOff() bool { return l.Name == transport.LimitKeepalive }

// Range is what the limit may be set to, in words.
func (l Limit) Range() string {
	kind := map[Unit]string{Bytes: "a size", Count: "a whole number", Duration: "a duration"}[l.Unit]
	text := fmt.Sprintf("%s from %s to %s", kind, l.Text(l.Min), l.Text(l.Max))
	if l.mayBeOff() {
		text += ", or 0 for never"
	}
	return text
}

func (l Limit) parse(text string) (int64, error) {
	switch l.Unit {
	case Duration:
		if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 && n <= 1e9 {
			return int64(n * float64(time.Second)), nil
		}
		d, err := time.ParseDuration(text)
		return int64(d), err
	case Bytes:
		return parseBytes(text)
	}
	return strconv.ParseInt(text, 10, 64)
}

// sizes are the units of bytes, the largest first.
var sizes = []struct {
	name  string
	bytes int64
}{{"GiB", gib}, {"MiB", mib}, {"KiB", kib}, {"B", 1}, {"", 1}}

func parseBytes(text string) (int64, error) {
	for _, s := range sizes {
		number, ok := strings.CutSuffix(strings.ToLower(text), strings.ToLower(s.name))
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if n > gib { // above every limit, and the product might overflow
			return n, errors.New("too large")
		}
		return n * s.bytes, err
	}
	return 0, nil // not reached: every text ends in ""
}

// Text writes v, a value of the limit, as Set reads it.
func (l Limit) Text(v int64) string {
	switch l.Unit {
	case Duration:
		return shortDuration(time.Duration(v))
	case Bytes:
		for _, s := range sizes {
			if v%s.bytes == 0 && v >= s.bytes {
				return strconv.FormatInt(v/s.bytes, 10) + s.name
			}
		}
	}
	return strconv.FormatInt(v, 10)
}

// shortDuration is 1m0s without what is zero at its end.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
