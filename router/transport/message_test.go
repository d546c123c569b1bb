package transport

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"
)

// every message type, in its shortest and in its longest form.
func allMessages() []wamp.Message {
	d := wamp.Dict{"key": int64(1), "nested": map[string]any{"ü": []any{true}}}
	args := wamp.List{int64(80), "text", []byte{1}, nil}
	kw := wamp.Dict{"unit": "percent"}
	return []wamp.Message{
		&wamp.Hello{Realm: "r", Details: d},
		&wamp.Welcome{ID: maxID, Details: d},
		&wamp.Abort{Details: d, Reason: "a.b"},
		&wamp.Challenge{AuthMethod: "m", Extra: d},
		&wamp.Authenticate{Signature: "s", Extra: d},
		&wamp.Goodbye{Details: d, Reason: "a.b"},
		&wamp.Error{Type: wamp.CALL, Request: 1, Details: d, Error: "a.b"},
		&wamp.Error{Type: wamp.CALL, Request: 1, Details: d, Error: "a.b", Arguments: args, ArgumentsKw: kw},
		&wamp.Publish{Request: 1, Options: d, Topic: "a.b"},
		&wamp.Publish{Request: 1, Options: d, Topic: "a.b", Arguments: args, ArgumentsKw: kw},
		&wamp.Published{Request: 1, Publication: 2},
		&wamp.Subscribe{Request: 1, Options: d, Topic: "a.b"},
		&wamp.Subscribed{Request: 1, Subscription: 2},
		&wamp.Unsubscribe{Request: 1, Subscription: 2},
		&wamp.Unsubscribed{Request: 1},
		&wamp.Event{Subscription: 1, Publication: 2, Details: d},
		&wamp.Event{Subscription: 1, Publication: 2, Details: d, Arguments: args},
		&wamp.Event{Subscription: 1, Publication: 2, Details: d, Arguments: args, ArgumentsKw: kw},
		&wamp.Call{Request: 1, Options: d, Procedure: "a.b"},
		&wamp.Call{Request: 1, Options: d, Procedure: "a.b", Arguments: args, ArgumentsKw: kw},
		&wamp.Cancel{Request: 1, Options: d},
		&wamp.Result{Request: 1, Details: d},
		&wamp.Result{Request: 1, Details: d, Arguments: args, ArgumentsKw: kw},
		&wamp.Register{Request: 1, Options: d, Procedure: "a.b"},
		&wamp.Registered{Request: 1, Registration: 2},
		&wamp.Unregister{Request: 1, Registration: 2},
		&wamp.Unregistered{Request: 1},
		&wamp.Invocation{Request: 1, Registration: 2, Details: d},
		&wamp.Invocation{Request: 1, Registration: 2, Details: d, Arguments: args, ArgumentsKw: kw},
		&wamp.Interrupt{Request: 1, Options: d},
		&wamp.Yield{Request: 1, Options: d},
		&wamp.Yield{Request: 1, Options: d, Arguments: args, ArgumentsKw: kw},
	}
}

// elementsOf is what msg is on the wire.
func elementsOf(t *testing.T, msg wamp.Message) []any {
	t.Helper()
	b, err := encoded(CBOR, msg)
	if err != nil {
		t.Fatal(err)
	}
	v, err := CBOR.Decode(b, testDepth)
	if err != nil {
		t.Fatal(err)
	}
	return v.([]any)
}

func TestMessageRoundTrip(t *testing.T) {
	seen := map[wamp.MessageType]bool{}
	for _, msg := range allMessages() {
		seen[msg.MessageType()] = true
		for _, c := range allCodecs {
			b, err := encoded(c, msg)
			if err != nil {
				t.Fatalf("%s: %s: %v", c.Name(), msg.MessageType(), err)
			}
			got, err := decode(c, b, testDepth)
			if err != nil || !reflect.DeepEqual(got, msg) {
				t.Errorf("%s: %s: got %+v, %v; want %+v", c.Name(), msg.MessageType(), got, err, msg)
			}
		}
	}
	for code := range 256 {
		if wamp.NewMessage(wamp.MessageType(code)) != nil && !seen[wamp.MessageType(code)] {
			t.Errorf("message type %d is in no row", code)
		}
	}
}

