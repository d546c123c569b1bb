package router

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/trust"
	"github.com/deskconn/dconn/router/wire"
)

// machine is an identity.
type machine struct {
	tls.Certificate
	id trust.ID
}

// newMachine makes one whose certificate is filled up by so many bytes, and was
// valid long ago.
func newMachine(filled int) *machine {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0), SubjectKeyId: make([]byte, filled),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &machine{
		tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		trust.IDOf(leaf),
	}
}

// Machines of all tests: the one that serves, one that is paired with it, and one
// that is not.
var (
	server   = sync.OnceValue(func() *machine { return newMachine(0) })
	device   = sync.OnceValue(func() *machine { return newMachine(0) })
	outsider = sync.OnceValue(func() *machine { return newMachine(0) })
)

// pairedStore knows the device, which came from an address before.
func pairedStore(t testing.TB, from netip.Addr) *trust.Store {
	t.Helper()
	return storeOf(t, &trust.Device{ID: device().id, Name: "desk", Paired: time.Now().UTC(), From: from, Scopes: trust.Scopes{"test"}})
}

// config is that of a client; m may be nil.
func (m *machine) config(protocols ...string) *tls.Config {
	cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}
	if m != nil {
		cfg.Certificates = []tls.Certificate{m.Certificate}
	}
	return cfg
}

// dialTLS is a connection of a paired device.
func (b *bench) dialTLS() net.Conn {
	b.t.Helper()
	tc := transport.TLSClient(b.dialTCP(), device().config(wire.ALPN))
	if err := tc.HandshakeContext(b.ctx()); err != nil {
		b.t.Fatal(err)
	}
	return tc
}

// greeting joins by TLS as m, and is what HELLO is answered with. HELLO leaves with
// the end of the handshake.
func (s *street) greeting(m *machine, from string) (wamp.Message, error) {
	s.t.Helper()
	tc := transport.TLSClient(s.walk(from, ""), m.config(wire.ALPN))
	if err := tc.HandshakeContext(s.ctx()); err != nil {
		return nil, err
	}
	conn, err := transport.Dial(tc, transport.CBOR, transport.DefaultLimits())
	if err != nil {
		return nil, err
	}
	defer func() { conn.Abandon(); drain(conn) }()
	if err := conn.SendNow(s.ctx(), &wamp.Hello{Realm: wire.Realm, Details: everyRole}); err != nil {
		return nil, err
	}
	select {
	case msg, open := <-conn.Recv():
		if !open {
			return nil, conn.Err()
		}
		return msg, nil
	case <-s.ctx().Done():
		return nil, s.ctx().Err()
	}
}

