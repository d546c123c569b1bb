package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"
	"pgregory.net/rapid"
)

// What matches is what nexus would say, compared one after the other.
func TestPatterns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uri := rapid.Custom(func(t *rapid.T) string {
			parts := rapid.SliceOfN(rapid.SampledFrom([]string{"", "", "a", "b", "ab", "ü"}), 1, 5)
			return strings.Join(parts.Draw(t, "parts"), ".")
		})
		match := rapid.SampledFrom([]string{wamp.MatchPrefix, wamp.MatchWildcard})
		type held struct {
			uri   wamp.URI
			match string
			l     listener
		}
		var p patterns
		var all []held
		for i := range rapid.IntRange(0, 30).Draw(t, "steps") {
			if len(all) > 0 && rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
				at := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				p.remove(all[at].uri, all[at].match, all[at].l)
				p.remove("never.added", all[at].match, all[at].l)
				all = slices.Delete(all, at, at+1)
				continue
			}
			h := held{wamp.URI(uri.Draw(t, "pattern")), match.Draw(t, "match"), listener{id: wamp.ID(i + 1)}}
			p.add(h.uri, h.match, h.l)
			all = append(all, h)
		}
		topic := wamp.URI(rapid.StringMatching(`(a|b|ab|ü)(\.(a|b|ab|ü)){0,4}`).Draw(t, "topic"))
		var want, got []wamp.ID
		for _, h := range all {
			if h.match == wamp.MatchPrefix && topic.PrefixMatch(h.uri) ||
				h.match == wamp.MatchWildcard && topic.WildcardMatch(h.uri) {
				want = append(want, h.l.id)
			}
		}
		p.match(topic, func(some []listener) {
			for _, l := range some {
				got = append(got, l.id)
			}
		})
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v of %v", topic, got, want, all)
		}
		for _, h := range all {
			p.remove(h.uri, h.match, h.l)
		}
		if len(p.prefixes)+len(p.wildcards) > 0 || p.lengths != (patterns{}).lengths {
			t.Fatalf("left behind: %v, %v", p.prefixes, p.wildcards)
		}
	})
}

// BenchmarkPatterns is what an event costs beside the patterns of others.
func BenchmarkPatterns(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		var p patterns
		for i := range n {
			p.add(wamp.URI(fmt.Sprintf("org.example..n%d", i)), wamp.MatchWildcard, listener{})
			p.add(wamp.URI(fmt.Sprintf("org.example.n%d.", i)), wamp.MatchPrefix, listener{})
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				p.match("org.example.topic.of.somebody", func([]listener) { b.Fatal("a match") })
			}
		})
	}
}
