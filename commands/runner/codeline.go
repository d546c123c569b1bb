package runner

import (
	"slices"
	"strings"
)

// line checks a program that makes a line for a shell of its words, or takes one
// as a word: no word of a caller's may be there.
func (c *checker) line(p *program, at, i int) *CodeError {
	for n := i; n < len(c.argv); n++ {
		if err := c.wrong(Line, n, at); err != nil {
			return err
		}
	}
	if p.reader || p.files != "" && slices.ContainsFunc(c.argv[i:], func(w string) bool { return standardInput(w) || w == "-f-" }) {
		return c.stdin(at)
	}
	skip := p.skip
	for ; i < len(c.argv); i++ {
		w := c.argv[i]
		switch {
		case w == "--" || w == "-":
		case len(w) > 1 && w[0] == '-':
			last := w[len(w)-1]
			switch {
			case strings.HasPrefix(w, "--command="), strings.HasPrefix(w, "--session-command="):
				_, script, _ := strings.Cut(w, "=")
				return c.reads(script)
			case w == "--command", w == "--session-command", w[1] != '-' && strings.IndexByte(p.code, last) >= 0:
				return c.reads(strings.Join(c.argv[min(i+1, len(c.argv)):min(i+2, len(c.argv))], ""))
			case len(w) == 2 && strings.IndexByte(p.values, last) >= 0:
				i++
			}
		case skip > 0:
			skip--
		default:
			if p.appends {
				return c.appended(at, i, "")
			}
			return c.reads(strings.Join(c.argv[i:], " "))
		}
	}
	if p.opens {
		return c.stdin(at)
	}
	return nil
}

// appended checks the command at i as the program at word at runs it: with words
// from stdin, at its end or instead of replace.
func (c *checker) appended(at, i int, replace string) *CodeError {
	argv := slices.Clone(c.argv[i:])
	for n, w := range argv {
		if replace != "" {
			argv[n] = strings.ReplaceAll(w, replace, "{0}")
		}
	}
	if replace == "" {
		argv = append(argv, "{0}")
	}
	inner := checker{Rules: c.Rules, argv: argv}
	if c.Input && inner.command(0, "") != nil {
		return c.stdin(at)
	}
	return nil
}

// find checks the commands in an expression of find.
func (c *checker) find(at, i int) *CodeError {
	for ; i < len(c.argv); i++ {
		w := c.argv[i]
		switch {
		case slices.Contains([]string{"-exec", "-execdir", "-ok", "-okdir"}, w):
			if err := c.command(i+1, c.called(at)); err != nil {
				return err
			}
		case c.AllowDash && strings.HasPrefix(w, "{"):
			if err := c.wrong(Option, i, at); err != nil {
				return err
			}
		case strings.HasPrefix(w, "-"):
			if err := c.wrong(Option, i, at); err != nil {
				return err
			}
		}
	}
	return nil
}
