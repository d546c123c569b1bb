package pairing

import (
	"fmt"
	"slices"
	"time"
)

const (
	failuresPerHour = 10
	failuresInARow  = 20
	// remembered is until when a failure can matter: an hour in which it counts
	// and, if it was the first of ten, an hour of lock after that.
	remembered = 2 * time.Hour
)

// Counters are the wrong codes that count against the next. Windows come and
// go, these stay, over a restart too.
type Counters struct {
	Recent []time.Time // wrong codes of the last two hours, the oldest first
	Row    int         // wrong codes since the last that was right; a token is no code
}

// CounterStore keeps the counters. Save returns once they are durable.
type CounterStore interface {
	Load() (Counters, error)
	Save(Counters) error
}

// Reset forgets all wrong codes: what the owner does on the machine itself when the
// digits are locked.
func Reset(store CounterStore) error { return store.Save(Counters{}) }

// LockedError says that there were too many wrong codes.
type LockedError struct {
	Until   time.Time // zero if ForEver
	ForEver bool      // until Reset
}

func (e *LockedError) Error() string {
	if e.ForEver {
		return fmt.Sprintf("pairing by digits is locked after %d wrong codes in a row, until it is reset on this machine", failuresInARow)
	}
	return fmt.Sprintf("pairing by digits is locked after %d wrong codes in an hour, until %s", failuresPerHour, e.Until.Local().Format("15:04"))
}

// at is what still matters at a time. A clock that has been set back must not
// lock for longer than a failure of this moment would.
func (c Counters) at(now time.Time) Counters {
	var recent []time.Time
	for _, t := range c.Recent {
		if t.After(now) {
			t = now
		}
		if now.Sub(t) < remembered {
			recent = append(recent, t)
		}
	}
	slices.SortFunc(recent, time.Time.Compare)
	return Counters{Recent: recent, Row: c.Row}
}

// locked is nil if another code may be tried at a time. Ten failures within an
// hour lock until an hour after the first of them has left that hour.
func (c Counters) locked(now time.Time) *LockedError {
	if c.Row >= failuresInARow {
		return &LockedError{ForEver: true}
	}
	var lock *LockedError
	for i := range max(0, len(c.Recent)-failuresPerHour+1) {
		first, last := c.Recent[i], c.Recent[i+failuresPerHour-1]
		if until := first.Add(remembered); last.Sub(first) < time.Hour && now.Before(until) {
			lock = &LockedError{Until: until}
		}
	}
	return lock
}

// admit loads the counters for a new window, and says whether they lock its digits:
// nil if they do not.
func admit(store CounterStore, now time.Time) (*LockedError, error) {
	c, err := store.Load()
	if err != nil {
		return nil, fmt.Errorf("pairing counters: %w", err)
	}
	old, c := c, c.at(now)
	if slices.ContainsFunc(old.Recent, now.Before) { // else the lock would move on with every look at it
		if err := store.Save(c); err != nil {
			return nil, fmt.Errorf("pairing counters: %w", err)
		}
	}
	return c.locked(now), nil
}

// countFailure returns the counters after one more wrong code, once they are
// durable.
func countFailure(store CounterStore, now time.Time) (Counters, error) {
	c, err := store.Load()
	if err == nil {
		c = c.at(now)
		c.Recent = append(c.Recent, now)
		c.Row++
		err = store.Save(c)
	}
	if err != nil {
		return c, fmt.Errorf("pairing counters: %w", err)
	}
	return c, nil
}

// countSuccess ends the row.
func countSuccess(store CounterStore, now time.Time) error {
	c, err := store.Load()
	if err != nil || c.Row == 0 {
		return err
	}
	c = c.at(now)
	c.Row = 0
	return store.Save(c)
}
