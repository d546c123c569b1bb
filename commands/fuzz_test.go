package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/deskconn/dconn/router/session"
)

// A word is text as it stands or the JSON value it spells, and -s is text always.
func FuzzTyped(f *testing.F) {
	for _, seed := range []string{"80", "[1,{\"a\":0.5}]", "t", "\"\\ud800\"", "1e400", " 1", "-0", "-0.0", "{\"$bytes\":\"AA==\"}", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		asText, err := (&message{strings: true}).word(word)
		if utf8.ValidString(word) != (err == nil) || err == nil && asText != word {
			t.Fatalf("-s %q is %#v, %v", word, asText, err)
		}
		v, err := typed(word)
		if err != nil {
			return
		}
		if text, ok := v.(string); ok && text == word {
			return
		}
		if !json.Valid([]byte(word)) {
			t.Fatalf("%q is no JSON and became %#v", word, v)
		}
		line, err := jsonLine(v)
		if err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		if again, err := decodeJSON(line); err != nil || !reflect.DeepEqual(again, v) {
			t.Fatalf("%q is %#v, printed as %q, and that is %#v, %v", word, v, line, again, err)
		}
	})
}

// What --input accepts, -o json prints as one harmless line that --input reads
// back as the same.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"args":[1,{"$bytes":"AA=="}],"kwargs":{"a":null}}`, `{"args":[-0.0,1e300,18446744073709551615],"kwargs":{"$bytes":"AA=="}}`,
		`{"args":[{"$bytes":1},{"$bytes":"AA==","a":1},"\ud800\u202e\u001b"]}`, "{}", `{"kwargs":{"\u0000":[[[]]]}}`, "{\"args\":[\"\xff\"]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		args, kwargs, _, err := parseDocument(doc)
		if err != nil {
			return
		}
		line, err := jsonLine(map[string]any{"args": args, "kwargs": kwargs})
		if err != nil {
			t.Fatalf("%q cannot be printed: %v", doc, err)
		}
		checkHarmless(t, strings.TrimSuffix(string(line), "\n"), "")
		again, named, _, err := parseDocument(line)
		if err != nil || !reflect.DeepEqual(again, args) || !reflect.DeepEqual(named, kwargs) {
			t.Fatalf("%q is %#v %#v, and that comes back as %#v %#v, %v", doc, args, kwargs, again, named, err)
		}
	})
}

// checkHarmless refuses what a terminal would obey, but what is allowed.
func checkHarmless(t *testing.T, text, allowed string) {
	t.Helper()
	for _, r := range text {
		if unsafe(r) && !strings.ContainsRune(allowed, r) {
			t.Fatalf("%q reaches a terminal in %q", r, text)
		}
	}
}

// A lineReader yields the lines of bytes.Split, however the bytes arrive, and
// the last one also without its newline.
func FuzzLines(f *testing.F) {
	for _, seed := range []string{"", "\n", "a\nb", "a\n\nb\n", "\r\n\x00\xff"} {
		f.Add([]byte(seed), uint16(1), false)
	}
	f.Add([]byte("ab\n"), uint16(30000), true)
	f.Fuzz(func(t *testing.T, data []byte, repeat uint16, slow bool) {
		data = bytes.Repeat(data, min(int(repeat), 1+(200<<10)/max(1, len(data))))
		want := bytes.Split(data, []byte("\n"))
		if len(want[len(want)-1]) == 0 {
			want = want[:len(want)-1]
		}
		var from io.Reader = bytes.NewReader(data)
		if slow {
			from = iotest.HalfReader(from)
		}
		r := newLineReader(from)
		for i, line := range want {
			got, err := r.next()
			if err != nil || !bytes.Equal(got, line) || r.number != i+1 {
				t.Fatalf("line %d of %d: got %q as number %d, %v; want %q", i+1, len(want), got, r.number, err, line)
			}
		}
		if got, err := r.next(); err != io.EOF {
			t.Fatalf("after the last line: %q, %v", got, err)
		}
	})
}

// A line that never ends is refused before it is all of the memory.
func TestLinesAreBounded(t *testing.T) {
	read := 0
	r := newLineReader(readerFunc(func(b []byte) (int, error) { read += len(b); return len(b), nil }))
	_, err := r.next()
	f, ok := errors.AsType[*failure](err)
	if !ok || f.Code != exitUsage || f.Message != "line 1 has more than 16777216 bytes" {
		t.Errorf("got %v", err)
	}
	if read > maxInput+(128<<10) || cap(r.long) > 2*maxInput {
		t.Errorf("%d bytes were read, %d are held", read, cap(r.long))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// Whatever a template does with whatever a peer sends, it prints, harmlessly on a
// terminal.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		"{args}", "{0}", "{5.0.a}{kwargs.a.b}{a.b}", "{{0}} {topic} {99999999999999999999}", "{0.0.0.0}{-1}{}", "{args.4}\x1b",
	} {
		f.Add(seed, []byte(`{"args":[1,"a\u001b",null,0.5,{"$bytes":"AA=="},[{"a":1}]],"kwargs":{"a":{"b":[]}}}`))
	}
	f.Fuzz(func(t *testing.T, text string, doc []byte) {
		args, kwargs, _, err := parseDocument(doc)
		if err != nil {
			return
		}
		o := output{to: &streams{out: io.Discard, outTTY: true}, format: "template", template: text}
		b, err := o.render(nil, map[string]any{"args": args, "kwargs": kwargs}, nil)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		checkHarmless(t, string(b), "\n\t")
	})
}

// Every format prints whatever a peer sends, with whatever --fields, harmlessly on
// a terminal of any width.
func FuzzRender(f *testing.F) {
	for _, seed := range []string{
		`{"args":[[{"a":1,"b":"x\u001b"},{"c":[]}]]}`, `{"args":[[]],"kwargs":{"a":{"$bytes":"G1s="}}}`, `{"args":[[{"":"\n\t\u202e"}]]}`, `{"args":["日本\u0301 👨‍👩‍👧"]}`,
	} {
		for _, fields := range []string{"", "args", "b,a", ",", "a,a"} {
			f.Add([]byte(seed), fields, uint8(20))
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte, fields string, width uint8) {
		args, kwargs, _, err := parseDocument(doc)
		if err != nil {
			return
		}
		for _, format := range []string{"raw", "json", "ndjson", "table"} {
			var out bytes.Buffer
			o := callOptions{output: output{to: &streams{out: &out, outTTY: true, width: int(width)}, format: format}}
			if fields != "" && format != "raw" {
				o.fields = strings.Split(fields, ",")
			}
			err := o.printResult(session.Result{Args: args, Kwargs: kwargs}, false)
			if wrong, ok := errors.AsType[*failure](err); err != nil && (!ok || wrong.Code != exitUsage) {
				t.Fatalf("-o %s of %q: %v", format, doc, err)
			}
			checkHarmless(t, out.String(), "\n\t")
		}
	})
}
