package pairing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskconn/dconn/router/pairing/cpace"
)

func TestWindowExpires(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Length = 20 * time.Millisecond })
	code := h.code(t)
	if _, err := h.w.Result(); err != ErrExpired {
		t.Errorf("result %v", err)
	}
	if told := h.told(); len(told) != 2 || told[1] != (Expired{}) {
		t.Errorf("told %v", told)
	}
	if o := h.pair(t, newMachine(t), code); o.joined != ErrClosed || o.answered != ErrClosed {
		t.Errorf("joined %v, answered %v", o.joined, o.answered)
	}
}

func TestClosedWindowIsClosed(t *testing.T) {
	h := newHouse(t)
	select {
	case <-h.w.Done():
		t.Error("done before it was closed")
	default:
	}
	code := h.code(t)
	h.w.Close()
	h.w.Close()
	if _, err := h.w.Result(); err != ErrCanceled {
		t.Errorf("result %v", err)
	}
	if o := h.pair(t, newMachine(t), code); o.joined != ErrClosed {
		t.Errorf("joined %v", o.joined)
	}
}

// TestCloseBeforeTheTagRefusesUnseen closes the window while a right tag is on
// its way.
func TestCloseBeforeTheTagRefusesUnseen(t *testing.T) {
	h := newHouse(t)
	ca, cb := meet(t, newMachine(t), h.machine)
	wiretap(ca).send = func(n int, b []byte) ([]byte, bool) {
		if n == 2 {
			h.w.Close()
		}
		return b, true
	}
	if o := h.exchange(ca, cb, h.code(t)); o.joined != ErrRefused || o.answered != ErrRefused || h.grants() != 0 {
		t.Errorf("joined %v, answered %v, %d grants", o.joined, o.answered, h.grants())
	}
}

func TestReportMayCloseTheWindowAndComesOneAtATime(t *testing.T) {
	var h *house
	within := false
	h = newHouse(t, func(o *Options) {
		report := o.Report
		o.Report = func(r Report) {
			report(r)
			if within {
				t.Errorf("%v is told within another report", r)
			}
			within = true
			if _, ok := r.(Wrong); ok {
				h.w.Close()
			}
			within = false
		}
	})
	h.pair(t, newMachine(t), h.wrong(t))
	if _, err := h.w.Result(); err != ErrCanceled {
		t.Errorf("result %v", err)
	}
	if told := h.told(); len(told) != 3 { // the next code was due before
		t.Errorf("told %v", told)
	}
}

func TestGuessThatCannotBeCountedClosesTheWindow(t *testing.T) {
	h := newHouse(t)
	h.broken = errors.New("disk full")
	token := h.token(t)
	h.pair(t, newMachine(t), h.wrong(t))
	if _, err := h.w.Result(); !errors.Is(err, h.broken) {
		t.Errorf("result %v", err)
	}
	if o := h.pair(t, newMachine(t), token); o.joined != ErrClosed {
		t.Errorf("joined %v", o.joined)
	}
}

// TestGuessIsCountedBeforeItIsRefused holds the frame with the refusal back.
func TestGuessIsCountedBeforeItIsRefused(t *testing.T) {
	h := newHouse(t)
	ca, cb := meet(t, newMachine(t), h.machine)
	wiretap(cb).send = func(n int, b []byte) ([]byte, bool) {
		if n == 2 {
			if c, _ := h.Load(); c.Row != 1 {
				t.Errorf("counted %+v when %q goes out", c, b)
			}
		}
		return b, true
	}
	if o := h.exchange(ca, cb, h.wrong(t)); o.joined != ErrRefused {
		t.Errorf("joined %v", o.joined)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	h := newHouse(t)
	for want, change := range map[string]func(*Options){
		"at most 15m":     func(o *Options) { o.Length = 15*time.Minute + 1 },
		"Grant":           func(o *Options) { o.Grant = nil },
		"Counters":        func(o *Options) { o.Counters = nil },
		"needs a port":    func(o *Options) { o.Place.Port = 0 },
		"7 addresses":     func(o *Options) { o.Place.Addresses = make([]string, 7) },
		"address":         func(o *Options) { o.Place.Addresses = []string{strings.Repeat("a", 65)} },
		"scope":           func(o *Options) { o.Introduction.Scopes = []string{"a b"} },
		"65 scopes":       func(o *Options) { o.Introduction.Scopes = slices.Repeat([]string{"a"}, 65) },
		"limit is 4096":   func(o *Options) { o.Introduction.Scopes = slices.Repeat([]string{strings.Repeat("a", 200)}, 60) },
		"random bytes":    func(o *Options) { o.Rand = strings.NewReader("short") },
		"random bytes: ":  func(o *Options) { o.Rand = strings.NewReader(strings.Repeat("a", keyBytes)) },
		"at most 15m0s, ": func(o *Options) { o.Length = -1 },
	} {
		opts := h.options()
		change(&opts)
		if _, err := Open(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestCodesAreEightUniformDigits looks at the first digit and at leading zeros
// of a thousand codes.
func TestCodesAreEightUniformDigits(t *testing.T) {
	h := newHouse(t)
	seen := map[byte]int{}
	for range 1000 {
		h.w.due = nil
		if err := h.w.show(); err != nil {
			t.Fatal(err)
		}
		code := h.w.due[0].(Shown).Code
		var a, b int
		if n, err := fmt.Sscanf(code, "%4d-%4d", &a, &b); n != 2 || err != nil || len(code) != 9 {
			t.Fatalf("code %q", code)
		}
		seen[code[0]]++
	}
	for d := byte('0'); d <= '9'; d++ {
		if seen[d] < 50 || seen[d] > 170 {
			t.Errorf("%d of 1000 codes begin with %c", seen[d], d)
		}
	}
}

func TestOverdueExchangeIsNotJudged(t *testing.T) {
	h := newHouse(t)
	h.w.verify = func(*cpace.Tags, []byte) error {
		t.Error("judged")
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, by := range []string{byCode, byToken} {
		a, err := h.w.begin(by)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.w.judge(ctx, a); err != ErrRefused || h.grants() != 0 {
			t.Errorf("by %s: %v, %d grants", by, err, h.grants())
		}
	}
}
