package commands

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/capabilities"
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
		return m.document(s)
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
		return nil, usage("%v", err).hint("to send it as text, quote it: %s, or use -s", capabilities.ShellWord(`"`+w+`"`))
	}
	return v, nil
}
