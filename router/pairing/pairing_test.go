package pairing

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskconn/dconn/router/pairing/cpace"
)

func TestRightCodePairs(t *testing.T) {
	for name, pick := range map[string]func(*house, testing.TB) Secret{"code": (*house).code, "token": (*house).token} {
		h, a := newHouse(t), newMachine(t)
		o := h.pair(t, a, pick(h, t))
		if o.joined != nil || o.answered != nil {
			t.Fatalf("%s: joined %v, answered %v", name, o.joined, o.answered)
		}
		if !reflect.DeepEqual(o.said, h.options().Introduction) {
			t.Errorf("%s: the house said %+v", name, o.said)
		}
		p, err := h.w.Result()
		if want := (Paired{ID: a.id, Name: "phone"}); p != want || err != nil {
			t.Errorf("%s: result %v, %v", name, p, err)
		}
		if h.grants() != 1 || h.granted[0] != a.id {
			t.Errorf("%s: granted %x", name, h.granted)
		}
		if told := h.told(); len(told) != 2 || told[1] != Report(p) {
			t.Errorf("%s: told %v", name, told)
		}
	}
}

func TestWrongCodeIsRefusedAtBothEndsAndBurnsTheCode(t *testing.T) {
	h, a := newHouse(t), newMachine(t)
	first := h.code(t)
	o := h.pair(t, a, h.wrong(t))
	if !errors.Is(o.joined, ErrRefused) || !errors.Is(o.answered, ErrRefused) {
		t.Errorf("joined %v, answered %v", o.joined, o.answered)
	}
	told := h.told()
	if len(told) != 3 || told[1] != (Wrong{From: "192.0.2.99", Left: 2}) {
		t.Fatalf("told %v", told)
	}
	if h.c.Row != 1 || len(h.c.Recent) != 1 {
		t.Errorf("counted %+v", h.c)
	}
	if o := h.pair(t, a, first); !errors.Is(o.joined, ErrRefused) {
		t.Errorf("the burnt code: %v", o.joined)
	}
	if o := h.pair(t, a, h.code(t)); o.joined != nil || o.answered != nil {
		t.Errorf("the new code: %v, %v", o.joined, o.answered)
	}
	if h.c.Row != 0 || len(h.c.Recent) != 2 {
		t.Errorf("after the success: counted %+v", h.c)
	}
}

// TestThirdWrongCodeEndsTheDigits and not the window: a stranger who guesses keeps
// nobody from pairing by the token.
func TestThirdWrongCodeEndsTheDigits(t *testing.T) {
	h, a := newHouse(t), newMachine(t)
	token := h.token(t)
	for range maxCodes {
		h.pair(t, newMachine(t), h.wrong(t))
	}
	told := h.told()
	if last := told[len(told)-1]; last != (DigitsOver{ErrExhausted}) {
		t.Errorf("told %v", last)
	}
	if o := h.pair(t, a, h.code(t)); !errors.Is(o.joined, ErrClosed) || !errors.Is(o.answered, ErrClosed) {
		t.Errorf("the last code after that: %v, %v", o.joined, o.answered)
	}
	select {
	case <-h.w.Done():
		t.Fatal("the window has closed")
	default:
	}
	if o := h.pair(t, a, token); o.joined != nil || o.answered != nil {
		t.Errorf("the token after that: %v, %v", o.joined, o.answered)
	}
	if p, err := h.w.Result(); err != nil || p.ID != a.id {
		t.Errorf("result %v, %v", p, err)
	}
	if h.c.Row != maxCodes {
		t.Errorf("a token counts as a right code: %+v", h.c)
	}
}

// TestWindowWithoutDigitsExpires and says why nobody could type a code.
func TestWindowWithoutDigitsExpires(t *testing.T) {
	h := newHouse(t)
	for range maxCodes {
		h.pair(t, newMachine(t), h.wrong(t))
	}
	token := h.token(t)
	h.w.expire()
	if _, err := h.w.Result(); err != ErrExhausted {
		t.Errorf("result %v", err)
	}
	if o := h.pair(t, newMachine(t), token); !errors.Is(o.joined, ErrClosed) {
		t.Errorf("the token after that: %v", o.joined)
	}
}