// Keyword arguments without positional ones keep their place.
func TestKeywordsOnly(t *testing.T) {
	for _, c := range allCodecs {
		b, err := encoded(c, &wamp.Yield{Request: 1, ArgumentsKw: wamp.Dict{"a": int64(1)}})
		if err != nil {
			t.Fatal(err)
		}
		v, err := c.Decode(b, testDepth)
		want := []any{int64(70), int64(1), map[string]any{}, []any{}, map[string]any{"a": int64(1)}}
		if err != nil || !reflect.DeepEqual(v, want) {
			t.Errorf("%s: got %v, %v; want %v", c.Name(), v, err, want)
		}
	}
}

func TestDecodeMessageRefuses(t *testing.T) {
	refused := func(name string, v any) {
		t.Helper()
		for _, c := range allCodecs {
			if msg, err := decode(c, mustAppend(t, c, v), testDepth); err == nil {
				t.Errorf("%s: %s: got %+v, want an error", c.Name(), name, msg)
			}
		}
	}
	for _, msg := range allMessages() {
		whole, name := elementsOf(t, msg), msg.MessageType()
		var at [maxElements]any
		_, optional := fields(msg, &at)
		if shortest := elementsOf(t, msg); optional == 0 || len(shortest) < 5 {
			refused(fmt.Sprintf("%s, last element missing", name), whole[:len(whole)-1])
		}
		refused(fmt.Sprintf("%s alone", name), whole[:1])
		for i := 1; i < len(whole); i++ {
			wrong := append([]any{}, whole...)
			wrong[i] = true
			refused(fmt.Sprintf("%s with true as element %d", name, i), wrong)
		}
	}
	for _, v := range []any{nil, int64(1), "1", map[string]any{}, []any{}} {
		refused(fmt.Sprintf("%#v", v), v)
	}
	for _, code := range []any{int64(-1), uint64(1 << 63), 1.0, "1", nil} {
		refused(fmt.Sprintf("type %#v", code), []any{code, "deskconn", map[string]any{}})
	}
	for _, id := range []any{int64(-1), int64(maxID + 1), uint64(1 << 63), 1.0, "1", nil} {
		refused(fmt.Sprintf("id %#v", id), []any{int64(35), id})
	}
}

// The depth limit is for the payload, whatever the message around it.
func TestMessageDepth(t *testing.T) {
	for _, c := range allCodecs {
		for n, want := range map[int]bool{testDepth - 1: true, testDepth: false} {
			b := mustAppend(t, c, []any{int64(16), int64(1), map[string]any{}, "a.b", []any{nest(n, false)}})
			if _, err := decode(c, b, testDepth); (err == nil) != want {
				t.Errorf("%s: arguments nested %d deep: %v", c.Name(), n+1, err)
			}
			passing := decoder{codec: c, elements: c.newElements(), depth: testDepth, packed: true}
			if _, err := passing.decode(b, false); (err == nil) != want {
				t.Errorf("%s: arguments that pass as bytes, nested %d deep: %v", c.Name(), n+1, err)
			}
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range allCodecs {
		if b, err := encoded(c, nil); err == nil {
			t.Errorf("%s: nil became %x", c.Name(), b)
		}
		if b, err := encoded(c, &wamp.Yield{Arguments: wamp.List{make(chan int)}}); err == nil {
			t.Errorf("%s: a channel became %x", c.Name(), b)
		}
	}
}

// What is no list is told so, in words that are not those of a library.
func TestNoList(t *testing.T) {
	for _, data := range []string{"{}", `"x"`, "1", "true", "null"} {
		if _, err := decode(JSON, []byte(data), testDepth); !errors.Is(err, errNoList) {
			t.Errorf("%s: got %v, want %v", data, err, errNoList)
		}
	}
}
