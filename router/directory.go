package router

import (
	"maps"
	"slices"
	"sync"

	"github.com/deskconn/dconn/capabilities"
)

// directory knows what can be called here: the capabilities, and what other
// sessions have registered.
type directory struct {
	mu           sync.Mutex
	capabilities []capabilities.Capability
	registered   map[string]int // URI to number of registrations
}

func newDirectory() *directory { return &directory{registered: map[string]int{}} }

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

func (d *directory) add(uri string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.registered[uri]++
}

func (d *directory) remove(uri string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.registered[uri]--; d.registered[uri] <= 0 {
		delete(d.registered, uri)
	}
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
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, registered := range slices.Sorted(maps.Keys(d.registered)) {
		add(map[string]any{
			"uri": registered, "kind": "procedure", "doc": "registered by a session",
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
