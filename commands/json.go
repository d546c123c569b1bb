package commands

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/deskconn/dconn/router/transport"
)

// jsonLine encodes v on one line, losslessly: integers with all their digits,
// floats with a point, bytes as {"$bytes":"BASE64"}, dicts by key. Characters
// that could act on a terminal are escaped.
func jsonLine(v any) ([]byte, error) {
	b, err := appendJSON(nil, v)
	return append(b, '\n'), err
}

func appendJSON(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case uint64:
		return strconv.AppendUint(b, v, 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return appendText(b, floatText(v)), nil // JSON has no such number
		}
		return append(b, floatText(v)...), nil
	case string:
		return appendText(b, v), nil
	case []byte:
		b = append(b, `{"$bytes":"`...)
		return append(base64.StdEncoding.AppendEncode(b, v), `"}`...), nil
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(append(appendText(b, k), ':'), v[k]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	return nil, fmt.Errorf("a %T has no JSON form", v)
}

// appendText adds a JSON string. What is not UTF-8 becomes U+FFFD.
func appendText(b []byte, t string) []byte {
	b = append(b, '"')
	for _, r := range t {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\t':
			b = append(b, '\\', 't')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r < utf8.RuneSelf && r >= ' ' && r != '\x7f':
			b = append(b, byte(r))
		case unsafe(r):
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// floatText keeps a float recognisable as one: 80.0, 1e+21, NaN.
func floatText(v float64) string {
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	t := strconv.FormatFloat(v, format, -1, 64)
	if v == math.Trunc(v) && !strings.ContainsAny(t, ".eIN") {
		t += ".0"
	}
	return t
}

// plainText is a value as one word: as raw output and placeholders show it.
func plainText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case float64:
		return strings.TrimSuffix(floatText(v), ".0"), nil
	}
	b, err := appendJSON(nil, v)
	return string(b), err
}

// visible makes text of a peer harmless on a terminal: control characters and
// those that reorder text are shown as escapes, newline and tab stay.
func visible(t string) string {
	if !strings.ContainsFunc(t, func(r rune) bool { return unsafe(r) || r == utf8.RuneError }) {
		return t
	}
	var b []byte
	for _, r := range t {
		if r == '\n' || r == '\t' || !unsafe(r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		b = fmt.Appendf(b, `\u%04x`, r)
	}
	return string(b)
}

// unsafe characters are C0, DEL and C1 controls, and Unicode's format
// characters, which hold the bidirectional overrides (Cf).
func unsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200d' && r <= 0xffff
}

// decodeJSON reads one JSON value without losing an integer's digits.
func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return exact(v, false)
}

// exact replaces json.Number by integers and floats and, where bytes are
// allowed, {"$bytes":"..."} by bytes.
func exact(v any, bytesAllowed bool) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return transport.Number(v.String())
	case []any:
		for i := range v {
			if v[i], err = exact(v[i], bytesAllowed); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[string]any:
		if text, ok := v["$bytes"].(string); ok && len(v) == 1 && bytesAllowed {
			b, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return nil, fmt.Errorf("$bytes: %w", err)
			}
			return b, nil
		}
		for k := range v {
			if v[k], err = exact(v[k], bytesAllowed); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
	return v, nil
}
