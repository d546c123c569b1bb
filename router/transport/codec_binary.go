package transport

import (
	"fmt"
	"unicode/utf8"
)

// binaryCodec is CBOR or MessagePack.
type binaryCodec struct {
	name string
	f    format
}

func (c *binaryCodec) Name() string { return c.name }

func (c *binaryCodec) Decode(data []byte, depth int) (any, error) {
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

// head reads and counts the head of the next value.
func (c *binaryCodec) head(r *reader) (head, error) {
	if r.values++; r.values > maxValues {
		return head{}, errMany
	}
	return c.f.head(r)
}

// value reads the next value; isBreak says that it was an end mark instead.
func (c *binaryCodec) value(r *reader, depth int) (v any, isBreak bool, err error) {
	h, err := c.head(r)
	switch {
	case err != nil:
		return nil, false, err
	case h.kind == breakEnd:
		return nil, true, nil
	case r.skim && h.kind == text && h.n >= 0: // most of what passes
		_, err = takeString(r, h.n, text)
		return "", false, err
	}
	v, err = c.content(r, h, depth)
	return v, false, err
}

// content reads what follows the head of a value.
func (c *binaryCodec) content(r *reader, h head, depth int) (any, error) {
	if (h.kind == list || h.kind == dict) && depth <= 0 {
		return nil, errDepth
	}
	switch h.kind {
	case text:
		return c.text(r, h.n)
	case bytes:
		return c.bytes(r, h.n)
	case list:
		return c.list(r, h.n, depth-1)
	case dict:
		return c.dict(r, h.n, depth-1)
	case tag:
		return c.tagged(r, h.bits, depth)
	case extension:
		return extensionBytes(r, h)
	case simple:
		r.note("CBOR simple value %d", h.bits)
		return nil, nil
	}
	if r.skim && h.kind != null {
		return h.kind, nil // neither a list nor null
	}
	return h.scalar(), nil
}

// tagged reads a tagged value (RFC 8949 section 3.4) and drops the tag. A number that
// is written with the help of tags is a number to every serializer; other tags mean
// something that only CBOR can say, but for the one that marks CBOR itself.
func (c *binaryCodec) tagged(r *reader, number uint64, depth int) (any, error) {
	if v, ok := c.taggedNumber(r, number); ok {
		return v, nil
	}
	if depth <= 0 {
		return nil, errDepth
	}
	if number != cborTagSelf {
		r.note("CBOR tag %d", number)
	}
	v, isBreak, err := c.value(r, depth-1)
	if isBreak {
		err = errShort
	}
	return v, err
}

func (c *binaryCodec) text(r *reader, n int) (string, error) {
	b, err := c.chunks(r, n, text)
	if err != nil || r.skim {
		return "", err
	}
	return string(b), nil
}

func (c *binaryCodec) bytes(r *reader, n int) ([]byte, error) {
	b, err := c.chunks(r, n, bytes)
	if err != nil || r.skim {
		return nil, err
	}
	return append([]byte{}, b...), nil
}

// chunks reads n bytes, or chunks of the same kind up to an end mark. Text is UTF-8 in
// each chunk. What it returns may still belong to the message.
func (c *binaryCodec) chunks(r *reader, n int, k kind) ([]byte, error) {
	if n >= 0 {
		return takeString(r, n, k)
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
		b, err := takeString(r, h.n, k)
		if err != nil {
			return nil, err
		}
		if !r.skim {
			whole = append(whole, b...)
		}
	}
}

func takeString(r *reader, n int, k kind) ([]byte, error) {
	b, err := r.take(n)
	if err == nil && k == text && !utf8.Valid(b) {
		err = errUTF8
	}
	return b, err
}

func (c *binaryCodec) list(r *reader, n, depth int) ([]any, error) {
	if r.skim {
		return nil, c.skimList(r, n, depth)
	}
	l := make([]any, 0, min(max(n, 0), 64))
	for i := 0; n < 0 || i < n; i++ {
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

func (c *binaryCodec) skimList(r *reader, n, depth int) error {
	for i := 0; n < 0 || i < n; i++ {
		_, isBreak, err := c.value(r, depth)
		switch {
		case err != nil:
			return err
		case isBreak && n < 0:
			return nil
		case isBreak:
			return errShort
		}
	}
	return nil
}

func (c *binaryCodec) dict(r *reader, n, depth int) (map[string]any, error) {
	var d map[string]any
	if !r.skim {
		d = make(map[string]any, min(max(n, 0), 16))
	}
	for i := 0; n < 0 || i < n; i++ {
		at := r.pos
		h, err := c.head(r)
		if err != nil {
			return nil, err
		}
		if h.kind == breakEnd && n < 0 {
			return d, nil
		}
		key, err := c.key(r, h, at, depth)
		if err != nil {
			return nil, err
		}
		v, isBreak, err := c.value(r, depth)
		if err != nil {
			return nil, err
		}
		if isBreak {
			return nil, errShort
		}
		if !r.skim {
			d[key] = v
		}
	}
	return d, nil
}

func (c *binaryCodec) Append(b []byte, v any) ([]byte, error) {
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
		return f.appendText(b, v), nil
	case []byte:
		return f.appendBytes(b, v), nil
	case []any:
		b = f.appendList(b, len(v))
		for _, e := range v {
			if b, err = c.Append(b, e); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		b = f.appendDict(b, len(v))
		for k, e := range v {
			if b, err = c.Append(f.appendText(b, k), e); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("a %T cannot travel in a WAMP message", v)
}

func (c *binaryCodec) openList(b []byte, n int) []byte { return c.f.appendList(b, n) }
func (*binaryCodec) appendNext(b []byte) []byte        { return b }
func (*binaryCodec) closeList(b []byte) []byte         { return b }

func (c *binaryCodec) appendInt(b []byte, v int64) []byte   { return c.f.appendInt(b, v) }
func (c *binaryCodec) appendText(b []byte, s string) []byte { return c.f.appendText(b, s) }

// as gives an element its type.
func as[T any](v any, err error) (T, error) {
	t, ok := v.(T)
	if err == nil && !ok {
		err = errType
	}
	return t, err
}

// again encodes a value anew.
func again(c Codec, encoded []byte, depth int) ([]byte, error) {
	v, err := c.Decode(encoded, depth)
	if err != nil {
		return nil, err
	}
	return c.Append(nil, v)
}
