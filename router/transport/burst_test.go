package transport

import (
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
)

// packetConn is a client's Conn on a socket that keeps writes apart: the far end
// reads one write at a time.
func packetConn(t *testing.T) (conn *Conn, read func() []byte) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := socket(t, fds[0]), socket(t, fds[1])
	for _, b := range []byte{magic, 0xf3, 0, 0} { // the answer to what Dial says
		if _, err := far.Write([]byte{b}); err != nil { // a read takes no more than one write
			t.Fatal(err)
		}
	}
	conn, err = Dial(near, CBOR, testLimits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Abandon(); drainRecv(conn); <-conn.Done() })
	read = func() []byte {
		b := make([]byte, 64<<10)
		n, err := far.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return b[:n]
	}
	if err := conn.SendNow(t.Context(), call(0)); err != nil {
		t.Fatal(err)
	}
	read() // the handshake and that message
	return conn, read
}

// frames counts the whole frames of a write.
func frames(t *testing.T, b []byte) (n int) {
	t.Helper()
	for ; len(b) > 0; n++ {
		size := headBytes + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
		if size > len(b) {
			t.Fatal("a write ends within a frame")
		}
		b = b[size:]
	}
	return n
}

func call(n int) *wamp.Call {
	return &wamp.Call{Request: wamp.ID(n), Options: wamp.Dict{}, Procedure: "org.example.echo"}
}

// What many goroutines send at once leaves in few writes, and no goroutine is
// started for it.
func TestBurstLeavesTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // all senders are ready when the first runs
	conn, read := packetConn(t)
	const senders = 64
	before := runtime.NumGoroutine()
	for range 20 {
		var all sync.WaitGroup
		for n := range senders {
			all.Go(func() {
				if err := conn.Send(t.Context(), call(n)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		writes := 0
		for left := senders; left > 0; writes++ {
			left -= frames(t, read())
		}
		if writes > senders/8 {
			t.Errorf("%d messages left in %d writes", senders, writes)
		}
		if n := runtime.NumGoroutine(); n > before {
			t.Fatalf("%d goroutines, expected %d as before the burst", n, before)
		}
	}
}

// A message that no other follows leaves before Send returns.
func TestSingleMessageLeaves(t *testing.T) {
	conn, read := packetConn(t)
	for n := range 100 {
		if err := conn.Send(t.Context(), call(n)); err != nil {
			t.Fatal(err)
		}
		if left := conn.Stats().Queue; left != 0 {
			t.Fatalf("%d bytes waited when Send had returned", left)
		}
		if got := frames(t, read()); got != 1 {
			t.Fatalf("%d messages in one write, expected 1", got)
		}
	}
}

// Events of one sender keep their order, whoever writes them.
func TestStreamKeepsOrder(t *testing.T) {
	conn, far := accept(t, testLimits(), 15, nil)
	const events = 5000
	go func() {
		for n := range events {
			msg := wamp.Message(&wamp.Publish{Request: wamp.ID(n), Options: wamp.Dict{}, Topic: "org.example.topic"})
			if n%7 == 0 {
				msg = call(n)
			}
			if conn.Send(t.Context(), msg) != nil {
				return
			}
		}
	}()
	_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
	for n := range events {
		var id wamp.ID
		switch m := receive(t, far).(type) {
		case *wamp.Publish:
			id = m.Request
		case *wamp.Call:
			id = m.Request
		}
		if id != wamp.ID(n) {
			t.Fatalf("message %d at place %d", id, n)
		}
	}
}
