package commands

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/deskconn/dconn/router/session"
)

// maxInput bounds a document in bytes: the JSON of the longest message that a
// router with larger limits than ours could take.
const maxInput = 16 << 20

// open opens --input; without one, and for "-", it is stdin.
func (m *message) open(s *streams) (io.ReadCloser, error) {
	if m.input == "" || m.input == "-" {
		return io.NopCloser(s.in), nil
	}
	f, err := os.Open(m.input)
	if err != nil {
		return nil, own("--input: %v", err)
	}
	return f, nil
}

// byLines opens the input of a command that goes through it line by line, and
// joins the router for as long as that takes.
func (m *message) byLines(ctx context.Context, s *streams, t *target) (*lineReader, *session.Session, error) {
	pace(0)
	from, err := m.open(s)
	if err != nil {
		return nil, nil, err
	}
	joined, err := t.dialInTime(ctx)
	return newLineReader(from), joined, err
}

// document reads the one document of --input.
func (m *message) document(s *streams) ([]any, map[string]any, error) {
	from, err := m.open(s)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = from.Close() }()
	data, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return nil, nil, own("--input: %v", err)
	}
	if len(data) > maxInput {
		return nil, nil, usage("--input has more than %d bytes", maxInput)
	}
	args, kwargs, at, err := parseDocument(data)
	if err != nil {
		return nil, nil, usage("--input: %s%v", at, err).hint(expectedDocument)
	}
	return args, kwargs, nil
}

const expectedDocument = `expected {"args":[...],"kwargs":{...}}`

// parseDocument reads {"args":[...],"kwargs":{...}}, both optional, nothing
// else. at says where an error is, for an editor: "line 2, column 11: ".
func parseDocument(data []byte) (args []any, kwargs map[string]any, at string, err error) {
	if i := notUTF8(data); i >= 0 { // the decoder would put U+FFFD in its place
		return nil, nil, position(data, int64(i)+1, nil), errors.New(`not UTF-8: bytes go as {"$bytes":"BASE64"}`)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err = d.Decode(&v); err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("more than one JSON document")
		}
	}
	if err != nil {
		return nil, nil, position(data, d.InputOffset(), err), inWords(err)
	}
	args, kwargs, err = contents(v)
	return args, kwargs, "", err
}

// contents are the arguments in a document. Its keys are compared to the
// letter, as encoding/json does not with the fields of a struct.
func contents(v any) (args []any, kwargs map[string]any, err error) {
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("the document must be an object, got %s", kindOf(v))
	}
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		in := doc[key]
		switch {
		case key != "args" && key != "kwargs":
			return nil, nil, fmt.Errorf("unknown field %q", key)
		case in == nil:
			continue
		case key == "args":
			args, ok = in.([]any)
		default:
			kwargs, ok = in.(map[string]any)
		}
		if !ok {
			return nil, nil, fmt.Errorf("%s must be %s, got %s", key, map[string]string{"args": "a list", "kwargs": "an object"}[key], kindOf(in))
		}
	}
	args, kwargs = orEmptyList(args), orEmptyDict(kwargs)
	for i := range args {
		if args[i], err = exact(args[i], true); err != nil {
			return nil, nil, fmt.Errorf("args: %w", err)
		}
	}
	for k := range kwargs {
		if kwargs[k], err = exact(kwargs[k], true); err != nil {
			return nil, nil, fmt.Errorf("kwargs: %s: %w", k, err)
		}
	}
	return args, kwargs, nil
}

// kindOf is what JSON calls a value.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	}
	return "an object"
}

// inWords takes Go's own words out of an error of encoding/json.
func inWords(err error) error {
	if cut(err) {
		return errors.New("the document ends too early")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

func cut(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// notUTF8 is where data stop being UTF-8, -1 if they never do.
func notUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
}

func position(data []byte, offset int64, err error) string {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = e.Offset
	}
	if cut(err) {
		offset = int64(len(data)) + 1
	}
	before := data[:min(max(offset-1, 0), int64(len(data)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d: ", line, column)
}

// lineReader reads lines of at most maxInput bytes and counts them.
type lineReader struct {
	r      *bufio.Reader
	number int // of the line that next returned last
	long   []byte
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// next is the next line without its newline, valid until the one after it; at
// the end io.EOF.
func (l *lineReader) next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		switch {
		case len(l.long)+len(part) > maxInput:
			return nil, usage("line %d has more than %d bytes", l.number+1, maxInput)
		case errors.Is(err, bufio.ErrBufferFull):
			l.long = append(l.long, part...)
			continue
		case err != nil && err != io.EOF:
			return nil, own("input: %v", err)
		case err == io.EOF && len(part)+len(l.long) == 0:
			return nil, io.EOF
		}
		l.number++
		part = bytes.TrimSuffix(part, []byte("\n"))
		if len(l.long) > 0 {
			l.long = append(l.long, part...)
			return l.long, nil
		}
		return part, nil
	}
}

// idle reports whether next would have to wait for more input.
func (l *lineReader) idle() bool {
	b, _ := l.r.Peek(l.r.Buffered())
	return bytes.IndexByte(b, '\n') < 0
}

// parse reads the document in a line that next returned.
func (l *lineReader) parse(line []byte) (args []any, kwargs map[string]any, err error) {
	args, kwargs, at, err := parseDocument(line)
	if err != nil {
		at = strings.TrimSuffix(strings.TrimPrefix(at, "line 1, "), ": ")
		if at != "" {
			at = ", " + at
		}
		return nil, nil, usage("line %d%s: %v", l.number, at, err).hint(expectedDocument)
	}
	return args, kwargs, nil
}
