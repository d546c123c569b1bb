package cpace

import (
	"bytes"
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// side is what one side brings to a run.
type side struct {
	prs, ci, sid string
	sees, sends  string // the other's AD as it arrived, the own one
}

func run(t *testing.T, a, b side) (ta, tb *Tags) {
	t.Helper()
	ea, eb := open(t, Initiator, a), open(t, Responder, b)
	ta, err := ea.Finish([]byte(a.sends), eb.Public(), []byte(a.sees))
	if err != nil {
		t.Fatal(err)
	}
	tb, err = eb.Finish([]byte(b.sends), ea.Public(), []byte(b.sees))
	if err != nil {
		t.Fatal(err)
	}
	return ta, tb
}

func open(t testing.TB, role Role, s side) *Exchange {
	t.Helper()
	e, err := Start(role, []byte(s.prs), []byte(s.ci), []byte(s.sid))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTagsAgreeOnlyWhereEverythingDoes(t *testing.T) {
	a := side{prs: "12345678", ci: "A and B", sid: "one", sends: "ada", sees: "adb"}
	b := side{prs: "12345678", ci: "A and B", sid: "one", sends: "adb", sees: "ada"}
	for name, change := range map[string]func(*side){
		"":              func(*side) {},
		"password":      func(s *side) { s.prs = "12345679" },
		"channel":       func(s *side) { s.ci = "A and C" },
		"session":       func(s *side) { s.sid = "two" },
		"what A said":   func(s *side) { s.sees = "adx" },
		"what B said":   func(s *side) { s.sends = "adx" },
		"field borders": func(s *side) { s.ci, s.sid = s.ci+"o", s.sid[1:] },
	} {
		other := b
		change(&other)
		ta, tb := run(t, a, other)
		for _, err := range []error{ta.Verify(tb.Own()), tb.Verify(ta.Own())} {
			if name == "" && err != nil || name != "" && !errors.Is(err, ErrTag) {
				t.Errorf("other %q: %v", name, err)
			}
		}
		if ta.Verify(ta.Own()) == nil || tb.Verify(tb.Own()) == nil {
			t.Errorf("other %q: a side takes its own tag", name)
		}
	}
}

func TestTwoOfOneRoleDoNotAgree(t *testing.T) {
	s := side{prs: "12345678", sid: "one"}
	a, b := open(t, Initiator, s), open(t, Initiator, s)
	ta, _ := a.Finish(nil, b.Public(), nil)
	tb, _ := b.Finish(nil, a.Public(), nil)
	if err := ta.Verify(tb.Own()); !errors.Is(err, ErrTag) {
		t.Errorf("two initiators: %v", err)
	}
}

func TestMisuseIsRefused(t *testing.T) {
	word := []byte("12345678")
	for name, err := range map[string]error{
		"no role":     second(Start(0, word, nil, word)),
		"no password": second(Start(Initiator, nil, nil, word)),
		"no session":  second(Start(Initiator, word, nil, nil)),
		"scalar":      second(start(make([]byte, 31), Initiator, word, nil, word)),
	} {
		if err == nil || strings.Contains(err.Error(), string(word)) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestUnusableSharesEndTheRun(t *testing.T) {
	s := side{prs: "12345678", sid: "one"}
	for name, theirs := range map[string]func(*Exchange) []byte{
		"none":      func(*Exchange) []byte { return nil },
		"short":     func(e *Exchange) []byte { return e.Public()[:31] },
		"long":      func(e *Exchange) []byte { return append(e.Public(), 0) },
		"zero":      func(*Exchange) []byte { return make([]byte, 32) },
		"reflected": func(e *Exchange) []byte { return e.Public() },
	} {
		e := open(t, Responder, s)
		if _, err := e.Finish(nil, theirs(e), nil); !errors.Is(err, ErrShare) {
			t.Errorf("%s: %v", name, err)
		}
		good := open(t, Initiator, s).Public()
		if _, err := e.Finish(nil, good, nil); err == nil {
			t.Errorf("%s: the run went on after it was aborted", name)
		}
	}
}

func TestVerifyRefusesTagsOfAnyOtherLength(t *testing.T) {
	s := side{prs: "12345678", sid: "one"}
	ta, tb := run(t, s, s)
	own := tb.Own()
	for _, bad := range [][]byte{nil, {}, own[:63], append(bytes.Clone(own), 0), make([]byte, 64)} {
		if err := ta.Verify(bad); !errors.Is(err, ErrTag) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

func TestGeneratorStringFillsTheFirstBlockWithThePassword(t *testing.T) {
	for _, n := range []int{1, 8, 22, 100, 117, 118, 119, 200} {
		text := generatorString(make([]byte, n), []byte("channel"), []byte("session"))
		if at := bytes.Index(text, []byte("channel")); at < blockBytes {
			t.Errorf("a password of %d bytes: the channel stands at %d", n, at)
		}
	}
}

// TestElligatorIsTheDraftsFormula follows the formula of the appendix with
// math/big, also for what is not below the prime or has bit 255 set.
func TestElligatorIsTheDraftsFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "r")
		if rapid.Bool().Draw(t, "near the prime") {
			r = bytes.Repeat([]byte{0xff}, 32)
			r[0], r[31] = rapid.Byte().Draw(t, "low"), rapid.SampledFrom([]byte{0x7f, 0xff}).Draw(t, "high")
		}
		if got, want := elligator2(r), formula(r); !bytes.Equal(got, want) {
			t.Fatalf("%x gives %x, the formula %x", r, got, want)
		}
	})
}

func formula(r []byte) []byte {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	a := big.NewInt(curveA)
	u := make([]byte, 32)
	for i := range r {
		u[31-i] = r[i]
	}
	u[0] &= 0x7f
	n := new(big.Int).SetBytes(u)
	n.Mul(n, n).Lsh(n, 1).Add(n, big.NewInt(1))
	v := n.ModInverse(n.Mod(n, p), p)
	v.Mul(v, a).Neg(v).Mod(v, p)
	right := new(big.Int).Mul(v, v)
	right.Add(right, new(big.Int).Mul(a, v)).Add(right, big.NewInt(1)).Mul(right, v).Mod(right, p)
	if big.Jacobi(right, p) < 0 {
		v.Neg(v).Sub(v, a).Mod(v, p)
	}
	v.FillBytes(u)
	for i := range 16 {
		u[i], u[31-i] = u[31-i], u[i]
	}
	return u
}

// BenchmarkSide is all that one side computes in a run.
func BenchmarkSide(b *testing.B) {
	s := side{prs: "12345678", ci: "A and B", sid: strings.Repeat("s", 77)}
	theirs := open(b, Responder, s).Public()
	b.ReportAllocs()
	for b.Loop() {
		e := open(b, Initiator, s)
		tags, err := e.Finish(nil, theirs, nil)
		if err != nil {
			b.Fatal(err)
		}
		_ = tags.Verify(tags.Own())
	}
}
