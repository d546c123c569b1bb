package commands

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/capabilities"
	"github.com/deskconn/dconn/commands/runner"
)

// safer is the command line that was meant where a caller's text would be code, or
// the one that tells more.
func (o *registerOptions) safer(flags *pflag.FlagSet, e *runner.CodeError) string {
	var argv, more []string
	drop := ""
	switch e.Place {
	case runner.Inside:
		argv, more = o.argv, []string{"--inside"}
	case runner.Choice:
		argv, more = o.argv, []string{"--allow-dash"}
	case runner.Option:
		argv = slices.Insert(slices.Clone(o.argv), e.Word, "--")
	case runner.Script:
		argv, more = o.saferScript(e)
	case runner.Line:
		argv, more, drop = o.saferLine(e), []string{"--stdin=raw"}, "stdin"
	}
	if slices.Contains(more, "--shell") || o.shell {
		drop = "shell"
	}
	if len(argv) == 0 || !slices.Contains(more, "--shell") && !o.allows(argv, more) {
		return "dconn register --help"
	}
	return o.line(flags, drop, more, argv)
}

// allows reports whether argv is fine with more flags.
func (o *registerOptions) allows(argv, more []string) bool {
	return runner.CheckCode(argv, runner.Rules{
		Inside: o.inside || slices.Contains(more, "--inside"), AllowDash: o.allowDash || slices.Contains(more, "--allow-dash"),
		Input: o.worker || o.stdin != "none",
	}) == nil
}

// line is the command line as a shell takes it, with the flags that were given
// less drop, and more.
func (o *registerOptions) line(flags *pflag.FlagSet, drop string, more, argv []string) string {
	words := []string{"dconn", "register"}
	flags.Visit(func(f *pflag.Flag) {
		if f.Name == drop {
			return
		}
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		if f.Value.Type() == "bool" && value == "true" {
			words = append(words, "--"+f.Name)
			return
		}
		words = append(words, "--"+f.Name+"="+capabilities.ShellWord(value))
	})
	words = append(append(words, more...), capabilities.ShellWord(o.uri), "--")
	for _, w := range argv {
		words = append(words, capabilities.ShellWord(w))
	}
	return strings.Join(words, " ")
}

// saferScript is the command line that hands its arguments to a script, and flags
// for it.
func (o *registerOptions) saferScript(e *runner.CodeError) (argv, more []string) {
	p := parameters{rules: runner.Rules{AllowDash: o.allowDash}, script: o.argv[e.Word]}
	head, tail := slices.Clone(o.argv[:e.Word]), slices.Clone(o.argv[e.Word+1:])
	name := strings.TrimRight(e.Program, "0123456789.")
	switch name {
	case "sh", "dash", "ash":
		if e.At == 0 && e.Word == 2 && o.argv[1] == "-c" && len(tail) == 0 {
			if script, ok := p.numbered(); ok {
				return []string{script}, []string{"--shell"}
			}
		}
		fallthrough
	case "bash", "rbash", "zsh", "ksh", "mksh", "yash":
		if slices.Contains(tail, ";") || slices.Contains(tail, "+") {
			return nil, nil
		}
		if len(tail) == 0 {
			tail = []string{e.Program}
		}
		script, ok := p.shell(func(n int) string { return positional(n + len(tail)) })
		return p.argv(ok, head, script, tail), nil
	case "fish":
		script, ok := p.shell(func(n int) string { return "$argv[" + strconv.Itoa(n+len(tail)+1) + "]" })
		return p.argv(ok, head, script, tail), nil
	}
	if o.argv[e.Word] != e.Text || !p.onlyNumbers() {
		return p.doubled(head, tail), nil
	}
	return p.language(name, head, tail), nil
}

// positional is the n-th parameter of a shell, from 1 on; more than 9 need braces.
func positional(n int) string {
	if n > 9 {
		return ""
	}
	return "$" + strconv.Itoa(n)
}

// parameters are those that a script gets instead of its placeholders.
type parameters struct {
	rules  runner.Rules
	script string
	seen   []string // placeholders, in the order of the parameters
}

// index is the place of a placeholder among the parameters.
func (p *parameters) index(placeholder string) int {
	if n := slices.Index(p.seen, placeholder); n >= 0 {
		return n
	}
	p.seen = append(p.seen, placeholder)
	return len(p.seen) - 1
}

// numbered is the script for --shell, where {0} is $1.
func (p *parameters) numbered() (script string, ok bool) {
	return runner.Rewriting{Rules: p.rules, Ref: func(placeholder string) string {
		if placeholder == "{@}" {
			return "$@"
		}
		n, err := strconv.Atoi(strings.Trim(placeholder, "{}"))
		if err != nil {
			return ""
		}
		return positional(n + 1)
	}}.Shell(p.script)
}

// shell is the script whose parameters are what ref says.
func (p *parameters) shell(ref func(n int) string) (script string, ok bool) {
	return runner.Rewriting{Rules: p.rules, Escape: true, Ref: func(placeholder string) string {
		if placeholder == "{@}" {
			return ""
		}
		return ref(p.index(placeholder))
	}}.Shell(p.script)
}

// argv is a command line whose script is followed by the placeholders.
func (p *parameters) argv(ok bool, head []string, script string, tail []string) []string {
	if !ok {
		return nil
	}
	return slices.Concat(head, []string{script}, tail, p.seen)
}

