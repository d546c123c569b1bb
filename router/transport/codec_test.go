package transport

import (
	stdbytes "bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gammazero/nexus/v3/wamp"
)

const testDepth = 8

// What one codec writes, it reads back, with the types that all of them share.
func TestRoundTrip(t *testing.T) {
	for _, c := range allCodecs {
		for _, v := range []any{
			nil, true, false, int64(80), int64(-1), int64(math.MinInt64), int64(math.MaxInt64),
			uint64(math.MaxUint64), int64(9007199254740993), 80.0, -0.25, 1e300, 5e-324,
			"", "grün 日本", strings.Repeat("x", 70000), []byte{}, []byte{0, 255}, []byte(strings.Repeat("y", 300)),
			[]any{}, map[string]any{}, []any{int64(1), []any{"a", nil}},
			map[string]any{"a": map[string]any{"b": []any{1.5}}, "": int64(0)},
		} {
			data, err := c.Append(nil, v)
			if err != nil {
				t.Errorf("%s: encode %v: %v", c.Name(), v, err)
				continue
			}
			got, err := c.Decode(data, testDepth)
			if err != nil || !reflect.DeepEqual(got, v) {
				t.Errorf("%s: %#v came back as %#v, %v", c.Name(), v, got, err)
			}
			for n := range min(len(data), 200) {
				if n == 0 || !isNumber(v) { // a prefix of a JSON number is a number
					if got, err := c.Decode(data[:n], testDepth); err == nil {
						t.Errorf("%s: %d of %d bytes of %v decode to %v", c.Name(), n, len(data), v, got)
					}
				}
			}
			if _, err := c.Decode(append(data, data...), testDepth); err == nil && !isNumber(v) {
				t.Errorf("%s: bytes that follow %v are accepted", c.Name(), v)
			}
		}
	}
}

func mustAppend(t testing.TB, c Codec, v any) []byte {
	t.Helper()
	data, err := c.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// nest wraps a value in n lists or dicts.
func nest(n int, dicts bool) any {
	v := any("x")
	for range n {
		if dicts {
			v = map[string]any{"a": v}
		} else {
			v = []any{v}
		}
	}
	return v
}

func isNumber(v any) bool {
	switch v.(type) {
	case int64, uint64, float64:
		return true
	}
	return false
}

func TestNamedTypes(t *testing.T) {
	v := wamp.Dict{"id": wamp.ID(7), "ids": []wamp.ID{1}, "uri": wamp.URI("a.b"), "list": wamp.List{int32(3), float32(0.5)}, "n": uint8(1)}
	want := map[string]any{"id": int64(7), "ids": []any{int64(1)}, "uri": "a.b", "list": []any{int64(3), 0.5}, "n": int64(1)}
	for _, c := range allCodecs {
		data, err := c.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Decode(data, testDepth); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v", c.Name(), got, err)
		}
		if _, err := c.Append(nil, []any{struct{}{}}); err == nil {
			t.Errorf("%s encodes a struct", c.Name())
		}
	}
}

// RFC 8949, appendix A, as far as WAMP can hold the values.
func TestCBORVectors(t *testing.T) {
	for in, want := range map[string]any{
		"00": int64(0), "17": int64(23), "1818": int64(24), "1903e8": int64(1000),
		"1b000000e8d4a51000": int64(1000000000000), "1bffffffffffffffff": uint64(math.MaxUint64),
		"20": int64(-1), "3903e7": int64(-1000), "f90000": 0.0, "f93c00": 1.0, "f93e00": 1.5, "f97bff": 65504.0,
		"fa47c35000": 100000.0, "fb3ff199999999999a": 1.1, "f90001": 5.960464477539063e-8, "f9c400": -4.0,
		"f97c00": math.Inf(1), "f9fc00": math.Inf(-1), "f4": false, "f5": true, "f6": nil, "f7": nil,
		"c074323031332d30332d32315432303a30343a30305a": "2013-03-21T20:04:00Z", "c11a514b67b0": int64(1363896240),
		"40": []byte{}, "4401020304": []byte{1, 2, 3, 4}, "60": "", "6449455446": "IETF", "62c3bc": "ü",
		"80": []any{}, "8301820203820405": []any{int64(1), []any{int64(2), int64(3)}, []any{int64(4), int64(5)}},
		"a26161016162820203": map[string]any{"a": int64(1), "b": []any{int64(2), int64(3)}},
		"5f42010243030405ff": []byte{1, 2, 3, 4, 5}, "7f657374726561646d696e67ff": "streaming",
		"9fff": []any{}, "9f018202039f0405ffff": []any{int64(1), []any{int64(2), int64(3)}, []any{int64(4), int64(5)}},
		"bf61610161629f0203ffff": map[string]any{"a": int64(1), "b": []any{int64(2), int64(3)}},
	} {
		expect(t, CBOR, in, want)
	}
	rejects(t, CBOR, map[string]string{
		"reserved": "1c", "break alone": "ff",
		"break as a value": "8201ff", "simple": "f818", "bad UTF-8": "61ff", "chunk of another kind": "5f6161ff",
		"text that promises 4 GiB": "7affffffff", "list that promises 2^64": "9bffffffffffffffff", "tag without a value": "c0",
		"odd dict": "bf6161ff", "indefinite tag": "df",
	})
}

