package router

import (
	"sync"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/router/dealer"
	"github.com/deskconn/dconn/router/wire"
)

// directory knows what can be called here: the capabilities, and what other sessions
// have registered at the dealer.
type directory struct {
	dealer *dealer.Dealer

	mu           sync.Mutex
	capabilities []capabilities.Capability
}

func (d *directory) offer(caps []capabilities.Capability) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capabilities = caps
}

func (d *directory) offered() []capabilities.Capability {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.capabilities
}

// describe lists every procedure and topic, or the one named uri.
func (d *directory) describe(uri string) []any {
	all := []any{}
	add := func(entry map[string]any) {
		if uri == "" || entry["uri"] == uri {
			all = append(all, entry)
		}
	}
	for _, c := range d.offered() {
		for _, p := range c.Procedures {
			add(map[string]any{
				"uri": procedureURI(c, p), "kind": "procedure", "doc": p.Doc, "result": p.Result,
				"params": describeParams(p.Params), "scope": c.Name, "sensitive": c.Sensitive,
			})
		}
		for _, t := range c.Topics {
			add(map[string]any{
				"uri": topicURI(c, t.Event), "kind": "topic", "doc": t.Doc,
				"params": describeParams(t.Fields), "scope": c.Name, "sensitive": c.Sensitive,
			})
		}
	}
	for _, p := range d.dealer.Registered() {
		if wire.Reserved(string(p.URI)) {
			continue // the daemon's own
		}
		doc := "registered by a session"
		if p.Match != wamp.MatchExact {
			doc += ", by " + p.Match
		}
		add(map[string]any{
			"uri": string(p.URI), "kind": "procedure", "doc": doc,
			"params": []any{}, "result": "", "scope": "", "sensitive": false,
		})
	}
	return all
}

func describeParams(params []capabilities.Param) []any {
	list := make([]any, len(params))
	for i, p := range params {
		entry := map[string]any{
			"name": p.Name, "type": string(p.Type), "doc": p.Doc,
			"optional": p.Optional, "named": p.Named,
		}
		if p.Unit != "" {
			entry["unit"] = p.Unit
		}
		if p.Min != p.Max {
			entry["min"], entry["max"] = p.Min, p.Max
			if p.Type == capabilities.Int {
				entry["min"], entry["max"] = int64(p.Min), int64(p.Max)
			}
		}
		list[i] = entry
	}
	return list
}
