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
		if i > 0 && i%maxCodes == 0 {
			h.w.Close()
			h.open(t, clock)
		}
		now = noon.Add(time.Duration(i) * time.Minute)
		h.pair(t, a, h.wrong(t))
	}
	until := noon.Add(2 * time.Hour)
	told := h.told()
	over, ok := told[len(told)-1].(DigitsOver)
	lock, locked := over.Reason.(*LockedError)
	if !ok || !locked || !lock.Until.Equal(until) || lock.ForEver {
		t.Fatalf("told %v", told[len(told)-1])
	}
	if l, ok := told[len(told)-2].(*LockedError); !ok || *l != *lock {
		t.Errorf("told %v", told[len(told)-2])
	}
	h.w.Close()
	now = until.Add(-time.Second)
	h.open(t, clock)
	if s := h.shown(); s.Code != "" || s.Token == "" {
		t.Errorf("digits are shown while they are locked: %q", s.Code)
	}
	if o := h.pair(t, a, secret(t, "12345678")); !errors.Is(o.joined, ErrClosed) || h.c.Row != failuresPerHour {
		t.Errorf("digits are judged while they are locked: %v, counted %+v", o.joined, h.c)
	}
	if o := h.pair(t, a, h.token(t)); o.joined != nil || h.c.Row != failuresPerHour {
		t.Errorf("the token while the digits are locked: %v, counted %+v", o.joined, h.c)
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
		if lock, err := admit(store, noon.Add(later)); err != nil || lock == nil || !lock.ForEver {
			t.Errorf("%s later: %v, %v", later, lock, err)
		}
	}
	if err := Reset(store); err != nil {
		t.Fatal(err)
	}
	if lock, err := admit(store, noon); lock != nil || err != nil {
		t.Errorf("after the reset: %v, %v", lock, err)
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
	if lock, _ := admit(store, past); lock == nil {
		t.Error("a clock set back unlocks")
	}
	if lock, _ := admit(store, past.Add(2*time.Hour-time.Second)); lock == nil {
		t.Error("unlocked too early")
	}
	if lock, err := admit(store, past.Add(2*time.Hour)); lock != nil || err != nil {
		t.Errorf("still locked after two hours: %v, %v", lock, err)
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
			lock, err := admit(store, now)
			if err != nil || (lock != nil) != locked || locked && (lock.ForEver != forEver || !lock.Until.Equal(until)) {
				t.Fatalf("%s: %v, %v, the rules say %t until %s, for ever %t", now, lock, err, locked, until, forEver)
			}
			if n := len(store.c.Recent); n > failuresInARow {
				t.Fatalf("%d failures remembered", n)
			}
		}
	})
}
