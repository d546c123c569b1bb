package commands

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// hit says whether a rule is for a packet.
type hit int

const (
	never hit = iota
	perhaps
	always
)

// hits is as sure as the least of its matches.
func (r nftRule) hits(p packet) hit {
	least := always
	for _, e := range r.Expr {
		for kind, value := range e {
			switch kind {
			case "match":
				least = min(least, matches(value, p))
			case "xt", "limit", "quota", "lookup":
				least = min(least, perhaps)
			}
		}
	}
	return least
}

// side is the left side of a match: what is compared.
type side struct {
	Payload struct{ Protocol, Field string }
	Meta    struct{ Key string }
	CT      struct{ Key string }
}

func matches(value json.RawMessage, p packet) hit {
	var m struct {
		Op    string
		Left  side
		Right json.RawMessage
	}
	if json.Unmarshal(value, &m) != nil {
		return perhaps
	}
	found := perhaps
	switch transport := m.Left.Payload.Protocol; {
	case m.Left.Payload.Field == "dport" && (transport == p.protocol || transport == "th"):
		found = hasPort(m.Right, p.port)
	case transport == "tcp" || transport == "udp" || strings.HasPrefix(transport, "icmp"):
		if transport != p.protocol {
			return never
		}
	case m.Left.Meta.Key == "l4proto", m.Left.Payload.Field == "protocol", m.Left.Payload.Field == "nexthdr":
		found = hasWord(m.Right, p.protocol)
	case m.Left.CT.Key == "state":
		found = hasWord(m.Right, "new")
	case m.Left.Meta.Key == "iifname", m.Left.Meta.Key == "iif":
		if slices.Equal(texts(m.Right), []string{"lo"}) {
			found = never
		}
	}
	if m.Op == "!=" {
		return always - found
	}
	return found
}

// hasPort reports whether a port is what a match has on its right side.
func hasPort(right json.RawMessage, port int) hit {
	var one int
	var named string
	var many struct {
		Set   []json.RawMessage
		Range *[2]int
	}
	switch {
	case json.Unmarshal(right, &one) == nil:
		return sure(one == port)
	case json.Unmarshal(right, &named) == nil: // @set, whose elements may come and go
		return perhaps
	case json.Unmarshal(right, &many) != nil:
		return perhaps
	case many.Range != nil:
		return sure(many.Range[0] <= port && port <= many.Range[1])
	}
	best := never
	for _, e := range many.Set {
		best = max(best, hasPort(e, port))
	}
	return best
}

func hasWord(right json.RawMessage, word string) hit {
	list := texts(right)
	if len(list) == 0 || slices.ContainsFunc(list, func(w string) bool { return strings.HasPrefix(w, "@") }) {
		return perhaps
	}
	number := map[string]string{"tcp": "6", "udp": "17"}[word]
	return sure(slices.ContainsFunc(list, func(w string) bool { return w == word || w == number }))
}

func sure(is bool) hit {
	if is {
		return always
	}
	return never
}

// texts are the words of a right side: one, a list, or a set of them.
func texts(right json.RawMessage) []string {
	var one any
	if json.Unmarshal(right, &one) != nil {
		return nil
	}
	if set, ok := one.(map[string]any); ok {
		one = set["set"]
	}
	list, ok := one.([]any)
	if !ok {
		list = []any{one}
	}
	var found []string
	for _, e := range list {
		switch e := e.(type) {
		case string:
			found = append(found, e)
		case float64:
			found = append(found, strconv.Itoa(int(e)))
		}
	}
	return found
}
