package load

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/transport"
)

func TestReadWAMP(t *testing.T) {
	const big = uint64(1) << 52
	long := []byte(strings.Repeat("x", 70_000))
	details := map[string]any{"a": []any{int64(-1), 1.5, nil, true, "text"}, "b": map[string]any{"c": []byte("bytes")}}
	for name, c := range map[string]struct {
		message []any
		want    wampMessage
	}{
		"event":      {[]any{int64(36), big, int64(300), details, []any{long}}, wampMessage{kind: wamp.EVENT, request: big, object: 300, payload: long}},
		"invocation": {[]any{int64(68), int64(1), int64(70_000), details, []any{[]byte{}}}, wampMessage{kind: wamp.INVOCATION, request: 1, object: 70_000, payload: []byte{}}},
		"result":     {[]any{int64(50), int64(7), map[string]any{}, []any{[]byte("hi")}, map[string]any{}}, wampMessage{kind: wamp.RESULT, request: 7, payload: []byte("hi")}},
		"text":       {[]any{int64(50), int64(7), map[string]any{}, []any{"name"}}, wampMessage{kind: wamp.RESULT, request: 7, payload: []byte("name")}},
		"subscribed": {[]any{int64(33), int64(7), big}, wampMessage{kind: wamp.SUBSCRIBED, request: 7, object: big}},
		"error":      {[]any{int64(8), int64(48), int64(7), details, "wamp.error.x", []any{"why"}}, wampMessage{kind: wamp.ERROR, request: 7, uri: []byte("wamp.error.x")}},
		"goodbye":    {[]any{int64(6), details, "wamp.close.normal"}, wampMessage{kind: wamp.GOODBYE}},
	} {
		b, err := transport.CBOR.Append(nil, c.message)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readWAMP(b)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, expected %+v", name, got, err, c.want)
		}
		for n := range min(len(b), 100) {
			if _, err := readWAMP(b[:n]); err == nil && c.want.kind != wamp.GOODBYE && c.want.kind != wamp.ERROR && c.want.kind != wamp.RESULT {
				t.Fatalf("%s: no error in its first %d bytes of %d", name, n, len(b))
			}
		}
	}
}

func TestReadWAMPOther(t *testing.T) {
	for name, message := range map[string][]any{
		"no payload":   {int64(36), int64(1), int64(2), map[string]any{}},
		"two payloads": {int64(36), int64(1), int64(2), map[string]any{}, []any{[]byte("a"), []byte("b")}},
		"text":         {int64(36), int64(1), int64(2), map[string]any{}, []any{"a"}},
	} {
		b, err := transport.CBOR.Append(nil, message)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readWAMP(b); err == nil {
			t.Errorf("%s: %+v, expected an error", name, got)
		}
	}
}

func TestAppendWAMP(t *testing.T) {
	for name, c := range map[string]struct {
		request wampRequest
		want    []any
	}{
		"publish":      {wampRequest{kind: wamp.PUBLISH, number: 1 << 40, uri: "a.b", payload: []byte("hi"), argued: true}, []any{int64(16), int64(1 << 40), map[string]any{}, "a.b", []any{[]byte("hi")}}},
		"acknowledged": {wampRequest{kind: wamp.PUBLISH, number: 24, option: "acknowledge", uri: "a.b", argued: true}, []any{int64(16), int64(24), map[string]any{"acknowledge": true}, "a.b", []any{[]byte{}}}},
		"register":     {wampRequest{kind: wamp.REGISTER, number: 256, uri: "a.b"}, []any{int64(64), int64(256), map[string]any{}, "a.b"}},
		"yield":        {wampRequest{kind: wamp.YIELD, number: 65536, payload: make([]byte, 300), argued: true}, []any{int64(70), int64(65536), map[string]any{}, []any{make([]byte, 300)}}},
	} {
		b := appendWAMP([]byte("before"), c.request)[len("before"):]
		if n := binary.BigEndian.Uint32(b); int(n) != len(b)-4 {
			t.Errorf("%s: the head says %d bytes, there are %d", name, n, len(b)-4)
		}
		got, err := transport.CBOR.Decode(b[4:], 8)
		if err != nil || !reflect.DeepEqual(got, any(c.want)) {
			t.Errorf("%s: %v, %v, expected %v", name, got, err, c.want)
		}
	}
}
