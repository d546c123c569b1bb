package commands

import "testing"

func TestTemplate(t *testing.T) {
	doc := map[string]any{
		"topic": "org.t.x",
		"args":  []any{int64(9007199254740993), "text", map[string]any{"name": "n", "list": []any{1.5, nil, true}}, []byte{0, 0xff}, 80.0},
		"kwargs": map[string]any{
			"percent": int64(7), "topic": "hidden", "nothing": nil,
		},
	}
	for template, want := range map[string]string{
		"{topic}: {0} {1}":           "org.t.x: 9007199254740993 text",
		"{percent}%":                 "7%",
		"{kwargs.topic}":             "hidden",
		"{args.1}={1}":               "text=text",
		"{2.name} {2.list.0}":        "n 1.5",
		"{2.list}":                   "[1.5,null,true]",
		"{2}":                        `{"list":[1.5,null,true],"name":"n"}`,
		"{3}":                        "\x00\xff",
		"{4}":                        "80",
		"{nothing}{9}{nope}{1.deep}": "",
		"{2.list.7}{2.list.x}":       "",
		"{{0}} {} { } {a b} {{x}":    "{0} {} { } {a b} {{x}",
		"":                           "",
		"{args}":                     `[9007199254740993,"text",{"list":[1.5,null,true],"name":"n"},{"$bytes":"AP8="},80.0]`,
	} {
		s, _ := testStreams()
		o := output{to: s, template: template}
		if got, err := o.expand(doc); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", template, got, err, want)
		}
	}
	for _, foreign := range []string{"{{.topic}}", "a {{ .args }}"} {
		if checkTemplate(foreign) == nil {
			t.Errorf("%q finds nothing wrong", foreign)
		}
	}
}
