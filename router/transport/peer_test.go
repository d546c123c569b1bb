package transport

import (
	"testing"
	"time"
)

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
