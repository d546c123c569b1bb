package transport

import (
	"math"
	"math/big"
)

// cborFormat is RFC 8949.
type cborFormat struct{}

// Major types, RFC 8949 section 3.1.
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborList
	cborDict
	cborTag
	cborSimple
)

func (cborFormat) head(r *reader) (head, error) {
	b, err := r.take(1)
	if err != nil {
		return head{}, err
	}
	major, info := int(b[0]>>5), b[0]&31
	if major == cborSimple {
		return cborSimpleValue(r, info)
	}
	if info == 31 {
		if major < cborBytes || major > cborDict {
			return head{}, errShort
		}
		return head{kind: cborSized[major], n: -1}, nil
	}
	arg, err := cborArgument(r, info)
	if err != nil {
		return head{}, err
	}
	switch major {
	case cborUint:
		return uintHead(arg), nil
	case cborNegative:
		if arg > math.MaxInt64 { // below -2^63
			f, _ := new(big.Int).Not(new(big.Int).SetUint64(arg)).Float64()
			return floatHead(f), nil
		}
		return intHead(-1 - int64(arg)), nil
	case cborTag:
		return head{kind: tag, bits: arg}, nil
	}
	if arg > uint64(len(r.data)-r.pos) {
		return head{}, errShort
	}
	return head{kind: cborSized[major], n: int(arg)}, nil
}

// cborSized are the kinds that have a length.
var cborSized = [...]kind{cborBytes: bytes, cborText: text, cborList: list, cborDict: dict}

func cborArgument(r *reader, info byte) (uint64, error) {
	switch {
	case info < 24:
		return uint64(info), nil
	case info <= 27:
		return r.number(1 << (info - 24))
	}
	return 0, errShort
}

func cborSimpleValue(r *reader, info byte) (head, error) {
	switch info {
	case 24:
		v, err := r.number(1)
		if err == nil && v < 32 {
			err = errShort
		}
		return head{kind: simple, bits: v}, err
	case 20, 21:
		return boolHead(info == 21), nil
	case 22, 23:
		return head{}, nil
	case 25:
		v, err := r.number(2)
		return floatHead(halfFloat(uint16(v))), err
	case 26:
		v, err := r.number(4)
		return floatHead(float64(math.Float32frombits(uint32(v)))), err
	case 27:
		v, err := r.number(8)
		return head{kind: float, bits: v}, err
	case 31:
		return head{kind: breakEnd}, nil
	}
	if info < 20 {
		return head{kind: simple, bits: uint64(info)}, nil
	}
	return head{}, errShort
}

// halfFloat widens an IEEE 754 binary16, RFC 8949 appendix D.
func halfFloat(h uint16) float64 {
	exp, mant := int(h>>10&31), float64(h&1023)
	var v float64
	switch exp {
	case 0:
		v = math.Ldexp(mant, -24)
	case 31:
		v = math.Inf(1)
		if mant != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(mant+1024, exp-25)
	}
	if h>>15 == 1 {
		return -v
	}
	return v
}

func (cborFormat) appendNil(b []byte) []byte { return append(b, cborSimple<<5|22) }

func (cborFormat) appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, cborSimple<<5|21)
	}
	return append(b, cborSimple<<5|20)
}

func (cborFormat) appendInt(b []byte, v int64) []byte {
	if v < 0 {
		return appendCBORHead(b, cborNegative, uint64(-1-v))
	}
	return appendCBORHead(b, cborUint, uint64(v))
}

func (cborFormat) appendUint(b []byte, v uint64) []byte { return appendCBORHead(b, cborUint, v) }

func (cborFormat) appendFloat(b []byte, v float64) []byte {
	return appendNumber(append(b, cborSimple<<5|27), math.Float64bits(v), 8)
}

func (cborFormat) appendText(b []byte, s string) []byte {
	return append(appendCBORHead(b, cborText, uint64(len(s))), s...)
}

func (cborFormat) appendBytes(b []byte, v []byte) []byte {
	return append(appendCBORHead(b, cborBytes, uint64(len(v))), v...)
}

func (cborFormat) appendList(b []byte, n int) []byte { return appendCBORHead(b, cborList, uint64(n)) }
func (cborFormat) appendDict(b []byte, n int) []byte { return appendCBORHead(b, cborDict, uint64(n)) }

func appendCBORHead(b []byte, major int, arg uint64) []byte {
	m := byte(major << 5)
	switch {
	case arg < 24:
		return append(b, m|byte(arg))
	case arg <= math.MaxUint8:
		return append(b, m|24, byte(arg))
	case arg <= math.MaxUint16:
		return appendNumber(append(b, m|25), arg, 2)
	case arg <= math.MaxUint32:
		return appendNumber(append(b, m|26), arg, 4)
	}
	return appendNumber(append(b, m|27), arg, 8)
}

// appendNumber adds the low n bytes of v, big end first.
func appendNumber(b []byte, v uint64, n int) []byte {
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}