// A device is who has its key, whatever HELLO says; whoever is not paired hears so.
func TestPairedOrNot(t *testing.T) {
	s := onStreet(t, patientDoor())
	msg, err := s.greeting(device(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	d := msg.(*wamp.Welcome).Details
	if d["authid"] != device().id.String() || d["authrole"] != roleDevice || d["authmethod"] != wire.AuthTLS {
		t.Errorf("WELCOME %v", d)
	}
	conn, err := transport.Dial(s.dialTLS(), transport.CBOR, transport.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	s.send(conn, &wamp.Hello{Realm: wire.Realm, Details: everyRole})
	s.receive(conn)
	s.await(s.join(transport.CBOR), "sessions", "transport", "tls", "calls", 0)
	conn.Abandon()
	drain(conn)
	for range 20 { // it must never be a reset
		msg, err := s.greeting(outsider(), "127.0.0.1")
		abort, ok := msg.(*wamp.Abort)
		if !ok || abort.Reason != wire.ErrAuthentication || abort.Details["message"] != "this machine is not paired here" {
			t.Fatalf("an outsider hears %v, %v", msg, err)
		}
	}
}

func TestNobodyIsAnonymous(t *testing.T) {
	s := closedStreet(t)
	hello := &wamp.Hello{Realm: wire.Realm, Details: wamp.Dict{"roles": everyRole["roles"], "authmethods": wamp.List{wire.AuthAnonymous, wire.AuthTLS}}}
	raw, err := transport.Dial(s.walk("127.0.0.1", ""), transport.CBOR, transport.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	ws, err := transport.DialWebsocket(s.ctx(), s.walk("127.0.0.1", ""), "ws://"+s.address+websocketPath, transport.JSON, transport.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	web := tls.Client(s.walk("127.0.0.1", ""), (*machine)(nil).config())
	wss, err := transport.DialWebsocket(s.ctx(), web, "wss://"+s.address+websocketPath, transport.CBOR, transport.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]*transport.Conn{"rawsocket": raw, "websocket": ws, "wss": wss} {
		s.send(conn, hello)
		if abort, ok := s.receive(conn).(*wamp.Abort); !ok || abort.Reason != wire.ErrNoAuthMethod || abort.Details["message"] != "no way to authenticate here yet" {
			t.Errorf("%s: got %+v", name, abort)
		}
		drain(conn)
	}
	if _, err := session.Join(s.ctx(), mustDial(t, s), "test"); err == nil || !strings.Contains(err.Error(), "no way to authenticate") {
		t.Errorf("a session of ours: %v", err)
	}
}

func mustDial(t *testing.T, s *street) *transport.Conn {
	conn, err := transport.Dial(s.walk("127.0.0.1", ""), transport.CBOR, transport.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Abandon(); drain(conn) })
	return conn
}

// closedStreet is one where nobody is admitted who has proved nothing.
func closedStreet(t *testing.T) *street {
	opts := DefaultOptions()
	opts.Door, opts.Certificate, opts.Trust = patientDoor(), &server().Certificate, pairedStore(t, netip.Addr{})
	return onStreetWith(t, opts)
}

// What is offered decides what is spoken, and a mix is refused by an alert.
func TestALPN(t *testing.T) {
	s := closedStreet(t)
	for _, c := range []struct {
		offered []string
		m       *machine
		max     uint16
		want    string // what is agreed on, else
		refused string // the alert
	}{
		{[]string{"dconn/1"}, device(), 0, "dconn/1", ""},
		{[]string{"dconn-pair/1"}, outsider(), 0, "dconn-pair/1", ""},
		{[]string{"http/1.1"}, nil, 0, "http/1.1", ""},
		{[]string{"h2", "http/1.1"}, nil, 0, "http/1.1", ""},
		{nil, nil, 0, "", ""},
		{[]string{"dconn/1"}, nil, 0, "", "certificate required"},
		{[]string{"dconn-pair/1"}, nil, 0, "", "certificate required"},
		{[]string{"dconn/1", "http/1.1"}, device(), 0, "", "no application protocol"},
		{[]string{"http/1.1", "dconn/1"}, device(), 0, "", "no application protocol"},
		{[]string{"dconn/1", "dconn-pair/1"}, device(), 0, "", "no application protocol"},
		{[]string{"dconn/1", "dconn/1"}, device(), 0, "", "no application protocol"},
		{[]string{"dconn/1", "x"}, device(), 0, "", "no application protocol"},
		{[]string{"dconn/2"}, device(), 0, "", "no application protocol"},
		{[]string{"h2"}, nil, 0, "", "no application protocol"},
		{[]string{"DCONN/1"}, device(), 0, "", "no application protocol"},
		{[]string{"dconn/1"}, device(), tls.VersionTLS12, "", "protocol version not supported"},
		{nil, nil, tls.VersionTLS12, "", "protocol version not supported"},
	} {
		t.Run(fmt.Sprint(c.offered, c.m != nil, c.max), func(t *testing.T) {
			cfg := c.m.config(c.offered...)
			if cfg.MaxVersion = c.max; c.max != 0 {
				cfg.MinVersion = c.max
			}
			tc := tls.Client(s.walk("127.0.0.1", ""), cfg)
			err := tc.HandshakeContext(s.ctx())
			if err == nil && c.refused != "" { // TLS 1.3 tells the client afterwards
				_ = tc.SetReadDeadline(time.Now().Add(patienceOfTests))
				_, err = tc.Read(make([]byte, 1))
			}
			switch {
			case c.refused == "" && (err != nil || tc.ConnectionState().NegotiatedProtocol != c.want):
				t.Errorf("agreed on %q, %v", tc.ConnectionState().NegotiatedProtocol, err)
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("got %v, want %q", err, c.refused)
			}
			if len(tc.ConnectionState().PeerCertificates) > 0 && tc.ConnectionState().DidResume {
				t.Error("a ticket was taken")
			}
		})
	}
	s.alive()
}

// A machine is whose key signed, and nobody else; a chain leaves no room for doubt.
func TestCertificates(t *testing.T) {
	s := closedStreet(t)
	chain := func(ms ...*machine) *machine {
		both := &machine{Certificate: tls.Certificate{PrivateKey: ms[0].PrivateKey}}
		for _, m := range ms {
			both.Certificate.Certificate = append(both.Certificate.Certificate, m.Certificate.Certificate[0])
		}
		return both
	}
	thief := &machine{Certificate: tls.Certificate{Certificate: device().Certificate.Certificate, PrivateKey: outsider().PrivateKey}}
	for name, m := range map[string]*machine{
		"the paired one behind another": chain(outsider(), device()),
		"another behind the paired one": chain(device(), outsider()),
		"a stolen certificate":          thief,
		"a huge one":                    newMachine(40 << 10),
		"a larger one":                  newMachine(200 << 10),
	} {
		t.Run(name, func(t *testing.T) {
			if msg, err := s.greeting(m, "127.0.0.1"); err == nil {
				t.Errorf("it is answered with %+v", msg)
			}
		})
	}
	if msg, err := s.greeting(device(), "127.0.0.1"); err != nil || msg.MessageType() != wamp.WELCOME {
		t.Errorf("after that: %v, %v", msg, err)
	}
}

// forger has a key, and signs nothing right.
type forger struct{ crypto.Signer }

func (f forger) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := f.Signer.Sign(r, digest, opts)
	if err == nil {
		signature[len(signature)-1] ^= 1
	}
	return signature, err
}

// keyed makes a machine with any key.
func keyed(t *testing.T, key crypto.Signer, err error) *machine {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: forger{key}}}
}

// loopback is both ends of a connection over TCP.
func loopback(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// A client whose key is of a kind that dconn does not make is refused for that, before
// its signature is verified: here the signature is wrong, and it is not what is found.
func TestForeignKeys(t *testing.T) {
	s := closedStreet(t)
	_, edwards, edErr := ed25519.GenerateKey(rand.Reader)
	p256, p256Err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, p384Err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, p521Err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	prime, rsaErr := rsa.GenerateKey(rand.Reader, 2048)
	for want, m := range map[string]*machine{
		"got one with RSA of 2048 bits": keyed(t, prime, rsaErr),
		"got one with P-384":            keyed(t, p384, p384Err),
		"got one with P-521":            keyed(t, p521, p521Err),
		"got one with Ed25519":          keyed(t, edwards, edErr),
		"invalid signature":             keyed(t, p256, p256Err),
	} {
		for _, protocol := range []string{wire.ALPN, wire.ALPNPair} {
			near, far := loopback(t)
			go func() { _ = tls.Client(near, m.config(protocol)).Handshake() }()
			err := tls.Server(far, s.router.tlsConfig()).HandshakeContext(s.ctx())
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", protocol, err, want)
			}
			_, _ = near.Close(), far.Close()
		}
	}
	for _, m := range []*machine{keyed(t, prime, nil), keyed(t, edwards, nil)} {
		m.PrivateKey = m.PrivateKey.(forger).Signer
		if msg, err := s.greeting(m, "127.0.0.1"); err == nil {
			t.Errorf("a right signature is answered with %+v", msg)
		}
	}
	s.alive()
}

// recorder keeps what is written.
type recorder struct {
	net.Conn
	said []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.said = append(r.said, b...)
	return r.Conn.Write(b)
}

// What was heard from a device is of no use to who says it again.
func TestReplay(t *testing.T) {
	s := closedStreet(t)
	tap := &recorder{Conn: s.walk("127.0.0.1", "")}
	tc := tls.Client(tap, device().config(wire.ALPN))
	if err := tc.HandshakeContext(s.ctx()); err != nil {
		t.Fatal(err)
	}
	hello, err := transport.CBOR.Append(nil, []any{1, wire.Realm, everyRole})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tc.Write(append(binary.BigEndian.AppendUint32([]byte{transport.Magic, 0xf3, 0, 0}, uint32(len(hello))), hello...)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(tc, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	for n := range 20 { // all of it, and parts
		nc := s.walk("127.0.0.1", string(tap.said[:len(tap.said)*(n+1)/20]))
		_ = nc.(*net.TCPConn).CloseWrite()
		s.hears(nc)
	}
	if n := len(s.router.ledger.joined()); n > 4 { // our own, and the one that was heard
		t.Errorf("%d sessions", n)
	}
}

// A handshake that is junk, stalls, or goes on after its end, harms nobody.
func TestBrokenTLS(t *testing.T) {
	lim := patientDoor()
	lim.Deadline = 300 * time.Millisecond
	s := onStreet(t, lim)
	for name, words := range map[string]string{
		"junk":       "\x16" + strings.Repeat("\xff", 300),
		"an alert":   "\x16\x03\x01\x00\x02\x01\x00",
		"half":       "\x16\x03\x01\x02\x00\x01\x00\x01",
		"huge":       "\x16\x03\x01\x40\x00\x01\xff\xff\xff" + strings.Repeat("x", 16380),
		"endless":    strings.Repeat("\x16\x03\x01\x00\x01\x01", 20000),
		"first byte": "\x16",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			nc := s.walk("127.0.0.1", "")
			_, _ = io.WriteString(nc, words)
			s.hears(nc)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it takes %v", took)
			}
		})
	}
	t.Run("after close_notify", func(t *testing.T) {
		nc := s.walk("127.0.0.1", "")
		tc := tls.Client(nc, device().config(wire.ALPN))
		if err := tc.HandshakeContext(s.ctx()); err != nil {
			t.Fatal(err)
		}
		if _, err := tc.Write([]byte{transport.Magic, 0xf3, 0, 0}); err != nil {
			t.Fatal(err)
		}
		_ = tc.CloseWrite()
		_, _ = nc.Write(append([]byte{0x17, 3, 3, 0, 32}, make([]byte, 32)...))
		_, _ = io.Copy(io.Discard, tc)
	})
	s.answers(s.visit("127.0.0.1", transport.CBOR))
}