// TestLateTagOfACodeIsNotJudged once the digits have ended: exchanges that began with
// the last code do not get another guess.
func TestLateTagOfACodeIsNotJudged(t *testing.T) {
	h := newHouse(t)
	for range maxCodes - 1 {
		h.pair(t, newMachine(t), h.wrong(t))
	}
	last, err := h.w.begin(byCode)
	if err != nil {
		t.Fatal(err)
	}
	h.pair(t, newMachine(t), h.wrong(t))
	h.w.verify = func(*cpace.Tags, []byte) error {
		t.Error("judged")
		return nil
	}
	if err := h.w.judge(context.Background(), last); err != ErrRefused || h.grants() != 0 {
		t.Errorf("%v, %d grants", err, h.grants())
	}
}

func TestWrongTokenBurnsNothing(t *testing.T) {
	h, a := newHouse(t), newMachine(t)
	s := h.token(t)
	wrong := tokenSecret(make([]byte, keyBytes), *s.place)
	for range maxCodes + 1 {
		if o := h.pair(t, a, wrong); !errors.Is(o.joined, ErrRefused) || !errors.Is(o.answered, ErrRefused) {
			t.Errorf("joined %v, answered %v", o.joined, o.answered)
		}
	}
	if h.saves != 0 || len(h.told()) != 1 {
		t.Errorf("saved %d times, told %v", h.saves, h.told())
	}
	if o := h.pair(t, a, s); o.joined != nil {
		t.Errorf("the right token: %v", o.joined)
	}
}

func TestTokenOfAnotherMachineSendsNothing(t *testing.T) {
	h, a := newHouse(t), newMachine(t)
	ca, _ := meet(t, a, newMachine(t))
	seen := wiretap(ca)
	if _, err := Join(context.Background(), ca, h.token(t), phone); err != ErrIdentity {
		t.Errorf("joined %v", err)
	}
	if len(seen.frames) != 0 {
		t.Errorf("sent %q", seen.frames)
	}
}

// TestRelayIsRefusedThoughBothTypeTheRightCode has somebody in between who ends
// TLS on both sides and passes on every frame.
func TestRelayIsRefusedThoughBothTypeTheRightCode(t *testing.T) {
	h, a, between := newHouse(t), newMachine(t), newMachine(t)
	s := h.code(t)
	ca, left := meet(t, a, between)
	right, cb := meet(t, between, h.machine)
	var passing sync.WaitGroup
	for _, way := range [][2]*Channel{{left, right}, {right, left}} {
		passing.Go(func() {
			_, _ = io.Copy(way[0].Conn, way[1].Conn)
			hangUp(way[0])
		})
	}
	o := h.exchange(ca, cb, s)
	passing.Wait()
	if !errors.Is(o.joined, ErrRefused) || !errors.Is(o.answered, ErrRefused) || h.grants() != 0 {
		t.Errorf("joined %v, answered %v, granted %d", o.joined, o.answered, h.grants())
	}
	if h.c.Row != 1 {
		t.Errorf("a relay is a guess, counted %+v", h.c)
	}
}

func TestSecondDeviceOfAWindowIsRefused(t *testing.T) {
	h, a, other := newHouse(t), newMachine(t), newMachine(t)
	code, token := h.code(t), h.token(t)
	if o := h.pair(t, a, code); o.joined != nil {
		t.Fatal(o.joined)
	}
	for _, s := range []Secret{code, token} {
		if o := h.pair(t, other, s); !errors.Is(o.joined, ErrClosed) {
			t.Errorf("joined %v", o.joined)
		}
	}
	if h.grants() != 1 {
		t.Errorf("granted %d", h.grants())
	}
}

func TestClosedAnswersWhereThereIsNoWindow(t *testing.T) {
	ca, cb := meet(t, newMachine(t), newMachine(t))
	answered := make(chan error, 1)
	go func() { answered <- Closed(context.Background(), cb) }()
	_, err := Join(context.Background(), ca, secret(t, "12345678"), phone)
	if err != ErrClosed {
		t.Errorf("joined %v", err)
	}
	if err := <-answered; err != nil {
		t.Errorf("answered %v", err)
	}
}

func TestGrantThatFailsIsNoGuess(t *testing.T) {
	h, a := newHouse(t), newMachine(t)
	h.refuses = errors.New("disk full")
	o := h.pair(t, a, h.code(t))
	if o.joined != ErrRefused || !errors.Is(o.answered, ErrRefused) || !strings.Contains(o.answered.Error(), "disk full") {
		t.Errorf("joined %v, answered %v", o.joined, o.answered)
	}
	if h.saves != 0 || len(h.told()) != 1 {
		t.Errorf("saved %d times, told %v", h.saves, h.told())
	}
	h.mu.Lock()
	h.refuses = nil
	h.mu.Unlock()
	if o := h.pair(t, a, h.code(t)); o.joined != nil {
		t.Errorf("the same code once Grant works: %v", o.joined)
	}
}

