package commands

import (
	"strconv"
	"strings"

	"github.com/deskconn/dconn/commands/runner"
)

// expand is a record as --template prints it: {topic} is a field of the record,
// {0} an argument, {percent} a keyword argument, {args.0.name} a path to what
// is inside, {{x}} is {x}. What a record does not have is nothing.
func (o *output) expand(doc map[string]any) (string, error) {
	text, err := runner.Expand(o.template, func(name string) (string, error) {
		return plainText(lookUp(doc, strings.Split(name, ".")))
	})
	if err == nil && o.to.outTTY {
		text = visible(text)
	}
	return text, err
}

func lookUp(doc map[string]any, path []string) any {
	var v any = doc
	if _, err := strconv.Atoi(path[0]); err == nil {
		v = doc["args"]
	} else if _, ok := doc[path[0]]; !ok {
		v = doc["kwargs"]
	}
	for _, name := range path {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			v = nil
			if n, err := strconv.Atoi(name); err == nil && n < len(in) {
				v = in[n]
			}
		default:
			return nil
		}
	}
	return v
}

// checkTemplate refuses a template of another language.
func checkTemplate(t string) error {
	if strings.Contains(t, "{{.") || strings.Contains(t, "{{ ") {
		return usage("--template: %q has no placeholders of dconn", t).
			hint("{topic} is a field, {0} an argument, {percent} a keyword argument: dconn help formatting")
	}
	return nil
}
