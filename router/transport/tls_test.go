package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate()},
		SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
	}
}

func clientTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// underTLS is a client of the standard library's, and our end.
func underTLS(t testing.TB, server, client *net.TCPConn) (far, near farEnd) {
	t.Helper()
	c, s := tls.Client(client, clientTLS()), TLSServer(server, serverTLS(), 16<<10)
	shake(t, s, c)
	return s, c
}

func shake(t testing.TB, server, client *tls.Conn) {
	t.Helper()
	shaken := make(chan error, 1)
	go func() { shaken <- client.HandshakeContext(t.Context()) }()
	if err := server.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
}

// shrink gives a socket the smallest buffer that the kernel makes.
func shrink(nc net.Conn) error {
	return socketOf(nc).(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(1)
}

// What holds on a unix socket holds over a network, and under TLS.
func TestCarriers(t *testing.T) {
	for _, name := range []string{"tcp", "tls"} {
		for test, run := range map[string]func(*testing.T){
			"DialRefused": TestDialRefused, "DialAnnounces": TestDialAnnounces,
			"FrameOverLimit": TestFrameOverLimit, "FrameOfTheLimit": TestFrameOfTheLimit, "GarbageGetsAbort": TestGarbageGetsAbort,
			"ReservedFrame": TestReservedFrameEndsConnection, "Ping": TestPing, "PingFlood": TestPingFlood,
			"SendGivesUpWithContext": TestSendGivesUpWithContext, "SendWaitsForRoom": TestSendWaitsForRoom,
			"SendAfterEnd": TestSendAfterEnd, "ResultOverPeersLimit": TestResultOverPeersLimit,
			"EventOverPeersLimit": TestEventOverPeersLimit, "SendOverPeersLimit": TestSendOverPeersLimit,
			"CloseFlushes": TestCloseFlushes, "Stall": TestStall,
			"WriteBuffersAreApart": TestWriteBuffersAreApart, "GuardHearsTheEnd": TestGuardHearsTheEnd, "ReadAhead": TestReadAhead,
			"LastWord": TestLastWord, "LastWordUnanswered": TestLastWordUnanswered, "Greeting": TestGreeting,
			"BacklogOfReaders":          TestBacklogOfReaders,
			"PeerOutlivesItsConnection": TestPeerOutlivesItsConnection,
		} {
			t.Run(name+"/"+test, func(t *testing.T) {
				carrier = name
				defer func() { carrier = "unix" }()
				run(t)
			})
		}
	}
}

// An idle connection holds no buffer of ours, and TLS says that it ends.
func TestVeilHoldsNothing(t *testing.T) {
	server, client := tcpPair(t)
	far, near := underTLS(t, server, client)
	if _, err := near.Write([]byte{magic, 0xf3, 0, 0}); err != nil {
		t.Fatal(err)
	}
	conn, err := Accept(far, testLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	readN(t, near, 4)
	for i := range 100 {
		if err := conn.SendNow(t.Context(), event(i, 100)); err != nil {
			t.Fatal(err)
		}
		receive(t, near)
	}
	conn.mu.Lock()
	if conn.veil == nil || conn.veil.waits() || conn.pending != 0 || conn.writing {
		t.Errorf("idle, and %d bytes are pending", conn.pending)
	}
	conn.mu.Unlock()
	conn.Close()
	if b, err := io.ReadAll(near); err != nil || len(b) > 0 { // TLS would say unexpected EOF
		t.Errorf("at the end: %q, %v", b, err)
	}
	_ = near.Close()
	wait(t, conn.Done(), "the end of the connection")
	drainRecv(conn)
}

// What TLS says of its own accord leaves without anybody who writes, and counts as
// what waits.
func TestVeilSpeaks(t *testing.T) {
	server, client := tcpPair(t)
	far, near := underTLS(t, server, client)
	if _, err := near.Write([]byte{magic, 0xf3, 0, 0}); err != nil {
		t.Fatal(err)
	}
	conn, err := Accept(far, testLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	readN(t, near, 4)
	if _, err := conn.veil.tls.Write([]byte("of its own accord")); err != nil {
		t.Fatal(err)
	}
	if !conn.veil.spoke() {
		t.Error("nobody knows that TLS has spoken")
	}
	conn.answered()
	if got := string(readN(t, near, 17)); got != "of its own accord" {
		t.Errorf("got %q", got)
	}
	conn.Abandon()
	drainRecv(conn)
	wait(t, conn.Done(), "the end of the connection")
}

// A stranger cannot make a handshake long.
func TestHandshakeBytes(t *testing.T) {
	server, client := tcpPair(t)
	s := TLSServer(server, serverTLS(), 100)
	c := tls.Client(client, clientTLS())
	shaken := make(chan error, 1)
	go func() { shaken <- c.HandshakeContext(t.Context()) }()
	if err := s.HandshakeContext(t.Context()); !errors.Is(err, errLongHandshake) {
		t.Errorf("got %v", err)
	}
	_ = s.Close()
	if <-shaken == nil {
		t.Error("the client takes it for done")
	}
}

// A peer that asks for a new key gets one, though this end has nothing to say: with
// openssl, for crypto/tls asks for none.
func TestKeyUpdate(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", ln.Addr().String(), "-tls1_3", "-msg")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said lockedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	tc := TLSServer(nc, serverTLS(), 16<<10)
	if err := tc.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = in.Write([]byte{magic, 0xf3, 0, 0}) }()
	conn, err := Accept(tc, testLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if _, err := io.WriteString(in, "K\n"); err != nil {
			t.Fatal(err)
		}
		for limit := time.Now().Add(10 * time.Second); strings.Count(said.String(), "<<< TLS 1.3, Handshake [length 0005], KeyUpdate") <= n; time.Sleep(time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("no answer to key %d:\n%s", n, said.String())
			}
		}
	}
	conn.Abandon()
	drainRecv(conn)
	_ = in.Close()
	_ = cmd.Wait()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
