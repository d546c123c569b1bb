package transport

import (
	"errors"
	"fmt"
	"math"
	"reflect"

	"github.com/gammazero/nexus/v3/wamp"
)

// Codec is one WAMP serializer. Decoded values are nil, bool, int64, uint64
// (only above 2^63-1), float64, string, []byte, []any and map[string]any,
// whatever the codec: 80 is int64(80) from each of them. What else a serializer
// has is decoded to the nearest of these: an integer beyond 64 bits to a float64,
// a tagged value to its content, an extension to its bytes, a dict key that is not
// text to a text (keyText).
type Codec interface {
	// Name as in the websocket subprotocol: "json", "msgpack", "cbor".
	Name() string
	// Append adds the encoding of v to b.
	Append(b []byte, v any) ([]byte, error)
	// Decode reads exactly one value that nests at most depth deep. Its
	// memory is bounded by the length of data and maxValues.
	Decode(data []byte, depth int) (any, error)

	// What a message is made of: a list, written and read element by element.
	newElements() elements
	openList(b []byte, n int) []byte
	appendNext(b []byte) []byte // what stands between two elements
	closeList(b []byte) []byte
	appendInt(b []byte, v int64) []byte
	appendText(b []byte, s string) []byte
}

// elements reads the elements of one message, and then of another.
type elements interface {
	// open begins with the list that data must be. Its elements nest at most
	// depth deep, and are spare fewer than maxValues.
	open(data []byte, depth, spare int) error
	// close forgets data.
	close()
	// more reports whether an element follows. An error says that the list is
	// cut off, or that bytes follow it.
	more() (bool, error)
	// integer, text and value read the next element. errType says that it is
	// something else.
	integer() (int64, error)
	text() (string, error)
	value() (any, error)
	// raw checks the next element, which value would read, and builds nothing from it.
	raw() (rawElement, error)
	// skip checks the next element.
	skip() error
}

// rawElement is an element as it stands in its message.
type rawElement struct {
	// encoded is valid as long as the message, unless it is one that not every
	// decoder of the serializer takes: then it is encoded again.
	encoded []byte
	empty   any    // of the type of its value, with nothing in it
	foreign string // names a value that only this serializer has, "" if there is none
}

// The serializers of the WAMP specification that dconn speaks.
var (
	JSON    Codec = jsonCodec{}
	MsgPack Codec = &binaryCodec{"msgpack", msgpackFormat{}}
	CBOR    Codec = &binaryCodec{"cbor", cborFormat{}}
)

// maxValues bounds how many values one message may hold: a byte of input can
// cost 40 bytes of memory ("[[],[],...]"), so the length alone is no bound.
const maxValues = 1 << 19

// spareValues are those that a router may add to a message on its way: what it
// takes has as many fewer than what a receiver takes.
const spareValues = 16

var (
	errShort   = errors.New("the message ends too early")
	errTrail   = errors.New("bytes follow the message")
	errDepth   = errors.New("nested too deep") // deeper than Limits.Depth
	errMany    = fmt.Errorf("more than %d values in one message", maxValues)
	errUTF8    = errors.New("text is not UTF-8")
	errInteger = errors.New("an integer exceeds 64 bits")
	errType    = errors.New("the wrong type")
	errNoList  = errors.New("a WAMP message is a list")
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
	appendText(b []byte, s string) []byte
	appendBytes(b []byte, v []byte) []byte
	// appendList and appendDict open a list of n values and a dict of n pairs.
	appendList(b []byte, n int) []byte
	appendDict(b []byte, n int) []byte
}

type kind int

const (
	null      kind = iota
	boolean        // bits is 0 or 1
	integer        // bits is an int64
	natural        // bits is a uint64 above 2^63-1
	float          // bits is an IEEE 754 binary64
	text           // n bytes of UTF-8 follow
	bytes          // n bytes follow
	list           // n values follow
	dict           // n pairs follow
	tag            // bits is its number; the tagged value follows
	simple         // bits is the number of a CBOR simple value without a meaning
	extension      // bits is the type, an int8; n bytes follow
	breakEnd       // ends a list, dict or string of unknown length
)

// head opens a value, or is all of it. n is -1 where the length is not known in
// advance.
type head struct {
	kind kind
	n    int
	bits uint64
}

func boolHead(v bool) head {
	if v {
		return head{kind: boolean, bits: 1}
	}
	return head{kind: boolean}
}

func intHead(v int64) head { return head{kind: integer, bits: uint64(v)} }

func uintHead(v uint64) head {
	if v <= math.MaxInt64 {
		return head{kind: integer, bits: v}
	}
	return head{kind: natural, bits: v}
}

func floatHead(v float64) head { return head{kind: float, bits: math.Float64bits(v)} }

// scalar is the value of a head that is all of it.
func (h head) scalar() any {
	switch h.kind {
	case boolean:
		return h.bits == 1
	case integer:
		return int64(h.bits)
	case natural:
		return h.bits
	case float:
		return math.Float64frombits(h.bits)
	}
	return nil
}

// reader walks over the bytes of one message. One that skims checks them and
// builds nothing: what it returns has the right type and no content.
type reader struct {
	data    []byte
	pos     int
	values  int
	skim    bool
	foreign string // the first value that only this serializer has
}

// note records a value that only this serializer has.
func (r *reader) note(format string, a ...any) {
	if r.foreign == "" {
		r.foreign = fmt.Sprintf(format, a...)
	}
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

// unsigned gives an integer the type every codec agrees on.
func unsigned(v uint64) any {
	if v <= math.MaxInt64 {
		return int64(v)
	}
	return v
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
