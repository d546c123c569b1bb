package transport

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"

	"github.com/gammazero/nexus/v3/wamp"
)

// Codec is one WAMP serializer. Decoded values are nil, bool, int64, uint64
// (only above 2^63-1), float64, string, []byte, []any and map[string]any,
// whatever the codec: 80 is int64(80) from each of them.
type Codec interface {
	// Name as in the websocket subprotocol: "json", "msgpack", "cbor".
	Name() string
	// Append adds the encoding of v to b.
	Append(b []byte, v any) ([]byte, error)
	// Decode reads exactly one value that nests at most depth deep. Its
	// memory is bounded by the length of data and maxValues.
	Decode(data []byte, depth int) (any, error)
}

// The serializers of the WAMP specification that dconn speaks.
var (
	JSON    Codec = jsonCodec{}
	MsgPack Codec = binaryCodec{"msgpack", msgpackFormat{}}
	CBOR    Codec = binaryCodec{"cbor", cborFormat{}}
)

// maxValues bounds how many values one message may hold: a byte of input can
// cost 40 bytes of memory ("[[],[],...]"), so the length alone is no bound.
const maxValues = 1 << 19

var (
	errShort   = errors.New("the message ends too early")
	errTrail   = errors.New("bytes follow the message")
	errDepth   = errors.New("nested too deep") // deeper than Limits.Depth
	errMany    = fmt.Errorf("more than %d values in one message", maxValues)
	errUTF8    = errors.New("text is not UTF-8")
	errKey     = errors.New("a dict key is not text")
	errInteger = errors.New("an integer exceeds 64 bits")
)

// format is what differs between CBOR and MessagePack: the heads of values.
type format interface {
	// head reads the head of the next value.
	head(r *reader) (head, error)
	appendNil(b []byte) []byte
	appendBool(b []byte, v bool) []byte
	appendInt(b []byte, v int64) []byte
	appendUint(b []byte, v uint64) []byte
	appendFloat(b []byte, v float64) []byte
	// appendHead opens a text, bytes, list or dict of n bytes or elements.
	appendHead(b []byte, k kind, n int) []byte
}

type kind int

const (
	scalar   kind = iota // value is head.value
	text                 // n bytes of UTF-8 follow
	bytes                // n bytes follow
	list                 // n values follow
	dict                 // n pairs follow
	wrapper              // one value follows that this head only annotates
	breakEnd             // ends a list, dict or string of unknown length
)

// head opens a value. n is -1 where the length is not known in advance.
type head struct {
	kind  kind
	n     int
	value any
}

// reader walks over the bytes of one message.
type reader struct {
	data   []byte
	pos    int
	values int
}

// take returns the next n bytes, which still belong to the message.
func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.data)-r.pos {
		return nil, errShort
	}
	b := r.data[r.pos : r.pos+n]
	r.pos += n
	return b, nil
}

// number reads a big-endian unsigned integer of n bytes.
func (r *reader) number(n int) (uint64, error) {
	b, err := r.take(n)
	if err != nil {
		return 0, err
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, nil
}

// length reads a length of n bytes and refuses what cannot be in the message.
func (r *reader) length(n int) (int, error) {
	v, err := r.number(n)
	if err != nil {
		return 0, err
	}
	if v > uint64(len(r.data)-r.pos) {
		return 0, errShort
	}
	return int(v), nil
}

// unsigned gives an integer the type every codec agrees on.
func unsigned(v uint64) any {
	if v <= math.MaxInt64 {
		return int64(v)
	}
	return v
}

// binaryCodec is CBOR or MessagePack.
type binaryCodec struct {
	name string
	f    format
}

func (c binaryCodec) Name() string { return c.name }

func (c binaryCodec) Decode(data []byte, depth int) (any, error) {
	r := &reader{data: data}
	v, isBreak, err := c.value(r, depth)
	switch {
	case err != nil:
		return nil, err
	case isBreak:
		return nil, errShort
	case r.pos != len(data):
		return nil, errTrail
	}
	return v, nil
}

// value reads the next value; isBreak says that it was an end mark instead.
func (c binaryCodec) value(r *reader, depth int) (v any, isBreak bool, err error) {
	if r.values++; r.values > maxValues {
		return nil, false, errMany
	}
	h, err := c.f.head(r)
	if err != nil {
		return nil, false, err
	}
	if (h.kind == list || h.kind == dict || h.kind == wrapper) && depth <= 0 {
		return nil, false, errDepth
	}
	switch h.kind {
	case text:
		s, err := c.text(r, h.n)
		return s, false, err
	case bytes:
		b, err := c.bytes(r, h.n, bytes)
		return b, false, err
	case list:
		l, err := c.list(r, h.n, depth-1)
		return l, false, err
	case dict:
		d, err := c.dict(r, h.n, depth-1)
		return d, false, err
	case wrapper:
		v, isBreak, err := c.value(r, depth-1)
		if isBreak {
			err = errShort
		}
		return v, false, err
	case breakEnd:
		return nil, true, nil
	}
	return h.value, false, nil
}

func (c binaryCodec) text(r *reader, n int) (string, error) {
	b, err := c.bytes(r, n, text)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errUTF8
	}
	return string(b), nil
}

