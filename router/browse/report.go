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
)

// report tells what has changed since it was last told.
type report struct {
	each   func(Event) bool
	wanted bool // each has not said that it has enough
	dirty  map[string]bool
	shown  map[string]map[string]Machine // by name, then by id
	left   float64                       // events that may be told now
	filled time.Time
}

func newReport(each func(Event) bool) *report {
	return &report{
		each: each, wanted: true, left: burst, filled: time.Now(),
		dirty: map[string]bool{}, shown: map[string]map[string]Machine{},
	}
}

func (r *report) touch(name string) { r.dirty[name] = true }
func (r *report) waiting() bool     { return len(r.dirty) > 0 }

// flush tells the events that there are; machines are those of a name.
func (r *report) flush(now time.Time, machines func(name string) map[string]Machine) {
	r.left = min(burst, r.left+now.Sub(r.filled).Seconds()*perSecond)
	r.filled = now
	if r.left < 1 {
		return
	}
	for _, first := range []bool{true, false} { // what is new goes before what has changed
		for name := range r.dirty {
			if known := r.shown[name] != nil; known == first {
				continue
			}
			if !r.tell(name, machines(name)) {
				return
			}
			delete(r.dirty, name)
			if len(r.shown[name]) == 0 {
				delete(r.shown, name)
			}
		}
	}
}

// tell tells what is new of a name, and reports whether that was all.
func (r *report) tell(name string, now map[string]Machine) bool {
	if r.shown[name] == nil {
		r.shown[name] = map[string]Machine{}
	}
	shown := r.shown[name]
	for id, m := range shown {
		if _, still := now[id]; !still {
			if !r.event(Event{Gone, m}) {
				return false
			}
			delete(shown, id)
		}
	}
	for id, m := range now {
		before, was := shown[id]
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
		shown[id] = m
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
	return a.Host == b.Host && a.Port == b.Port && a.Pairing == b.Pairing && slices.Equal(a.Addresses, b.Addresses)
}
