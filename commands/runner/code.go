package runner

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Rules say what a command line may do with the text of a caller.
type Rules struct {
	Inside    bool // a placeholder may stand in a word that has blanks or shell characters
	AllowDash bool // a caller's text may begin with a dash
	Input     bool // a caller's text is on the command's stdin
}

// Place is what a word is to the program that gets it.
type Place int

// The places where a caller's text would be run, or choose what is run.
const (
	Script  Place = iota // code that the program runs
	File                 // the file whose code the program runs
	Command              // the command that the program runs
	Ahead                // before the script or the command
	Line                 // part of a line that the program gives to a shell
	Option               // where the program looks for options
	Setting              // a variable of the environment that changes what runs
	Choice               // the name of an option
	Stdin                // the program runs what it reads
	Inside               // among blanks or characters that mean something to a shell
)

// CodeError says where a command line would run the text of a caller.
type CodeError struct {
	Place       Place
	Word        int    // its index, that of the program if Place is Stdin
	Text        string // of that word
	Placeholder string // with its braces
	Program     string // as it is called, "" if there is none
	At          int    // the index of the program
}

func (e *CodeError) Error() string {
	const part = "%.80q is %s: %s would make a caller's text part of it"
	switch e.Place {
	case Script:
		return fmt.Sprintf(part, e.Text, "the script of "+e.Program, e.Placeholder)
	case Line:
		return fmt.Sprintf(part, e.Text, "in a line that "+e.Program+" gives to a shell", e.Placeholder)
	case File:
		return fmt.Sprintf("%q is the file that %s runs: a caller would choose it", e.Text, e.Program)
	case Command:
		if e.Program == "" {
			return fmt.Sprintf("%q is the command: a caller would choose it", e.Text)
		}
		return fmt.Sprintf("%q is the command that %s runs: a caller would choose it", e.Text, e.Program)
	case Ahead:
		return fmt.Sprintf("%q is ahead of what %s runs: a caller's text could change what that is", e.Text, e.Program)
	case Option:
		return fmt.Sprintf("%q may begin with a dash: %s could take a caller's text for an option that runs it", e.Text, e.Program)
	case Choice:
		return fmt.Sprintf("%q lets a caller choose an option of %s", e.Text, e.Program)
	case Setting:
		return fmt.Sprintf("%q sets a variable by which a caller's text could be run", e.Text)
	case Stdin:
		return fmt.Sprintf("%s runs what it reads from stdin, where a caller's arguments are", e.Program)
	}
	return fmt.Sprintf("%.80q has blanks or shell characters beside %s: a shell would run a caller's text there", e.Text, e.Placeholder)
}

// CheckCode refuses a command line in which the text of a caller would be run,
// or choose what is run. It knows interpreters, and the commands that run others;
// of any other command it allows placeholders that are a word or part of a plain
// one. nil means that Fill may have it.
func CheckCode(argv []string, r Rules) *CodeError {
	c := checker{Rules: r, argv: argv}
	if err := c.command(0, ""); err != nil {
		return err
	}
	for i, w := range argv {
		if err := c.plain(i, w); err != nil {
			return err
		}
	}
	return nil
}

// plain checks a word whatever the command is.
func (c *checker) plain(i int, w string) *CodeError {
	switch bare := strings.TrimLeft(w, "-"); {
	case !c.Inside && strings.ContainsAny(without(w), meta):
		return c.wrong(Inside, i, 0)
	case !c.AllowDash && bare != w && strings.HasPrefix(bare, "{"):
		return c.wrong(Choice, i, 0)
	}
	return nil
}

// CheckInput refuses a script that is no more than a command that runs what it
// reads: stdin has the text of a caller.
func CheckInput(script string) *CodeError {
	c := checker{Rules: Rules{Input: true}}
	return c.reads(script)
}

// meta are the characters that mean something to a shell.
const meta = " \t\r\n|&;<>()$`\\\"'*?[]"

// Placeholders are those that Fill replaces in text, and {@}.
func Placeholders(text string) []string {
	var found []string
	_, _ = Expand(text, func(name string) (string, error) {
		found = append(found, "{"+name+"}")
		return "", nil
	})
	if strings.Contains(strings.ReplaceAll(text, "{{@}}", ""), all) {
		found = append(found, all)
	}
	return found
}

// all stands for all arguments.
const all = "{@}"

// without is text less its placeholders.
func without(text string) string {
	rest, _ := Expand(text, func(string) (string, error) { return "", nil })
	return strings.ReplaceAll(rest, all, "")
}

// ShellScript is the script that text stands for, in which {{x}} is {x} and ${x} a
// variable of the shell, and the first placeholder in it, "" if there is none.
func ShellScript(text string) (script, found string) {
	var b strings.Builder
	from := 0
	for _, at := range placeholder().FindAllStringIndex(text, -1) {
		b.WriteString(text[from:at[0]])
		from = at[1]
		m := text[at[0]:at[1]]
		names := Placeholders(m)
		filled, _ := Expand(m, func(string) (string, error) { return m, nil })
		if b.WriteString(filled); len(names) > 0 && !strings.HasSuffix(text[:at[0]], "$") {
			found = cmp.Or(found, names[0])
		}
	}
	b.WriteString(text[from:])
	if strings.Contains(text, all) {
		found = cmp.Or(found, all)
	}
	return b.String(), found
}

