package router

import "time"

const (
	// sayEvery is how rarely a log has a line about one thing: whoever makes it
	// happen may come back at once, and bring a crowd.
	sayEvery = 10 * time.Second
	// maxSaid is how many things are kept in mind.
	maxSaid = 256
)

// fold makes one line of what happens again and again.
type fold[K comparable] struct{ said map[K]said }

// said is when there last was a line about something, and how often it happened
// since then.
type said struct {
	at    time.Time
	since int
}

// note says whether a line about what happened now is due, and how often it did.
func (f *fold[K]) note(what K, now time.Time) (times int, due bool) {
	if f.said == nil || len(f.said) >= maxSaid {
		f.said = map[K]said{}
	}
	s := f.said[what]
	times = s.since + 1
	if due = now.Sub(s.at) >= sayEvery; due {
		s = said{at: now}
	} else {
		s.since = times
	}
	f.said[what] = s
	return times, due
}
