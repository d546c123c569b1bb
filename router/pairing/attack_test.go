package pairing

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/deskconn/dconn/router/pairing/cpace"
)

// TestCutsLeaveBothSidesInStep hangs up before, within and after each of the six
// messages. A joins only where B has granted, B counts no guess, and unless it
// has granted the same code still pairs.
func TestCutsLeaveBothSidesInStep(t *testing.T) {
	h := newHouse(t)
	for message := range 6 {
		for _, part := range []int{0, 1, 2, 3, 50, 99, 100} { // per cent, but the first three
			t.Run(fmt.Sprintf("message %d at %d", message+1, part), func(t *testing.T) {
				if h.grants() != 0 {
					h.open(t)
					h.granted = nil
				}
				cutAt(t, h, message, part)
			})
		}
	}
	if h.saves != 0 {
		t.Errorf("a cut was counted: %+v", h.c)
	}
}

func cutAt(t *testing.T, h *house, message, part int) {
	ca, cb := meet(t, newMachine(t), h.machine)
	sides := []*Channel{ca, cb}
	wiretap(sides[message%2]).send = func(n int, frame []byte) ([]byte, bool) {
		if n != message/2 {
			return frame, true
		}
		keep := part
		if part > 2 {
			keep = len(frame) * part / 100
		}
		return frame[:keep], false
	}
	o := h.exchange(ca, cb, h.code(t))
	if joined := o.joined == nil; joined && h.grants() != 1 {
		t.Errorf("joined, but %d grants", h.grants())
	} else if whole := message == 5 && part == 100; joined != whole {
		t.Errorf("joined: %v", o.joined)
	}
	if want := message == 5 || message == 4 && part == 100; want != (h.grants() == 1) {
		t.Errorf("%d grants", h.grants())
	}
	if h.grants() == 0 {
		if o := h.pair(t, newMachine(t), h.code(t)); o.joined != nil {
			t.Errorf("the code does not pair any more: %v", o.joined)
		}
	} else if p, err := h.w.Result(); err != nil || p.ID != ca.Own {
		t.Errorf("granted, but the result is %v, %v", p, err)
	}
}

