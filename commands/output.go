package commands

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/pflag"
)

// output is how a command prints its data: -o.
type output struct {
	format  string
	choices []string
}

func (o *output) addFlags(f *pflag.FlagSet, choices ...string) {
	o.choices, o.format = choices, choices[0]
	f.VarP(o, "output", "o", "output format: "+strings.Join(choices, ", "))
}

// String, Set and Type implement pflag.Value, so that a wrong format is an
// error of the command line.
func (o *output) String() string { return o.format }
func (o *output) Type() string   { return "FORMAT" }
func (o *output) Set(v string) error {
	if !slices.Contains(o.choices, v) {
		return fmt.Errorf("must be one of %s", strings.Join(o.choices, ", "))
	}
	o.format = v
	return nil
}

// machine reports whether output is for programs, errors too then.
func (o *output) machine() bool { return o.format == "json" || o.format == "ndjson" }

// printResult prints what a call returned.
func (s *streams) printResult(format string, args []any, kwargs map[string]any) error {
	switch format {
	case "raw":
		for _, v := range args {
			if err := s.printRaw(v); err != nil {
				return err
			}
		}
		return nil
	case "table":
		if len(args) == 1 {
			if rows, ok := args[0].([]any); ok {
				return s.printTable(rows)
			}
		}
		return s.printResult("raw", args, kwargs)
	}
	return s.printJSON(map[string]any{"args": orEmptyList(args), "kwargs": orEmptyDict(kwargs)})
}

func orEmptyList(l []any) []any { return append([]any{}, l...) }

func orEmptyDict(d map[string]any) map[string]any {
	if d == nil {
		return map[string]any{}
	}
	return d
}

// printRaw prints a scalar bare, null as nothing, a list or dict as compact
// JSON, and bytes as they are, without a newline.
func (s *streams) printRaw(v any) error {
	if b, ok := v.([]byte); ok {
		if s.outTTY {
			b = []byte(visible(string(b)))
		}
		return s.print(b)
	}
	if v == nil {
		return nil
	}
	t, err := plainText(v)
	if err != nil {
		return err
	}
	if s.outTTY {
		t = visible(t)
	}
	return s.print([]byte(t + "\n"))
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
	line, err := jsonLine(v)
	return strings.TrimSuffix(string(line), "\n"), err
}

func (s *streams) printJSON(v any) error {
	line, err := jsonLine(v)
	if err != nil {
		return err
	}
	return s.print(line)
}

// print writes one record. A reader that has gone ends the command quietly.
func (s *streams) print(b []byte) error {
	if _, err := s.out.Write(b); err != nil {
		return outputError(err)
	}
	return nil
}

func outputError(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return errReaderGone
	}
	return own("stdout: %v", err)
}

// jsonLine encodes v on one line, losslessly: integers with all their digits,
// floats with a point, bytes as {"$bytes":"BASE64"}, dicts by key. Characters
// that could act on a terminal are escaped.
func jsonLine(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(forJSON(v)); err != nil {
		return nil, err
	}
	line := strings.TrimSuffix(b.String(), "\n")
	return append(escape(line, `\u%04x`), '\n'), nil
}

func forJSON(v any) any {
	switch v := v.(type) {
	case []byte:
		return map[string]any{"$bytes": base64.StdEncoding.EncodeToString(v)}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return floatText(v)
		}
		return json.Number(floatText(v))
	case []any:
		l := make([]any, len(v))
		for i := range v {
			l[i] = forJSON(v[i])
		}
		return l
	case map[string]any:
		d := make(map[string]any, len(v))
		for k := range v {
			d[k] = forJSON(v[k])
		}
		return d
	}
	return v
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

// visible makes text of a peer harmless on a terminal: control characters and
// those that reorder text are shown as escapes, newline and tab stay.
func visible(t string) string { return string(escape(t, `\u%04x`)) }

func escape(t, format string) []byte {
	var b []byte
	for _, r := range t {
		if r == '\n' || r == '\t' || !unsafe(r) {
			b = append(b, string(r)...)
			continue
		}
		b = fmt.Appendf(b, format, r)
	}
	return b
}

// unsafe characters are C0, DEL and C1 controls, and Unicode's format
// characters, which hold the bidirectional overrides (Cf).
func unsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200d' && r <= 0xffff
}

// printTable prints dicts as rows; the columns are the keys of them all.
func (s *streams) printTable(rows []any) error {
	var columns []string
	for _, row := range rows {
		d, ok := row.(map[string]any)
		if !ok {
			return s.printResult("raw", rows, nil)
		}
		for k := range d {
			if !slices.Contains(columns, k) {
				columns = append(columns, k)
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	slices.Sort(columns)
	return s.printColumns(columns, rows)
}

// printColumns prints the given columns of rows, which are dicts. Its width
// does not depend on a terminal.
func (s *streams) printColumns(columns []string, rows []any) error {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatUpper
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	header := make(table.Row, len(columns))
	for i, c := range columns {
		header[i] = visible(c)
	}
	t.AppendHeader(header)
	for _, row := range rows {
		cells := make(table.Row, len(columns))
		for i, c := range columns {
			cell, err := plainText(row.(map[string]any)[c])
			if err != nil {
				return err
			}
			cells[i] = visible(cell)
		}
		t.AppendRow(cells)
	}
	var b strings.Builder
	for line := range strings.SplitSeq(t.Render(), "\n") {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return s.print([]byte(b.String()))
}
