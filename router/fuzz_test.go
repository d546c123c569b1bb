package router

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// socketPair is two ends of a stream; far may be used up, near ends with the
// test.
func socketPair(t *testing.T) (near, far *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		nc, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = nc.(*net.UnixConn)
	}
	t.Cleanup(func() { _ = ends[0].Close() })
	if err := ends[0].SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return ends[0], ends[1]
}

// FuzzFirstBytes: whatever arrives at the door, the connection ends with its
// sender, nothing stays counted, and the answer is of the protocol that the
// first byte begins.
func FuzzFirstBytes(f *testing.F) {
	r := fuzzed(f)
	f.Add([]byte{})
	for _, words := range []string{
		"\x00", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "\x7f", "\x7f\xf1", "\x7f\xf0\x00\x00", "\x7f\xf1\x00\x01", "\x7f\xff\x00\x00",
		rawHello, rawHello + jsonFrame(`[1,"deskconn",{"roles":{"caller":{}}}]`), rawHello + jsonFrame(`[1]`), rawHello + "\x00\xff\xff\xff",
		"G", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /ws HTTP/1.1\r\nHost: localhost\r\n" + upgradeHead + "\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		f.Add([]byte(words))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		near, served := atTheDoor(t, r)
		go func() {
			_, _ = near.Write(data)
			_ = near.CloseWrite()
		}()
		got, err := io.ReadAll(near)
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Fatalf("the connection does not end; it said %q", got)
		}
		<-served
		if len(got) > 0 && !answers(data, string(got)) {
			t.Errorf("%q is answered by %q", data, got)
		}
		r.door.vacated(t)
	})
}

// fuzzed is a router for what is said at its door.
func fuzzed(f *testing.F) *Router {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := New(ctx, Options{
		Log: slog.New(slog.DiscardHandler), Transport: transport.DefaultLimits(), Session: DefaultSessionLimits(), Door: patientDoor(),
		Certificate: &server().Certificate, Trust: pairedStore(f, netip.Addr{}), admitAll: true,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(r.Close)
	return r
}

// atTheDoor is a connection to it; served is closed when it has ended there.
func atTheDoor(t *testing.T, r *Router) (near *net.UnixConn, served chan struct{}) {
	near, far := socketPair(t)
	served = make(chan struct{})
	go func() {
		defer close(served)
		if r.track(far) {
			r.serve(far, r.greetStranger)
			r.serving.Wait()
		}
	}()
	return near, served
}

// vacated checks that nobody is counted.
func (d *door) vacated(t *testing.T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.count + d.kept + d.silent; n != 0 || len(d.waiting) != 0 {
		t.Errorf("%d connections still count", n)
	}
}

// FuzzTLS: whatever arrives in TLS, from a device that is paired, from another, or
// from a page, ends with its sender, and nothing stays counted. Bytes that come
// after it in the open are part of it.
func FuzzTLS(f *testing.F) {
	r := fuzzed(f)
	for i, words := range []string{
		"", "\x7f", rawHello, rawHello + jsonFrame(`[1,"deskconn",{"roles":{"caller":{}}}]`), rawHello + "\x00\xff\xff\xff",
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /ws HTTP/1.1\r\nHost: localhost\r\n" + upgradeHead + "\r\n", "\x16\x03\x01",
	} {
		f.Add(byte(i), []byte(words), []byte("\x17\x03\x03\x00\x20"))
		f.Add(byte(i+1), []byte(words), []byte{})
	}
	f.Fuzz(func(t *testing.T, who byte, inside, after []byte) {
		near, served := atTheDoor(t, r)
		cfg := []*tls.Config{
			device().config(wire.ALPN), outsider().config(wire.ALPN), outsider().config(wire.ALPNPair), (*machine)(nil).config("http/1.1"), (*machine)(nil).config(),
		}[who%5]
		tc := tls.Client(near, cfg)
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = tc.Write(inside)
			_, _ = near.Write(after)
			_ = near.CloseWrite()
		}()
		if _, err := io.Copy(io.Discard, tc); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection does not end")
		}
		<-served
		r.door.vacated(t)
	})
}