// TestReplayedExchangeIsRefused lets an eavesdropper who has all of A, and a
// house that shows the same code with the same nonce, say it all again.
func TestReplayedExchangeIsRefused(t *testing.T) {
	same := func(o *Options) { o.Rand = zeros{} }
	h, a := newHouse(t, same), newMachine(t)
	ca, cb := meet(t, a, h.machine)
	recorded := wiretap(ca)
	if o := h.exchange(ca, cb, h.code(t)); o.joined != nil {
		t.Fatal(o.joined)
	}
	h.granted = nil
	h.open(t, same)
	ra, rb := meet(t, a, h.machine)
	answered := make(chan error, 1)
	go func() { answered <- h.w.Answer(context.Background(), rb, "") }()
	for _, frame := range recorded.frames {
		if _, err := ra.Conn.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-answered; !errors.Is(err, ErrRefused) || h.grants() != 0 {
		t.Errorf("answered %v, %d grants", err, h.grants())
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestHouseThatDoesNotKnowTheCode plays B against Join without the code.
func TestHouseThatDoesNotKnowTheCode(t *testing.T) {
	ad, err := Introduction{Name: "kitchen"}.encode()
	if err != nil {
		t.Fatal(err)
	}
	other := secret(t, "87654321")
	for name, play := range map[string]func(*Channel) error{
		"reflects everything": func(c *Channel) error {
			_, err := io.Copy(c.Conn, c.Conn)
			return err
		},
		"reflects nonce and share": func(c *Channel) error {
			h, err := c.awaitHello()
			var s share
			return errors.Join(err, c.send(welcome{Nonce: h.Nonce}), c.receive(&s), c.send(s))
		},
		"reflects the tag": func(c *Channel) error {
			return imposter(c, other, ad, func(_ *cpace.Tags, heard []byte) any { return proof{Tag: heard} })
		},
		"guesses": func(c *Channel) error {
			return imposter(c, other, ad, func(own *cpace.Tags, _ []byte) any { return proof{Tag: own.Own()} })
		},
		"sends no tag": func(c *Channel) error {
			return imposter(c, other, ad, func(*cpace.Tags, []byte) any { return proof{} })
		},
		"says again what it said": func(c *Channel) error {
			return imposter(c, other, ad, func(*cpace.Tags, []byte) any { return share{Y: make([]byte, 32), AD: ad} })
		},
		"share before nonce": func(c *Channel) error {
			_, err := c.awaitHello()
			return errors.Join(err, c.send(share{Y: bytes.Repeat([]byte{9}, 32), AD: ad}))
		},
		"tag before share": func(c *Channel) error {
			h, err := c.awaitHello()
			var s share
			return errors.Join(err, c.send(welcome{Nonce: h.Nonce}), c.receive(&s), c.send(proof{Tag: make([]byte, 64)}))
		},
		"share of low order": func(c *Channel) error {
			h, err := c.awaitHello()
			var s share
			return errors.Join(err, c.send(welcome{Nonce: h.Nonce}), c.receive(&s), c.send(share{Y: make([]byte, 32), AD: ad}))
		},
		"short nonce": func(c *Channel) error {
			h, err := c.awaitHello()
			return errors.Join(err, c.send(welcome{Nonce: h.Nonce[:15]}))
		},
		"scopes for a terminal": func(c *Channel) error {
			return imposter(c, other, []byte(`{"name":"k","scopes":["\u001b[2J"]}`), nil)
		},
	} {
		ca, cb := meet(t, newMachine(t), newMachine(t))
		played := make(chan error, 1)
		go func() {
			played <- play(cb)
			hangUp(cb)
		}()
		if _, err := Join(context.Background(), ca, secret(t, "12345678"), phone); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: joined %v", name, err)
		}
		hangUp(ca)
		<-played
	}
}

// imposter runs the protocol with a code of its own up to the last message.
func imposter(c *Channel, s Secret, ad []byte, last func(own *cpace.Tags, heard []byte) any) error {
	h, err := c.awaitHello()
	if err != nil {
		return err
	}
	nonce := make([]byte, nonceBytes)
	run, err := c.start(cpace.Responder, s, h.Nonce, nonce)
	if err != nil {
		return err
	}
	var said share
	if err := errors.Join(c.send(welcome{Nonce: nonce}), c.receive(&said)); err != nil {
		return err
	}
	tags, err := run.Finish(ad, said.Y, said.AD)
	if err != nil {
		return err
	}
	var p proof
	if err := errors.Join(c.send(share{Y: run.Public(), AD: ad}), c.receive(&p)); err != nil {
		return err
	}
	return c.send(last(tags, p.Tag))
}

// TestMalformedMessagesAreRefusedUncounted sends each to B as the message in its
// turn, after good ones.
func TestMalformedMessagesAreRefusedUncounted(t *testing.T) {
	h := newHouse(t)
	nonce := `"AAAAAAAAAAAAAAAAAAAAAA=="`
	good := `{"v":1,"nonce":` + nonce + `,"by":"code"}`
	y := `"` + strings.Repeat("A", 42) + `k="`
	phone := `{"y":` + y + `,"ad":"eyJuYW1lIjoiYSJ9"}`
	for name, texts := range map[string][]string{
		"nothing":          {""},
		"no JSON":          {"hello"},
		"null":             {"null"},
		"other version":    {`{"v":2,"nonce":` + nonce + `,"by":"code"}`},
		"other means":      {`{"v":1,"nonce":` + nonce + `,"by":"hope"}`},
		"short nonce":      {`{"v":1,"nonce":"AAAA","by":"code"}`},
		"no nonce":         {`{"v":1,"nonce":null,"by":"code"}`},
		"unknown field":    {strings.Replace(good, "}", `,"x":1}`, 1)},
		"repeated field":   {strings.Replace(good, "{", `{"v":1,`, 1)},
		"other case":       {strings.Replace(good, "by", "BY", 1)},
		"other order":      {`{"nonce":` + nonce + `,"v":1,"by":"code"}`},
		"space":            {strings.Replace(good, ",", ", ", 1)},
		"trailing data":    {good + "{}"},
		"loose base64":     {strings.Replace(good, "A==", "B==", 1)},
		"too long":         {`{"v":1,"nonce":"` + strings.Repeat("A", maxFrame) + `","by":"code"}`},
		"hello again":      {good, good},
		"share without ad": {good, `{"y":` + y + `}`},
		"ad is no JSON":    {good, `{"y":` + y + `,"ad":"AAAA"}`},
		"low order":        {good, strings.Replace(phone, "k=", "A=", 1)},
		"short share":      {good, `{"y":"AAAA","ad":"eyJuYW1lIjoiYSJ9"}`},
		"no tag":           {good, phone, `{}`},
		"short tag":        {good, phone, `{"tag":"AAAA"}`},
		"share for a tag":  {good, phone, phone},
	} {
		ca, cb := meet(t, newMachine(t), h.machine)
		answered := make(chan error, 1)
		go func() { answered <- h.w.Answer(context.Background(), cb, "") }()
		for i, text := range texts {
			_, _ = ca.Conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...))
			var reply struct {
				welcome
				Y   []byte `json:"y,omitempty"`
				AD  []byte `json:"ad,omitempty"`
				Tag []byte `json:"tag,omitempty"`
			}
			err := ca.receive(&reply)
			if last := i == len(texts)-1; err != nil && err != errMalformed || last != (reply.Refused == refusedFailed) {
				t.Errorf("%s: message %d: answer %+v, %v", name, i+1, reply, err)
			}
		}
		if err := <-answered; !errors.Is(err, ErrRefused) {
			t.Errorf("%s: answered %v", name, err)
		}
	}
	if h.saves != 0 || len(h.told()) != 1 {
		t.Errorf("saved %d times, told %v", h.saves, h.told())
	}
}