// The formats of the MessagePack specification.
func TestMsgPackVectors(t *testing.T) {
	for in, want := range map[string]any{
		"7f": int64(127), "e0": int64(-32), "cc80": int64(128), "cdffff": int64(65535), "ceffffffff": int64(4294967295),
		"cfffffffffffffffff": uint64(math.MaxUint64), "d080": int64(-128), "d1ff7f": int64(-129), "d2ffff7fff": int64(-32769),
		"d38000000000000000": int64(math.MinInt64), "ca3fc00000": 1.5, "cb3ff199999999999a": 1.1, "c0": nil, "c2": false, "c3": true,
		"a161": "a", "d90161": "a", "da000161": "a", "db0000000161": "a", "c40101": []byte{1}, "c5000101": []byte{1}, "c60000000101": []byte{1},
		"9101": []any{int64(1)}, "dc000101": []any{int64(1)}, "dd0000000101": []any{int64(1)},
		"81a16101": map[string]any{"a": int64(1)}, "de0001a16101": map[string]any{"a": int64(1)}, "df00000001a16101": map[string]any{"a": int64(1)},
	} {
		expect(t, MsgPack, in, want)
	}
	rejects(t, MsgPack, map[string]string{
		"never used": "c1", "bad UTF-8": "a1ff", "ext cut off": "d401", "ext without a type": "c700", "ext longer than the message": "c7050100",
		"list that promises 4 Gi": "ddffffffff", "text that promises 4 GiB": "dbffffffff",
	})
}

func TestJSONRefusals(t *testing.T) {
	for _, in := range []string{"", "01", "[1,]", "{\"a\"}", "[1]x", "\"\xff\"", "[1", "nul"} {
		if got, err := JSON.Decode([]byte(in), testDepth); err == nil {
			t.Errorf("%q decodes to %v", in, got)
		}
	}
	if got, err := JSON.Decode([]byte(`"\u0000!"`), testDepth); err != nil || got != "\x00!" {
		t.Errorf("what looks like bytes and is none: %q, %v", got, err)
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if b, err := JSON.Append(nil, v); err != nil || string(b) != "null" {
			t.Errorf("%v became %s, %v", v, b, err)
		}
	}
}

func expect(t *testing.T, c Codec, in string, want any) {
	t.Helper()
	data, err := hex.DecodeString(in)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decode(data, testDepth); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s %s = %#v, %v; want %#v", c.Name(), in, got, err, want)
	}
}

