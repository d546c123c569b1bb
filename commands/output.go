package commands

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/capabilities"
)

// output is how a command prints its data: -o and what goes with it. A record
// is what it prints at a time: the result of a call, an event, a row.
type output struct {
	to        *streams
	format    string
	template  string
	fields    []string
	noHeaders bool
	null      bool

	patience time.Duration // at the end of spooled

	known []string              // the fields that a record may have, nil where that is not settled
	paint map[string]text.Color // of cells in a table, by their text
}

// addFormat adds -o, whose first choice is the default.
func (o *output) addFormat(s *streams, f *pflag.FlagSet, choices ...string) {
	o.to = s
	f.VarP(newChoice(&o.format, choices...), "output", "o", "output format: "+strings.Join(choices, ", "))
}

// addFlags adds -o, and the flags that its choices have a use for.
func (o *output) addFlags(s *streams, f *pflag.FlagSet, choices ...string) {
	o.addFormat(s, f, choices...)
	f.BoolVarP(&o.null, "null", "0", false, "end each record with a NUL byte instead of a newline")
	f.StringVar(&o.template, "template", "", "print each record as `TEXT` with {0}, {name} and {field} filled in (-o template)")
	f.StringSliceVar(&o.fields, "fields", nil, "only these fields of a record, `NAME,...`, in this order in a table")
	if slices.Contains(choices, "table") {
		f.BoolVar(&o.noHeaders, "no-headers", false, "a table without its first line")
	}
}

// machine reports whether output is for programs, errors too then.
func (o *output) machine() bool { return forMachines(o.format) }

func forMachines(format string) bool { return format == "json" || format == "ndjson" }

// check refuses flags that do not go together, and a template of another kind.
// known are the fields that a JSON record may have, if all of them are settled.
func (o *output) check(f *pflag.FlagSet, known ...string) error {
	o.known = known
	if o.template != "" && !f.Changed("output") {
		o.format = "template"
	}
	switch {
	case o.format == "template" && o.template == "":
		return usage("-o template needs --template").hint("--template {0}")
	case o.format != "template" && o.template != "":
		return usage("--template does not go with -o %s", o.format)
	case len(o.fields) > 0 && (o.format == "raw" || o.format == "template"):
		return usage("--fields does not go with -o %s", o.format).hint("--fields %s -o json", capabilities.ShellWord(strings.Join(o.fields, ",")))
	case o.machine() && len(known) > 0 && len(missing(o.fields, known)) > 0:
		return noField(missing(o.fields, known)[0], known)
	case o.null && o.format == "table":
		return usage("-0 does not go with -o table").hint("-0 -o ndjson")
	case o.format == "template":
		return checkTemplate(o.template)
	}
	return nil
}

// record prints one record: doc as JSON or by the template, raw values bare.
func (o *output) record(doc map[string]any, raw ...any) error {
	b, err := o.render(nil, doc, raw)
	if err != nil {
		return err
	}
	return o.to.print(b)
}

func (o *output) render(b []byte, doc map[string]any, raw []any) ([]byte, error) {
	switch o.format {
	case "template":
		text, err := o.expand(doc)
		return o.end(append(b, text...)), err
	case "raw", "table":
		for _, v := range raw {
			var err error
			if b, err = o.bare(b, v); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	doc, err := o.pick(doc)
	if err != nil {
		return nil, err
	}
	b, err = appendJSON(b, doc)
	return o.end(b), err
}

// bare adds a scalar as it is, null as nothing, a list or dict as compact
// JSON, and bytes as they are, without a newline.
func (o *output) bare(b []byte, v any) ([]byte, error) {
	if v == nil {
		return b, nil
	}
	t, err := plainText(v)
	if err != nil {
		return nil, err
	}
	if o.to.outTTY {
		t = visible(t)
	}
	b = append(b, t...)
	if _, bytes := v.([]byte); bytes && !o.null {
		return b, nil
	}
	return o.end(b), nil
}

func (o *output) end(b []byte) []byte {
	if o.null {
		return append(b, 0)
	}
	return append(b, '\n')
}

// failure prints one as a record. --fields are not for it: it is no answer.
func (o *output) failure(f *failure) error {
	b, err := appendJSON(nil, f.document())
	if err != nil {
		return err
	}
	return o.to.print(o.end(b))
}

// pick keeps the --fields of doc, as far as it has them.
func (o *output) pick(doc map[string]any) (map[string]any, error) {
	if len(o.fields) == 0 {
		return doc, nil
	}
	picked := make(map[string]any, len(o.fields))
	for _, name := range o.fields {
		v, ok := doc[name]
		if !ok && slices.Contains(o.known, name) {
			continue
		}
		if !ok {
			return nil, noField(name, slices.Sorted(maps.Keys(doc)))
		}
		picked[name] = v
	}
	return picked, nil
}

// missing are the names that are not among those there.
func missing(names, there []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(there, n) })
}

func noField(name string, there []string) error {
	return usage("--fields: no field %q: there are %s", name, strings.Join(there, ", "))
}

// How long stdout may take nothing at the end of a command that ends in time, or
// by a signal. Any other end waits for its reader.
const (
	timedPatience    = 5 * time.Second
	signaledPatience = 2 * time.Second
)

// spooled runs a command that prints many records, and waits at its end until
// they are written. A write that fails stops it: the next record may be far.
func (o *output) spooled(stop context.CancelCauseFunc, run func() error) error {
	queue := newSpool(o.to.out, func(err error) { stop(outputError(err)) })
	o.to.out = queue
	err := run()
	if _, cut := errors.AsType[interrupted](err); cut {
		o.patience = signaledPatience
	}
	left, writeErr := queue.close(o.patience)
	switch {
	case err != nil:
		return err
	case left > 0:
		return own("stdout: its reader reads nothing: %d bytes are lost", left)
	case writeErr != nil:
		return outputError(writeErr)
	}
	return nil
}

// list prints a finite list of records. columns are those of the table.
func (o *output) list(columns []string, docs []map[string]any) error {
	switch o.format {
	case "table":
		return o.table(columns, docs)
	case "json":
		all := make([]any, len(docs))
		for i, doc := range docs {
			picked, err := o.pick(doc)
			if err != nil {
				return err
			}
			all[i] = picked
		}
		b, err := appendJSON(nil, all)
		if err != nil {
			return err
		}
		return o.to.print(o.end(b))
	}
	for _, doc := range docs {
		if err := o.record(doc); err != nil {
			return err
		}
	}
	return nil
}

// print writes one or more whole records. A reader that has gone ends the
// command quietly.
func (s *streams) print(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := s.out.Write(b); err != nil {
		return outputError(err)
	}
	return nil
}

func outputError(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return errReaderGone
	}
	return own("stdout: %v", err)
}

// anyOf are texts as a list of a document.
func anyOf[T ~string](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

func orEmptyList(l []any) []any { return append([]any{}, l...) }

func orEmptyDict(d map[string]any) map[string]any {
	if d == nil {
		return map[string]any{}
	}
	return d
}
