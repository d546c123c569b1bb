package transport

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"
)

// pack is msg as a router has it that came in the serializer c.
func pack(t testing.TB, c Codec, msg wamp.Message) wamp.Message {
	t.Helper()
	b, err := encoded(c, msg)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := decodePacked(c, b)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// A payload arrives as it was sent, whatever the serializers at both ends, also
// when it is sent twice.
func TestPayloadPasses(t *testing.T) {
	for _, msg := range allMessages() {
		if args, _ := arguments(msg); args == nil {
			continue
		}
		for _, from := range allCodecs {
			for _, to := range allCodecs {
				packed := pack(t, from, msg)
				if PayloadOf(packed) == nil {
					t.Fatalf("%s has no payload", msg.MessageType())
				}
				for range 2 {
					b, err := encoded(to, packed)
					if err != nil {
						t.Fatal(err)
					}
					got, err := decode(to, b, testDepth)
					if err != nil || !same(got, msg) {
						t.Errorf("%s from %s to %s: got %+v, %v; want %+v", msg.MessageType(), from.Name(), to.Name(), got, err, msg)
					}
				}
				if err := Unpack(packed); err != nil || !same(packed, msg) {
					t.Errorf("%s in %s unpacks to %+v, %v", msg.MessageType(), from.Name(), packed, err)
				}
			}
		}
	}
}

// same compares messages, for which an empty list or dict is none.
func same(a, b wamp.Message) bool {
	for _, msg := range []wamp.Message{a, b} {
		if args, kwargs := arguments(msg); args != nil {
			if len(*args) == 0 {
				*args = nil
			}
			if len(*kwargs) == 0 {
				*kwargs = nil
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

// null counts as no arguments, and no receiver gets to see it.
func TestPayloadNull(t *testing.T) {
	for _, c := range allCodecs {
		data := mustAppend(t, c, []any{int64(16), int64(1), nil, "a.b", nil, nil})
		msg, err := decodePacked(c, data)
		if err != nil {
			t.Fatal(err)
		}
		b, err := encoded(CBOR, msg)
		if err != nil {
			t.Fatal(err)
		}
		want := []any{int64(16), int64(1), map[string]any{}, "a.b", []any{}, map[string]any{}}
		if got, err := CBOR.Decode(b, testDepth); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v; want %v", c.Name(), got, err, want)
		}
	}
}

// Each is told what its event is to say, whatever was encoded before.
func TestEvents(t *testing.T) {
	p := pack(t, CBOR, &wamp.Publish{Request: 1, Options: wamp.Dict{}, Topic: "a.b", Arguments: wamp.List{"x"}})
	topic := NewDetails(wamp.Dict{"topic": "a.b"})
	publisher := NewDetails(wamp.Dict{"publisher": int64(1), "publisher_authid": "uid:1"})
	for _, e := range []*Event{
		{Subscription: 1, Publication: 5},
		{Subscription: 1, Publication: 5},
		{Subscription: 1, Publication: 5, Details: publisher},
		{Subscription: 2, Publication: 6, Details: topic},
		{Subscription: 1, Publication: 6, Details: publisher},
		{Subscription: 1, Publication: 5},
	} {
		for _, c := range allCodecs {
			e.Payload = PayloadOf(p)
			b, err := encoded(c, e)
			if err != nil {
				t.Fatal(err)
			}
			want := &wamp.Event{Subscription: e.Subscription, Publication: e.Publication, Details: wamp.Dict{}, Arguments: wamp.List{"x"}}
			if e.Details != nil {
				want.Details = e.Details.Dict()
			}
			if got, err := decode(c, b, testDepth); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, %v; want %+v", c.Name(), got, err, want)
			}
		}
	}
}

// What a receiver would choke on does not pass as a payload either.
func TestPayloadForged(t *testing.T) {
	head := []byte{0x85, 0x10, 0x01, 0xa0, 0x63, 'a', '.', 'b'} // [16, 1, {}, "a.b", ...
	for name, tail := range map[string]string{
		"two values":                "\x80\x80",
		"cut off":                   "\x82\x01",
		"not UTF-8":                 "\x81\x61\xff",
		"too deep":                  strings.Repeat("\x81", 40) + "\x01",
		"a break":                   "\xff",
		"a text":                    "\x61x",
		"a dict":                    "\xa0",
		"a key too deep":            "\x81\xa1" + strings.Repeat("\x81", 40) + "\x01\x01",
		"a key cut off":             "\x81\xa1\x01",
		"tags too deep":             "\x81" + strings.Repeat("\xc1", 40) + "\x01",
		"tagged too deep":           strings.Repeat("\xc1", 40) + "\x80",
		"a bignum cut off":          "\x81\xc2\x49\x01",
		"a character in two chunks": "\x81\x7f\x61\xc3\x61\xa9\xff",
		"a list too long":           "\x9b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
	} {
		if msg, err := decodePacked(CBOR, append(head, tail...)); err == nil {
			t.Errorf("%s passes: %+v", name, msg)
		}
	}
	for _, tail := range []string{"[\"\xff\"]", `[1],{}]`, `[1`, `{}`, `"x"`, `[],[]`, `[1e]`, `[1.e5]`, `[01]`, `[],"\u0000AQ=="`} {
		if msg, err := decodePacked(JSON, []byte(`[16,1,{},"a.b",`+tail+`]`)); err == nil {
			t.Errorf("%s passes: %+v", tail, msg)
		}
	}
}

// FuzzPayload: what passes packed is what decodes, and it decodes to the same.
func FuzzPayload(f *testing.F) {
	for i, c := range allCodecs {
		for _, msg := range allMessages() {
			b, err := encoded(c, msg)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), b)
		}
	}
	f.Add(byte(0), []byte(`[16,1,{},"a",["\u0000AQ==",1.5e3,-0,"é\\",null],{"\u0000":1}]`))
	for _, row := range foreignValues {
		for i, c := range allCodecs {
			if row.codec == c {
				f.Add(byte(i), published(c, row.bytes(f)))
			}
		}
	}
	f.Add(byte(0), []byte(`[16,1,{},"a","\u0000AQ=="]`))
	f.Add(byte(0), []byte(`[337,1,{},["\ud800",1e999]]`))
	f.Add(byte(2), []byte("\x85\x10\x01\xa0\x61a\x41\x01"))
	f.Add(byte(2), []byte("\x86\x10\x01\xa0\x61a\xc1\xc1\x80\xc1\xa1\x80\x01"))
	f.Add(byte(2), []byte("\x9f\x10\x01\xbf\xff\x7f\x61a\xff\x9f\x5f\x41\x01\xff\xc1\x01\xff\xff"))
	f.Fuzz(func(t *testing.T, number byte, data []byte) {
		c := allCodecs[int(number)%len(allCodecs)]
		whole, err := decode(c, data, testDepth)
		if err == nil && c == JSON { // an infinite number passes as null
			var b []byte
			if b, err = encoded(JSON, whole); err == nil {
				whole, err = decode(JSON, b, testDepth)
			}
		}
		packed, packedErr := decodePacked(c, data)
		if (err == nil) != (packedErr == nil) {
			t.Fatalf("decoded: %v; packed: %v", err, packedErr)
		}
		if err != nil {
			return
		}
		again, err := encoded(c, packed)
		if p := PayloadOf(packed); p != nil && p.opaque && errors.As(err, new(*UnsupportedValueError)) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := Unpack(packed); err != nil {
			t.Fatal(err)
		}
		passed, err := decode(c, again, testDepth)
		if err != nil || !equalMessages(passed, whole) || !equalMessages(packed, whole) {
			t.Fatalf("passed as %+v, unpacked as %+v, %v; want %+v", passed, packed, err, whole)
		}
	})
}

// equalMessages compares what messages are on the wire: NaN is NaN.
func equalMessages(a, b wamp.Message) bool {
	same(a, b)
	return equal(elementsOrNil(a), elementsOrNil(b))
}

func elementsOrNil(msg wamp.Message) any {
	b, err := encoded(CBOR, msg)
	if err != nil {
		return nil
	}
	v, _ := CBOR.Decode(b, 2*testDepth)
	return v
}

// A payload holds no more than it counts: blanks that follow it are not its own.
func TestPayloadAmongBlanks(t *testing.T) {
	blanks := strings.Repeat(" ", 1<<20)
	msg, err := decodePacked(JSON, []byte(`[16,1,{},"a.b",[1]`+blanks+`,{}`+blanks+"]"))
	if err != nil {
		t.Fatal(err)
	}
	if p := PayloadOf(msg); string(p.raw) != "[1],{}" || cap(p.raw) > 64 {
		t.Errorf("%q, with room for %d bytes", p.raw, cap(p.raw))
	}
}
