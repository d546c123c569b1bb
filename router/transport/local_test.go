package transport

import (
	"errors"
	"strings"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

func newLocal(t *testing.T, guard Guard, lim Limits) (*Local, *Peer) {
	t.Helper()
	l := NewLocal(guard, lim)
	p := NewPeer(l, func() {})
	t.Cleanup(p.Close)
	return l, p
}

// What one end of a Local sends arrives at the other, what the session sends as a
// Payload, and once nexus has let go of it nothing is sent any more.
func TestLocal(t *testing.T) {
	l, p := newLocal(t, passing{}, testLimits())
	if err := l.Send(t.Context(), &wamp.Call{Request: 1, Arguments: wamp.List{80}, ArgumentsKw: wamp.Dict{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	call := (<-p.Recv()).(*wamp.Call)
	if PayloadOf(call) == nil || Unpack(call) != nil || call.Arguments[0] != int64(80) || call.ArgumentsKw["a"] != "b" {
		t.Errorf("the router gets %+v", call)
	}
	p.Send() <- &wamp.Subscribed{Request: 1, Subscription: 2}
	if m, err := l.Receive(t.Context()); err != nil || m.(*wamp.Subscribed).Subscription != 2 {
		t.Errorf("the session gets %+v, %v", m, err)
	}
	if l.Err() != nil || !p.IsLocal() {
		t.Errorf("it is open: Err %v, IsLocal %v", l.Err(), p.IsLocal())
	}
	p.Close()
	wait(t, l.Done(), "the end of the session")
	l.Close() // once more does no harm
	if _, open := <-p.Recv(); open {
		t.Error("the router still receives")
	}
	if err := l.Send(t.Context(), &wamp.Goodbye{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after the end: %v", err)
	}
	if _, err := l.Receive(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Receive after the end: %v", err)
	}
}

// What waits for a Local is bounded by its bytes: requests find no room before answers
// do, and an answer too many ends the session after what was queued.
func TestLocalQueue(t *testing.T) {
	lim := testLimits()
	lim.Queue = 16 << 10
	l, p := newLocal(t, passing{}, lim)
	long := &Payload{codec: CBOR, depth: lim.Depth, count: 1}
	long.raw, _ = CBOR.Append(nil, []any{strings.Repeat("x", 1000)})
	invocation := func() wamp.Message { return &wamp.Invocation{Arguments: wamp.List{long}} }
	n := 0
	for ; n < 100; n++ {
		if err := p.Put(invocation()); err != nil {
			if fault, ok := errors.AsType[*wire.Error](err); !ok || fault.Limit() != LimitQueue {
				t.Errorf("message %d is refused with %v", n, err)
			}
			break
		}
	}
	if n < 10 || n > 16 {
		t.Errorf("%d messages of 1 KB wait, want three quarters of 16 KB", n)
	}
	for p.Answer(invocation()) == nil {
		n++
	}
	wait(t, l.wake, "the end of the session")
	for range n {
		if m, err := l.Receive(t.Context()); err != nil || m.(*wamp.Invocation).Arguments[0] == nil {
			t.Fatalf("of what was queued there is %+v, %v", m, err)
		}
	}
	if _, err := l.Receive(t.Context()); !errors.Is(err, &wire.Error{URI: wire.ErrSlowConsumer}) {
		t.Errorf("the session ended with %v", err)
	}
}

// A message that nobody would accept is an error for whoever sends it, and the session
// goes on.
func TestLocalTooLong(t *testing.T) {
	lim := testLimits()
	lim.Message = 1000
	l, p := newLocal(t, passing{}, lim)
	deep := any(nil)
	for range lim.Depth + 1 {
		deep = []any{deep}
	}
	for _, v := range []any{strings.Repeat("x", 2000), deep, make(chan int)} {
		if err := l.Send(t.Context(), &wamp.Yield{Arguments: wamp.List{v}}); err == nil {
			t.Errorf("%T is sent", v)
		}
	}
	if err := l.Send(t.Context(), &wamp.Yield{Request: 7}); err != nil {
		t.Fatal(err)
	}
	if m := (<-p.Recv()).(*wamp.Yield); m.Request != 7 {
		t.Errorf("the router gets %+v", m)
	}
}
