package transport

import (
	stdbytes "bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"
)

// foreignValue is a value that not every serializer has, or not exactly.
type foreignValue struct {
	name    string
	codec   Codec
	encoded string // in hexadecimal, JSON as it is
	decoded any    // at a client
	foreign string // why no other serializer can represent it, "" if it can
}

func (v foreignValue) bytes(t testing.TB) []byte {
	t.Helper()
	if v.codec == JSON {
		return []byte(v.encoded)
	}
	b, err := hex.DecodeString(v.encoded)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const notText = "a dict key that is not text"

var foreignValues = []foreignValue{
	{"2^64", JSON, "18446744073709551616", 0x1p64, ""},
	{"1e20", JSON, "100000000000000000000", 1e20, ""},
	{"-2^63-1", JSON, "-9223372036854775809", -0x1p63, ""},
	{"2^64-1 of a double", JSON, "18446744073709552000", 0x1p64, ""},
	{"a number of 300 digits", JSON, "1" + strings.Repeat("0", 299), 1e299, ""},

	{"2^64", CBOR, "c249010000000000000000", 0x1p64, ""},
	{"-2^64-1", CBOR, "c349010000000000000000", -0x1p64, ""},
	{"-2^64", CBOR, "3bffffffffffffffff", -0x1p64, ""},
	{"-2^63-1", CBOR, "3b8000000000000000", -0x1p63, ""},
	{"a bignum of 64 bits", CBOR, "c248ffffffffffffffff", uint64(math.MaxUint64), ""},
	{"a small bignum", CBOR, "c2420105", int64(0x105), ""},
	{"a small negative bignum", CBOR, "c34105", int64(-6), ""},
	{"a bignum in chunks", CBOR, "c25f41014105ff", int64(0x105), ""},
	{"a bignum beyond floats", CBOR, "c25881" + strings.Repeat("ff", 129), math.Inf(1), ""},
	{"27315e-2", CBOR, "c48221196ab3", 273.15, ""},
	{"1.5 as a bigfloat", CBOR, "c5822003", 1.5, ""},
	{"a decimal of a bignum", CBOR, "c48221c249010000000000000000", 184467440737095516.16, ""},
	{"a huge decimal", CBOR, "c4821b7fffffffffffffff01", math.Inf(1), ""},
	{"a tiny bigfloat", CBOR, "c5823b7fffffffffffffff01", 0.0, ""},
	{"marked as CBOR", CBOR, "d9d9f7820102", []any{int64(1), int64(2)}, ""},
	{"an infinity", CBOR, "f97c00", math.Inf(1), ""},
	{"NaN", CBOR, "f97e00", math.NaN(), ""},
	{"undefined", CBOR, "f7", nil, ""},
	{"a list of unknown length", CBOR, "9f0102ff", []any{int64(1), int64(2)}, ""},
	{"a text in chunks", CBOR, "7f6161627a7aff", "azz", ""},

	{"a bignum that is none", CBOR, "c20a", int64(10), "CBOR tag 2"},
	{"a decimal that is none", CBOR, "c48101", []any{int64(1)}, "CBOR tag 4"},
	{"a decimal of text", CBOR, "c482016131", []any{int64(1), "1"}, "CBOR tag 4"},
	{"a decimal of 129 bytes", CBOR, "c48201c25881" + strings.Repeat("00", 128) + "05", []any{int64(1), int64(5)}, "CBOR tag 4"},
	{"a time", CBOR, "c11a514b67b0", int64(1363896240), "CBOR tag 1"},
	{"a UUID", CBOR, "d82550" + strings.Repeat("11", 16), stdbytes.Repeat([]byte{0x11}, 16), "CBOR tag 37"},
	{"tag 2^64-1", CBOR, "dbffffffffffffffff01", int64(1), "CBOR tag 18446744073709551615"},
	{"simple 16", CBOR, "f0", nil, "CBOR simple value 16"},
	{"simple 255", CBOR, "f8ff", nil, "CBOR simple value 255"},
	{"int keys", CBOR, "a2012220f6", map[string]any{"1": int64(-3), "-1": nil}, notText},
	{"a key of 2^64", CBOR, "a1c24901000000000000000000", map[string]any{"18446744073709552000.0": int64(0)}, notText},
	{"a key of bytes", CBOR, "a1416101", map[string]any{"\x00YQ==": int64(1)}, notText},
	{"a list as key", CBOR, "a182010203", map[string]any{"820102": int64(3)}, notText},
	{"keys of keys", CBOR, "a1a101a1020304", map[string]any{"a101a10203": int64(4)}, notText},
	{"null as key", CBOR, "a1f601", map[string]any{"null": int64(1)}, notText},
	{"true and 1.5 as keys", CBOR, "a2f501f93e0002", map[string]any{"true": int64(1), "1.5": int64(2)}, notText},
	{"a tagged key", CBOR, "a1c0616101", map[string]any{"a": int64(1)}, "CBOR tag 0"},

	{"undefined", MsgPack, "d40000", nil, "MessagePack extension type 0"},
	{"ext", MsgPack, "d40100", []byte{0}, "MessagePack extension type 1"},
	{"a time", MsgPack, "d6ff514b67b0", []byte{0x51, 0x4b, 0x67, 0xb0}, "MessagePack extension type -1"},
	{"fixext 16", MsgPack, "d87f" + strings.Repeat("22", 16), stdbytes.Repeat([]byte{0x22}, 16), "MessagePack extension type 127"},
	{"ext 8", MsgPack, "c70380010203", []byte{1, 2, 3}, "MessagePack extension type -128"},
	{"ext 16", MsgPack, "c8000102ff", []byte{0xff}, "MessagePack extension type 2"},
	{"ext 32", MsgPack, "c90000000003", []byte{}, "MessagePack extension type 3"},
	{"int keys", MsgPack, "8201e0e001", map[string]any{"1": int64(-32), "-32": int64(1)}, notText},
	{"a key of 2^64-1", MsgPack, "81cfffffffffffffffff01", map[string]any{"18446744073709551615": int64(1)}, notText},
	{"a list as key", MsgPack, "81920102c0", map[string]any{"920102": nil}, notText},
	{"an infinity", MsgPack, "cb7ff0000000000000", math.Inf(1), ""},
}

// published is a PUBLISH whose only argument is encoded in c, and so is a keyword.
func published(c Codec, encoded []byte) []byte {
	b := c.appendInt(c.openList(nil, 6), 16)
	b = c.appendInt(c.appendNext(b), 1)
	b, _ = c.Append(c.appendNext(b), map[string]any{})
	b = c.appendText(c.appendNext(b), "a.b")
	return c.closeList(append(c.appendNext(b), arguments1(c, encoded)...))
}

// arguments1 are [x] and {"k": x}.
func arguments1(c Codec, x []byte) []byte {
	b := c.closeList(append(c.openList(nil, 1), x...))
	b = c.appendNext(b)
	if c == JSON {
		return append(append(append(b, `{"k":`...), x...), '}')
	}
	b = c.(*binaryCodec).f.appendDict(b, 1)
	return append(c.appendText(b, "k"), x...)
}

// What only one serializer has passes byte for byte to a receiver that speaks it. To
// another a number becomes a float, and the rest is an error for its sender.
func TestForeignValues(t *testing.T) {
	for _, row := range foreignValues {
		t.Run(row.codec.Name()+" "+row.name, func(t *testing.T) {
			x := row.bytes(t)
			if v, err := row.codec.Decode(x, testDepth); err != nil || !equal(v, row.decoded) {
				t.Errorf("decodes to %#v, %v; want %#v", v, err, row.decoded)
			}
			for end := range x {
				if v, err := row.codec.Decode(x[:end], testDepth); err == nil && row.codec != JSON {
					t.Errorf("%x of it decodes to %#v", x[:end], v)
				}
			}
			msg, err := decodePacked(row.codec, published(row.codec, x))
			if err != nil {
				t.Fatal(err)
			}
			p := PayloadOf(msg)
			if raw := arguments1(row.codec, x); !stdbytes.Equal(p.raw, raw) {
				t.Errorf("%x became %x", raw, p.raw)
			}
			if p.Portable() != (row.foreign == "") {
				t.Errorf("it is portable: %v", p.Portable())
			}
			for _, to := range allCodecs {
				checkConverted(t, p, to, row)
			}
		})
	}
}

func checkConverted(t *testing.T, p *Payload, to Codec, row foreignValue) {
	t.Helper()
	converted, err := p.in(to)
	if row.foreign != "" && to != row.codec {
		want := &UnsupportedValueError{Serializer: to.Name(), Value: row.foreign}
		if unsupported, ok := errors.AsType[*UnsupportedValueError](err); !ok || *unsupported != *want {
			t.Errorf("in %s: %v; want %v", to.Name(), err, want)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if to == row.codec && converted != p {
		t.Errorf("in %s it is another", to.Name())
	}
	want := row.decoded
	if f, isFloat := want.(float64); isFloat && to == JSON && (math.IsNaN(f) || math.IsInf(f, 0)) {
		want = nil
	}
	args, kwargs, err := converted.decode()
	if err != nil || !equal([]any(args), []any{want}) || !equal(map[string]any(kwargs), map[string]any{"k": want}) {
		t.Errorf("in %s: %#v, %#v, %v; want %#v", to.Name(), args, kwargs, err, want)
	}
}

// A number that no float holds is null in JSON, as infinity is: many decoders refuse it.
// Half of a surrogate pair is U+FFFD.
func TestJSONThatManyRefuse(t *testing.T) {
	for in, want := range map[string]string{
		"1e999": "null", "-1e309": "null", "1" + strings.Repeat("0", 309): "null", "1e99999999999999999999": "null",
		strings.Repeat("9", 309): "null", "1.8e308": "null", "0.0001e313": "null", `"\ud800"`: `"` + "\ufffd" + `"`,
		"1e308": "", "0.0001e311": "", "0e999": "", "1e-999": "", "1e-99999999999999999999": "", "1.7976931348623157e308": "",
		"1" + strings.Repeat("0", 308): "", `"\ud834\udd1e"`: `"` + "\U0001d11e" + `"`, "0." + strings.Repeat("0", 400) + "1": "",
	} {
		msg, err := decodePacked(JSON, published(JSON, []byte(in)))
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		if want == "" {
			want = in
		}
		if got := string(PayloadOf(msg).raw); got != string(arguments1(JSON, []byte(want))) {
			t.Errorf("%.40s became %.100s, want %.40s", in, got, want)
		}
	}
}

// The tags of the argument list itself are dropped.
func TestTaggedArguments(t *testing.T) {
	for in, want := range map[string]string{
		"8510" + "01a06161" + "c08101":                          "8101",
		"8610" + "01a06161" + "d9d9f7c081c101" + "c1a16161c102": "81c101" + "a16161c102",
	} {
		msg, err := decodePacked(CBOR, mustHex(t, in))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(PayloadOf(msg).raw); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func mustHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A byte string in the place of the arguments is an error for its sender alone. A
// client that is sent one reads it as the only argument.
func TestOpaquePayload(t *testing.T) {
	for _, c := range allCodecs {
		b := mustAppend(t, c, []any{int64(16), int64(1), map[string]any{}, "a.b", []byte("sealed")})
		msg, err := decodePacked(c, b)
		if err != nil {
			t.Fatal(err)
		}
		if PayloadOf(msg).Portable() {
			t.Error("it is portable")
		}
		for _, to := range allCodecs {
			if _, err := encoded(to, msg); !errors.As(err, new(*UnsupportedValueError)) {
				t.Errorf("%s to %s: %v", c.Name(), to.Name(), err)
			}
		}
		if err := Unpack(msg); !errors.As(err, new(*UnsupportedValueError)) {
			t.Errorf("%s unpacks: %v", c.Name(), err)
		}
		if got, err := decode(c, b, testDepth); err != nil || !reflect.DeepEqual(got.(*wamp.Publish).Arguments, wamp.List{[]byte("sealed")}) {
			t.Errorf("%s: got %+v, %v", c.Name(), got, err)
		}
	}
}

// An option that a router cannot read is nil, bytes or text to it, whatever serializer
// it came in, and the message is read; an id, a type and a URI stay strict.
func TestForeignOptions(t *testing.T) {
	const head, tail = "9420" + "01", "a3612e62" // [32, 1, options, "a.b"]
	for in, want := range map[string]any{"d40000": nil, "d40100": []byte{0}, "8101c0": map[string]any{"1": nil}, "cb7ff0000000000000": math.Inf(1)} {
		msg, err := decodePacked(MsgPack, mustHex(t, head+"81a56d61746368"+in+tail))
		if err != nil || !equal(msg.(*wamp.Subscribe).Options["match"], want) {
			t.Errorf("%s: got %+v, %v; want %v", in, msg, err, want)
		}
	}
	if msg, err := decodePacked(MsgPack, mustHex(t, head+"8101a161"+tail)); err != nil || msg.(*wamp.Subscribe).Options["1"] != "a" {
		t.Errorf("got %+v, %v", msg, err)
	}
	for name, elements := range map[string]string{ // [32, id, options, topic]
		"an id of 2^64": "c249010000000000000000" + "a0" + "6161",
		"a float as id": "f93c00" + "a0" + "6161",
		"bytes as URI":  "01" + "a0" + "4161",
		"list for dict": "01" + "80" + "6161",
	} {
		if msg, err := decodePacked(CBOR, mustHex(t, "841820"+elements)); err == nil || err == errUnknownType {
			t.Errorf("%s: got %+v, %v", name, msg, err)
		}
	}
}

// What a foreign value is made of counts and nests like any other.
func TestForeignLimits(t *testing.T) {
	keys := slices.Concat([]byte{0xba, 0, 3, 0, 0}, stdbytes.Repeat([]byte{1, 0xf6}, 3<<16)) // 196608 pairs
	if _, err := CBOR.Decode(keys, testDepth); err != nil {
		t.Errorf("%d values: %v", 2*3<<16, err)
	}
	many := slices.Concat([]byte{0xba, 0, 4, 0, 0}, stdbytes.Repeat([]byte{1, 0xf6}, 4<<16))
	if _, err := CBOR.Decode(many, testDepth); !errors.Is(err, errMany) {
		t.Errorf("%d keys: %v", 4<<16, err)
	}
	deep := slices.Concat(stdbytes.Repeat([]byte{0xa1}, 1<<12), stdbytes.Repeat([]byte{1}, 1<<13))
	if _, err := CBOR.Decode(deep, testDepth); !errors.Is(err, errDepth) {
		t.Errorf("dicts as keys of dicts: %v", err)
	}
	full := append(stdbytes.Repeat([]byte{0x81}, testDepth), 0xc2, 0x41, 0x01)
	if _, err := CBOR.Decode(full, testDepth); err != nil {
		t.Errorf("a bignum does not nest: %v", err)
	}
}

// An event that a subscriber's serializer cannot represent does not end its session.
func TestForeignEvent(t *testing.T) {
	conn, client := accept(t, testLimits(), 0, passing{})
	peer := newPeer(t, conn)
	foreign, err := decodePacked(MsgPack, published(MsgPack, []byte{0xd4, 5, 6}))
	if err != nil {
		t.Fatal(err)
	}
	if err := peer.Prepare(foreign); !errors.As(err, new(*UnsupportedValueError)) {
		t.Errorf("prepared: %v", err)
	}
	if peer.Deliver(&Event{Subscription: 1, Publication: 1, Payload: PayloadOf(foreign)}) {
		t.Error("it is delivered")
	}
	plain := pack(t, MsgPack, &wamp.Publish{Request: 1, Options: wamp.Dict{}, Topic: "a.b"})
	if !peer.Deliver(&Event{Subscription: 1, Publication: 2, Payload: PayloadOf(plain)}) {
		t.Error("the next one is not delivered")
	}
	peer.Flush()
	if e, ok := receive(t, client).(*wamp.Event); !ok || e.Publication != 2 {
		t.Errorf("got %+v, want event 2", e)
	}
}

func TestUnsupportedValueError(t *testing.T) {
	for err, want := range map[*UnsupportedValueError]string{
		{Serializer: "json", Value: "CBOR tag 37"}: "json cannot represent CBOR tag 37",
		{Value: "a byte string"}:                   "a byte string cannot be routed",
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}
