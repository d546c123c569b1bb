package transport

import "math"

// msgpackFormat is the MessagePack specification.
type msgpackFormat struct{}

func (msgpackFormat) head(r *reader) (head, error) {
	b, err := r.take(1)
	if err != nil {
		return head{}, err
	}
	c := b[0]
	switch {
	case c <= 0x7f: // positive fixint
		return intHead(int64(c)), nil
	case c >= 0xe0: // negative fixint
		return intHead(int64(int8(c))), nil
	case c <= 0x8f:
		return msgpackSized(r, dict, int(c&0x0f))
	case c <= 0x9f:
		return msgpackSized(r, list, int(c&0x0f))
	case c <= 0xbf:
		return msgpackSized(r, text, int(c&0x1f))
	case c >= 0xcc && c <= 0xcf: // uint 8..64
		v, err := r.number(1 << (c - 0xcc))
		return uintHead(v), err
	case c >= 0xd0 && c <= 0xd3: // int 8..64
		return msgpackInt(r, 1<<(c-0xd0))
	}
	return msgpackRest(r, c)
}

func msgpackRest(r *reader, c byte) (head, error) {
	switch c {
	case 0xc0:
		return head{}, nil
	case 0xc2, 0xc3:
		return boolHead(c == 0xc3), nil
	case 0xca:
		v, err := r.number(4)
		return floatHead(float64(math.Float32frombits(uint32(v)))), err
	case 0xcb:
		v, err := r.number(8)
		return head{kind: float, bits: v}, err
	}
	if c >= 0xd4 && c <= 0xd8 { // fixext 1..16
		return msgpackExtensionHead(r, 1<<(c-0xd4))
	}
	for _, s := range msgpackSizes {
		if c != s.code {
			continue
		}
		n, err := r.length(s.width)
		if err == nil && s.kind == extension {
			return msgpackExtensionHead(r, n)
		}
		return head{kind: s.kind, n: n}, err
	}
	return head{}, errShort
}

// msgpackExtensionHead reads the type of an extension of n bytes.
func msgpackExtensionHead(r *reader, n int) (head, error) {
	b, err := r.take(1)
	if err != nil {
		return head{}, err
	}
	return head{kind: extension, n: n, bits: uint64(int8(b[0]))}, nil
}

// msgpackExtension reads the bytes of an extension. Encoders of JavaScript write
// undefined as type 0 with a zero byte: that is null.
func msgpackExtension(r *reader, h head) (any, error) {
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

// msgpackSizes lists the heads with a length of their own, narrow ones first.
var msgpackSizes = []struct {
	kind  kind
	code  byte
	width int
}{
	{bytes, 0xc4, 1}, {bytes, 0xc5, 2}, {bytes, 0xc6, 4},
	{text, 0xd9, 1}, {text, 0xda, 2}, {text, 0xdb, 4},
	{list, 0xdc, 2}, {list, 0xdd, 4},
	{dict, 0xde, 2}, {dict, 0xdf, 4},
	{extension, 0xc7, 1}, {extension, 0xc8, 2}, {extension, 0xc9, 4},
}

func msgpackSized(r *reader, k kind, n int) (head, error) {
	if n > len(r.data)-r.pos {
		return head{}, errShort
	}
	return head{kind: k, n: n}, nil
}

func msgpackInt(r *reader, width int) (head, error) {
	v, err := r.number(width)
	shift := 64 - 8*width
	return intHead(int64(v<<shift) >> shift), err
}

func (msgpackFormat) appendNil(b []byte) []byte { return append(b, 0xc0) }

func (msgpackFormat) appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

func (f msgpackFormat) appendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return f.appendUint(b, uint64(v))
	case v >= -32:
		return append(b, byte(v))
	case v >= math.MinInt8:
		return append(b, 0xd0, byte(v))
	case v >= math.MinInt16:
		return appendNumber(append(b, 0xd1), uint64(v), 2)
	case v >= math.MinInt32:
		return appendNumber(append(b, 0xd2), uint64(v), 4)
	}
	return appendNumber(append(b, 0xd3), uint64(v), 8)
}

func (msgpackFormat) appendUint(b []byte, v uint64) []byte {
	switch {
	case v <= 0x7f:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return appendNumber(append(b, 0xcd), v, 2)
	case v <= math.MaxUint32:
		return appendNumber(append(b, 0xce), v, 4)
	}
	return appendNumber(append(b, 0xcf), v, 8)
}

func (msgpackFormat) appendFloat(b []byte, v float64) []byte {
	return appendNumber(append(b, 0xcb), math.Float64bits(v), 8)
}

func (msgpackFormat) appendHead(b []byte, k kind, n int) []byte {
	switch {
	case k == text && n < 32:
		return append(b, 0xa0|byte(n))
	case k == list && n < 16:
		return append(b, 0x90|byte(n))
	case k == dict && n < 16:
		return append(b, 0x80|byte(n))
	}
	for _, s := range msgpackSizes {
		if s.kind == k && (s.width == 4 || n < 1<<(8*s.width)) {
			return appendNumber(append(b, s.code), uint64(n), s.width)
		}
	}
	return b
}