func (p *parameters) onlyNumbers() bool {
	return !slices.ContainsFunc(runner.Placeholders(p.script), func(m string) bool {
		return strings.Trim(m, "{}0123456789") != ""
	})
}

// doubled is the command line whose braces stand for themselves: {print} is no
// placeholder in awk.
func (p *parameters) doubled(head, tail []string) []string {
	script := p.script
	for _, m := range runner.Placeholders(script) {
		if m == "{@}" || strings.Trim(m, "{}0123456789") == "" {
			return nil
		}
	}
	for _, m := range slices.Compact(slices.Sorted(slices.Values(runner.Placeholders(script)))) {
		script = strings.ReplaceAll(strings.ReplaceAll(script, "{"+m+"}", m), m, "{"+m+"}")
	}
	return slices.Concat(head, []string{script}, tail)
}

// language is the command line for a script of another language than a shell's,
// nil if there is none that is sure to be safe.
func (p *parameters) language(name string, head, tail []string) []string {
	l, ok := languages(len(tail))[name]
	if !ok || slices.ContainsFunc(risky, func(w string) bool { return strings.Contains(p.script, w) }) {
		return nil
	}
	if strings.HasSuffix(name, "awk") && strings.ContainsAny(p.script, "|>") || name == "perl" && !slices.Contains([]string{"-e", "-E"}, head[len(head)-1]) {
		return nil
	}
	script, ok := runner.Rewriting{Ref: func(m string) string { return l.ref(p.index(m)) }}.Code(p.script, l.quotes, l.inside)
	if !ok {
		return nil
	}
	if name == "python" && !strings.Contains(script, "import sys") {
		script = "import sys; " + script
	}
	if l.option == nil {
		return slices.Concat(head, []string{script}, tail, p.seen)
	}
	for n, m := range p.seen {
		head = append(head, l.option(m, n)...)
	}
	return slices.Concat(head, []string{script}, tail)
}

// language is how a script gets an argument.
type language struct {
	quotes string
	ref    func(n int) string                       // a variable
	inside func(ref string) string                  // within a text, nil if that cannot be
	option func(placeholder string, n int) []string // sets the variable, nil if it is an argument
}

// languages are those whose scripts have tail arguments already.
func languages(tail int) map[string]language {
	argument := func(before string, from int, after string) language {
		return language{quotes: `"'`, ref: func(n int) string { return before + strconv.Itoa(n+tail+from) + after }}
	}
	node := argument("process.argv[", 1, "]")
	jq := language{
		quotes: `"`,
		ref:    func(n int) string { return "$a" + strconv.Itoa(n) },
		inside: func(ref string) string { return `\(` + ref + `)` },
		option: func(m string, n int) []string { return []string{"--arg", "a" + strconv.Itoa(n), m} },
	}
	awk := language{
		quotes: `"`,
		ref:    func(n int) string { return "a" + strconv.Itoa(n) },
		inside: func(ref string) string { return `" ` + ref + ` "` },
		option: func(m string, n int) []string { return []string{"-v", "a" + strconv.Itoa(n) + "=" + m} },
	}
	return map[string]language{
		"python": argument("sys.argv[", 1, "]"), "perl": argument("$ARGV[", 0, "]"), "ruby": argument("ARGV[", 0, "]"),
		"php": argument("$argv[", 1, "]"), "node": node, "nodejs": node,
		"jq": jq, "gojq": jq, "jaq": jq, "awk": awk, "gawk": awk, "mawk": awk, "nawk": awk,
	}
}

// risky are words of a script that may run what it gets as data, and places where
// a value cannot stand.
var risky = []string{
	"system", "eval", "exec", "popen", "spawn", "subprocess", "qx", "require", "include", "load", "open", "compile", "assert",
	"call", "Function", "import(", "import {", "from {", "__", "getattr", "send", "glob", "IO", "%x", "do ", "pickle", "passthru",
	"os.", "getline", ".{",
}

// saferLine is the command line that takes the argument from stdin, where it is
// raw: for ssh and su, whose words a shell reads. Only the first argument goes
// there.
func (o *registerOptions) saferLine(e *runner.CodeError) []string {
	var head, tail []string
	script := ""
	switch at := slices.Index(o.argv, "-c"); {
	case e.At != 0 || o.worker || o.stdin == "none":
		return nil
	case e.Program == "ssh" && len(o.argv) > 2 && !strings.HasPrefix(o.argv[1], "-"):
		head, script = o.argv[:2], strings.Join(o.argv[2:], " ")
	case e.Program == "su" && at > 0 && at+1 < len(o.argv):
		head, script, tail = o.argv[:at+1], o.argv[at+1], o.argv[at+2:]
	default:
		return nil
	}
	script, ok := runner.Rewriting{Rules: runner.Rules{AllowDash: o.allowDash}, Escape: true, Ref: func(m string) string {
		if m != "{0}" {
			return ""
		}
		return "$a"
	}}.Shell(script)
	if !ok {
		return nil
	}
	dash := "case $a in -*) exit 2;; esac; "
	if o.allowDash {
		dash = ""
	}
	return slices.Concat(head, []string{"a=$(cat); " + dash + script}, tail)
}
