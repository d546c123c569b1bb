package pairing

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"
)

// script is a connection whose other end says the same whatever it hears.
type script struct {
	io.Reader
	said bytes.Buffer
}

func (s *script) Write(b []byte) (int, error) { return s.said.Write(b) }
func (*script) SetDeadline(t time.Time) error { return nil }

func scripted(text []byte) (*Channel, *script) {
	s := &script{Reader: bytes.NewReader(text)}
	return &Channel{Conn: s, Own: ID{1}, Peer: ID{2}}, s
}

// FuzzJoin has B say anything: A does not panic, ends, and never joins.
func FuzzJoin(f *testing.F) {
	s, err := ParseSecret("12345678")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		c, _ := scripted(said)
		if _, err := Join(context.Background(), c, s, phone); err == nil {
			t.Errorf("joined by %q", said)
		}
	})
}

// FuzzAnswer has A say anything: B does not panic, ends, grants nothing, and
// says nothing but frames.
func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, said []byte) {
		h := &house{memory: &memory{}}
		h.open(t)
		c, answer := scripted(said)
		if err := h.w.Answer(context.Background(), c, "192.0.2.99"); err == nil || h.grants() != 0 {
			t.Errorf("let in by %q", said)
		}
		for out := answer.said.Bytes(); len(out) > 0; {
			n := 2 + int(binary.BigEndian.Uint16(out))
			if n > len(out) {
				t.Fatalf("answered %q", answer.said.Bytes())
			}
			out = out[n:]
		}
		if row := h.c.Row; row > 1 {
			t.Errorf("one exchange counts %d times", row)
		}
	})
}

// FuzzParseSecret takes any text: what is taken has one text, and no error
// repeats it.
func FuzzParseSecret(f *testing.F) {
	text, err := encodeToken(make([]byte, keyBytes), Place{Port: 5020, Addresses: []string{"192.0.2.7", "fe80::1"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("1234-5678")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSecret(text)
		if err != nil {
			if len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Errorf("%q is repeated by %q", text, err)
			}
			return
		}
		p, ok := s.Place()
		if !ok {
			return
		}
		again, err := encodeToken(s.prs[len("token:"):], p)
		if err != nil || again != strings.TrimSpace(text) {
			t.Errorf("%q is written %q, %v", text, again, err)
		}
	})
}