// A page may use its own machine only, under a name that is its own.
func TestHTTPS(t *testing.T) {
	s := closedStreet(t)
	_, port, _ := net.SplitHostPort(s.address)
	for _, c := range []struct{ host, origin, path, want string }{
		{s.address, "", "/", "404"}, {"localhost:" + port, "", "/", "404"}, {s.address, "https://" + s.address, "/", "404"},
		{s.address, "http://" + s.address, "/", "403"}, {s.address, "https://localhost:" + port, "/", "403"},
		{s.address, "https://attacker.example", "/ws", "403"}, {"attacker.example:" + port, "https://attacker.example:" + port, "/ws", "403"},
		{"127.0.0.1", "", "/ws", "403"}, {"10.1.2.3:" + port, "", "/ws", "403"}, {s.address, "null", "/ws", "403"},
		{s.address, "https://" + s.address, "/ws", "101"},
	} {
		request := "GET " + c.path + " HTTP/1.1\r\nHost: " + c.host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n"
		if c.origin != "" {
			request += "Origin: " + c.origin + "\r\n"
		}
		tc := tls.Client(s.walk("127.0.0.1", ""), (*machine)(nil).config("h2", "http/1.1"))
		if _, err := io.WriteString(tc, request+"\r\n"); err != nil {
			t.Fatal(err)
		}
		status := make([]byte, 12)
		_, err := io.ReadFull(tc, status)
		if err != nil || string(status) != "HTTP/1.1 "+c.want {
			t.Errorf("%+v is answered with %q, %v", c, status, err)
		}
		_ = tc.Close()
	}
}

