package commands

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/router/transport"
)

// message is what a call or an event carries: the URI, and the values given on
// the command line or by --input.
type message struct {
	strings bool     // -s
	named   []string // -k name=value
	input   string   // --input

	uri    string
	args   []any
	kwargs map[string]any
}

func (m *message) addFlags(f *pflag.FlagSet) {
	f.BoolVarP(&m.strings, "strings", "s", false, "take every word as text, for data from elsewhere")
	f.StringArrayVarP(&m.named, "kwarg", "k", nil, "a keyword argument, `NAME=VALUE` (repeatable)")
	f.StringVar(&m.input, "input", "", "read {\"args\":[],\"kwargs\":{}} from `FILE`, - for stdin")
	onlyOnCommandLine(f, "kwarg", "input")
}

// parse reads URI [ARG...].
func (m *message) parse(cmd *cobra.Command, s *streams, words []string) (err error) {
	if m.uri, err = uriOf(cmd, words[0]); err != nil {
		return err
	}
	m.args, m.kwargs, err = m.values(s, words[1:])
	return err
}

// values gives words and -k their types, or reads --input instead.
func (m *message) values(s *streams, words []string) (args []any, kwargs map[string]any, err error) {
	if m.input != "" {
		if len(words) > 0 || len(m.named) > 0 {
			return nil, nil, usage("--input takes the place of arguments: %d words and %d -k are given too", len(words), len(m.named))
		}
		return m.read(s)
	}
	for _, w := range words {
		v, err := m.word(w)
		if err != nil {
			return nil, nil, err
		}
		args = append(args, v)
	}
	kwargs = map[string]any{}
	for _, pair := range m.named {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, nil, usage("-k takes NAME=VALUE, got %q", pair)
		}
		if _, twice := kwargs[name]; twice {
			return nil, nil, usage("-k %s is given twice", name)
		}
		if kwargs[name], err = m.word(text); err != nil {
			return nil, nil, err
		}
	}
	return args, kwargs, nil
}

func (m *message) word(w string) (any, error) {
	if !utf8.ValidString(w) {
		return nil, usage("%q is not UTF-8", w).hint(`bytes go by --input as {"args":[{"$bytes":"BASE64"}]}`)
	}
	if m.strings {
		return w, nil
	}
	return typed(w)
}

// typed is the rule of the command line: a word that is a JSON value is that
// value, anything else is text. Space around a value makes it text too.
func typed(w string) (any, error) {
	if w == "" || strings.TrimSpace(w) != w || !json.Valid([]byte(w)) {
		return w, nil
	}
	v, err := decodeJSON([]byte(w))
	if err != nil {
		return nil, usage("%v", err).hint(`to send it as text, quote it: '"%s"', or use -s`, w)
	}
	return v, nil
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
		return nil, fmt.Errorf("more than one JSON value")
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

// maxInput bounds --input in bytes: the JSON of the longest message that a
// router with larger limits than ours could take.
const maxInput = 16 << 20

func (m *message) read(s *streams) ([]any, map[string]any, error) {
	from := s.in
	if m.input != "-" {
		f, err := os.Open(m.input)
		if err != nil {
			return nil, nil, own("%v", err)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return nil, nil, own("--input: %v", err)
	}
	if len(data) > maxInput {
		return nil, nil, usage("--input has more than %d bytes", maxInput)
	}
	return parseDocument(data)
}

// parseDocument reads {"args":[...],"kwargs":{...}}, both optional, nothing
// else.
func parseDocument(data []byte) ([]any, map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	d.DisallowUnknownFields()
	var doc struct {
		Args   []any          `json:"args"`
		Kwargs map[string]any `json:"kwargs"`
	}
	err := d.Decode(&doc)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = fmt.Errorf("more than one JSON document")
		}
	}
	if err != nil {
		return nil, nil, usage("--input: %s: %v", position(data, d.InputOffset(), err), err).
			hint(`expected {"args":[...],"kwargs":{...}}`)
	}
	args, err := exact(append([]any{}, doc.Args...), true)
	if err != nil {
		return nil, nil, usage("--input: %v", err)
	}
	kwargs := doc.Kwargs
	if kwargs == nil {
		kwargs = map[string]any{}
	}
	for k := range kwargs {
		if kwargs[k], err = exact(kwargs[k], true); err != nil {
			return nil, nil, usage("--input: %v", err)
		}
	}
	return args.([]any), kwargs, nil
}

// position says where in data an error is, for an editor.
func position(data []byte, offset int64, err error) string {
	switch e := err.(type) {
	case *json.SyntaxError:
		offset = e.Offset
	case *json.UnmarshalTypeError:
		offset = e.Offset
	}
	before := data[:min(max(offset-1, 0), int64(len(data)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d", line, column)
}
