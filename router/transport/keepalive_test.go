package transport

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
)

// tunnel is a way to a server that can fall silent, as a cut cable does.
type tunnel struct {
	net.Listener
	wg sync.WaitGroup

	mu   sync.Mutex
	dumb bool
}

func dig(t *testing.T, to string) *tunnel {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &tunnel{Listener: ln}
	u.wg.Go(func() {
		near, err := ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			t.Error(err)
			return
		}
		u.wg.Go(func() { u.carry(near, far) })
		u.wg.Go(func() { u.carry(far, near) })
	})
	t.Cleanup(func() { _ = ln.Close(); u.wg.Wait() })
	return u
}

// carry passes bytes on, or swallows them; then nobody hears of an end, either.
func (u *tunnel) carry(from, to net.Conn) {
	defer func() { _ = from.Close() }()
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		u.mu.Lock()
		dumb := u.dumb
		u.mu.Unlock()
		switch {
		case dumb && err != nil:
			return
		case dumb:
		case err != nil:
			_ = to.Close()
			return
		default:
			_, _ = to.Write(b[:n])
		}
	}
}

func (u *tunnel) fallSilent() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dumb = true
}

// networks joins both ends of a connection over each framing, through a tunnel.
var networks = map[string]func(t *testing.T, lim Limits) (client, server *Conn, u *tunnel){
	"rawsocket": func(t *testing.T, lim Limits) (*Conn, *Conn, *tunnel) {
		same := func(nc net.Conn) net.Conn { return nc }
		return rawsocketThroughTunnel(t, lim, same, same)
	},
	"tls": func(t *testing.T, lim Limits) (*Conn, *Conn, *tunnel) {
		return rawsocketThroughTunnel(t, lim,
			func(nc net.Conn) net.Conn { return TLSClient(nc, clientTLS()) },
			func(nc net.Conn) net.Conn { return TLSServer(nc, serverTLS(), 16<<10) })
	},
	"websocket": func(t *testing.T, lim Limits) (*Conn, *Conn, *tunnel) {
		h := serveWebsockets(t, lim, nil)
		u := dig(t, strings.TrimPrefix(h.url, "ws://"))
		near, err := net.Dial("tcp", u.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		client, err := DialWebsocket(t.Context(), near, h.url, CBOR, lim)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { end(client) })
		sayHello(t, client)
		server := h.next(t)
		received(t, server)
		return client, server, u
	},
}

func rawsocketThroughTunnel(t *testing.T, lim Limits, asClient, asServer func(net.Conn) net.Conn) (*Conn, *Conn, *tunnel) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	u := dig(t, ln.Addr().String())
	near, err := net.Dial("tcp", u.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near, far = asClient(near), asServer(far)
	if veilOf(near) != nil {
		shake(t, far.(*tls.Conn), near.(*tls.Conn))
	}
	client, err := Dial(near, CBOR, lim)
	if err != nil {
		t.Fatal(err)
	}
	sayHello(t, client)
	server, err := Accept(far, lim, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(client); end(server) })
	received(t, server)
	return client, server, u
}

// Both ends find out that the way between them is cut.
func TestKeepaliveFindsHalfOpen(t *testing.T) {
	t.Parallel()
	for name, join := range networks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lim := testLimits()
			lim.Keepalive = 100 * time.Millisecond
			client, server, u := join(t, lim)
			u.fallSilent()
			for who, conn := range map[string]*Conn{"client": client, "server": server} {
				wait(t, conn.Done(), "the end of the "+who)
				if err := conn.Err(); err == nil || !strings.Contains(err.Error(), "nothing was heard for") {
					t.Errorf("%s: got %v", who, err)
				}
			}
		})
	}
}

// Peers that have nothing to say stay connected.
func TestKeepaliveOfIdle(t *testing.T) {
	t.Parallel()
	for name, join := range networks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lim := testLimits()
			lim.Keepalive = 400 * time.Millisecond
			client, server, _ := join(t, lim)
			select {
			case <-client.Done():
				t.Fatalf("the client ended: %v", client.Err())
			case <-server.Done():
				t.Fatalf("the server ended: %v", server.Err())
			case <-time.After(2 * time.Second):
			}
			if err := server.Send(t.Context(), event(1, 1)); err != nil {
				t.Fatal(err)
			}
			if e, ok := received(t, client).(*wamp.Event); !ok || e.Publication != 1 {
				t.Errorf("got %+v, want event 1", e)
			}
		})
	}
}

