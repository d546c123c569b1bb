// Package pattern finds what is kept for a URI: under the URI itself, a prefix of it
// or a wildcard that it matches (WAMP specification, sections "Pattern-based
// Subscriptions" and "Pattern-based Registrations").
package pattern

import (
	"slices"
	"sort"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// Table keeps values by URI and match policy, several under one pattern. What a
// look-up takes depends on the URI, hardly on how many patterns there are: a session
// may subscribe to a thousand, and every publisher would pay for them. The zero Table
// is empty. A Table has no lock.
type Table[T comparable] struct {
	exact     map[wamp.URI][]T
	prefixes  map[wamp.URI][]T
	lengths   [wire.MaxURI + 1]int // how many prefixes have so many bytes
	wildcards []*wildcard[T]       // by path
}

// wildcard is a pattern with its components as a path: each component ends with a
// byte that no URI has (wire.CheckPattern), so that the sorted paths are a tree of
// components. A path has at most wire.MaxComponents, so that a URI is looked up at
// most 2^11 times.
type wildcard[T comparable] struct {
	path string
	all  []T
}

const ends = "\x00"

func pathOf(pattern wamp.URI) []byte {
	return []byte(strings.ReplaceAll(string(pattern), ".", ends) + ends)
}

// seek is where the wildcard with this path is, or would be.
func (t *Table[T]) seek(path []byte) (at int, found bool) {
	at = sort.Search(len(t.wildcards), func(i int) bool { return t.wildcards[i].path >= string(path) })
	return at, at < len(t.wildcards) && t.wildcards[at].path == string(path)
}

// Add keeps v under uri, after what is there. match is a policy of WAMP: "exact",
// "prefix" or "wildcard".
func (t *Table[T]) Add(uri wamp.URI, match string, v T) {
	switch match {
	case wamp.MatchPrefix:
		if len(t.prefixes[uri]) == 0 {
			t.lengths[len(uri)]++
		}
		add(&t.prefixes, uri, v)
	case wamp.MatchWildcard:
		path := pathOf(uri)
		at, found := t.seek(path)
		if !found {
			t.wildcards = slices.Insert(t.wildcards, at, &wildcard[T]{path: string(path)})
		}
		w := t.wildcards[at]
		w.all = append(w.all, v)
	default:
		add(&t.exact, uri, v)
	}
}

func add[T any](m *map[wamp.URI][]T, uri wamp.URI, v T) {
	if *m == nil {
		*m = map[wamp.URI][]T{}
	}
	(*m)[uri] = append((*m)[uri], v)
}

// Remove undoes Add.
func (t *Table[T]) Remove(uri wamp.URI, match string, v T) {
	switch match {
	case wamp.MatchPrefix:
		if remove(t.prefixes, uri, v) {
			t.lengths[len(uri)]--
		}
	case wamp.MatchWildcard:
		at, found := t.seek(pathOf(uri))
		if !found {
			return
		}
		w := t.wildcards[at]
		if w.all = without(w.all, v); len(w.all) == 0 {
			t.wildcards = slices.Delete(t.wildcards, at, at+1)
		}
	default:
		remove(t.exact, uri, v)
	}
}

// remove reports whether v was the last under uri.
func remove[T comparable](m map[wamp.URI][]T, uri wamp.URI, v T) (last bool) {
	had := len(m[uri])
	left := without(m[uri], v)
	if len(left) == 0 {
		delete(m, uri)
	} else {
		m[uri] = left
	}
	return had > 0 && len(left) == 0
}

func without[T comparable](all []T, v T) []T {
	if i := slices.Index(all, v); i >= 0 {
		return slices.Delete(all, i, i+1)
	}
	return all
}

// Exact is what is kept under uri itself.
func (t *Table[T]) Exact(uri wamp.URI) []T { return t.exact[uri] }

// Same is what is kept under a pattern itself.
func (t *Table[T]) Same(pattern wamp.URI, match string) []T {
	switch match {
	case wamp.MatchPrefix:
		return t.prefixes[pattern]
	case wamp.MatchWildcard:
		if at, found := t.seek(pathOf(pattern)); found {
			return t.wildcards[at].all
		}
		return nil
	}
	return t.exact[pattern]
}

// Prefixes calls do for each prefix of uri that something is kept under, the shortest
// first.
func (t *Table[T]) Prefixes(uri wamp.URI, do func([]T)) {
	if len(t.prefixes) == 0 {
		return
	}
	for n := range min(len(uri), wire.MaxURI) + 1 {
		if t.lengths[n] == 0 {
			continue
		}
		if all := t.prefixes[uri[:n]]; all != nil {
			do(all)
		}
	}
}

// Wildcards calls do for each wildcard that uri matches.
func (t *Table[T]) Wildcards(uri wamp.URI, do func([]T)) {
	if len(t.wildcards) > 0 && len(uri) <= wire.MaxURI {
		path := make([]byte, 0, wire.MaxURI+1)
		t.descend(path, string(uri), do)
	}
}

// descend is Wildcards for those whose first components are path. rest is what the
// other components are compared with.
func (t *Table[T]) descend(path []byte, rest string, do func([]T)) {
	part, rest, more := strings.Cut(rest, ".")
	for _, component := range [...]string{part, ""} {
		path := append(append(path, component...), ends...)
		at, whole := t.seek(path)
		switch {
		case !more && whole:
			do(t.wildcards[at].all)
		case more && at < len(t.wildcards) && strings.HasPrefix(t.wildcards[at].path, string(path)):
			t.descend(path, rest, do)
		}
	}
}
