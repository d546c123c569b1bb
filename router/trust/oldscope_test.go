package trust

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/deskconn/dconn/capabilities"
)

// oldStore is a store that dconn wrote when `call:org` could be granted.
func oldStore(t *testing.T) *Store {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "old_scopes.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, storeFile), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

// Devices of an older store keep what is not sensitive of what their scopes said,
// and nothing more than these said.
func TestOldStore(t *testing.T) {
	list, err := oldStore(t).Devices()
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		action     Action
		uri, match string
		want       bool
	}
	for name, rows := range map[string][]row{
		"phone": { // call:org, call:org.deskconn.keyboard
			{Call, "org.deskconn.brightness.set", "exact", true}, {Call, "org.deskconn.system.name", "exact", true},
			{Call, "org.deskconn.keyboard.press", "exact", false}, {Call, "org.deskconn.keyboard", "exact", false},
			{Call, "org.deskconn.later.set", "exact", false}, {Call, "org.deskconn.status", "exact", false}, {Call, "org.deskconn", "exact", false},
			{Call, "org.example.lamp", "exact", true}, {Call, "org.deskconnx.y", "exact", true}, {Call, "com.example", "exact", false},
			{Subscribe, "org.deskconn.brightness.on_changed", "exact", false},
			{Register, "org.example.lamp", "exact", false},
		},
		"tablet": { // call:org.deskconn, subscribe:org
			{Call, "org.deskconn.brightness.set", "exact", true}, {Call, "org.deskconn.gpio.set", "exact", false}, {Call, "org.example", "exact", false},
			{Subscribe, "org.deskconn.brightness.on_changed", "exact", true}, {Subscribe, "org.deskconn.brightness.", "prefix", true},
			{Subscribe, "org.deskconn.brightness.", "wildcard", true},
			{Subscribe, "org.deskconn.", "prefix", false}, {Subscribe, "org.deskconn.clipboard.on_changed", "exact", false},
			{Subscribe, "org.", "prefix", false}, {Subscribe, "org.desk", "prefix", false}, {Subscribe, "org.d", "prefix", false},
			{Subscribe, "org.deskconnx.", "prefix", true}, {Subscribe, "org.example.", "prefix", true}, {Subscribe, "org.dx", "prefix", true},
			{Subscribe, "org..on_changed", "wildcard", false}, {Subscribe, "org.deskconn..on_changed", "wildcard", false},
			{Subscribe, "org.example..x", "wildcard", true},
		},
		"watch": { // subscribe:org.deskconn.brightness, call:com
			{Subscribe, "org.deskconn.brightness.on_changed", "exact", true}, {Call, "org.deskconn.brightness.get", "exact", false},
			{Call, "com.example", "exact", true}, {Subscribe, "com.example", "exact", false},
		},
		"laptop": { // system, call:org.example
			{Call, "org.deskconn.system.name", "exact", true}, {Call, "org.example.x", "exact", true}, {Call, "org.deskconn.brightness.get", "exact", false},
		},
	} {
		d := list.Match(name)[0]
		for _, row := range rows {
			if got := d.Allows(time.Now(), row.action, row.uri, row.match); got != row.want {
				t.Errorf("%s with %v: %s %q by %s: %v", name, d.Scopes, row.action, row.uri, row.match, got)
			}
		}
	}
}

// A store with old scopes can be changed, and one of them be taken away.
func TestOldStoreChanges(t *testing.T) {
	s := oldStore(t)
	change(t, s, func(l *Devices) {
		d := l.Match("phone")[0]
		d.Scopes = slices.DeleteFunc(d.Scopes, func(s Scope) bool { return s == "call:org" })
	})
	list, err := open(t, s.dir).Devices()
	if err != nil || len(list) != 4 || !slices.Equal(list.Match("phone")[0].Scopes, Scopes{"call:org.deskconn.keyboard"}) {
		t.Errorf("%v, %v", list.Match("phone")[0].Scopes, err)
	}
}

func TestInForce(t *testing.T) {
	for s, want := range map[Scope]string{
		"brightness": "brightness", "gpio": "gpio", "call:org.example": "call:org.example",
		"call:org":                         "call:org call:org.deskconn.brightness call:org.deskconn.system",
		"call:org.deskconn":                "call:org.deskconn.brightness call:org.deskconn.system",
		"subscribe:org.deskconn":           "subscribe:org.deskconn.brightness subscribe:org.deskconn.system",
		"call:org.deskconn.brightness":     "call:org.deskconn.brightness",
		"call:org.deskconn.brightness.get": "call:org.deskconn.brightness.get",
		"call:org.deskconn.keyboard":       "", "call:org.deskconn.status": "", "call:wamp": "", "publish:org.deskconn.system": "",
		"call:com": "call:com", "register:com": "register:com", "Gpio": "", "do:org.x": "", "": "",
	} {
		got := s.InForce()
		if text := strings.Join(textsOf(got), " "); text != want {
			t.Errorf("%s: %s, want %s", s, text, want)
		}
	}
	if got := (Scopes{"call:org", "call:org.deskconn"}).InForce(); len(got) != 3 {
		t.Errorf("twice the same: %v", got)
	}
	if got := textsOf(Scope("call:org").Names()); !slices.Equal(got, kept) {
		t.Errorf("the names of call:org: %v", got)
	}
	if got := Scope("subscribe:org.deskconn.brightness.on_changed").Names(); !slices.Equal(got, Scopes{"brightness"}) {
		t.Errorf("the names of an event: %v", got)
	}
	for _, s := range []Scope{"call:com", "call:org.deskconn.gpio", "register:org"} {
		if got := s.Names(); len(got) > 0 {
			t.Errorf("the names of %s: %v", s, got)
		}
	}
}

func textsOf(scopes Scopes) (list []string) {
	for _, s := range scopes {
		list = append(list, string(s))
	}
	return list
}

func TestNothingKeptIsSensitive(t *testing.T) {
	for _, name := range kept {
		if capabilities.IsSensitive(name) {
			t.Errorf("%s is sensitive", name)
		}
	}
}

// Whatever can be granted, or was: what an action allows is no part of
// org.deskconn.* but what is kept, and what InForce says is what is allowed.
func TestActionsNeverReachOurs(t *testing.T) {
	part := rapid.SampledFrom([]string{"org", "deskconn", "desk", "keyboard", "brightness", "x", "com"})
	uri := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts"), ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		action := rapid.SampledFrom(actions).Draw(t, "action")
		scope := Scope(string(action) + ":" + uri.Draw(t, "space"))
		topic := uri.Draw(t, "topic")
		pattern := topic
		match := rapid.SampledFrom([]string{"exact", "prefix", "wildcard"}).Draw(t, "match")
		switch match {
		case "prefix":
			pattern = topic[:rapid.IntRange(0, len(topic)).Draw(t, "cut")]
		case "wildcard":
			parts := strings.Split(topic, ".")
			for i := range parts {
				if rapid.Bool().Draw(t, "any") {
					parts[i] = ""
				}
			}
			pattern = strings.Join(parts, ".")
		}
		if !scope.allows(action, pattern, match) {
			return // topic is one that the pattern matches
		}
		if reachesOurs(topic, "exact") && !keeps(action, topic, "exact") {
			t.Fatalf("%s allows %q by %s, which means %s", scope, pattern, match, topic)
		}
		if reachesOurs(topic, "exact") && !scope.Old() {
			t.Fatalf("%s can be given and allows %s", scope, topic)
		}
		if !scope.InForce().Allow(action, topic, "exact") {
			t.Fatalf("%s allows %s, and %v do not", scope, topic, scope.InForce())
		}
	})
}
