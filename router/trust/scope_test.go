package trust

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseScope(t *testing.T) {
	for text, want := range map[string]Scope{
		"brightness": "brightness", "call:org.example": "call:org.example", "call:org.deskconnx": "call:org.deskconnx",
		"subscribe:a.b": "subscribe:a.b", "register:org.x": "register:org.x", "publish:org.deskconnx": "publish:org.deskconnx",
	} {
		if got, err := ParseScope(text); err != nil || got != want {
			t.Errorf("ParseScope(%q) = %q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "Brightness", "a b", "*", "call", "call:", "call:a..b", "call:a.", "do:a", "call:wamp.session", "call:wamp",
		"register:org.deskconn.x", "register:org.deskconn", "publish:.x", "register:org", "publish:org", "subscribe:wamp.x", "call:a\x1bb",
		"call:org", "subscribe:com", "call:org.deskconn", "call:org.deskconn.brightness", "subscribe:.brightness.on_changed", "call:.Status",
	} {
		if got, err := ParseScope(text); err == nil && text != "call" {
			t.Errorf("ParseScope(%q) = %q", text, got)
		}
	}
}

// A refusal says why, and what to give instead.
func TestScopeRefused(t *testing.T) {
	for text, want := range map[string]ScopeError{
		"call:org.deskconn.brightness":     {Why: "org.deskconn.* is granted by capability name: brightness", Instead: "brightness"},
		"subscribe:.gpio.on_changed":       {Why: "org.deskconn.* is granted by capability name: gpio", Instead: "gpio"},
		"call:org.deskconn":                {Why: "org.deskconn.* is granted by capability name, as in brightness"},
		"register:org.deskconn.brightness": {Why: "only the daemon registers and publishes org.deskconn.*"},
		"call:org":                         {Why: "the URI of a scope must have 2 parts at least, as in call:org.example, got 1"},
	} {
		_, err := ParseScope(text)
		want.Text = text
		if got, ok := errors.AsType[*ScopeError](err); !ok || *got != want {
			t.Errorf("ParseScope(%q): %+v, want %+v", text, err, want)
		}
	}
}

func TestScopesAllow(t *testing.T) {
	s := Scopes{"brightness", "call:org.a.b", "subscribe:org.news", "Gpio"}
	for _, row := range []struct {
		action     Action
		uri, match string
		want       bool
	}{
		{Call, "org.deskconn.brightness.set", "exact", true},
		{Subscribe, "org.deskconn.brightness.on_changed", "exact", true},
		{Publish, "org.deskconn.brightness.on_changed", "exact", false},
		{Register, "org.deskconn.brightness.set", "exact", false},
		{Call, "org.deskconn.brightnessx.set", "exact", false},
		{Call, "org.deskconn.status", "exact", false}, {Call, "org.deskconn.Gpio.set", "exact", false},
		{Call, "org.a.b", "exact", true}, {Call, "org.a.b.c", "exact", true}, {Call, "org.a.bc", "exact", false}, {Call, "org.a", "exact", false},
		{Subscribe, "org.a.b", "exact", false},
		{Subscribe, "org.news.", "prefix", true}, {Subscribe, "org.news.x", "prefix", true},
		{Subscribe, "org.news", "prefix", false}, // org.newsroom too
		{Subscribe, "org.", "prefix", false}, {Subscribe, "", "prefix", false},
		{Subscribe, "org.news..x", "wildcard", true}, {Subscribe, "org..x", "wildcard", false}, {Subscribe, "..", "wildcard", false},
		{Subscribe, "org.news.x", "nonsense", false},
	} {
		if got := s.Allow(row.action, row.uri, row.match); got != row.want {
			t.Errorf("%s %q by %s: %v", row.action, row.uri, row.match, got)
		}
	}
}

// A pattern is inside a space if, and only if, all that it matches is.
func TestInsideMatchesNothingElse(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "ab"})
	uri := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts"), ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		space, topic := uri.Draw(t, "space"), uri.Draw(t, "topic")
		prefix := topic[:rapid.IntRange(0, len(topic)).Draw(t, "cut")]
		if Inside(space, prefix, "prefix") && !Inside(space, topic, "exact") {
			t.Fatalf("prefix %q is inside %q, and matches %q", prefix, space, topic)
		}
		parts := strings.Split(topic, ".")
		for i := range parts {
			if rapid.Bool().Draw(t, "any") {
				parts[i] = ""
			}
		}
		if pattern := strings.Join(parts, "."); Inside(space, pattern, "wildcard") && !Inside(space, topic, "exact") {
			t.Fatalf("wildcard %q is inside %q, and matches %q", pattern, space, topic)
		}
	})
}

func TestScopeFor(t *testing.T) {
	for _, row := range []struct {
		action Action
		uri    string
		want   Scope
	}{
		{Call, "org.deskconn.gpio.set", "gpio"}, {Subscribe, "org.deskconn.gpio.on_x", "gpio"},
		{Call, "org.example.x", "call:org.example.x"}, {Publish, "org.x", "publish:org.x"}, {Call, "org.deskconn.status", ""},
		{Register, "org.deskconn.gpio.set", ""}, {Call, "wamp.session.list", ""}, {Call, "lamp", ""},
	} {
		got := ScopeFor(row.action, row.uri)
		if got != row.want {
			t.Errorf("%s %s: %s, want %s", row.action, row.uri, got, row.want)
		}
		if got != "" && !(Scopes{got}).Allow(row.action, row.uri, "exact") {
			t.Errorf("%s does not allow to %s %s", got, row.action, row.uri)
		}
	}
}
