package router

import (
	"slices"
	"sort"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/router/wire"
)

// patterns are the subscriptions by prefix and by wildcard (WAMP specification,
// section "Pattern-based Subscriptions"). What it takes to find those that match a
// topic depends on the topic, hardly on how many others there are: a session may
// subscribe to a thousand of them, and all that is published would pay for it.
type patterns struct {
	prefixes  map[wamp.URI][]listener
	lengths   [wire.MaxURI + 1]int // how many prefixes have so many bytes
	wildcards []*wildcard          // by path
}

// wildcard is a pattern with its components as a path: each of them ends with a
// byte that no URI has (wire.CheckPattern), so that what is sorted is a tree of
// components. It has at most wire.MaxComponents, so that a topic is looked up at most
// 2^11 times.
type wildcard struct {
	path string
	all  []listener
}

const ends = "\x00"

func pathOf(pattern wamp.URI) []byte {
	return []byte(strings.ReplaceAll(string(pattern), ".", ends) + ends)
}

// seek is where the wildcard with this path is, or would be.
func (p *patterns) seek(path []byte) (at int, found bool) {
	at = sort.Search(len(p.wildcards), func(i int) bool { return p.wildcards[i].path >= string(path) })
	return at, at < len(p.wildcards) && p.wildcards[at].path == string(path)
}

func (p *patterns) add(uri wamp.URI, match string, l listener) {
	if match == wamp.MatchPrefix {
		if len(p.prefixes[uri]) == 0 {
			p.lengths[len(uri)]++
		}
		put(&p.prefixes, uri, append(p.prefixes[uri], l))
		return
	}
	path := pathOf(uri)
	at, found := p.seek(path)
	if !found {
		p.wildcards = slices.Insert(p.wildcards, at, &wildcard{path: string(path)})
	}
	w := p.wildcards[at]
	w.all = append(w.all, l)
}

func (p *patterns) remove(uri wamp.URI, match string, l listener) {
	if match == wamp.MatchPrefix {
		if remove(p.prefixes, uri, l) {
			p.lengths[len(uri)]--
		}
		return
	}
	at, found := p.seek(pathOf(uri))
	if !found {
		return
	}
	w := p.wildcards[at]
	if w.all = without(w.all, l); len(w.all) == 0 {
		p.wildcards = slices.Delete(p.wildcards, at, at+1)
	}
}

// match calls do with the listeners of each pattern that topic matches.
func (p *patterns) match(topic wamp.URI, do func([]listener)) {
	if len(p.prefixes) > 0 {
		for n := range len(topic) + 1 {
			if p.lengths[n] == 0 {
				continue
			}
			if all := p.prefixes[topic[:n]]; all != nil {
				do(all)
			}
		}
	}
	if len(p.wildcards) > 0 {
		path := make([]byte, 0, wire.MaxURI+1)
		p.descend(path, string(topic), do)
	}
}

// descend is match for the wildcards whose first components are path. rest is what
// the others are compared with.
func (p *patterns) descend(path []byte, rest string, do func([]listener)) {
	part, rest, more := strings.Cut(rest, ".")
	for _, component := range [...]string{part, ""} {
		path := append(append(path, component...), ends...)
		at, whole := p.seek(path)
		switch {
		case !more && whole:
			do(p.wildcards[at].all)
		case more && at < len(p.wildcards) && strings.HasPrefix(p.wildcards[at].path, string(path)):
			p.descend(path, rest, do)
		}
	}
}
