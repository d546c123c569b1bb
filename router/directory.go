package router

import (
	"maps"
	"slices"
	"sync"

	"github.com/gammazero/nexus/v3/wamp"

	"github.com/deskconn/dconn/capabilities"
)

// directory knows what can be called here: the capabilities, and what other
// sessions have registered.
type directory struct {
	mu           sync.Mutex
	capabilities []capabilities.Capability
	registered   map[wamp.URI]*registered
}

// registered is a procedure that sessions have registered.
type registered struct {
	times  int
	callee listener // its only one, if nobody else may register it
}

func newDirectory() *directory { return &directory{registered: map[wamp.URI]*registered{}} }

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

// add notes that callee has registered uri. alone is that nobody else may.
func (d *directory) add(uri wamp.URI, callee listener, alone bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.registered[uri]
	if r == nil {
		r = &registered{}
		d.registered[uri] = r
	}
	r.times++
	if alone {
		r.callee = callee
	}
}

// callee is where calls to uri go, nobody where nexus has to say so.
func (d *directory) callee(uri wamp.URI) listener {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.registered[uri]; r != nil {
		return r.callee
	}
	return listener{}
}

func (d *directory) remove(uri wamp.URI, of *guard) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.registered[uri]
	if r == nil {
		return
	}
	if r.callee.guard == of {
		r.callee = listener{}
	}
	if r.times--; r.times <= 0 {
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
	for _, uri := range slices.Sorted(maps.Keys(d.registered)) {
		add(map[string]any{
			"uri": string(uri), "kind": "procedure", "doc": "registered by a session",
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
