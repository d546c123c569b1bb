package runner

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Rewriting turns a script with placeholders into one that takes its arguments.
type Rewriting struct {
	Rules

	Ref    func(placeholder string) string // the parameter that has the text, "" if there is none
	Escape bool                            // ${x} becomes ${{x}}, for a script that Fill sees
}

// Shell rewrites a script of a shell, in which each placeholder becomes a quoted
// parameter. ok is false where the script is beyond it, or where the text would be
// run all the same.
func (r Rewriting) Shell(script string) (rewritten string, ok bool) {
	s := shellScript{Rewriting: r, text: script, commands: []simple{{}}}
	for s.i < len(script) {
		if !s.step() {
			return "", false
		}
	}
	if len(s.commands) > 1 || s.top().quoted || !s.ended() {
		return "", false
	}
	return s.out.String(), true
}

// shellScript is a script of a shell that is read once from its start to its end.
type shellScript struct {
	Rewriting

	text     string
	i        int // what is read next
	out      strings.Builder
	commands []simple // the last one is inside the others: $( )
}

// simple is the command that is being read.
type simple struct {
	words  []string
	word   strings.Builder
	inWord bool
	quoted bool // inside "
}

func (s *shellScript) top() *simple { return &s.commands[len(s.commands)-1] }

// copy takes n bytes as they are, as part of a word if inWord.
func (s *shellScript) copy(n int, inWord bool) bool {
	if s.i+n > len(s.text) {
		return false
	}
	part := s.text[s.i : s.i+n]
	s.out.WriteString(part)
	if inWord {
		s.top().word.WriteString(part)
		s.top().inWord = true
	}
	s.i += n
	return true
}

// step reads what comes next; false is that it is not understood.
func (s *shellScript) step() bool {
	rest, t := s.text[s.i:], s.top()
	if at := anyPlaceholder().FindStringIndex(rest); at != nil && at[0] == 0 {
		return s.hole(rest[:at[1]], `"`)
	}
	switch c := rest[0]; {
	case c == '\\':
		return s.copy(2, true)
	case c == '`', strings.HasPrefix(rest, "$(("), strings.HasPrefix(rest, "(("), strings.HasPrefix(rest, "[["):
		return false
	case strings.HasPrefix(rest, "$("):
		s.copy(2, false)
		s.commands = append(s.commands, simple{})
		return true
	case strings.HasPrefix(rest, "${"):
		return s.variable(rest)
	case c == '"':
		t.quoted, t.inWord = !t.quoted, true
		return s.copy(1, false)
	case t.quoted:
		return s.copy(1, true)
	case c == '\'':
		return s.single(rest)
	}
	return s.unquoted(rest)
}

// unquoted reads what has a meaning outside of quotes only.
func (s *shellScript) unquoted(rest string) bool {
	t := s.top()
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "<<"), strings.HasPrefix(rest, "<("), strings.HasPrefix(rest, ">("), strings.HasPrefix(rest, "$'"),
		strings.HasPrefix(rest, `$"`), c == '#' && !t.inWord, c == '(':
		return false
	case strings.HasPrefix(rest, ">&"), strings.HasPrefix(rest, "<&"):
		return s.copy(2, true)
	case c == ')':
		if len(s.commands) == 1 || !s.ended() {
			return false
		}
		s.commands = s.commands[:len(s.commands)-1]
		s.top().inWord = true
		return s.copy(1, false)
	case strings.IndexByte(";|&\n", c) >= 0:
		return s.ended() && s.copy(1, false)
	case strings.IndexByte(" \t<>", c) >= 0:
		t.endWord()
		return s.copy(1, false)
	}
	return s.copy(1, true)
}

// single reads text in single quotes.
func (s *shellScript) single(rest string) bool {
	end := strings.IndexByte(rest[1:], '\'')
	if end < 0 {
		return false
	}
	s.out.WriteByte('\'')
	s.i++
	s.top().inWord = true
	for last := s.i + end; s.i < last; {
		at := anyPlaceholder().FindStringIndex(s.text[s.i:last])
		switch {
		case at != nil && at[0] == 0:
			if !s.hole(s.text[s.i:s.i+at[1]], `'`) {
				return false
			}
		case at != nil:
			s.copy(at[0], true)
		default:
			s.copy(last-s.i, true)
		}
	}
	s.out.WriteByte('\'')
	s.i++
	return true
}

