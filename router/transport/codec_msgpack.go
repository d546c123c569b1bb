package transport

import "github.com/tinylib/msgp/msgp"

// msgpackFormat is the MessagePack specification.
type msgpackFormat struct{}

func (msgpackFormat) head(r *reader) (head, error) {
	b := r.data[r.pos:]
	if len(b) == 0 {
		return head{}, errShort
	}
	var h head
	var rest []byte
	var n uint32
	var err error
	switch msgp.NextType(b) {
	case msgp.NilType:
		rest, err = msgp.ReadNilBytes(b)
	case msgp.BoolType:
		var v bool
		v, rest, err = msgp.ReadBoolBytes(b)
		h = boolHead(v)
	case msgp.IntType:
		var v int64
		v, rest, err = msgp.ReadInt64Bytes(b)
		h = intHead(v)
	case msgp.UintType:
		var v uint64
		v, rest, err = msgp.ReadUint64Bytes(b)
		h = uintHead(v)
	case msgp.Float32Type, msgp.Float64Type:
		var v float64
		v, rest, err = msgp.ReadFloat64Bytes(b)
		h = floatHead(v)
	case msgp.ArrayType:
		n, rest, err = msgp.ReadArrayHeaderBytes(b)
		h = head{kind: list, n: int(n)}
	case msgp.MapType:
		n, rest, err = msgp.ReadMapHeaderBytes(b)
		h = head{kind: dict, n: int(n)}
	default:
		return msgpackString(r, b)
	}
	// A list of n values has at least n bytes, and a dict of n pairs more.
	if err != nil || int64(n) > int64(len(rest)) {
		return head{}, errShort
	}
	r.pos += len(b) - len(rest)
	return h, nil
}

// msgpackString is the head of a text, bytes or an extension. What follows the head is
// known to be there.
func msgpackString(r *reader, b []byte) (head, error) {
	h := head{kind: extension}
	var s, rest []byte
	var err error
	switch msgp.NextType(b) {
	case msgp.StrType:
		h.kind = text
		s, rest, err = msgp.ReadStringZC(b)
	case msgp.BinType:
		h.kind = bytes
		s, rest, err = msgp.ReadBytesZC(b)
	case msgp.InvalidType:
		return head{}, errShort
	default:
		s, rest, err = msgpackExtension(b)
	}
	if err != nil {
		return head{}, errShort
	}
	h.n = len(s)
	r.pos += len(b) - len(rest) - len(s)
	if h.kind == extension {
		h.bits = uint64(int8(r.data[r.pos-1]))
	}
	return h, nil
}

// msgpackExtension finds the bytes of an extension: msgp reads them only into a copy.
func msgpackExtension(b []byte) (data, rest []byte, err error) {
	if rest, err = msgp.Skip(b); err != nil {
		return nil, nil, err
	}
	at := 2 // fixext: the code and the type
	if c := b[0]; c >= 0xc7 && c <= 0xc9 {
		at += 1 << (c - 0xc7) // ext: and a length between them
	}
	end := len(b) - len(rest)
	if end < at { // a length near 2^32 overflows in Skip, where an int has 32 bits
		return nil, nil, msgp.ErrShortBytes
	}
	return b[at:end], rest, nil
}

func (msgpackFormat) appendNil(b []byte) []byte            { return msgp.AppendNil(b) }
func (msgpackFormat) appendBool(b []byte, v bool) []byte   { return msgp.AppendBool(b, v) }
func (msgpackFormat) appendUint(b []byte, v uint64) []byte { return msgp.AppendUint64(b, v) }

func (msgpackFormat) appendInt(b []byte, v int64) []byte {
	if v >= 0 { // shorter than msgp's signed form from 128 on
		return msgp.AppendUint64(b, uint64(v))
	}
	return msgp.AppendInt64(b, v)
}

func (msgpackFormat) appendFloat(b []byte, v float64) []byte { return msgp.AppendFloat64(b, v) }

func (msgpackFormat) appendList(b []byte, n int) []byte { return msgp.AppendArrayHeader(b, uint32(n)) }
func (msgpackFormat) appendDict(b []byte, n int) []byte { return msgp.AppendMapHeader(b, uint32(n)) }

func (msgpackFormat) appendText(b []byte, s string) []byte  { return msgp.AppendString(b, s) }
func (msgpackFormat) appendBytes(b []byte, v []byte) []byte { return msgp.AppendBytes(b, v) }
