package transport

import (
	stdbytes "bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonReader walks over the bytes of one message, as reader does. One that skims
// checks them and builds nothing: what it returns has the right type and no content.
type jsonReader struct {
	data   []byte
	pos    int
	values int
	skim   bool
	odd    bool // there are escapes of what may be half a character, or infinite numbers
}

// next is the byte that the next value, or what stands between two, begins with;
// 0, which begins nothing, is the end.
func (r *jsonReader) next() byte {
	for ; r.pos < len(r.data); r.pos++ {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// unexpected is the error of what stands where it may not.
func (r *jsonReader) unexpected() error {
	if r.pos == len(r.data) {
		return errShort
	}
	return fmt.Errorf("not JSON: byte %d is %#02x", r.pos, r.data[r.pos])
}

// ended is nil where nothing follows.
func (r *jsonReader) ended() error {
	if r.next(); r.pos < len(r.data) {
		return errTrail
	}
	return nil
}

// more reports whether an element follows, in a list or dict that end ends.
func (r *jsonReader) more(first bool, end byte) (bool, error) {
	switch c := r.next(); {
	case c == end:
		r.pos++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		r.pos++
		return true, nil
	}
	return false, r.unexpected()
}

func (r *jsonReader) count() error {
	if r.values++; r.values > maxValues {
		return errMany
	}
	return nil
}

// value reads the next value.
func (r *jsonReader) value(depth int) (any, error) {
	c := r.next()
	if err := r.count(); err != nil {
		return nil, err
	}
	if (c == '[' || c == '{') && depth <= 0 {
		return nil, errDepth
	}
	switch c {
	case '[':
		return r.list(depth - 1)
	case '{':
		return r.dict(depth - 1)
	case '"':
		s, err := r.text()
		return fromText(s), err
	case 't':
		return true, r.literal("true")
	case 'f':
		return false, r.literal("false")
	case 'n':
		return nil, r.literal("null")
	}
	n, exp, err := r.number()
	if err != nil {
		return nil, err
	}
	if r.skim {
		r.odd = r.odd || isInfinite(n, exp)
		return float, nil
	}
	return number(string(n)), nil
}

func (r *jsonReader) list(depth int) ([]any, error) {
	r.pos++
	var l []any
	if !r.skim {
		l = []any{}
	}
	for first := true; ; first = false {
		more, err := r.more(first, ']')
		if !more || err != nil {
			return l, err
		}
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		if !r.skim {
			l = append(l, v)
		}
	}
}

func (r *jsonReader) dict(depth int) (map[string]any, error) {
	r.pos++
	var d map[string]any
	if !r.skim {
		d = map[string]any{}
	}
	for first := true; ; first = false {
		more, err := r.more(first, '}')
		if !more || err != nil {
			return d, err
		}
		if err := r.count(); err != nil {
			return nil, err
		}
		if r.next() != '"' {
			return nil, r.unexpected()
		}
		key, err := r.text()
		if err != nil {
			return nil, err
		}
		if r.next() != ':' {
			return nil, r.unexpected()
		}
		r.pos++
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		if !r.skim {
			d[key] = v
		}
	}
}

func (r *jsonReader) literal(word string) error {
	if !stdbytes.HasPrefix(r.data[r.pos:], []byte(word)) {
		return r.unexpected()
	}
	r.pos += len(word)
	return nil
}

// text reads a text, RFC 8259 section 7.
func (r *jsonReader) text() (string, error) {
	begin, escaped := r.pos, false
	for r.pos++; r.pos < len(r.data); r.pos++ {
		switch c := r.data[r.pos]; {
		case c == '"':
			r.pos++
			inner := r.data[begin+1 : r.pos-1]
			switch {
			case !utf8.Valid(inner): // encoding/json would mend that silently
				return "", errUTF8
			case r.skim:
				return "", nil
			case !escaped:
				return string(inner), nil
			}
			var s string
			err := json.Unmarshal(r.data[begin:r.pos], &s)
			return s, err
		case c == '\\':
			escaped = true
			if err := r.escape(); err != nil {
				return "", err
			}
		case c < ' ':
			return "", r.unexpected()
		}
	}
	return "", errShort
}

// escape goes to the last byte of an escape.
func (r *jsonReader) escape() error {
	r.pos++
	switch {
	case r.pos == len(r.data):
		return errShort
	case strings.IndexByte(`"\/bfnrt`, r.data[r.pos]) >= 0:
		return nil
	case r.data[r.pos] != 'u':
		return r.unexpected()
	}
	for i := range 4 {
		r.pos++
		switch {
		case r.pos == len(r.data):
			return errShort
		case strings.IndexByte("0123456789abcdefABCDEF", r.data[r.pos]) < 0:
			return r.unexpected()
		}
		r.odd = r.odd || i == 0 && r.data[r.pos]|' ' == 'd'
	}
	return nil
}

// number reads a number, RFC 8259 section 6. exp is where its exponent stands, or 0.
func (r *jsonReader) number() (n []byte, exp int, err error) {
	begin := r.pos
	digits := func() bool {
		from := r.pos
		for r.pos < len(r.data) && r.data[r.pos] >= '0' && r.data[r.pos] <= '9' {
			r.pos++
		}
		return r.pos > from
	}
	is := func(any string) bool {
		found := r.pos < len(r.data) && strings.IndexByte(any, r.data[r.pos]) >= 0
		if found {
			r.pos++
		}
		return found
	}
	is("-")
	whole := is("0") || digits()
	if whole && is(".") {
		whole = digits()
	}
	if whole && is("eE") {
		exp = r.pos - begin
		is("+-")
		whole = digits()
	}
	if !whole {
		return nil, 0, r.unexpected()
	}
	return r.data[begin:r.pos], exp, nil
}

// isInfinite reports whether a number with its exponent at exp exceeds what a float
// holds, about 1.8e308: many decoders refuse it.
func isInfinite(n []byte, exp int) bool {
	whole, power := len(n), 0
	if exp > 0 {
		var err error
		if power, err = strconv.Atoi(string(n[exp:])); err != nil {
			power = math.MaxInt16
		}
		whole = exp - 1
	}
	if power <= 308 && whole+power <= 308 {
		return false
	}
	_, err := strconv.ParseFloat(string(n), 64)
	return err != nil
}

// fromText is what a text says: bytes, or itself. What is no base64 is text: an
// error would let whoever sends it cut off every receiver that speaks JSON.
func fromText(s string) any {
	if rest, ok := strings.CutPrefix(s, "\x00"); ok {
		if b, err := base64.StdEncoding.DecodeString(rest); err == nil {
			return b
		}
	}
	return s
}
