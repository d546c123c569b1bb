package transport

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// Elements that follow the known ones are ignored, but must be well-formed.
func TestMoreElements(t *testing.T) {
	for _, msg := range allMessages() {
		var at [maxElements]any
		n, _ := fields(msg, &at)
		longer := elementsOf(t, msg)
		for len(longer) < n+1 {
			longer = append(longer, nil)
		}
		switch msg.(type) {
		case *wamp.Abort, *wamp.Goodbye: // they may have arguments
			longer = append(longer, nil, nil)
		}
		for range 2 {
			longer = append(longer, []any{"new", map[string]any{"x": int64(1)}})
			for _, c := range allCodecs {
				b := mustAppend(t, c, longer)
				got, err := decode(c, b, testDepth)
				if err != nil || !equalMessages(got, msg) {
					t.Errorf("%s: %s with %d elements: got %+v, %v; want %+v", c.Name(), msg.MessageType(), len(longer), got, err, msg)
				}
				if _, err := decodePacked(c, b); err != nil {
					t.Errorf("%s: %s with %d elements, at a router: %v", c.Name(), msg.MessageType(), len(longer), err)
				}
				for end := range b {
					if _, err := decode(c, b[:end], testDepth); err == nil {
						t.Fatalf("%s: %q is accepted", c.Name(), b[:end])
					}
				}
			}
		}
	}
	for _, tail := range []string{`,`, `,tru`, `,1e`, ",\"\xff\"", `,` + strings.Repeat("[", 40) + strings.Repeat("]", 40), `]`} {
		if msg, err := decodePacked(JSON, []byte(`[16,1,{},"a.b",[],{}`+tail+`]`)); err == nil {
			t.Errorf("followed by %s: got %+v", tail, msg)
		}
	}
}

// A message of an unknown type is told apart, if it is well-formed.
func TestUnknownTypes(t *testing.T) {
	for _, code := range []any{int64(0), int64(7), int64(99), int64(255), int64(256), int64(257), int64(337), int64(1 << 62)} {
		for _, c := range allCodecs {
			b := mustAppend(t, c, []any{code, int64(6131533), map[string]any{}, "x"})
			for _, decode := range []func(Codec, []byte) (wamp.Message, error){decodeWhole, decodePacked} {
				if msg, err := decode(c, b); err != errUnknownType {
					t.Errorf("%s: type %d: got %+v, %v; want %v", c.Name(), code, msg, err, errUnknownType)
				}
				if _, err := decode(c, b[:len(b)-1]); err == nil || err == errUnknownType {
					t.Errorf("%s: type %d, cut off: %v", c.Name(), code, err)
				}
				if _, err := decode(c, append(b, b...)); !errors.Is(err, errTrail) {
					t.Errorf("%s: type %d, twice: %v", c.Name(), code, err)
				}
			}
		}
	}
}

func decodeWhole(c Codec, data []byte) (wamp.Message, error) { return decode(c, data, testDepth) }

// The arguments of ABORT and GOODBYE are read: a text says what the details do not.
func TestReasonArguments(t *testing.T) {
	for in, want := range map[string]wamp.Message{
		`[3,{},"a.b",["why"]]`:                       &wamp.Abort{Reason: "a.b", Details: wamp.Dict{"message": "why"}},
		`[3,null,"a.b",["why",2],{"x":1}]`:           &wamp.Abort{Reason: "a.b", Details: wamp.Dict{"message": "why"}},
		`[3,{"message":"so"},"a.b",["why"],{"x":1}]`: &wamp.Abort{Reason: "a.b", Details: wamp.Dict{"message": "so"}},
		`[6,{"x":1},"a.b",["why"]]`:                  &wamp.Goodbye{Reason: "a.b", Details: wamp.Dict{"x": int64(1), "message": "why"}},
		`[6,{},"a.b",[1,"why"],{}]`:                  &wamp.Goodbye{Reason: "a.b", Details: wamp.Dict{}},
		`[6,{},"a.b",[],{},"new"]`:                   &wamp.Goodbye{Reason: "a.b", Details: wamp.Dict{}},
		`[6,{},"a.b",null,null]`:                     &wamp.Goodbye{Reason: "a.b", Details: wamp.Dict{}},
	} {
		v, err := JSON.Decode([]byte(in), testDepth)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range allCodecs {
			if got, err := decode(c, mustAppend(t, c, v), testDepth); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s: got %+v, %v; want %+v", c.Name(), in, got, err, want)
			}
		}
	}
}

// A message of an unknown type is ignored at a router's end and at a client's, but
// not where HELLO is due.
func TestUnknownTypeIgnored(t *testing.T) {
	received := frame(frameMessage, mustAppend(t, CBOR, []any{int64(337), int64(6131533)}))
	published, err := encoded(CBOR, event(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, guard := range []Guard{nil, passing{}} {
		conn, client := accept(t, testLimits(), 0, guard)
		if _, err := client.Write(append(received, frame(frameMessage, published)...)); err != nil {
			t.Fatal(err)
		}
		select {
		case msg := <-conn.Recv():
			if e, ok := msg.(*wamp.Event); !ok || e.Publication != 1 {
				t.Errorf("got %+v, %v; want the event", msg, conn.Err())
			}
		case <-time.After(10 * time.Second):
			t.Error("nothing is received")
		}
	}
	lim := testLimits()
	lim.Greeting = 1024
	_, client := accept(t, lim, 0, passing{})
	if _, err := client.Write(received); err != nil {
		t.Fatal(err)
	}
	if abort, ok := receive(t, client).(*wamp.Abort); !ok || abort.Reason != wire.ErrProtocolViolation {
		t.Errorf("before WELCOME: got %+v, want ABORT %s", abort, wire.ErrProtocolViolation)
	}
}
