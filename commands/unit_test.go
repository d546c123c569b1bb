package commands

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/deskconn/dconn/router/wire"
)

func testStreams() (*streams, *bytes.Buffer) {
	var out bytes.Buffer
	return &streams{in: strings.NewReader(""), out: &out, err: &out}, &out
}

// Every URI of the table ends in its row, and every code has one row.
func TestExitCodes(t *testing.T) {
	seen := map[int]bool{}
	for _, row := range codes {
		if seen[row.code] {
			t.Errorf("exit code %d has two rows", row.code)
		}
		seen[row.code] = true
		for _, uri := range row.uris {
			if strings.HasSuffix(uri, ".") {
				uri += "anything"
			}
			if code, _ := codeOf(uri); code != row.code {
				t.Errorf("codeOf(%s) = %d, want %d", uri, code, row.code)
			}
		}
	}
	for uri, want := range map[string]int{
		"wamp.error.canceled":              exitApplication, // a signal ends the command instead
		"org.example.error.own":            exitApplication,
		wire.ErrAlreadyExists:              exitApplication,
		"wamp.close.system_shutdown":       exitUnreachable,
		"wamp.error.invalid_argument_like": exitApplication,
	} {
		if code, _ := codeOf(uri); code != want {
			t.Errorf("codeOf(%s) = %d, want %d", uri, code, want)
		}
	}
}

func TestTyped(t *testing.T) {
	for word, want := range map[string]any{
		"80": int64(80), "-1": int64(-1), "0.5": 0.5, "1e3": 1000.0, "true": true, "null": nil,
		"18446744073709551615": uint64(math.MaxUint64), "-9223372036854775808": int64(math.MinInt64),
		"9007199254740993": int64(9007199254740993),
		`"80"`:             "80", `[1,"a"]`: []any{int64(1), "a"}, `{"a":{}}`: map[string]any{"a": map[string]any{}},
		"007": "007", "t": "t", "nan": "nan", "80%": "80%", "80 90": "80 90", " 80": " 80", "": "",
		`{"$bytes":"AA=="}`: map[string]any{"$bytes": "AA=="}, "[1,2": "[1,2",
	} {
		got, err := typed(word)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("typed(%q) = %#v, %v; want %#v", word, got, err, want)
		}
	}
	for _, word := range []string{"18446744073709551616", "[99999999999999999999]", "1e999"} {
		if got, err := typed(word); err == nil {
			t.Errorf("typed(%q) = %#v, want an error", word, got)
		}
	}
}

// values generates what a WAMP message can hold.
func values() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Bool().AsAny(), rapid.Int64().AsAny(),
		rapid.Uint64Range(math.MaxInt64+1, math.MaxUint64).AsAny(),
		rapid.Float64().AsAny(), rapid.String().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
	)
	return rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return append([]any{}, rapid.SliceOfN(scalar, 0, 4).Draw(t, "list")...)
		case 1:
			return rapid.MapOfN(rapid.StringMatching(`[a-z]{1,6}`), scalar, 0, 4).Draw(t, "dict")
		}
		return scalar.Draw(t, "scalar")
	})
}

// What -o json prints, --input reads back as it was.
func TestJSONIsLossless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := values().Draw(t, "value")
		line, err := jsonLine(map[string]any{"args": []any{want}, "kwargs": map[string]any{}})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(line, []byte("\n")) != 1 || bytes.ContainsAny(line, "\x1b\x7f\u009b\u202e") {
			t.Fatalf("not one harmless line: %q", line)
		}
		args, _, _, err := parseDocument(line)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(args, []any{want}) {
			t.Fatalf("%#v came back as %#v", want, args[0])
		}
	})
}

func TestPrintRaw(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{"text", "text\n"}, {int64(-5), "-5\n"}, {uint64(math.MaxUint64), "18446744073709551615\n"},
		{80.0, "80\n"}, {0.25, "0.25\n"}, {1e21, "1e+21\n"}, {1e20, "100000000000000000000\n"}, {true, "true\n"}, {nil, ""},
		{[]any{}, "[]\n"}, {map[string]any{"a": 80.0}, "{\"a\":80.0}\n"},
		{[]byte{0, 0xff}, "\x00\xff"}, {"a\x1b[31m", "a\x1b[31m\n"},
	} {
		s, out := testStreams()
		o := output{to: s, format: "raw"}
		if err := o.record(nil, c.v); err != nil || out.String() != c.want {
			t.Errorf("raw %#v = %q, %v; want %q", c.v, out, err, c.want)
		}
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain\tö\n日本": "plain\tö\n日本", "a\x1bb": `a\u001bb`, "\u202e": `\u202e`, "\x7f\u009b": `\u007f\u009b`,
		"👨\u200d👩": "👨\u200d👩", "\r": `\u000d`,
	} {
		if got := visible(in); got != want {
			t.Errorf("visible(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]string{"10s": "10s", "1m30s": "1m30s", "2": "2s", "0.2": "200ms", "0": "0s"} {
		var d seconds
		if err := d.Set(text); err != nil || d.String() != want {
			t.Errorf("%q = %v, %v; want %s", text, &d, err, want)
		}
	}
	for _, text := range []string{"", "-1", "-1s", "soon", "1e99", "nan", "inf"} {
		var d seconds
		if err := d.Set(text); err == nil {
			t.Errorf("%q = %v, want an error", text, &d)
		}
	}
}
