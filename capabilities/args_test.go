package capabilities

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

var percent = Param{Name: "percent", Type: Int, Min: 0, Max: 100}

func TestDecodeNumbers(t *testing.T) {
	for _, v := range []any{int64(80), uint64(80), 80.0, "80"} {
		got, err := Decode([]Param{percent}, []any{v}, nil)
		if err != nil || got.Int("percent") != 80 {
			t.Errorf("%T %v = %v, %v; want 80", v, v, got, err)
		}
	}
	for _, v := range []any{
		int64(101), int64(-1), uint64(math.MaxUint64), 80.5, math.NaN(), math.Inf(1), 1e300,
		"080", " 80", "80%", "8e1", "+80", "", nil, true, []any{int64(80)}, []byte("80"),
	} {
		if got, err := Decode([]Param{percent}, []any{v}, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%T %v = %v, %v; want an invalid argument", v, v, got, err)
		}
	}
}

func TestDecode(t *testing.T) {
	params := []Param{
		{Name: "a", Type: Int},
		{Name: "b", Type: Text, Optional: true},
		{Name: "c", Type: Bool, Optional: true, Named: true},
		{Name: "f", Type: Float, Min: -1, Max: 1, Optional: true, Named: true},
	}
	for _, c := range []struct {
		args   []any
		kwargs map[string]any
		want   Args
		wrong  string
	}{
		{[]any{int64(1)}, nil, Args{"a": int64(1)}, ""},
		{[]any{int64(1), "x"}, map[string]any{"c": true}, Args{"a": int64(1), "b": "x", "c": true}, ""},
		{nil, map[string]any{"a": int64(1)}, Args{"a": int64(1)}, ""},
		{[]any{int64(1), nil}, nil, Args{"a": int64(1)}, ""},
		{[]any{int64(1)}, map[string]any{"f": "-0.5"}, Args{"a": int64(1), "f": -0.5}, ""},
		{[]any{int64(1)}, map[string]any{"f": int64(1)}, Args{"a": int64(1), "f": 1.0}, ""},
		{nil, nil, nil, "a is missing: this procedure takes a [b] [c=] [f=]"},
		{[]any{int64(1), "x", true}, nil, nil, "too many arguments: 1 more"},
		{[]any{int64(1)}, map[string]any{"a": int64(1)}, nil, "a is given twice"},
		{[]any{int64(1)}, map[string]any{"z": int64(1)}, nil, `unknown argument "z"`},
		{[]any{int64(1), int64(2)}, nil, nil, "b must be text, got 2"},
		{[]any{int64(1)}, map[string]any{"f": 1.5}, nil, "f must be a number from -1 to 1, got 1.5"},
		{[]any{int64(1)}, map[string]any{"f": "inf"}, nil, `f must be a number from -1 to 1, got "inf"`},
		{[]any{nil}, nil, nil, "a must be a whole number, got null"},
		{[]any{strings.Repeat("x", 100)}, nil, nil, "..."},
	} {
		got, err := Decode(params, c.args, c.kwargs)
		switch {
		case c.wrong == "" && (err != nil || !reflect.DeepEqual(got, c.want)):
			t.Errorf("Decode(%v, %v) = %v, %v; want %v", c.args, c.kwargs, got, err, c.want)
		case c.wrong != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("Decode(%v, %v) = %v, %v; want an invalid argument with %q", c.args, c.kwargs, got, err, c.wrong)
		}
	}
}

func TestKinds(t *testing.T) {
	err := Unavailable("no %s", "panel")
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalid) || err.Error() != "no panel" {
		t.Errorf("got %v", err)
	}
}