// silentPair is a server's Conn over TCP and its client, which has shaken hands.
func silentPair(t *testing.T, lim Limits) (*Conn, net.Conn) {
	t.Helper()
	server, client := tcpPair(t)
	if err := server.SetWriteBuffer(1); err != nil { // the kernel's minimum
		t.Fatal(err)
	}
	_, _ = client.Write([]byte{magic, 0xf3, 0, 0})
	conn, err := Accept(server, lim, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(conn) })
	readN(t, client, 4)
	return conn, client
}

// tcpPair is both ends of a connection over TCP.
func tcpPair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	_ = near.SetDeadline(time.Now().Add(10 * time.Second))
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return far.(*net.TCPConn), near.(*net.TCPConn)
}

// One ping is sent, and any frame is an answer to it.
func TestKeepaliveAsksOnce(t *testing.T) {
	t.Parallel()
	lim := testLimits()
	lim.Keepalive = 500 * time.Millisecond
	conn, client := silentPair(t, lim)
	for range 3 {
		if kind, payload, err := readFrame(client); err != nil || kind != framePing || len(payload) > 0 {
			t.Fatalf("frame type %d, % x, %v; want an empty ping", kind, payload, err)
		}
		b, _ := encoded(CBOR, event(1, 1))
		_, _ = client.Write(frame(frameMessage, b))
		received(t, conn)
	}
	if all, err := io.ReadAll(client); err != nil || len(all) != headBytes {
		t.Errorf("got % x, %v; want one more ping, then the end", all, err)
	}
}

// A peer that reads slowly is no dead peer: that is up to Limits.Stall. What is
// queued for it when the connection closes still has Limits.Flush.
func TestKeepaliveLeavesSlowReader(t *testing.T) {
	t.Parallel()
	lim := testLimits()
	lim.Keepalive = 100 * time.Millisecond
	lim.Queue = 64 << 20
	conn, client := silentPair(t, lim)
	const many = 100
	for i := range many { // more than the kernel takes
		if err := conn.Send(t.Context(), event(i, 60000)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(300 * time.Millisecond)
	if err := conn.Err(); err != nil {
		t.Fatalf("the connection ended: %v", err)
	}
	conn.Close()
	time.Sleep(300 * time.Millisecond)
	events := 0
	for {
		kind, _, err := readFrame(client)
		if err != nil {
			break
		}
		if kind == frameMessage {
			events++
		}
	}
	if events != many {
		t.Errorf("%d of %d events arrived", events, many)
	}
}

// An end whose reader is busy reads no pings, and is alive nevertheless.
func TestKeepaliveOfBusyReader(t *testing.T) {
	t.Parallel()
	for name, join := range networks {
		for _, size := range []int{1, recvAheadBytes/recvAhead + 1} {
			t.Run(fmt.Sprint(name, "/", size), func(t *testing.T) {
				t.Parallel()
				lim := longLimits()
				lim.Keepalive = 400 * time.Millisecond
				client, server, _ := join(t, lim)
				const many = 2 * recvAhead
				for i := range many {
					if err := server.Send(t.Context(), event(i, size)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Second) // busy
				for i := range many {
					if e, ok := received(t, client).(*wamp.Event); !ok || e.Publication != wamp.ID(i) {
						t.Fatalf("got %+v, want event %d", e, i)
					}
				}
				if err := server.Err(); err != nil {
					t.Errorf("the server ended: %v", err)
				}
			})
		}
	}
}

func TestNoKeepaliveOnUnix(t *testing.T) {
	t.Parallel()
	lim := testLimits()
	lim.Keepalive = 10 * time.Millisecond
	conn, client := accept(t, lim, 15, nil)
	time.Sleep(100 * time.Millisecond)
	if err := conn.Send(t.Context(), event(1, 1)); err != nil {
		t.Fatal(err)
	}
	if e, ok := receive(t, client).(*wamp.Event); !ok || e.Publication != 1 {
		t.Errorf("got %+v, want event 1 and no ping", e)
	}
}