// answers reports whether got is of the protocol that asked begins with.
func answers(asked []byte, got string) bool {
	if len(asked) == 0 {
		return false
	}
	switch protocolOf(asked[0]) {
	case speaksRawsocket:
		return got[0] == transport.Magic
	case speaksHTTP:
		return strings.HasPrefix(got, "HTTP/1.")
	case speaksTLS: // an alert, or a handshake
		return got[0] == 0x15 || got[0] == tlsHandshake
	}
	return false
}

// heard keeps what its guard lets pass.
type heard struct {
	transport.Guard
	passed chan wamp.Message
}

func (h heard) Inbound(msg wamp.Message) (pass, answer wamp.Message, err error) {
	pass, answer, err = h.Guard.Inbound(msg)
	if err == nil && pass != nil {
		h.passed <- pass
	}
	return nil, answer, err
}

// FuzzHello: whatever is said first, nexus hears a HELLO that holds what the
// router put there, or nothing.
func FuzzHello(f *testing.F) {
	for i, c := range codecs {
		for _, hello := range []any{
			[]any{1, wire.Realm, map[string]any{}},
			[]any{1, wire.Realm, map[string]any{"roles": everyRole["roles"], "agent": "x", "authid": "root", "authrole": roleOwner, "transport": map[string]any{"auth": 1}}},
			[]any{1, wire.Realm, map[string]any{"authmethods": []any{wire.AuthPeerCred}, "roles": []any{}, wire.ProtocolKey: 1}},
			[]any{1, wire.Realm, map[string]any{"roles": map[string]any{"caller": 1, "callee": map[string]any{"features": map[string]any{"x": true, "y": 1}}, "dealer": nil}}},
			[]any{1, "other", nil}, []any{2, 1, nil}, []any{1}, "x",
		} {
			b, err := c.Append(nil, hello)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), b)
		}
	}
	id := Identity{AuthID: "tcp:127.0.0.1", Role: roleGuest, Method: wire.AuthAnonymous}
	f.Fuzz(func(t *testing.T, serializer byte, hello []byte) {
		near, far := socketPair(t)
		go func() {
			head := binary.BigEndian.AppendUint32([]byte{transport.Magic, 0xf0 | serializer%3 + 1, 0, 0}, uint32(len(hello))&0xffffff)
			_, _ = near.Write(append(head, hello...))
			_ = near.CloseWrite()
			_, _ = io.Copy(io.Discard, near)
		}()
		guard := heard{guardOf(id), make(chan wamp.Message, 1)}
		conn, err := transport.Accept(far, transport.DefaultLimits(), guard)
		if err != nil {
			_ = far.Close()
			t.Fatal(err)
		}
		drain(conn)
		select {
		case msg := <-guard.passed:
			checkHello(t, msg, id)
		default:
		}
	})
}

func checkHello(t *testing.T, msg wamp.Message, id Identity) {
	t.Helper()
	m, ok := msg.(*wamp.Hello)
	if !ok || m.Realm != wire.Realm {
		t.Fatalf("%s %+v passes", msg.MessageType(), msg)
	}
	for name, v := range m.Details {
		switch name {
		case "authmethods":
			if l, _ := v.(wamp.List); len(l) != 1 || l[0] != id.Method {
				t.Errorf("authmethods %v", v)
			}
		case "agent":
			if agent, ok := v.(string); !ok || len(agent) > 64 {
				t.Errorf("agent %v", v)
			}
		case "roles":
			checkRoles(t, v.(wamp.Dict))
		default:
			t.Errorf("%q passes: %v", name, v)
		}
	}
}

func checkRoles(t *testing.T, roles wamp.Dict) {
	t.Helper()
	for name, role := range roles {
		if !slices.Contains([]string{"caller", "callee", "publisher", "subscriber"}, name) {
			t.Errorf("the role %q passes", name)
		}
		for feature, on := range wamp.DictChild(role.(wamp.Dict), "features") {
			if on != true || slices.Contains(unsupported, feature) {
				t.Errorf("the feature %q: %v passes", feature, on)
			}
		}
	}
}
