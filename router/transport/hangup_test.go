package transport

import (
	"net"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

const floodEvents = 50

// flooded is a server's Conn over TCP whose client never stops sending, and has
// yet to read many events.
func flooded(t *testing.T, lim Limits) (*Conn, net.Conn) {
	t.Helper()
	tcpServer, tcpClient := tcpPair(t)
	if err := tcpClient.SetReadBuffer(32 << 10); err != nil { // the last word waits at the other end
		t.Fatal(err)
	}
	var server, client farEnd = tcpServer, tcpClient
	if carrier == "tls" {
		server, client = underTLS(t, tcpServer, tcpClient)
	}
	_, _ = client.Write([]byte{magic, 0xf3, 0, 0})
	lim.Queue = 1 << 20
	conn, err := Accept(server, lim, nil)
	if err != nil {
		t.Fatal(err)
	}
	go drainRecv(conn)
	readN(t, client, 4)
	for i := range floodEvents {
		if err := conn.Send(t.Context(), event(i, 4000)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := encoded(CBOR, event(1, 4000))
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for err == nil {
			_, err = client.Write(frame(frameMessage, b))
		}
	}()
	t.Cleanup(func() { _ = client.Close(); <-over; wait(t, conn.Done(), "the end of the connection") })
	return conn, client
}

// The last word reaches a peer that goes on sending.
func TestLastWord(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Conn){
		"Abort": func(_ *testing.T, c *Conn) { c.Abort(wire.Errorf(wire.ErrLimit, "enough")) },
		"cut":   func(t *testing.T, c *Conn) { newPeer(t, c).cut(c.slow()) },
		"Close": func(t *testing.T, c *Conn) {
			if err := c.Send(t.Context(), &wamp.Goodbye{Details: wamp.Dict{}}); err != nil {
				t.Error(err)
			}
			c.Close()
		},
	} {
		for range 50 {
			t.Run(name, func(t *testing.T) {
				conn, client := flooded(t, testLimits())
				end(t, conn)
				n, rest := inOrder(t, receiveAll(t, client))
				if len(rest) != 1 || rest[0].MessageType() != wamp.ABORT && rest[0].MessageType() != wamp.GOODBYE {
					t.Errorf("after %d events got %v, want the last word", n, rest)
				}
			})
		}
	}
}

// A peer that never closes is waited for no longer than Limits.Flush.
func TestLastWordUnanswered(t *testing.T) {
	lim := testLimits()
	lim.Flush = 50 * time.Millisecond
	conn, _ := flooded(t, lim)
	conn.Abort(wire.Errorf(wire.ErrLimit, "enough"))
	wait(t, conn.Done(), "the end of the connection")
}
