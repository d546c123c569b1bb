package pattern

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gammazero/nexus/v3/wamp"
	"pgregory.net/rapid"
)

// What matches is what nexus would say, compared one after the other.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uri := rapid.Custom(func(t *rapid.T) string {
			parts := rapid.SliceOfN(rapid.SampledFrom([]string{"", "", "a", "b", "ab", "ü"}), 1, 5)
			return strings.Join(parts.Draw(t, "parts"), ".")
		})
		match := rapid.SampledFrom([]string{wamp.MatchPrefix, wamp.MatchWildcard, wamp.MatchExact})
		type held struct {
			uri   wamp.URI
			match string
			id    wamp.ID
		}
		var p Table[wamp.ID]
		var all []held
		for i := range rapid.IntRange(0, 30).Draw(t, "steps") {
			if len(all) > 0 && rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
				at := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				p.Remove(all[at].uri, all[at].match, all[at].id)
				p.Remove("never.added", all[at].match, all[at].id)
				all = slices.Delete(all, at, at+1)
				continue
			}
			h := held{wamp.URI(uri.Draw(t, "pattern")), match.Draw(t, "match"), wamp.ID(i + 1)}
			p.Add(h.uri, h.match, h.id)
			all = append(all, h)
		}
		topic := wamp.URI(rapid.StringMatching(`(a|b|ab|ü)(\.(a|b|ab|ü)){0,4}`).Draw(t, "topic"))
		var want, got []wamp.ID
		for _, h := range all {
			if h.match == wamp.MatchPrefix && topic.PrefixMatch(h.uri) ||
				h.match == wamp.MatchWildcard && topic.WildcardMatch(h.uri) ||
				h.match == wamp.MatchExact && topic == h.uri {
				want = append(want, h.id)
			}
		}
		found := func(some []wamp.ID) { got = append(got, some...) }
		found(p.Exact(topic))
		p.Prefixes(topic, found)
		p.Wildcards(topic, found)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v of %v", topic, got, want, all)
		}
		for _, h := range all {
			p.Remove(h.uri, h.match, h.id)
		}
		if len(p.exact)+len(p.prefixes)+len(p.wildcards) > 0 || p.lengths != (Table[wamp.ID]{}).lengths {
			t.Fatalf("left behind: %v, %v, %v", p.exact, p.prefixes, p.wildcards)
		}
	})
}

// BenchmarkTable is what an event costs beside the patterns of others.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		var p Table[int]
		for i := range n {
			p.Add(wamp.URI(fmt.Sprintf("org.example..n%d", i)), wamp.MatchWildcard, i)
			p.Add(wamp.URI(fmt.Sprintf("org.example.n%d.", i)), wamp.MatchPrefix, i)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				found := func([]int) { b.Fatal("a match") }
				p.Prefixes("org.example.topic.of.somebody", found)
				p.Wildcards("org.example.topic.of.somebody", found)
			}
		})
	}
}
