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

// jsonCodec is RFC 8259 with the WAMP convention for bytes: a string that
// starts with NUL and goes on in base64.
type jsonCodec struct{}

func (jsonCodec) Name() string { return "json" }

func (jsonCodec) Decode(data []byte, depth int) (any, error) {
	if err := skimJSON(data, depth, 0); err != nil {
		return nil, err
	}
	d := json.NewDecoder(stdbytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if len(stdbytes.TrimSpace(data[d.InputOffset():])) > 0 {
		return nil, errTrail
	}
	return fromJSON(v)
}

// skimJSON refuses, before anything is built from it, what nests too deep,
// holds too many values or is not UTF-8 (encoding/json would mend that
// silently).
func skimJSON(data []byte, depth, spare int) error {
	if !utf8.Valid(data) {
		return errUTF8
	}
	values, level, inText := 1+spare, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '[' || c == '{':
			if level++; level > depth {
				return errDepth
			}
			values++
		case c == ']' || c == '}':
			level--
		case c == ',' || c == ':':
			values++
		}
	}
	if values > maxValues {
		return errMany
	}
	return nil
}

// fromJSON turns what encoding/json built into values of Codec, in place.
func fromJSON(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return Number(v.String())
	case string:
		// What is no base64 is text: an error would let whoever sends it
		// cut off every receiver that speaks JSON.
		if rest, ok := strings.CutPrefix(v, "\x00"); ok {
			if b, err := base64.StdEncoding.DecodeString(rest); err == nil {
				return b, nil
			}
		}
		return v, nil
	case []any:
		for i := range v {
			if v[i], err = fromJSON(v[i]); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[string]any:
		for k := range v {
			if v[k], err = fromJSON(v[k]); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
	return v, nil
}

// Number gives a JSON number its type: an integer stays one, exactly, or is
// refused when it exceeds 64 bits.
func Number(s string) (any, error) {
	if !strings.ContainsAny(s, ".eE") {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i, nil
		}
		if u, err := strconv.ParseUint(s, 10, 64); err == nil {
			return u, nil
		}
		return nil, fmt.Errorf("%w: %.40s", errInteger, s)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, fmt.Errorf("number out of range: %.40s", s)
	}
	return f, nil
}

func (c jsonCodec) Append(b []byte, v any) ([]byte, error) {
	var err error
	switch v := plain(v).(type) {
	case []byte:
		return c.Append(b, "\x00"+base64.StdEncoding.EncodeToString(v))
	case float64:
		return appendJSONFloat(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = c.Append(b, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		first := true
		for k, e := range v {
			if !first {
				b = append(b, ',')
			}
			first = false
			if b, err = c.Append(append(c.appendText(b, k), ':'), e); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case int64:
		return c.appendInt(b, v), nil
	case string:
		return c.appendText(b, v), nil
	case nil, bool, uint64:
		return appendJSON(b, v)
	}
	return nil, fmt.Errorf("a %T cannot travel in a WAMP message", v)
}

// appendJSONFloat keeps a float a float: 80.0 is not sent as 80. JSON has no
// NaN and no infinity; they become null, as in JavaScript, because an error
// would let one publisher cut off every subscriber that speaks JSON.
func appendJSONFloat(b []byte, v float64) ([]byte, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...), nil
	}
	b, err := appendJSON(b, v)
	if err == nil && v == math.Trunc(v) && math.Abs(v) < 1e21 {
		b = append(b, ".0"...)
	}
	return b, err
}

// appendJSON adds a scalar, without HTML escapes.
func appendJSON(b []byte, v any) ([]byte, error) {
	var out stdbytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return append(b, stdbytes.TrimSuffix(out.Bytes(), []byte("\n"))...), nil
}

func (jsonCodec) openList(b []byte, _ int) []byte { return append(b, '[') }
func (jsonCodec) appendNext(b []byte) []byte      { return append(b, ',') }
func (jsonCodec) closeList(b []byte) []byte       { return append(b, ']') }

func (jsonCodec) appendInt(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }

func (jsonCodec) appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b, _ = appendJSON(b, s) // text always encodes
			return b
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
