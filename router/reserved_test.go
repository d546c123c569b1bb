package router

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// reservedStreet is one with the default door, where 127.0.0.1 is the address of a
// paired device.
func reservedStreet(t *testing.T, forgiven time.Duration) *street {
	opts := DefaultOptions()
	opts.Door.Forgiven = forgiven
	opts.Certificate, opts.Trust = &server().Certificate, pairedStore(t, netip.MustParseAddr("127.0.0.1"))
	opts.Log = slog.New(slog.DiscardHandler)
	s := startWith(t, opts).street()
	t.Cleanup(func() { s.router.Close(); s.emptied() })
	return s
}

// besiege takes every place from these addresses, and again, until it is stopped.
func (s *street) besiege(many int, words string, from ...string) (stop func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	for _, address := range from {
		for range many / len(from) {
			wg.Go(func() {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: time.Second}
				for {
					select {
					case <-over:
						return
					default:
					}
					nc, err := d.Dial("tcp", s.address)
					if err != nil {
						continue
					}
					gone := make(chan struct{})
					go func() {
						_, _ = io.WriteString(nc, words)
						_, _ = io.Copy(io.Discard, nc)
						close(gone)
					}()
					select {
					case <-over:
					case <-gone:
					}
					_ = nc.Close()
					<-gone
				}
			})
		}
	}
	return sync.OnceFunc(func() { close(over); wg.Wait() })
}

// Strangers from many addresses who hold every place, or from its own who hold and
// fail, cost a paired device not one connection.
func TestDeviceDuringSiege(t *testing.T) {
	for name, c := range map[string]struct {
		connections, many int
		words             string
		from              []string
	}{
		"eight addresses":             {1000, 80, "", []string{"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8", "127.0.0.9"}},
		"its own address":             {1000, 200, "", []string{"127.0.0.1"}},
		"its own address, with junk":  {200, 40, "\x16\x03\x01\xff\xff", []string{"127.0.0.1"}},
		"its own address, with HELLO": {200, 40, replayed(t), []string{"127.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := reservedStreet(t, DefaultDoorLimits().Forgiven)
			stop := s.besiege(c.many, c.words, c.from...)
			defer stop()
			began := time.Now()
			failed := 0
			for range c.connections {
				msg, err := s.greetingOnce("127.0.0.1")
				if err != nil || msg.MessageType() != wamp.WELCOME {
					if failed++; failed < 4 {
						t.Errorf("%v, %v", msg, err)
					}
				}
			}
			t.Logf("%d connections in %v, %d failed", c.connections, time.Since(began), failed)
		})
	}
}

// An address that failed too often is refused, in plaintext and in TLS; one that is
// reserved only in plaintext.
func TestBarred(t *testing.T) {
	s := reservedStreet(t, time.Hour)
	for from, want := range map[string]string{"127.0.0.1": "", "127.0.0.2": "access denied"} {
		for range s.router.door.lim.Failures {
			s.hears(s.walk(from, "\x00"))
		}
		if got := s.hears(s.walk(from, rawHello)); got != rawFull {
			t.Errorf("%s hears %q in plaintext", from, got)
		}
		msg, err := s.greetingOnce(from)
		switch {
		case want == "" && (err != nil || msg.MessageType() != wamp.WELCOME):
			t.Errorf("the device at %s: %v, %v", from, msg, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", from, err, want)
		}
		tc := tls.Client(s.walk(from, ""), (*machine)(nil).config("http/1.1"))
		_, _ = io.WriteString(tc, "GET / HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n")
		if got := s.hears(tc); want == "" && !strings.HasPrefix(got, "HTTP/1.1 503 ") || want != "" && got != "" {
			t.Errorf("a page at %s hears %q", from, got)
		}
	}
}

// greetingOnce is greeting without what a test keeps.
func (s *street) greetingOnce(from string) (wamp.Message, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	nc, err := d.Dial("tcp", s.address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	tc := transport.TLSClient(nc, device().config(wire.ALPN))
	if err := tc.Handshake(); err != nil {
		return nil, err
	}
	_ = nc.SetDeadline(time.Time{})
	conn, err := transport.Dial(tc, transport.CBOR, transport.DefaultLimits())
	if err != nil {
		return nil, err
	}
	defer func() { conn.Abandon(); drain(conn) }()
	if err := conn.SendNow(s.t.Context(), &wamp.Hello{Realm: wire.Realm, Details: everyRole}); err != nil {
		return nil, err
	}
	select {
	case msg, open := <-conn.Recv():
		if open {
			return msg, nil
		}
	case <-time.After(10 * time.Second):
	}
	return nil, conn.Err()
}

// replayed is a ClientHello.
func replayed(t *testing.T) string {
	near, far := net.Pipe()
	go func() { _ = tls.Client(near, device().config(wire.ALPN)).Handshake() }()
	b := make([]byte, 8<<10)
	n, err := far.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = near.Close(), far.Close()
	return string(b[:n])
}
