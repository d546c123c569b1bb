package commands

import (
	"bytes"
	"strings"
	"text/template"
)

// compile parses --template. The function json prints a value as JSON.
func compile(t string) (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{"json": jsonText}).Parse(t)
}

// execute adds a record as the template prints it.
func (o *output) execute(b []byte, doc map[string]any) ([]byte, error) {
	var out bytes.Buffer
	if err := o.compiled.Execute(&out, templated(doc)); err != nil {
		return nil, usage("--template: %s", strings.TrimPrefix(err.Error(), "template: :"))
	}
	if o.to.outTTY {
		return append(b, visible(out.String())...), nil
	}
	return append(b, out.Bytes()...), nil
}

// The values of a record in a form that prints as raw output does, while a
// template still indexes, ranges over and compares them as what they are.
type (
	templateFloat float64
	templateBytes []byte
	templateList  []any
	templateDict  map[string]any
	templateNull  struct{} // behind a nil pointer, which counts as false
)

func (f templateFloat) String() string { return strings.TrimSuffix(floatText(float64(f)), ".0") }
func (b templateBytes) String() string { return string(b) }
func (l templateList) String() string  { return jsonText(l) }
func (d templateDict) String() string  { return jsonText(d) }
func (*templateNull) String() string   { return "" }

func jsonText(v any) string {
	b, err := appendJSON(nil, untemplated(v))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func templated(v any) any {
	switch v := v.(type) {
	case nil:
		return (*templateNull)(nil)
	case float64:
		return templateFloat(v)
	case []byte:
		return templateBytes(v)
	case []any:
		l := make(templateList, len(v))
		for i := range v {
			l[i] = templated(v[i])
		}
		return l
	case map[string]any:
		d := make(templateDict, len(v))
		for k := range v {
			d[k] = templated(v[k])
		}
		return d
	}
	return v
}

func untemplated(v any) any {
	switch v := v.(type) {
	case *templateNull:
		return nil
	case templateFloat:
		return float64(v)
	case templateBytes:
		return []byte(v)
	case templateList:
		l := make([]any, len(v))
		for i := range v {
			l[i] = untemplated(v[i])
		}
		return l
	case templateDict:
		d := make(map[string]any, len(v))
		for k := range v {
			d[k] = untemplated(v[k])
		}
		return d
	}
	return v
}
