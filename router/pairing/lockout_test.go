package pairing

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestTenWrongCodesAnHourLockOverReopening goes through the wire for each, with
// a store that outlives the windows.
func TestTenWrongCodesAnHourLockOverReopening(t *testing.T) {
	now := noon
	clock := func(o *Options) { o.Now = func() time.Time { return now } }
	h, a := newHouse(t, clock), newMachine(t)
	for i := range failuresPerHour {
		select {
		case <-h.w.Done():
			h.open(t, clock)
		default:
		}
		now = noon.Add(time.Duration(i) * time.Minute)
		h.pair(t, a, h.wrong(t))
	}
	until := noon.Add(2 * time.Hour)
	var lock *LockedError
	if _, err := h.w.Result(); !errors.As(err, &lock) || !lock.Until.Equal(until) || lock.ForEver {
		t.Errorf("result %v", err)
	}
	told := h.told()
	if l, ok := told[len(told)-1].(*LockedError); !ok || *l != *lock {
		t.Errorf("told %v", told[len(told)-1])
	}
	opts := h.options()
	clock(&opts)
	now = until.Add(-time.Second)
	if _, err := Open(opts); !errors.As(err, &lock) || !lock.Until.Equal(until) {
		t.Errorf("opened while locked: %v", err)
	}
	now = until
	h.open(t, clock)
	if o := h.pair(t, a, h.code(t)); o.joined != nil || h.c.Row != 0 {
		t.Errorf("after the lock: %v, counted %+v", o.joined, h.c)
	}
}

func TestTwentyInARowLockUntilReset(t *testing.T) {
	store := &memory{c: Counters{Row: failuresInARow - 1}}
	c, err := countFailure(store, noon)
	if err != nil || c.locked(noon) == nil || !c.locked(noon).ForEver {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, later := range []time.Duration{0, time.Hour, 1000 * time.Hour} {
		var lock *LockedError
		if err := admit(store, noon.Add(later)); !errors.As(err, &lock) || !lock.ForEver {
			t.Errorf("%s later: %v", later, err)
		}
	}
	if err := Reset(store); err != nil {
		t.Fatal(err)
	}
	if err := admit(store, noon); err != nil {
		t.Errorf("after the reset: %v", err)
	}
}

func TestLockSaysUntilWhen(t *testing.T) {
	for want, lock := range map[string]*LockedError{
		"in an hour, until " + noon.Local().Format("15:04"): {Until: noon},
		"in a row, until it is reset on this machine":       {ForEver: true},
	} {
		if !strings.HasSuffix(lock.Error(), want) {
			t.Errorf("%q does not end with %q", lock, want)
		}
	}
}

func TestClockSetBackDoesNotProlongTheLock(t *testing.T) {
	store := &memory{}
	for range failuresPerHour {
		if _, err := countFailure(store, noon); err != nil {
			t.Fatal(err)
		}
	}
	past := noon.AddDate(-1, 0, 0)
	if err := admit(store, past); err == nil {
		t.Error("a clock set back unlocks")
	}
	if err := admit(store, past.Add(2*time.Hour-time.Second)); err == nil {
		t.Error("unlocked too early")
	}
	if err := admit(store, past.Add(2*time.Hour)); err != nil {
		t.Errorf("still locked after two hours: %v", err)
	}
}

// history is the lock as the rules have it, with every failure kept.
type history struct {
	failures []time.Time
	row      int
}

func (h history) locked(now time.Time) (until time.Time, forEver, locked bool) {
	if h.row >= 20 {
		return until, true, true
	}
	for i := range h.failures {
		within := 0
		for _, f := range h.failures[i:] {
			if f.Before(h.failures[i].Add(time.Hour)) {
				within++
			}
		}
		if end := h.failures[i].Add(2 * time.Hour); within >= 10 && now.Before(end) {
			until, locked = end, true
		}
	}
	return until, false, locked
}

// TestLockFollowsTheRules compares the counters with the rules over any course
// of failures, successes, restarts and time.
func TestLockFollowsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, now := &memory{}, noon
		var rules history
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"wrong", "wrong", "wrong", "wrong", "wait", "right"}).Draw(t, "step") {
			case "wrong":
				if _, _, locked := rules.locked(now); !locked {
					if _, err := countFailure(store, now); err != nil {
						t.Fatal(err)
					}
					rules.failures = append(rules.failures, now)
					rules.row++
				}
			case "right":
				if _, _, locked := rules.locked(now); !locked {
					if err := countSuccess(store, now); err != nil {
						t.Fatal(err)
					}
					rules.row = 0
				}
			case "wait":
				now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes")) * time.Minute)
			}
			until, forEver, locked := rules.locked(now)
			err := admit(store, now)
			var lock *LockedError
			if errors.As(err, &lock) != locked || locked && (lock.ForEver != forEver || !lock.Until.Equal(until)) {
				t.Fatalf("%s: %v, the rules say %t until %s, for ever %t", now, err, locked, until, forEver)
			}
			if n := len(store.c.Recent); n > failuresInARow {
				t.Fatalf("%d failures remembered", n)
			}
		}
	})
}
