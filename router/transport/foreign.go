package transport

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// UnsupportedValueError says that a message holds a value that a serializer cannot
// represent, such as a CBOR tag in JSON. It is for the sender of the message.
type UnsupportedValueError struct {
	Serializer string // by its name, "" for any
	Value      string // what it cannot represent
}

// Error names the serializer and the value.
func (e *UnsupportedValueError) Error() string {
	if e.Serializer == "" {
		return e.Value + " cannot be routed"
	}
	return fmt.Sprintf("%s cannot represent %s", e.Serializer, e.Value)
}

// key reads a key of a dict, whose head is h and whose encoding begins at at. One that
// is not text becomes one: see keyText. A list or dict becomes its encoding in
// hexadecimal: it may itself hold such keys, and their text would double at each level.
func (c *binaryCodec) key(r *reader, h head, at, depth int) (string, error) {
	switch h.kind {
	case text:
		return c.text(r, h.n)
	case breakEnd:
		return "", errShort
	case tag:
		return c.taggedKey(r, h.bits, depth)
	}
	r.note("a dict key that is not text")
	skim := r.skim
	r.skim = skim || h.kind == list || h.kind == dict
	v, err := c.content(r, h, depth)
	isComposite := r.skim && !skim
	r.skim = skim
	switch {
	case err != nil || skim:
		return "", err
	case isComposite:
		return hex.EncodeToString(r.data[at:r.pos]), nil
	}
	return keyText(v), nil
}

// taggedKey reads a key that is tagged, and drops the tag.
func (c *binaryCodec) taggedKey(r *reader, number uint64, depth int) (string, error) {
	if v, ok := c.taggedNumber(r, number); ok {
		r.note("a dict key that is not text")
		return keyText(v), nil
	}
	if depth <= 0 {
		return "", errDepth
	}
	r.note("CBOR tag %d", number)
	at := r.pos
	h, err := c.head(r)
	if err != nil {
		return "", err
	}
	return c.key(r, h, at, depth-1)
}

// extensionBytes reads the bytes of a MessagePack extension. Encoders of JavaScript write
// undefined as type 0 with a zero byte: that is null.
func extensionBytes(r *reader, h head) (any, error) {
	b, err := r.take(h.n)
	if err != nil {
		return nil, err
	}
	r.note("MessagePack extension type %d", int8(h.bits))
	switch {
	case h.bits == 0 && string(b) == "\x00":
		return nil, nil
	case r.skim:
		return h.kind, nil
	}
	return append([]byte{}, b...), nil
}

// keyText is the text that stands for a key of another type: that of JSON, and for
// bytes what a JSON text of them says.
func keyText(v any) string {
	if b, isBytes := v.([]byte); isBytes {
		return "\x00" + base64.StdEncoding.EncodeToString(b)
	}
	b, _ := jsonCodec{}.Append(nil, v) // a scalar always encodes
	return string(b)
}

// Tags of RFC 8949 section 3.4 that a router understands.
const (
	cborTagBignum         = 2
	cborTagNegativeBignum = 3
	cborTagDecimal        = 4
	cborTagBigfloat       = 5
	cborTagSelf           = 55799 // marks CBOR, and means nothing
)

// taggedNumber reads what tag number is on if that is a number: a bignum, or a decimal
// fraction or bigfloat. Otherwise it reads nothing.
func (c *binaryCodec) taggedNumber(r *reader, number uint64) (v any, ok bool) {
	at := r.pos
	switch number {
	case cborTagBignum, cborTagNegativeBignum:
		v, ok = c.bignum(r, number)
	case cborTagDecimal, cborTagBigfloat:
		v, ok = c.fraction(r, number)
	}
	if !ok {
		r.pos = at
	}
	return v, ok
}

// bignum reads the bytes of a bignum.
func (c *binaryCodec) bignum(r *reader, number uint64) (v any, ok bool) {
	h, err := c.f.head(r)
	if err != nil || h.kind != bytes {
		return nil, false
	}
	b, err := c.chunks(r, h.n, bytes)
	if err != nil || r.skim {
		return float, err == nil
	}
	return fromBig(bigInt(b, number)), true
}

// bigInt is the integer that tag number makes of bytes.
func bigInt(b []byte, number uint64) *big.Int {
	i := new(big.Int).SetBytes(b)
	if number == cborTagNegativeBignum {
		i.Not(i)
	}
	return i
}

// fromBig is an integer of any size: beyond 64 bits a float, which may be infinite.
func fromBig(i *big.Int) any {
	switch {
	case i.IsInt64():
		return i.Int64()
	case i.IsUint64():
		return i.Uint64()
	}
	f, _ := i.Float64()
	return f
}

// fraction reads the list of an exponent and a mantissa.
func (c *binaryCodec) fraction(r *reader, number uint64) (v any, ok bool) {
	h, err := c.f.head(r)
	if err != nil || h.kind != list || h.n != 2 {
		return nil, false
	}
	h, err = c.f.head(r)
	if err != nil || h.kind != integer {
		return nil, false
	}
	mantissa, ok := c.mantissa(r)
	if !ok || r.skim {
		return float, ok
	}
	return scaled(mantissa, int64(h.bits), number), true
}

// maxMantissa bounds the bytes of a mantissa: it takes long to write a long one in
// decimals, and a float has 7.
const maxMantissa = 128

// mantissa reads an integer of any size up to maxMantissa.
func (c *binaryCodec) mantissa(r *reader) (*big.Int, bool) {
	h, err := c.f.head(r)
	switch {
	case err != nil:
	case h.kind == integer:
		return big.NewInt(int64(h.bits)), true
	case h.kind == natural:
		return new(big.Int).SetUint64(h.bits), true
	case h.kind == tag && (h.bits == cborTagBignum || h.bits == cborTagNegativeBignum):
		number := h.bits
		if h, err = c.f.head(r); err != nil || h.kind != bytes || h.n < 0 || h.n > maxMantissa {
			return nil, false
		}
		b, err := r.take(h.n)
		return bigInt(b, number), err == nil
	}
	return nil, false
}

// scaled is mantissa times the base of tag number to the power exponent.
func scaled(mantissa *big.Int, exponent int64, number uint64) float64 {
	if number == cborTagDecimal {
		f, _ := strconv.ParseFloat(fmt.Sprintf("%de%d", mantissa, exponent), 64)
		return f // infinite if it is out of range
	}
	m := new(big.Float).SetInt(mantissa)
	exponent = min(max(exponent, math.MinInt32), math.MaxInt32)
	f, _ := m.SetMantExp(m, int(exponent)).Float64()
	return f
}
