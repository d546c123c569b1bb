package transport

import (
	stdbytes "bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonReader walks over the tokens of one message.
type jsonReader struct {
	data       []byte
	in         stdbytes.Buffer // data, which tokens reads without a copy
	tokens     jsontext.Decoder
	values     int
	surrogates bool // there may be escapes of surrogates
}

// Options of the decoder. Names need not be unique: as in JavaScript, the last counts.
// Half of a surrogate pair, which JavaScript writes as an escape, is taken only together
// with bytes that are not UTF-8, so begin looks for these itself.
var (
	jsonStrict  = []jsontext.Options{jsontext.AllowDuplicateNames(true)}
	jsonLenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
)

// begin starts with data, of which so many values count as read.
func (r *jsonReader) begin(data []byte, values int) error {
	r.data, r.values, r.surrogates = data, values, hasSurrogates(data)
	r.in = *stdbytes.NewBuffer(data)
	if !r.surrogates {
		r.tokens.Reset(&r.in, jsonStrict...)
		return nil
	}
	r.tokens.Reset(&r.in, jsonLenient...)
	if !utf8.Valid(data) {
		return errUTF8
	}
	return nil
}

// forget keeps nothing of the message.
func (r *jsonReader) forget() {
	r.data, r.in = nil, stdbytes.Buffer{}
	r.tokens.Reset(&r.in)
}

// failed is the error of a token that cannot be read. It repeats nothing that the
// message says.
func failed(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("not JSON at byte %d", syntax.ByteOffset)
	}
	return err
}

// ended is nil where nothing follows.
func (r *jsonReader) ended() error {
	if _, err := r.tokens.ReadToken(); err != io.EOF {
		return errTrail
	}
	return nil
}

func (r *jsonReader) count() error {
	if r.values++; r.values > maxValues {
		return errMany
	}
	return nil
}

// value reads the next value.
func (r *jsonReader) value(depth int) (any, error) {
	kind := r.tokens.PeekKind()
	if err := r.count(); err != nil {
		return nil, err
	}
	switch kind {
	case '[', '{':
		if depth <= 0 {
			return nil, errDepth
		}
		if _, err := r.tokens.ReadToken(); err != nil {
			return nil, failed(err)
		}
		if kind == '[' {
			return r.list(depth - 1)
		}
		return r.dict(depth - 1)
	case '"':
		s, err := r.text()
		return fromText(s), err
	case '0':
		n, err := r.tokens.ReadValue()
		if err != nil {
			return nil, failed(err)
		}
		return number(string(n)), nil
	}
	token, err := r.tokens.ReadToken()
	if err != nil {
		return nil, failed(err)
	}
	switch token.Kind() {
	case 't', 'f':
		return token.Bool(), nil
	case 'n':
		return nil, nil
	}
	return nil, errShort // the list ends here
}

// list reads the rest of a list.
func (r *jsonReader) list(depth int) (any, error) {
	l := []any{}
	for r.tokens.PeekKind() != ']' {
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	_, err := r.tokens.ReadToken()
	return l, err
}

// dict reads the rest of a dict.
func (r *jsonReader) dict(depth int) (any, error) {
	d := map[string]any{}
	for r.tokens.PeekKind() != '}' {
		if err := r.count(); err != nil {
			return nil, err
		}
		key, err := r.text()
		if err != nil {
			return nil, err
		}
		if d[key], err = r.value(depth); err != nil {
			return nil, err
		}
	}
	_, err := r.tokens.ReadToken()
	return d, err
}

// text reads a text, or the name of a member.
func (r *jsonReader) text() (string, error) {
	quoted, err := r.tokens.ReadValue()
	if err != nil {
		return "", failed(err)
	}
	if stdbytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	b, _ := jsontext.AppendUnquote(nil, quoted) // its error is of half a surrogate pair, which becomes U+FFFD
	return string(b), nil
}

// skim checks the next value as value does, and builds nothing: what it returns has
// the right type and no content. It is odd if many decoders refuse it: if it has
// infinite numbers, or the message escapes of what may be half a surrogate pair.
func (r *jsonReader) skim(depth int) (encoded []byte, empty any, odd bool, err error) {
	from, outside := int(r.tokens.InputOffset()), r.tokens.StackDepth()
	before, odd := from, r.surrogates
	for {
		token, err := r.tokens.ReadToken()
		if err != nil {
			return nil, nil, false, failed(err)
		}
		inside, at := r.tokens.StackDepth()-outside, int(r.tokens.InputOffset())
		kind := token.Kind()
		if inside > depth {
			return nil, nil, false, errDepth
		}
		if kind != ']' && kind != '}' {
			if err := r.count(); err != nil {
				return nil, nil, false, err
			}
		}
		if kind == '0' && at-before >= len("9e308") {
			odd = odd || isInfinite(between(r.data[before:at]))
		}
		if before == from {
			empty = emptyOf(kind)
		}
		if before = at; inside <= 0 {
			break
		}
	}
	if r.tokens.StackDepth() < outside {
		return nil, nil, false, errShort
	}
	return between(r.data[from:before]), empty, odd, nil
}

// between cuts off what stands before a value: a comma or colon, and blanks.
func between(b []byte) []byte {
	b = stdbytes.TrimLeft(b, " \t\r\n,:")
	return b[:len(b):len(b)]
}

// emptyOf is a value of the type of what begins with a token.
func emptyOf(kind jsontext.Kind) any {
	switch kind {
	case '[':
		return []any(nil)
	case '{':
		return map[string]any(nil)
	case 'n':
		return nil
	case '"':
		return ""
	}
	return float
}

// hasSurrogates reports whether there may be escapes of surrogates.
func hasSurrogates(encoded []byte) bool {
	if stdbytes.IndexByte(encoded, '\\') < 0 {
		return false
	}
	return stdbytes.Contains(encoded, []byte(`\ud`)) || stdbytes.Contains(encoded, []byte(`\uD`))
}

// isInfinite reports whether a number exceeds what a float holds, about 1.8e308: many
// decoders refuse it.
func isInfinite(n []byte) bool {
	whole, power := len(n), 0
	for i, c := range n {
		if c|' ' == 'e' {
			var err error
			if power, err = strconv.Atoi(string(n[i+1:])); err != nil {
				power = math.MaxInt16
			}
			whole = i
			break
		}
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
