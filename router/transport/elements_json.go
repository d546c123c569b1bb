package transport

import (
	stdbytes "bytes"
	"encoding/json"
	"errors"
	"strconv"
)

func (jsonCodec) newElements() elements { return &jsonElements{} }

// jsonElements reads a message that encoding/json has taken apart.
type jsonElements struct {
	parts []json.RawMessage
	depth int
}

func (e *jsonElements) close() { e.parts = nil }

func (e *jsonElements) open(data []byte, depth, spare int) error {
	e.parts, e.depth = nil, depth
	if err := skimJSON(data, depth+1, spare); err != nil {
		return err
	}
	err := json.Unmarshal(data, &e.parts)
	if _, other := errors.AsType[*json.UnmarshalTypeError](err); other {
		return errNoList
	}
	if err != nil {
		return err
	}
	if e.parts == nil { // null
		return errNoList
	}
	return nil
}

func (e *jsonElements) more() (bool, error) { return len(e.parts) > 0, nil }

func (e *jsonElements) next() []byte {
	if len(e.parts) == 0 {
		return nil
	}
	part := e.parts[0]
	e.parts = e.parts[1:]
	return part
}

// integer and text build nothing but their result, unless the element has a
// fraction or escapes.
func (e *jsonElements) integer() (int64, error) {
	part := e.next()
	if i, err := strconv.ParseInt(string(part), 10, 64); err == nil {
		return i, nil
	}
	return as[int64](JSON.Decode(part, e.depth))
}

func (e *jsonElements) text() (string, error) {
	part := e.next()
	if len(part) > 1 && part[0] == '"' && stdbytes.IndexByte(part, '\\') < 0 {
		return string(part[1 : len(part)-1]), nil
	}
	return as[string](JSON.Decode(part, e.depth))
}

func (e *jsonElements) value() (any, error) { return JSON.Decode(e.next(), e.depth) }

func (e *jsonElements) raw() ([]byte, any, error) {
	part := e.next()
	err := checkJSON(part)
	if err == nil && (stdbytes.Contains(part, []byte(`\ud`)) || stdbytes.Contains(part, []byte(`\uD`))) {
		part, err = again(JSON, part, e.depth) // half a character may be among these
	}
	if err != nil {
		return nil, nil, err
	}
	switch {
	case len(part) == 0:
		return nil, nil, errShort
	case part[0] == '[':
		return part, []any(nil), nil
	case part[0] == '{':
		return part, map[string]any(nil), nil
	case part[0] == 'n':
		return part, nil, nil
	}
	return nil, nil, errType
}

// checkJSON refuses of valid JSON what fromJSON does: numbers out of range.
func checkJSON(data []byte) error {
	for len(data) > 0 {
		n := 1
		switch c := data[0]; {
		case c == '"':
			n = textEnd(data)
		case c == '-' || c >= '0' && c <= '9':
			n = numberEnd(data)
			if _, err := Number(string(data[:n])); err != nil {
				return err
			}
		}
		data = data[n:]
	}
	return nil
}

// textEnd is where the text ends that data begins with.
func textEnd(data []byte) int {
	for i := 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// numberEnd is where the number ends that data begins with.
func numberEnd(data []byte) int {
	for i, c := range data {
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			return i
		}
	}
	return len(data)
}
