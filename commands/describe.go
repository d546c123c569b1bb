package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/wire"
)

type describeOptions struct {
	*streams

	target
	output
	uri string
}

func newDescribe(s *streams) *cobra.Command {
	o := &describeOptions{streams: s}
	cmd := &cobra.Command{
		Use:     "describe [flags] [URI]",
		Short:   "show what can be called, and how",
		Example: "  dconn describe\n  dconn describe .brightness.set",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			if err := o.output.check(cmd.Flags()); err != nil {
				return err
			}
			if len(words) == 1 {
				if o.uri, err = uriOf(cmd, words[0]); err != nil {
					return err
				}
			}
			return runDescribe(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.target.addFlags(f, 10*time.Second, "give up after this long; 0 waits for ever")
	o.addDeviceFlags(f)
	o.output.addFlags(s, f, "table", "json", "ndjson", "template")
	return cmd
}

func runDescribe(ctx context.Context, o *describeOptions) error {
	return o.join(ctx, func(ctx context.Context, s *session.Session) error {
		entries, err := describe(ctx, s, o.uri)
		if err != nil {
			return err
		}
		if o.uri != "" && len(entries) == 0 {
			return wire.Errorf(wire.ErrNoSuchProcedure, "nothing here goes by that name")
		}
		return o.show(entries)
	})
}

// describe asks the daemon for the entry of uri, or for all of them.
func describe(ctx context.Context, s *session.Session, uri string) ([]map[string]any, error) {
	var args []any
	if uri != "" {
		args = []any{uri}
	}
	result, err := s.Call(ctx, wire.Describe, args, nil)
	if err != nil || len(result.Args) != 1 {
		return nil, err
	}
	return dicts(result.Args[0]), nil
}

// dicts are the dicts in a list. What a router of another version sends may
// hold others.
func dicts(v any) []map[string]any {
	list, _ := v.([]any)
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		if d, ok := e.(map[string]any); ok {
			out = append(out, d)
		}
	}
	return out
}

func (o *describeOptions) show(entries []map[string]any) error {
	if o.format == "table" && o.uri != "" && len(o.fields) == 0 {
		for _, e := range entries {
			if err := o.page(e); err != nil {
				return err
			}
		}
		return nil
	}
	if o.format == "table" {
		for _, e := range entries {
			e["takes"] = signature(e)
		}
	}
	return o.list([]string{"uri", "takes", "doc"}, entries)
}

// page shows one entry with its parameters.
func (o *describeOptions) page(d map[string]any) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", field(d, "uri"), signature(d))
	fmt.Fprintf(&b, "  %s: %s\n", field(d, "kind"), field(d, "doc"))
	for _, p := range params(d) {
		fmt.Fprintf(&b, "  %-8s %s\n", field(p, "name"), strings.Join(facts(p), ", "))
	}
	if r := field(d, "result"); r != "" {
		fmt.Fprintf(&b, "  result: %s\n", r)
	}
	if scope := field(d, "scope"); scope != "" {
		fmt.Fprintf(&b, "  scope: %s\n", scope)
	}
	return o.print([]byte(visible(b.String())))
}

// field is a text of an entry, on one line. What a router of another version
// sends may lack it.
func field(d map[string]any, name string) string {
	s, _ := d[name].(string)
	return oneRow(s)
}

func params(d map[string]any) []map[string]any { return dicts(d["params"]) }

// signature is how the arguments of an entry are written.
func signature(d map[string]any) string {
	var words []string
	for _, p := range params(d) {
		w := strings.ToUpper(field(p, "name"))
		switch {
		case d["kind"] == "topic":
			w = field(p, "name") + "="
		case p["named"] == true:
			w = "-k " + field(p, "name") + "=" + w
		}
		if p["optional"] == true {
			w = "[" + w + "]"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func facts(p map[string]any) []string {
	f := []string{field(p, "type")}
	if p["min"] != nil && p["max"] != nil {
		f[0] += fmt.Sprintf(" %v to %v", p["min"], p["max"])
	}
	for _, more := range []string{"unit", "doc"} {
		if text := field(p, more); text != "" {
			f = append(f, text)
		}
	}
	if p["optional"] == true {
		f = append(f, "optional")
	}
	return f
}
