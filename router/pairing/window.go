package pairing

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"
	"time"

	"github.com/deskconn/dconn/router/pairing/cpace"
)

const (
	defaultLength = 120 * time.Second
	maxLength     = 15 * time.Minute
	maxCodes      = 3
)

// Why nobody was paired in a window; LockedError is another reason.
var (
	ErrExpired   = errors.New("the pairing window has expired")
	ErrExhausted = fmt.Errorf("no digits are taken after %d wrong codes", maxCodes)
	ErrCanceled  = errors.New("the pairing window was closed")
)

// Options say how a window is opened. Introduction, Place, Grant and Counters
// are needed.
type Options struct {
	Length       time.Duration // 0 is 120 s, the limit is 15 min
	Introduction Introduction  // of this machine, with the scopes it gives
	Place        Place         // of this machine, for the token

	// Grant writes the new device down, durably, and may refuse. It is called
	// for one device, before that device is told, and must not use the window.
	Grant    func(peer ID, name string) error
	Counters CounterStore
	Report   func(Report) // one at a time; nil is nobody

	Rand io.Reader        // of codes, tokens and nonces; nil is crypto/rand
	Now  func() time.Time // for the lock, by the wall clock; nil is time.Now
}

func (o *Options) complete() error {
	if o.Length == 0 {
		o.Length = defaultLength
	}
	if o.Length < 0 || o.Length > maxLength {
		return fmt.Errorf("a pairing window is open for at most %s, got %s", maxLength, o.Length)
	}
	if o.Grant == nil || o.Counters == nil {
		return errors.New("a pairing window needs Grant and Counters")
	}
	if o.Report == nil {
		o.Report = func(Report) {}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Window is the time in which this machine lets another in. One is open at a
// time. Any number of exchanges may run in it, but a code is compared once.
type Window struct {
	opts   Options
	ad     []byte // the own introduction
	token  Secret
	text   string // of the token
	closes time.Time
	verify func(*cpace.Tags, []byte) error // Tags.Verify, counted in tests
	done   chan struct{}

	mu     sync.Mutex // also held while a tag is judged
	code   Secret
	codes  int   // shown so far
	over   error // why no digits are taken any more; nil while they are
	timer  *time.Timer
	ended  bool
	paired Paired
	err    error // why it ended, if not by a pairing

	due     []Report
	telling bool
	told    bool // done is closed
}

// Open opens a window and reports its first code. Where too many wrong codes were
// tried before, the window takes its token only: nobody guesses 128 bits.
func Open(opts Options) (*Window, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	lock, err := admit(opts.Counters, opts.now())
	if err != nil {
		return nil, err
	}
	w := &Window{
		opts: opts, closes: time.Now().Add(opts.Length),
		verify: (*cpace.Tags).Verify, done: make(chan struct{}),
	}
	if w.ad, err = opts.Introduction.encode(); err != nil {
		return nil, err
	}
	key := make([]byte, keyBytes)
	if _, err := io.ReadFull(opts.Rand, key); err != nil {
		return nil, fmt.Errorf("random bytes: %v", err)
	}
	if w.text, err = encodeToken(key, opts.Place); err != nil {
		return nil, err
	}
	w.token = tokenSecret(key, opts.Place)
	if lock != nil {
		w.due = append(w.due, w.shown(""))
		w.endDigits(lock)
	} else if err := w.show(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.timer = time.AfterFunc(opts.Length, w.expire)
	w.mu.Unlock()
	w.tell()
	return w, nil
}

// now is without a monotonic clock, which does not survive a restart.
func (o *Options) now() time.Time { return o.Now().Round(0) }

// show replaces the code. w.mu is held, or nobody has w yet.
func (w *Window) show() error {
	n, err := rand.Int(w.opts.Rand, big.NewInt(1e8)) // uniform
	if err != nil {
		return fmt.Errorf("random bytes: %v", err)
	}
	digits := fmt.Sprintf("%0*d", codeDigits, n)
	w.code = codeSecret(digits)
	w.codes++
	w.due = append(w.due, w.shown(digits[:4]+"-"+digits[4:]))
	return nil
}

func (w *Window) shown(code string) Shown {
	return Shown{Code: code, Token: w.text, Left: time.Until(w.closes).Round(time.Second)}
}

// endDigits has the window take its token only. w.mu is held, or nobody has w yet.
func (w *Window) endDigits(reason error) {
	w.over = reason
	w.due = append(w.due, DigitsOver{reason})
}

// begin lets an exchange in.
func (w *Window) begin(by string) (*attempt, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || by == byCode && w.over != nil {
		return nil, ErrClosed
	}
	t := &attempt{secret: w.code, codes: w.codes}
	if by == byToken {
		t.secret = w.token
	}
	return t, nil
}

// judge compares the peer's tag and grants if it is right. Exchanges come here
// one by one: whoever finds its code burnt or the window closed is refused
// unseen, so that any number of connections have one guess a code.
func (w *Window) judge(ctx context.Context, t *attempt) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	stale := t.secret.by == byCode && (t.codes != w.codes || w.over != nil)
	if w.ended || stale || ctx.Err() != nil {
		return ErrRefused
	}
	if w.verify(t.tags, t.tag) != nil {
		if t.secret.by == byCode { // nobody guesses 128 bits
			w.burn(t.from)
		}
		return ErrRefused
	}
	if err := w.opts.Grant(t.peer, t.name); err != nil {
		return fmt.Errorf("grant: %v", err)
	}
	if t.secret.by == byCode {
		// best effort: a row that does not end errs on the safe side
		_ = countSuccess(w.opts.Counters, w.opts.now())
	}
	w.paired = Paired{ID: t.peer, Name: t.name}
	w.due = append(w.due, w.paired)
	w.end(nil)
	return nil
}

// burn counts a wrong code and shows another one, or ends the digits. w.mu is held.
func (w *Window) burn(from string) {
	now := w.opts.now()
	count, err := countFailure(w.opts.Counters, now)
	w.due = append(w.due, Wrong{From: from, Left: maxCodes - w.codes})
	lock := count.locked(now)
	switch {
	case err != nil: // a guess that is not counted would be free
		w.end(err)
	case lock != nil:
		w.due = append(w.due, lock)
		w.endDigits(lock)
	case w.codes == maxCodes:
		w.endDigits(ErrExhausted)
	default:
		if err := w.show(); err != nil {
			w.end(err)
		}
	}
}

// end closes the window, once. w.mu is held.
func (w *Window) end(err error) {
	w.ended, w.err = true, err
	w.timer.Stop()
}

func (w *Window) expire() {
	w.mu.Lock()
	if !w.ended {
		w.due = append(w.due, Expired{})
		w.end(cmp.Or(w.over, ErrExpired))
	}
	w.mu.Unlock()
	w.tell()
}

// Close closes the window. A device that has been granted stays so.
func (w *Window) Close() {
	w.mu.Lock()
	if !w.ended {
		w.end(ErrCanceled)
	}
	w.mu.Unlock()
	w.tell()
}

// Done is closed when the window has ended and the last report was given.
func (w *Window) Done() <-chan struct{} { return w.done }

// Result waits for the end of the window and says who is paired, or why nobody
// is: ErrExpired, ErrCanceled, or what went wrong here. For a window that expired
// after its digits had ended, the reason of that: ErrExhausted or a *LockedError.
func (w *Window) Result() (Paired, error) {
	<-w.done
	return w.paired, w.err
}