// bytes reads n bytes, or chunks of the same kind up to an end mark.
func (c binaryCodec) bytes(r *reader, n int, k kind) ([]byte, error) {
	if n >= 0 {
		b, err := r.take(n)
		return append([]byte{}, b...), err
	}
	whole := []byte{}
	for {
		h, err := c.f.head(r)
		if err != nil {
			return nil, err
		}
		if h.kind == breakEnd {
			return whole, nil
		}
		if h.kind != k || h.n < 0 {
			return nil, errShort
		}
		b, err := r.take(h.n)
		if err != nil {
			return nil, err
		}
		whole = append(whole, b...)
	}
}

func (c binaryCodec) list(r *reader, n, depth int) ([]any, error) {
	l := make([]any, 0, min(max(n, 0), 64))
	for n < 0 || len(l) < n {
		v, isBreak, err := c.value(r, depth)
		if err != nil {
			return nil, err
		}
		if isBreak {
			if n < 0 {
				return l, nil
			}
			return nil, errShort
		}
		l = append(l, v)
	}
	return l, nil
}

func (c binaryCodec) dict(r *reader, n, depth int) (map[string]any, error) {
	d := make(map[string]any, min(max(n, 0), 16))
	for i := 0; n < 0 || i < n; i++ {
		k, isBreak, err := c.value(r, 0)
		if err != nil {
			return nil, err
		}
		if isBreak && n < 0 {
			return d, nil
		}
		key, ok := k.(string)
		if !ok || isBreak {
			return nil, errKey
		}
		v, isBreak, err := c.value(r, depth)
		if err != nil {
			return nil, err
		}
		if isBreak {
			return nil, errShort
		}
		d[key] = v
	}
	return d, nil
}

func (c binaryCodec) Append(b []byte, v any) ([]byte, error) {
	f := c.f
	var err error
	switch v := plain(v).(type) {
	case nil:
		return f.appendNil(b), nil
	case bool:
		return f.appendBool(b, v), nil
	case int64:
		return f.appendInt(b, v), nil
	case uint64:
		return f.appendUint(b, v), nil
	case float64:
		return f.appendFloat(b, v), nil
	case string:
		return append(f.appendHead(b, text, len(v)), v...), nil
	case []byte:
		return append(f.appendHead(b, bytes, len(v)), v...), nil
	case []any:
		b = f.appendHead(b, list, len(v))
		for _, e := range v {
			if b, err = c.Append(b, e); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		b = f.appendHead(b, dict, len(v))
		for k, e := range v {
			b = append(f.appendHead(b, text, len(k)), k...)
			if b, err = c.Append(b, e); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("a %T cannot travel in a WAMP message", v)
}

// plain gives v one of the types of Codec. nexus and capabilities use named
// and sized types (wamp.ID, int, []string); those are converted here.
func plain(v any) any {
	switch v := v.(type) {
	case nil, bool, int64, uint64, float64, string, []byte, []any, map[string]any:
		return v
	case wamp.Dict:
		return map[string]any(v)
	case wamp.List:
		return []any(v)
	case wamp.URI:
		return string(v)
	case wamp.ID:
		return unsigned(uint64(v))
	case int:
		return int64(v)
	}
	return plainByKind(reflect.ValueOf(v))
}

func plainByKind(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return unsigned(v.Uint())
	case reflect.Float32, reflect.Float64:
		return v.Float()
	case reflect.Slice, reflect.Array:
		l := make([]any, v.Len())
		for i := range l {
			l[i] = v.Index(i).Interface()
		}
		return l
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			break
		}
		d := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			d[it.Key().String()] = it.Value().Interface()
		}
		return d
	}
	return v.Interface()
}
