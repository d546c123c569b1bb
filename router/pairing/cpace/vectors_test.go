package cpace

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

// octets are bytes written in hexadecimal.
type octets []byte

func (o *octets) UnmarshalText(text []byte) (err error) {
	*o, err = hex.DecodeString(string(text))
	return err
}

type concatenation struct {
	Parts  []octets
	Result octets
}

func (c concatenation) bytes() [][]byte {
	var parts [][]byte
	for _, p := range c.Parts {
		parts = append(parts, p)
	}
	return parts
}

// vectors are those of draft-irtf-cfrg-cpace-21 for G_X25519 and SHA-512.
type vectors struct {
	LVCat        []concatenation `json:"lv_cat"`
	TranscriptIR []concatenation `json:"transcript_ir"`
	Run          struct {
		PRS, CI, SID    octets
		GeneratorString octets `json:"generator_string"`
		Hash, Field, G  octets
		ScalarA         octets `json:"ya"`
		ShareA          octets `json:"Ya"`
		ScalarB         octets `json:"yb"`
		ShareB          octets `json:"Yb"`
		ADa, ADb, K     octets
		ISKIR           octets `json:"ISK_IR"`
		ISKSY           octets `json:"ISK_SY"`
		SidOutputIR     octets `json:"sid_output_ir"`
		SidOutputOC     octets `json:"sid_output_oc"`
	}
	LowOrder struct {
		S      octets
		Points []struct {
			U, Q  octets
			Abort bool
		}
	} `json:"low_order"`
}

func load(t testing.TB) vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/draft21.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if len(want) == 0 {
		t.Errorf("%s: the vector is missing", what)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is %x, the draft has %x", what, got, want)
	}
}

func TestStringsAreTheDraftsStrings(t *testing.T) {
	v := load(t)
	for _, c := range v.LVCat {
		same(t, "lv_cat", LVCat(c.bytes()...), c.Result)
	}
	for _, c := range v.TranscriptIR {
		p := c.bytes()
		same(t, "transcript_ir", transcript(p[0], p[1], p[2], p[3]), c.Result)
	}
	if len(v.LVCat) != 5 || len(v.TranscriptIR) != 2 {
		t.Errorf("%d and %d vectors, the draft has 5 and 2", len(v.LVCat), len(v.TranscriptIR))
	}
}

func TestGeneratorIsTheDraftsGenerator(t *testing.T) {
	r := load(t).Run
	text := generatorString(r.PRS, r.CI, r.SID)
	same(t, "generator_string", text, r.GeneratorString)
	hash := sha512.Sum512(text)
	same(t, "hash", hash[:32], r.Hash)
	same(t, "g from the hash", elligator2(r.Hash), r.G)
	same(t, "g from the field element", elligator2(r.Field), r.G)
	same(t, "g", generator(r.PRS, r.CI, r.SID), r.G)
}

func TestRunIsTheDraftsRun(t *testing.T) {
	r := load(t).Run
	a := begin(t, r.ScalarA, Initiator, r.PRS, r.CI, r.SID)
	b := begin(t, r.ScalarB, Responder, r.PRS, r.CI, r.SID)
	same(t, "Ya", a.Public(), r.ShareA)
	same(t, "Yb", b.Public(), r.ShareB)
	for _, side := range []struct {
		own    *Exchange
		theirs octets
	}{{a, r.ShareB}, {b, r.ShareA}} {
		k, err := multiply(side.own.scalar, side.theirs)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "K", k, r.K)
	}
	ir := transcript(r.ShareA, r.ADa, r.ShareB, r.ADb)
	same(t, "ISK_IR", sessionKey(r.SID, r.K, ir), r.ISKIR)
	sid := sha512.Sum512(append([]byte("CPaceSidOutput"), ir...))
	same(t, "sid_output_ir", sid[:], r.SidOutputIR)

	// the other setting is not ours, but it checks the same functions
	oc := append([]byte("oc"), LVCat(r.ShareB, r.ADb, r.ShareA, r.ADa)...)
	same(t, "ISK_SY", sessionKey(r.SID, r.K, oc), r.ISKSY)
	sid = sha512.Sum512(append([]byte("CPaceSidOutput"), oc...))
	same(t, "sid_output_oc", sid[:], r.SidOutputOC)

	// the draft has no vector for the tags: its text is followed once more
	ta, err := a.Finish(r.ADa, r.ShareB, r.ADb)
	if err != nil {
		t.Fatal(err)
	}
	key := sha512.Sum512(bytes.Join([][]byte{[]byte("CPaceMac"), r.SID, r.ISKIR}, nil))
	same(t, "Ta", ta.Own(), tag(key[:], LVCat(r.ShareA, r.ADa)))
	if err := ta.Verify(tag(key[:], LVCat(r.ShareB, r.ADb))); err != nil {
		t.Error(err)
	}
}

func TestLowOrderPointsAbort(t *testing.T) {
	v := load(t)
	if len(v.LowOrder.Points) != 12 {
		t.Fatalf("%d points, the draft has 12", len(v.LowOrder.Points))
	}
	s, err := ecdh.X25519().NewPrivateKey(v.LowOrder.S)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range v.LowOrder.Points {
		q, err := multiply(s, p.U)
		if p.Abort != (err != nil) || p.Abort != bytes.Equal(p.Q, make([]byte, 32)) {
			t.Errorf("u%x: error %v", i, err)
		}
		if !p.Abort {
			same(t, "q", q, p.Q)
		}
		for _, role := range []Role{Initiator, Responder} {
			e := begin(t, v.LowOrder.S, role, v.Run.PRS, v.Run.CI, v.Run.SID)
			_, err := e.Finish(nil, p.U, nil)
			if p.Abort != errors.Is(err, ErrShare) {
				t.Errorf("u%x as a share: error %v", i, err)
			}
		}
	}
}

func begin(t testing.TB, scalar []byte, role Role, prs, ci, sid []byte) *Exchange {
	t.Helper()
	e, err := start(scalar, role, prs, ci, sid)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