func TestChannelNeedsWhatItPromises(t *testing.T) {
	a, b := newMachine(t), newMachine(t)
	with := func(m machine, change func(*tls.Config)) *tls.Config {
		c := m.config()
		change(c)
		return c
	}
	same := func(*tls.Config) {}
	for name, c := range map[string]struct {
		client, server func(*tls.Config)
		want           string
	}{
		"TLS 1.2":        {same, func(c *tls.Config) { c.MinVersion, c.MaxVersion = 0, tls.VersionTLS12 }, "TLS 1.3"},
		"no ALPN":        {func(c *tls.Config) { c.NextProtos = nil }, same, "ALPN"},
		"other ALPN":     {func(c *tls.Config) { c.NextProtos = []string{"h2"} }, func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "ALPN"},
		"no certificate": {func(c *tls.Config) { c.Certificates = nil }, func(c *tls.Config) { c.ClientAuth = tls.NoClientCert }, "certificate"},
		"a chain": {func(c *tls.Config) {
			c.Certificates[0].Certificate = append(c.Certificates[0].Certificate, b.cert.Certificate...)
		}, same, "certificate"},
		"itself": {func(c *tls.Config) { c.Certificates = b.config().Certificates }, same, "this machine"},
	} {
		client := with(a, c.client)
		client.MinVersion = tls.VersionTLS12
		_, server := handshake(t, client, with(b, c.server))
		if _, err := NewChannel(server, b.id); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewChannel(tls.Client(nil, a.config()), a.id); err == nil {
		t.Error("a connection without a handshake is taken")
	}
}

// TestSidesThatSeeAnotherChannelFail differs in one thing that both must have
// seen alike: the exporter, as in the hands of somebody who could forge the IDs,
// or an ID, as by a mistake that NewChannel cannot see.
func TestSidesThatSeeAnotherChannelFail(t *testing.T) {
	for name, change := range map[string]func(*Channel){
		"binding": func(c *Channel) { c.Binding[31]++ },
		"own":     func(c *Channel) { c.Own[0]++ },
		"peer":    func(c *Channel) { c.Peer[0]++ },
		"roles":   func(c *Channel) { c.Own, c.Peer = c.Peer, c.Own },
	} {
		h := newHouse(t)
		ca, cb := meet(t, newMachine(t), h.machine)
		change(ca)
		if o := h.exchange(ca, cb, h.code(t)); !errors.Is(o.joined, ErrRefused) || h.grants() != 0 {
			t.Errorf("another %s: joined %v, %d grants", name, o.joined, h.grants())
		}
	}
}

// TestLongFramesAreRefusedByTheirHead does not wait for the rest.
func TestLongFramesAreRefusedByTheirHead(t *testing.T) {
	for n, want := range map[int]string{maxFrame: "EOF", maxFrame + 1: "limit is 8192", 1<<16 - 1: "limit is 8192"} {
		c, _ := scripted(binary.BigEndian.AppendUint16(nil, uint16(n)))
		if err := c.receive(&hello{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