// checker goes through a command line as the programs in it would.
type checker struct {
	Rules

	argv []string
}

// wrong is the error for word i if it has a placeholder.
func (c *checker) wrong(place Place, i, at int) *CodeError {
	names := Placeholders(c.argv[i])
	if len(names) == 0 {
		return nil
	}
	return &CodeError{Place: place, Word: i, Text: c.argv[i], Placeholder: names[0], Program: c.called(at), At: at}
}

func (c *checker) called(at int) string { return path.Base(c.argv[at]) }

// stdin is the error for a program that runs what it reads.
func (c *checker) stdin(at int) *CodeError {
	if !c.Input {
		return nil
	}
	return &CodeError{Place: Stdin, Word: at, Text: c.argv[at], Program: c.called(at), At: at}
}

// command checks the command that begins at word at. by is what runs it.
func (c *checker) command(at int, by string) *CodeError {
	if at >= len(c.argv) {
		return nil
	}
	if err := c.wrong(Command, at, at); err != nil {
		err.Program = by
		return err
	}
	p, words := lookUp(c.argv[at:])
	if p == nil {
		return c.unknown(at)
	}
	return c.program(p, at, at+words)
}

// unknown checks a command that is not in the table. It may run another one: the
// script of an interpreter is found by the option that says so.
func (c *checker) unknown(at int) *CodeError {
	for i := at + 1; i < len(c.argv); i++ {
		if err := c.commandOption(i, at); err != nil {
			return err
		}
		p, words := lookUp(c.argv[i:])
		if p == nil || p.does != runsShell && p.does != runsFile && p.does != runsAlways {
			continue
		}
		if err := c.program(p, i, i+words); err != nil && err.Place == Script {
			return err
		}
	}
	return nil
}

// commandOption checks word i, and the next one, where it is an option whose
// value is run by the programs that have it.
func (c *checker) commandOption(i, at int) *CodeError {
	name, _, attached := strings.Cut(c.argv[i], "=")
	if !slices.Contains(commandOptions, name) {
		return nil
	}
	if !attached && i+1 < len(c.argv) {
		i++
	}
	return c.wrong(Script, i, at)
}

// commandOptions are those of tar, rsync, sort, git, dconn and others.
var commandOptions = []string{
	"--to-command", "--checkpoint-action", "--use-compress-program", "--compress-program", "--rsh", "--rsync-path",
	"--upload-pack", "--receive-pack", "--eval", "--execute", "--exec", "--command", "--on-ready", "--rcfile",
}

// reads checks whether a line for a shell is no more than a command that runs
// what it reads.
func (c *checker) reads(line string) *CodeError {
	if !c.Input || strings.ContainsAny(line, "|&;<>()$`") {
		return nil
	}
	inner := checker{Rules: c.Rules, argv: strings.Fields(strings.NewReplacer(`"`, "", "'", "").Replace(line))}
	if err := inner.command(0, ""); err != nil && err.Place == Stdin {
		return err
	}
	return nil
}

// program checks the words that p gets: those from i on.
func (c *checker) program(p *program, at, i int) *CodeError {
	switch p.does {
	case runsLine:
		return c.line(p, at, i)
	case runsFound:
		return c.find(at, i)
	}
	s := scan{checker: c, program: p, at: at, ahead: p.skip}
	for ; i < len(c.argv) && !s.done; i++ {
		last, err := s.word(i)
		if err != nil {
			return err
		}
		i = last
	}
	return s.end()
}

// standardInput reports whether a program that reads this file reads its stdin.
func standardInput(file string) bool {
	return slices.Contains([]string{"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}, file)
}

// influential reports whether a variable of the environment can make a command
// run something else. A name that no program knows is the safe way to hand over
// text.
func influential(name string) bool {
	for _, prefix := range []string{"LD_", "DYLD_", "BASH", "PYTHON", "PERL", "RUBY", "NODE_", "LUA_", "PHP", "GIT_", "JAVA_", "JDK_", "_JAVA", "LESS", "GCONV", "R_", "DCONN_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"PATH", "ENV", "PS1", "PS2", "PS4", "IFS", "SHELL", "SHELLOPTS", "PROMPT_COMMAND", "EDITOR", "VISUAL", "PAGER",
		"MANPAGER", "BROWSER", "HOME", "ZDOTDIR", "MAKEFLAGS", "AWKPATH", "AWKLIBPATH", "TERMINFO", "XDG_CONFIG_HOME", "CLASSPATH",
		"RSYNC_RSH", "SSH_ASKPASS", "SUDO_ASKPASS", "TAR_OPTIONS", "VIMINIT", "EXINIT", "PSQLRC", "MALLOC_CONF",
	}, name)
}
