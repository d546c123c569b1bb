package capabilities

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Type is what a parameter accepts. A numeric text counts as its number, so
// that `dconn call -s` and foreign clients need no types.
type Type string

// The types of parameters.
const (
	Int    Type = "int"
	Float  Type = "float"
	Text   Type = "text"
	Bool   Type = "bool"
	List   Type = "list"
	AnyMap Type = "dict"
)

// Param describes one parameter: what `describe` shows is what is enforced.
type Param struct {
	Name     string
	Type     Type
	Doc      string
	Unit     string
	Min, Max float64 // bounds of a number, both included; no bounds when equal
	Optional bool
	Named    bool // given only by name
}

// Args are the arguments of a call by the names of its parameters, each of
// them checked: Int is int64, Float float64, Text string, Bool bool.
type Args map[string]any

// Has reports whether the caller gave name.
func (a Args) Has(name string) bool { _, ok := a[name]; return ok }

// Int is an argument of type Int, 0 if absent.
func (a Args) Int(name string) int64 { v, _ := a[name].(int64); return v }

// Text is an argument of type Text, "" if absent.
func (a Args) Text(name string) string { v, _ := a[name].(string); return v }

// Float is an argument of type Float, 0 if absent.
func (a Args) Float(name string) float64 { v, _ := a[name].(float64); return v }

// Bool is an argument of type Bool, false if absent.
func (a Args) Bool(name string) bool { v, _ := a[name].(bool); return v }

// List is an argument of type List, nil if absent.
func (a Args) List(name string) []any { v, _ := a[name].([]any); return v }

// Decode checks what came over the wire against params. It is the only place
// where wire values get their meaning: 80 is int64 from one serializer,
// uint64 or 80.0 from another. Every error is an ErrInvalid.
func Decode(params []Param, args []any, kwargs map[string]any) (Args, error) {
	out := Args{}
	for _, p := range params {
		if p.Named || len(args) == 0 {
			continue
		}
		if err := out.set(p, args[0]); err != nil {
			return nil, err
		}
		args = args[1:]
	}
	if len(args) > 0 {
		return nil, Invalid("too many arguments: %d more than %s", len(args), takes(params))
	}
	for name, v := range kwargs {
		i := slices.IndexFunc(params, func(p Param) bool { return p.Name == name })
		if i < 0 {
			return nil, Invalid("unknown argument %q: this procedure takes %s", name, takes(params))
		}
		if out.Has(name) {
			return nil, Invalid("%s is given twice, by position and by name", name)
		}
		if err := out.set(params[i], v); err != nil {
			return nil, err
		}
	}
	for _, p := range params {
		if !p.Optional && !out.Has(p.Name) {
			return nil, Invalid("%s is missing: this procedure takes %s", p.Name, takes(params))
		}
	}
	return out, nil
}

func takes(params []Param) string {
	if len(params) == 0 {
		return "no arguments"
	}
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = p.Name
		if p.Named {
			names[i] += "="
		}
		if p.Optional {
			names[i] = "[" + names[i] + "]"
		}
	}
	return strings.Join(names, " ")
}

// set stores v as p. A null stands for an argument that was not given.
func (a Args) set(p Param, v any) error {
	if v == nil && p.Optional {
		return nil
	}
	got, ok := p.convert(v)
	if !ok || !p.inRange(got) {
		return Invalid("%s must be %s, got %s", p.Name, p.rule(), show(v))
	}
	a[p.Name] = got
	return nil
}

func (p Param) convert(v any) (any, bool) {
	switch p.Type {
	case Int:
		return toInt(v)
	case Float:
		return toFloat(v)
	case Text:
		s, ok := v.(string)
		return s, ok
	case Bool:
		b, ok := v.(bool)
		return b, ok
	case List:
		l, ok := v.([]any)
		return l, ok
	case AnyMap:
		m, ok := v.(map[string]any)
		return m, ok
	}
	return nil, false
}

func toInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	case string:
		i, err := strconv.ParseInt(v, 10, 64)
		return i, err == nil && strconv.FormatInt(i, 10) == v
	}
	return 0, false
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil && strings.Trim(v, "0123456789.-eE") == ""
	}
	i, ok := toInt(v)
	return float64(i), ok
}

func (p Param) inRange(v any) bool {
	if p.Min == p.Max {
		return true
	}
	switch v := v.(type) {
	case int64:
		return float64(v) >= p.Min && float64(v) <= p.Max
	case float64:
		return v >= p.Min && v <= p.Max
	}
	return true
}

// rule says in words what p accepts.
func (p Param) rule() string {
	words := map[Type]string{
		Int: "a whole number", Float: "a number", Text: "text",
		Bool: "true or false", List: "a list", AnyMap: "a dict",
	}
	s := words[p.Type]
	if p.Min != p.Max {
		s += fmt.Sprintf(" from %v to %v", p.Min, p.Max)
	}
	return s
}

// show prints a value for an error, short enough for a line.
func show(v any) string {
	s := fmt.Sprintf("%v", v)
	if t, ok := v.(string); ok {
		s = strconv.Quote(t)
	}
	if v == nil {
		s = "null"
	}
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "..."
	}
	return s
}