func rejects(t *testing.T, c Codec, vectors map[string]string) {
	t.Helper()
	for name, in := range vectors {
		data, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Decode(data, testDepth); err == nil {
			t.Errorf("%s, %s decodes to %#v", c.Name(), name, got)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	for _, c := range allCodecs {
		for _, dicts := range []bool{false, true} {
			data := mustAppend(t, c, nest(testDepth, dicts))
			if _, err := c.Decode(data, testDepth); err != nil {
				t.Errorf("%s: depth %d: %v", c.Name(), testDepth, err)
			}
			if _, err := c.Decode(data, testDepth-1); !errors.Is(err, errDepth) {
				t.Errorf("%s: too deep: %v", c.Name(), err)
			}
		}
		data := mustAppend(t, c, slices.Repeat([]any{nil}, maxValues+1))
		if _, err := c.Decode(data, testDepth); !errors.Is(err, errMany) {
			t.Errorf("%s: too many: %v", c.Name(), err)
		}
	}
	if _, err := CBOR.Decode([]byte(strings.Repeat("\xc1", 100)+"\x01"), testDepth); !errors.Is(err, errDepth) {
		t.Errorf("tags nest without a limit: %v", err)
	}
}

// fuzzCodec: decoding never panics, and what decodes means the same when it is
// encoded again.
func fuzzCodec(f *testing.F, c Codec, check func(t *testing.T, data []byte, v any, err error)) {
	for _, v := range []any{nil, int64(-70000), 1.5, "x", []byte{1}, []any{int64(1), map[string]any{"a": true}}} {
		data, err := c.Append(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, row := range foreignValues {
		if row.codec == c {
			f.Add(row.bytes(f))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = decode(c, data, testDepth)
		v, err := c.Decode(data, testDepth)
		check(t, data, v, err)
		if err != nil {
			return
		}
		again, err := c.Append(nil, v)
		if err != nil {
			t.Fatalf("%#v does not encode: %v", v, err)
		}
		if c == JSON {
			v = finite(v)
		}
		if back, err := c.Decode(again, testDepth); err != nil || !equal(back, v) {
			t.Fatalf("%#v became %#v, %v", v, back, err)
		}
	})
}

// finite replaces what JSON cannot say by null, in place.
func finite(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsInf(v, 0) {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = finite(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = finite(v[k])
		}
	}
	return v
}

// equal is DeepEqual with NaN equal to itself.
func equal(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b))
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k := range a {
			if !equal(a[k], b[k]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

func unchecked(*testing.T, []byte, any, error) {}

func FuzzJSON(f *testing.F)    { fuzzCodec(f, JSON, likeStandardJSON) }
func FuzzMsgPack(f *testing.F) { fuzzCodec(f, MsgPack, unchecked) }
func FuzzCBOR(f *testing.F)    { fuzzCodec(f, CBOR, unchecked) }

// likeStandardJSON compares what became of data with what encoding/json makes of it.
func likeStandardJSON(t *testing.T, data []byte, v any, err error) {
	if err == errDepth || err == errMany {
		return
	}
	want, wantErr := standardJSON(data)
	if (err == nil) != (wantErr == nil) || err == nil && !equal(v, want) {
		t.Fatalf("%q is %#v, %v; to encoding/json it is %#v, %v", data, v, err, want, wantErr)
	}
}

func standardJSON(data []byte) (v any, err error) {
	if !utf8.Valid(data) {
		return nil, errUTF8
	}
	d := json.NewDecoder(stdbytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errTrail
	}
	return typed(v)
}

// typed turns what encoding/json built into values of Codec, in place.
func typed(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return number(v.String()), nil
	case string:
		return fromText(v), nil
	case []any:
		for i := range v {
			if v[i], err = typed(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = typed(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// What encoding/json takes and refuses, JSON does.
func TestJSONLikeStandard(t *testing.T) {
	parts := []string{
		``, ` `, `[`, `]`, `{`, `}`, `,`, `:`, `"`, `"a"`, `"\`, `\"`, `"\u00e9"`, `"\ud834\udd1e"`, `"\uDEAD"`, `"\x"`, `"\u12"`,
		`"\u0000YQ=="`, "\"\t\"", "\"\x7f\"", "\"\xff\"", "\xef\xbb\xbf", "\x00", "\v", "\t\n\r",
		`0`, `-`, `-0`, `01`, `1.`, `.5`, `1.5`, `+1`, `1e`, `1e5`, `1E+5`, `1e-400`, `1e400`, `-1e400`, `9223372036854775807`,
		`-9223372036854775808`, `-9223372036854775809`, `18446744073709551615`, `18446744073709551616`, `0x1`, `NaN`, `Infinity`,
		`null`, `nul`, `nullx`, `true`, `false`, `True`, `/* */`, `'a'`,
	}
	for _, a := range parts {
		for _, b := range parts {
			for _, text := range []string{a + b, "[" + a + "," + b + "]", "[" + a + b + "]", "{" + a + ":" + b + "}", "[[" + a + "]" + b} {
				v, err := JSON.Decode([]byte(text), testDepth)
				likeStandardJSON(t, []byte(text), v, err)
			}
		}
	}
}

// An integer or a text that is read at once is what value makes of it.
func TestScalarElements(t *testing.T) {
	for _, c := range allCodecs {
		for _, v := range []any{
			int64(0), int64(-1), int64(math.MaxInt64), uint64(math.MaxUint64), 1.0, true, nil,
			"", "a", "é\n\\", "\x00YQ", []byte("a"), []any{}, map[string]any{},
		} {
			message, err := c.Append(nil, []any{v})
			if err != nil {
				t.Fatal(err)
			}
			opened := func() elements {
				e := c.newElements()
				if err := e.open(message, testDepth, 0); err != nil {
					t.Fatalf("%s: %v: %v", c.Name(), v, err)
				}
				return e
			}
			value, err := opened().value()
			want, wantErr := as[int64](value, err)
			if i, err := opened().integer(); i != want || err != wantErr {
				t.Errorf("%s: %v as an integer is %v, %v, expected %v, %v", c.Name(), v, i, err, want, wantErr)
			}
			text, wantErr := as[string](value, err)
			if s, err := opened().text(); s != text || err != wantErr {
				t.Errorf("%s: %v as text is %q, %v, expected %q, %v", c.Name(), v, s, err, text, wantErr)
			}
		}
	}
}
