package transport

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// A peer may only say little until it is welcome.
func TestGreeting(t *testing.T) {
	lim := testLimits()
	lim.Greeting = 100
	for _, welcome := range []bool{false, true} {
		near, far := pair(t)
		if _, err := near.Write([]byte{magic, 0xf3, 0, 0}); err != nil {
			t.Fatal(err)
		}
		conn, err := Accept(far, lim, nil)
		if err != nil {
			t.Fatal(err)
		}
		var reply [4]byte
		if _, err := io.ReadFull(near, reply[:]); err != nil {
			t.Fatal(err)
		}
		if got := codeLength(reply[1] >> 4); got != lim.Message {
			t.Errorf("the handshake announces %d bytes, want %d", got, lim.Message)
		}
		send := func(n int) {
			hello := mustAppend(t, CBOR, []any{int64(1), strings.Repeat("x", n), map[string]any{}})
			if _, err := near.Write(frame(frameMessage, hello)); err != nil {
				t.Fatal(err)
			}
		}
		send(50)
		if _, open := <-conn.Recv(); !open {
			t.Fatalf("a short message: %v", conn.Err())
		}
		time.Sleep(10 * time.Millisecond) // the reader now waits for the next one
		if welcome {
			conn.Welcomed()
		}
		send(200)
		_, open := <-conn.Recv()
		if open != welcome {
			t.Errorf("welcome %v: the long message passes: %v, %v", welcome, open, conn.Err())
		}
		if !welcome {
			kind, payload, err := readFrame(near)
			if msg, _ := decode(CBOR, payload, 8); err != nil || kind != frameMessage || msg.(*wamp.Abort).Reason != wire.ErrLimit {
				t.Errorf("the peer is told %v, %v", msg, err)
			}
		}
		conn.Abandon()
		drainRecv(conn)
		wait(t, conn.Done(), "the end of the connection")
	}
}

func TestRefuseCount(t *testing.T) {
	near, far := pair(t)
	if err := RefuseCount(far); err == nil {
		t.Error("no error")
	}
	reply := make([]byte, 4)
	if _, err := io.ReadFull(near, reply); err != nil || string(reply) != "\x7f\x40\x00\x00" {
		t.Errorf("% x, %v", reply, err)
	}
}