// TestParallelGuessesHaveOneGuessACode sends thirty wrong tags at once, all of
// exchanges that began with the first code.
func TestParallelGuessesHaveOneGuessACode(t *testing.T) {
	const n = 30
	h := newHouse(t)
	judged := 0 // under the window's lock
	h.w.verify = func(tags *cpace.Tags, tag []byte) error {
		judged++
		return tags.Verify(tag)
	}
	wrong := h.wrong(t)
	var ready, all sync.WaitGroup
	ready.Add(n)
	for range n {
		ca, cb := meet(t, newMachine(t), h.machine)
		wiretap(ca).send = func(frame int, b []byte) ([]byte, bool) {
			if frame == 2 { // the tag waits until everybody has one
				ready.Done()
				ready.Wait()
			}
			return b, true
		}
		all.Go(func() {
			if o := h.exchange(ca, cb, wrong); !errors.Is(o.joined, ErrRefused) || !errors.Is(o.answered, ErrRefused) {
				t.Errorf("joined %v, answered %v", o.joined, o.answered)
			}
		})
	}
	all.Wait()
	if judged != 1 || h.c.Row != 1 || len(h.told()) != 3 {
		t.Errorf("judged %d, counted %+v, told %v", judged, h.c, h.told())
	}
}

func TestSilentPeersAreLeftAtTheDeadline(t *testing.T) {
	h := newHouse(t)
	ca, cb := meet(t, newMachine(t), h.machine)
	da, db := meet(t, newMachine(t), h.machine)
	cb.Deadline, da.Deadline = 50*time.Millisecond, 50*time.Millisecond
	if err := h.w.Answer(context.Background(), cb, ""); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrRefused) {
		t.Errorf("answered %v", err)
	}
	if _, err := Join(context.Background(), da, h.code(t), phone); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrRefused) {
		t.Errorf("joined %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Join(ctx, ca, h.code(t), phone); !errors.Is(err, context.Canceled) {
		t.Errorf("joined when cancelled: %v", err)
	}
	if err := h.w.Answer(ctx, db, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("answered when cancelled: %v", err)
	}
	if h.saves != 0 {
		t.Error("silence was counted")
	}
}

// TestSecretsShowNowhere looks for the code, the token and its key in every
// frame, every error and every report but the one that shows them.
func TestSecretsShowNowhere(t *testing.T) {
	h, a := newHouse(t), newMachine(t)
	first, token := h.shown(), h.token(t)
	key := token.prs[len("token:"):]
	hidden := []string{
		first.Code, strings.ReplaceAll(first.Code, "-", ""), first.Token, string(key),
		fmt.Sprintf("%x", key), fmt.Sprint(key), base64.StdEncoding.EncodeToString(key),
	}
	var texts []string
	for _, s := range []Secret{h.wrong(t), h.code(t), tokenSecret(make([]byte, keyBytes), *token.place), token} {
		ca, cb := meet(t, a, h.machine)
		ta, tb := wiretap(ca), wiretap(cb)
		o := h.exchange(ca, cb, s)
		texts = append(texts, fmt.Sprintf("%v %v %+v", o.joined, o.answered, o.said))
		for _, frame := range append(ta.frames, tb.frames...) {
			texts = append(texts, string(frame))
		}
		texts = append(texts, fmt.Sprintf("%v %+v %#v %d %x %s", s, s, s, s, s, s))
		hidden = append(hidden, string(s.prs))
	}
	for _, r := range h.told() {
		if _, ok := r.(Shown); !ok {
			texts = append(texts, fmt.Sprintf("%+v", r))
		}
	}
	for _, bad := range []string{first.Code + "1", first.Token + "A", first.Token[:40], "x" + first.Code} {
		_, err := ParseSecret(bad)
		texts = append(texts, err.Error())
		hidden = append(hidden, bad)
	}
	for _, text := range texts {
		for _, s := range hidden {
			if strings.Contains(text, s) {
				t.Errorf("%q shows %q", text, s)
			}
		}
	}
}
