package pairing

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is a key with its certificate.
type machine struct {
	id   ID
	cert tls.Certificate
}

func newMachine(t testing.TB) machine {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return machine{sha256.Sum256(spki), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

func (m machine) config() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{m.cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{Protocol},
		ClientAuth: tls.RequireAnyClientCert, SessionTicketsDisabled: true, InsecureSkipVerify: true,
	}
}

// handshake connects two ends over the loopback interface.
func handshake(t testing.TB, client, server *tls.Config) (c, s *tls.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, _ := l.Accept()
		accepted <- nc
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, s = tls.Client(nc, client), tls.Server(<-accepted, server)
	t.Cleanup(func() { _ = c.NetConn().Close(); _ = s.NetConn().Close() })
	failed := make(chan error, 1)
	go func() { failed <- s.Handshake() }()
	if err := errors.Join(c.Handshake(), <-failed); err != nil {
		t.Fatal(err)
	}
	return c, s
}

// meet gives the channels of two machines that have connected.
func meet(t testing.TB, a, b machine) (ca, cb *Channel) {
	t.Helper()
	client, server := handshake(t, a.config(), b.config())
	ca, err := NewChannel(client, a.id)
	if err != nil {
		t.Fatal(err)
	}
	cb, err = NewChannel(server, b.id)
	if err != nil {
		t.Fatal(err)
	}
	return ca, cb
}

// hangUp ends a connection as the caller of Join or Answer does.
func hangUp(c *Channel) { _ = c.Conn.(io.Closer).Close() }

// memory is a CounterStore.
type memory struct {
	mu     sync.Mutex
	c      Counters
	saves  int
	broken error
}

func (m *memory) Load() (Counters, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Counters{Recent: slices.Clone(m.c.Recent), Row: m.c.Row}, nil
}

func (m *memory) Save(c Counters) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	m.c, m.saves = Counters{Recent: slices.Clone(c.Recent), Row: c.Row}, m.saves+1
	return nil
}

// house is the machine that shows the code, with its owner before it.
type house struct {
	machine
	*memory
	w *Window

	mu      sync.Mutex
	reports []Report
	granted []ID
	refuses error // what Grant answers
}

func newHouse(t testing.TB, change ...func(*Options)) *house {
	t.Helper()
	h := &house{machine: newMachine(t), memory: &memory{}}
	h.open(t, change...)
	return h
}

func (h *house) open(t testing.TB, change ...func(*Options)) {
	t.Helper()
	opts := h.options()
	for _, f := range change {
		f(&opts)
	}
	w, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	h.w = w
}

func (h *house) options() Options {
	return Options{
		Introduction: Introduction{Name: "kitchen", Scopes: []string{"brightness", "call:org.example"}},
		Place:        Place{Peer: h.id, Port: 5020, Addresses: []string{"192.0.2.7", "fe80::1"}},
		Counters:     h.memory,
		Grant: func(peer ID, name string) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.refuses == nil {
				h.granted = append(h.granted, peer)
			}
			return h.refuses
		},
		Report: func(r Report) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.reports = append(h.reports, r)
		},
	}
}

func (h *house) grants() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.granted)
}

func (h *house) told() []Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.reports)
}

// shown is the newest code with its token.
func (h *house) shown() (s Shown) {
	for _, r := range h.told() {
		if r, ok := r.(Shown); ok {
			s = r
		}
	}
	return s
}

func (h *house) code(t testing.TB) Secret  { return secret(t, h.shown().Code) }
func (h *house) token(t testing.TB) Secret { return secret(t, h.shown().Token) }

// wrong is a code that is not shown.
func (h *house) wrong(t testing.TB) Secret {
	digits := []byte(h.shown().Code)
	digits[0] = '0' + (digits[0]-'0'+1)%10
	return secret(t, string(digits))
}

func secret(t testing.TB, text string) Secret {
	t.Helper()
	s, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// outcome is how an exchange ended for both.
type outcome struct {
	said     Introduction // by the house
	joined   error
	answered error
}

var phone = Introduction{Name: "phone"}

// pair has somebody with a secret come to the house.
func (h *house) pair(t testing.TB, a machine, s Secret) outcome {
	t.Helper()
	ca, cb := meet(t, a, h.machine)
	return h.exchange(ca, cb, s)
}

func (h *house) exchange(ca, cb *Channel, s Secret) (o outcome) {
	answered := make(chan error, 1)
	go func() {
		err := h.w.Answer(context.Background(), cb, "192.0.2.99")
		hangUp(cb)
		answered <- err
	}()
	o.said, o.joined = Join(context.Background(), ca, s, phone)
	hangUp(ca)
	o.answered = <-answered
	return o
}

// tap sees the plain text of a connection on its way out, and may change it.
type tap struct {
	net.Conn
	mu     sync.Mutex
	frames [][]byte
	send   func(n int, frame []byte) ([]byte, bool) // false hangs up after it
}

func wiretap(c *Channel) *tap {
	t := &tap{Conn: c.Conn.(net.Conn)}
	c.Conn = t
	return t
}

func (t *tap) Write(frame []byte) (int, error) {
	t.mu.Lock()
	n := len(t.frames)
	t.frames = append(t.frames, bytes.Clone(frame))
	t.mu.Unlock()
	if t.send == nil {
		return t.Conn.Write(frame)
	}
	out, goOn := t.send(n, bytes.Clone(frame))
	_, err := t.Conn.Write(out)
	if !goOn {
		_ = t.Conn.Close()
		err = net.ErrClosed
	}
	return len(frame), err
}