// hole reads a placeholder, or one that stands for itself, in single quotes or not.
func (s *shellScript) hole(m, quotes string) bool {
	t := s.top()
	t.inWord = true
	t.word.WriteString(m)
	s.i += len(m)
	names := Placeholders(m)
	if len(names) == 0 {
		s.out.WriteString(m)
		return true
	}
	ref := s.Ref(names[0])
	next := ""
	if s.i < len(s.text) {
		next = s.text[s.i : s.i+1]
	}
	switch {
	case ref == "" || names[0] == all && (t.quoted || quotes == `'`):
		return false
	case quotes == `'`:
		s.out.WriteString(`'"` + ref + `"'`)
	case !t.quoted:
		s.out.WriteString(`"` + ref + `"`)
	case next != "" && strings.Trim(next, letters+"[") == "": // "$ab" is another variable
		s.out.WriteString(`""` + ref + `""`)
	default:
		s.out.WriteString(ref)
	}
	return true
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"

// variable reads ${x}, which looks like a placeholder and is none.
func (s *shellScript) variable(rest string) bool {
	end := strings.IndexByte(rest, '}') + 1
	if end == 0 || strings.ContainsAny(rest[2:end], "'\"$`\\{") {
		return false
	}
	part := rest[:end]
	if s.Escape && HasPlaceholder(part) {
		part = "${{" + rest[2:end] + "}"
	}
	s.out.WriteString(part)
	s.top().inWord = true
	s.top().word.WriteString("$" + strings.Trim(rest[2:end], "{}"))
	s.i += end
	return true
}

func (t *simple) endWord() {
	if t.inWord {
		t.words = append(t.words, t.word.String())
	}
	t.word.Reset()
	t.inWord = false
}

// ended ends a command of the script; false is that a caller's text would be code
// in it.
func (s *shellScript) ended() bool {
	t := s.top()
	t.endWord()
	words := t.words
	t.words = nil
	for len(words) > 0 && (slices.Contains(keywords, words[0]) || strings.Trim(before(words[0], "="), letters) == "" && strings.Contains(words[0], "=")) {
		words = words[1:]
	}
	if !slices.ContainsFunc(words, func(w string) bool { return len(Placeholders(w)) > 0 }) {
		return true
	}
	if slices.Contains(evaluators, words[0]) || slices.Contains(words, "-v") {
		return false
	}
	rules := s.Rules
	rules.Inside, rules.Input = true, false
	return CheckCode(words, rules) == nil
}

func before(text, mark string) string {
	head, _, _ := strings.Cut(text, mark)
	return head
}

// keywords stand before a command.
var keywords = []string{"if", "then", "elif", "else", "do", "while", "until", "!", "{", "time"}

// evaluators are builtins that run, or choose, what they are given.
var evaluators = []string{
	"eval", "let", "declare", "typeset", "local", "readonly", "export", "read", "unset", "mapfile", "readarray", "getopts",
	"trap", "alias", "source", ".", "case", "for", "select", "function", "set", "cd", "complete", "bind", "enable", "hash",
}

// Code rewrites a script of another language, in which a placeholder is a value of
// its own, or one text as in "{0}". inside is what takes its place in a longer
// text, nil if there is no such way.
func (r Rewriting) Code(script, quotes string, inside func(ref string) string) (rewritten string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(script); {
		at := anyPlaceholder().FindStringIndex(script[i:])
		c := script[i]
		switch {
		case at != nil && at[0] == 0:
			text, ok := r.replaced(script[i:i+at[1]], func(ref string) string { return ref })
			if !ok {
				return "", false
			}
			b.WriteString(text)
			i += at[1]
		case strings.IndexByte(quotes, c) >= 0:
			end := closingQuote(script[i:], c)
			if end < 0 {
				return "", false
			}
			text, ok := r.literal(script[i+1:i+end], string(c), inside)
			if !ok {
				return "", false
			}
			b.WriteString(text)
			i += end + 1
		case c == '\'' || c == '"' || c == '`' || c == '#' || c == '/' && strings.Contains(script[i+1:], "/"):
			return "", false
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), true
}

// closingQuote is where a text ends that begins with quote.
func closingQuote(text string, quote byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote:
			return i
		}
	}
	return -1
}

// literal rewrites a text between quotes.
func (r Rewriting) literal(text, quote string, inside func(string) string) (string, bool) {
	names := Placeholders(text)
	switch {
	case len(names) == 0:
		return quote + text + quote, true
	case names[0] == text:
		ref := r.Ref(text)
		return ref, ref != ""
	case inside == nil:
		return "", false
	}
	text, ok := r.replaced(text, inside)
	return quote + text + quote, ok
}

// replaced is text with its placeholders replaced by what as makes of them.
func (r Rewriting) replaced(text string, as func(ref string) string) (string, bool) {
	ok := true
	text = anyPlaceholder().ReplaceAllStringFunc(text, func(m string) string {
		names := Placeholders(m)
		if len(names) == 0 {
			return m
		}
		ref := r.Ref(names[0])
		ok = ok && ref != ""
		return as(ref)
	})
	return text, ok
}

// anyPlaceholder matches what placeholder does, and {@}.
var anyPlaceholder = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(placeholder().String() + `|\{@\}`)
})
