package transport

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonCodec is RFC 8259 with the WAMP convention for bytes: a string that
// starts with NUL and goes on in base64.
type jsonCodec struct{}

func (jsonCodec) Name() string { return "json" }

func (jsonCodec) Decode(data []byte, depth int) (any, error) {
	var r jsonReader
	if err := r.begin(data, 0); err != nil {
		return nil, err
	}
	v, err := r.value(depth)
	if err == nil {
		err = r.ended()
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Number gives a JSON number that a user has written its type: an integer stays one,
// exactly, or is refused when it exceeds 64 bits.
func Number(s string) (any, error) {
	v := number(s)
	f, isFloat := v.(float64)
	switch {
	case isFloat && !strings.ContainsAny(s, ".eE"):
		return nil, fmt.Errorf("%w: %.40s", errInteger, s)
	case isFloat && math.IsInf(f, 0):
		return nil, fmt.Errorf("number out of range: %.40s", s)
	}
	return v, nil
}

// number gives a JSON number that was received its type: an integer beyond 64 bits
// becomes a float, and what no float holds infinity, as in JavaScript.
func number(s string) any {
	if !strings.ContainsAny(s, ".eE") {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
		if u, err := strconv.ParseUint(s, 10, 64); err == nil {
			return u
		}
	}
	f, _ := strconv.ParseFloat(s, 64)
	return f
}

func (c jsonCodec) Append(b []byte, v any) ([]byte, error) {
	var err error
	switch v := plain(v).(type) {
	case []byte:
		return c.Append(b, "\x00"+base64.StdEncoding.EncodeToString(v))
	case float64:
		return appendJSONFloat(b, v), nil
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
	case uint64:
		return strconv.AppendUint(b, v, 10), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case nil:
		return append(b, "null"...), nil
	}
	return nil, fmt.Errorf("a %T cannot travel in a WAMP message", v)
}

// appendJSONFloat keeps a float a float: 80.0 is not sent as 80. JSON has no
// NaN and no infinity; they become null, as in JavaScript, because an error
// would let one publisher cut off every subscriber that speaks JSON.
func appendJSONFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	b = jsontext.AppendFloat(b, v, 64)
	if v == math.Trunc(v) && math.Abs(v) < 1e21 {
		b = append(b, ".0"...)
	}
	return b
}

func (jsonCodec) openList(b []byte, _ int) []byte { return append(b, '[') }
func (jsonCodec) appendNext(b []byte) []byte      { return append(b, ',') }
func (jsonCodec) closeList(b []byte) []byte       { return append(b, ']') }

func (jsonCodec) appendInt(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }

func (jsonCodec) appendText(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // what is not UTF-8 becomes U+FFFD
	return b
}
