package browse

import (
	"slices"
	"time"
)

// Bounds of how fast events are told: all that are there at once, and then no
// more than people can read, whatever somebody announces. What waits is told as
// it is by then.
const (
	burst     = MaxMachines
	perSecond = 20

	maxShown = 2 * MaxMachines // names; more are told when some of them have gone
	maxDirty = 4 * MaxMachines // names, before those are dropped that nobody was told of
)

// report tells what has changed since it was last told.
type report struct {
	each   func(Event) bool
	wanted bool // each has not said that it has enough
	dirty  map[string]bool
	shown  map[string]map[variant]Machine // by name
	left   float64                        // events that may be told now
	filled time.Time
}

func newReport(each func(Event) bool) *report {
	return &report{
		each: each, wanted: true, left: burst, filled: time.Now(),
		dirty: map[string]bool{}, shown: map[string]map[variant]Machine{},
	}
}

func (r *report) touch(name string) { r.dirty[name] = true }
func (r *report) waiting() bool     { return len(r.dirty) > 0 }

// flush tells the events that there are; machines are those of a name.
func (r *report) flush(now time.Time, machines func(name string) map[variant]Machine) {
	r.left = min(burst, r.left+now.Sub(r.filled).Seconds()*perSecond)
	r.filled = now
	if len(r.dirty) > maxDirty {
		r.prune(machines)
	}
	if r.left < 1 {
		return
	}
	crowded := len(r.shown) >= MaxMachines
	for _, first := range []bool{!crowded, crowded} { // what is new goes before what has changed, unless that is too much
		for name := range r.dirty {
			switch known := r.shown[name] != nil; {
			case known == first, !known && len(r.shown) >= maxShown:
				continue
			}
			all := r.tell(name, machines(name))
			if len(r.shown[name]) == 0 {
				delete(r.shown, name)
			}
			if !all {
				return
			}
			delete(r.dirty, name)
		}
	}
}

// prune drops the names that came and went before anybody was told of them.
func (r *report) prune(machines func(name string) map[variant]Machine) {
	for name := range r.dirty {
		if r.shown[name] == nil && len(machines(name)) == 0 {
			delete(r.dirty, name)
		}
	}
}

// tell tells what is new of a name, and reports whether that was all.
func (r *report) tell(name string, now map[variant]Machine) bool {
	if r.shown[name] == nil {
		r.shown[name] = map[variant]Machine{}
	}
	shown := r.shown[name]
	for v, m := range shown {
		if _, still := now[v]; !still {
			if !r.event(Event{Gone, m}) {
				return false
			}
			delete(shown, v)
		}
	}
	for v, m := range now {
		before, was := shown[v]
		kind := Changed
		switch {
		case !was:
			kind = Found
		case same(before, m):
			continue
		}
		if !r.event(Event{kind, m}) {
			return false
		}
		shown[v] = m
	}
	return true
}

// event tells one event, if one may be told.
func (r *report) event(e Event) bool {
	if r.left < 1 || !r.wanted {
		return false
	}
	r.left--
	r.wanted = r.each(e)
	return true
}

// same reports whether nothing has changed: how fast it answered is no news.
func same(a, b Machine) bool {
	return a.Host == b.Host && a.Pairing == b.Pairing && slices.Equal(a.Addresses, b.Addresses)
}
