package commands

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// firewall is what `nft -j list ruleset` shows, as far as it is understood here
// (libnftables-json(5)): which packets to this machine are dropped. Rules that iptables
// has made are among them, with matches that nft does not show.
type firewall struct {
	chains []*nftChain
	rules  []nftRule
}

type nftChain struct {
	Family, Table, Name string
	Type, Hook, Policy  string
}

type nftRule struct {
	Family, Table, Chain string
	Expr                 []map[string]json.RawMessage
}

// packet is of a new connection, or of none, from another machine.
type packet struct {
	protocol string // tcp or udp
	port     int
}

func (p packet) String() string {
	return fmt.Sprintf("%s port %d", strings.ToUpper(p.protocol), p.port)
}

func parseFirewall(data []byte) (firewall, error) {
	var doc struct {
		Nftables []struct {
			Chain *nftChain
			Rule  *nftRule
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return firewall{}, fmt.Errorf("not what nft -j prints: %w", err)
	}
	var f firewall
	for _, e := range doc.Nftables {
		if e.Chain != nil {
			f.chains = append(f.chains, e.Chain)
		}
		if e.Rule != nil {
			f.rules = append(f.rules, *e.Rule)
		}
	}
	return f, nil
}

// blocks is a chain that looks as if it dropped p, nil if none does. What is not
// understood counts as accepting: an alarm that is none helps nobody.
func (f firewall) blocks(p packet) *nftChain {
	for _, c := range f.chains {
		if c.Hook != "input" || c.Type != "filter" {
			continue
		}
		if end := f.walk(c, p, 0); end == dropped || end == undecided && c.Policy == "drop" {
			return c
		}
	}
	return nil
}

// fate is what becomes of a packet in a chain.
type fate int

const (
	undecided fate = iota
	accepted       // or it may be
	dropped
)

// maxJumps is how deep chains may call each other (NFT_JUMP_STACK_SIZE).
const maxJumps = 16

func (f firewall) walk(c *nftChain, p packet, depth int) fate {
	for _, r := range f.rules {
		if r.Family != c.Family || r.Table != c.Table || r.Chain != c.Name {
			continue
		}
		hit := r.hits(p)
		if hit == never {
			continue
		}
		for _, e := range r.Expr {
			end, left := f.verdict(c, e, p, depth)
			if end == accepted || end == dropped && hit == always {
				return end
			}
			if left && hit == always {
				return undecided
			}
		}
	}
	return undecided
}

// verdict is what an expression of a rule decides; left says that it leaves the
// chain.
func (f firewall) verdict(c *nftChain, e map[string]json.RawMessage, p packet, depth int) (end fate, left bool) {
	for kind, value := range e {
		switch kind {
		case "accept":
			return accepted, true
		case "drop", "reject":
			return dropped, true
		case "return":
			return undecided, true
		case "queue", "tproxy":
			return accepted, true // a program decides
		case "jump", "goto":
			return f.jump(c, value, p, depth), kind == "goto"
		case "vmap":
			return f.mapped(c, value, p, depth), false
		}
	}
	return undecided, false
}

func (f firewall) jump(from *nftChain, value json.RawMessage, p packet, depth int) fate {
	var to struct{ Target string }
	if json.Unmarshal(value, &to) != nil || depth == maxJumps {
		return accepted
	}
	for _, c := range f.chains {
		if c.Family == from.Family && c.Table == from.Table && c.Name == to.Target {
			return f.walk(c, p, depth+1)
		}
	}
	return undecided
}

// mapped is accepted if any verdict of a map may be, other than one of connections
// that are there already.
func (f firewall) mapped(c *nftChain, value json.RawMessage, p packet, depth int) fate {
	var m struct {
		Key  side
		Data struct {
			Set [][2]json.RawMessage
		}
	}
	if json.Unmarshal(value, &m) != nil {
		return accepted
	}
	for _, pair := range m.Data.Set {
		var then map[string]json.RawMessage
		if m.Key.CT.Key == "state" && !slices.Contains(texts(pair[0]), "new") || json.Unmarshal(pair[1], &then) != nil {
			continue
		}
		if end, _ := f.verdict(c, then, p, depth); end == accepted {
			return accepted
		}
	}
	return undecided
}