// from is a connection that says it comes from another machine.
type fromElsewhere struct{ *net.TCPConn }

func (fromElsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7} }

// Plaintext is for this machine; a browser elsewhere is sent to TLS.
func TestPlaintextFromElsewhere(t *testing.T) {
	s := closedStreet(t)
	for words, want := range map[string]string{
		"\x7f\xf3\x00\x00": "", "GET / HTTP/1.1\r\nHost: pi:5020\r\n\r\n": "HTTP/1.1 301 Moved Permanently\r\n", "junk\r\n\r\n": "HTTP/1.1 400 Bad Request\r\n",
		"GET /ws?x=1 HTTP/1.1\r\nHost: pi:5020\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n": "HTTP/1.1 301 Moved Permanently\r\n",
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		near, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		far, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
		if _, err := io.WriteString(near, words); err != nil {
			t.Fatal(err)
		}
		conn, a, err := s.router.greetStranger(fromElsewhere{far.(*net.TCPConn)})
		if err == nil {
			t.Errorf("%q is let in: %v", words, conn)
		}
		a.end(err, false)
		_ = far.Close()
		got := s.hears(near)
		_ = near.Close()
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q is answered with %q", words, got)
		}
		if strings.Contains(got, " 301 ") && !strings.Contains(got, "\r\nLocation: https://pi:5020/") {
			t.Errorf("it is sent to %q", got)
		}
	}
}
