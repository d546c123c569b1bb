package transport

import (
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

func longInvocation(id wamp.ID) *wamp.Invocation {
	return &wamp.Invocation{Request: id, Registration: 1, Details: wamp.Dict{}, Arguments: wamp.List{strings.Repeat("x", 600)}}
}

// A call that is too long for its callee is answered in the callee's name: no
// caller can end the session of a callee.
func TestInvocationOverPeersLimit(t *testing.T) {
	conn, client := accept(t, testLimits(), 0, nil) // 512 bytes
	peer := newPeer(t, conn)
	peer.Send() <- longInvocation(7)
	select {
	case msg := <-peer.Recv():
		if e, ok := msg.(*wamp.Error); !ok || e.Type != wamp.INVOCATION || e.Request != 7 || e.Error != wire.ErrLimit {
			t.Errorf("the router hears %+v, want ERROR %s for invocation 7", msg, wire.ErrLimit)
		}
	case <-time.After(10 * time.Second):
		t.Error("the router hears nothing")
	}
	peer.Send() <- event(8, 1)
	if e, ok := receive(t, client).(*wamp.Event); !ok || e.Publication != 8 {
		t.Errorf("got %+v, want event 8", e)
	}
}

// nexus has stopped to listen when it closes a peer: what the pump still has
// to say to it must not hold up the end.
func TestPeerClosesWhenNobodyListens(t *testing.T) {
	conn, client := accept(t, testLimits(), 0, nil)
	peer := newPeer(t, conn)
	peer.Send() <- longInvocation(7)
	peer.Close()
	_ = client.Close()
	wait(t, conn.Done(), "the end of the connection")
}

// Until nexus has noticed that a session has ended, the session takes whatever
// is sent to it: the broker and callees would wait for room.
func TestPeerOutlivesItsConnection(t *testing.T) {
	conn, client := accept(t, testLimits(), 0, nil)
	peer := newPeer(t, conn)
	_ = client.Close()
	wait(t, conn.Done(), "the end of the connection")
	for i := range 3 * inboxSize {
		select {
		case peer.Send() <- event(i, 1):
		case <-time.After(10 * time.Second):
			t.Fatalf("no room for message %d", i)
		}
	}
	peer.late.Store(false)
	peer.awaitRoom()
	if peer.late.Load() {
		t.Error("nobody made room")
	}
}

// A pump that rests whenever it can is there again for whatever comes, from
// nexus or past it.
func TestPumpRests(t *testing.T) {
	conn, client := accept(t, testLimits(), 15, nil)
	peer := newPeer(t, conn)
	peer.restAfter = time.Nanosecond
	for i := range 5000 {
		if i%3 == 0 {
			_ = peer.Put(event(i, 1))
			peer.Flush()
		} else {
			peer.Send() <- event(i, 1)
		}
		checkEvent(t, client, i, 1)
	}
	for limit := time.Now().Add(10 * time.Second); peer.pumping.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the pump does not rest")
		}
	}
}
