package commands

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
)

// shows CODE COMMAND... runs a command, insists on its exit code, and adds to the
// file transcript how it went: the command line, each line of stdout behind
// `>`, of stderr behind `!`, and the code. What differs from run to run is
// replaced. Scripts compare the transcript with a golden one.
func shows(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: shows CODE COMMAND [ARG...]")
	}
	bounded := []string{args[0], "timeout", "-s", "KILL", "30"} // what hangs ends in 137
	exits(ts, false, append(bounded, args[1:]...))
	f, err := os.OpenFile(ts.MkAbs("transcript"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	ts.Check(err)
	_, err = fmt.Fprintf(f, "$%s\n%s%s= %s\n", stable(ts, shellWords(args[1:])),
		marked('>', stable(ts, ts.ReadFile("stdout"))), marked('!', stable(ts, ts.ReadFile("stderr"))), args[0])
	ts.Check(errors.Join(err, f.Close()))
}

// shellWords are args as one would type them.
func shellWords(args []string) string {
	var b strings.Builder
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \"'$`\\|&;<>(){}[]*?#~") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		b.WriteString(" " + a)
	}
	return b.String()
}

// unstable are the parts of an output that are never twice the same.
var unstable = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`"publication":[0-9]+`), `"publication":N`},
	{regexp.MustCompile(`"time":"20[0-9-]+T[0-9:.]+Z"`), `"time":"T"`},
	{regexp.MustCompile(`time=20[0-9-]+T[0-9:.]+(Z|[+-][0-9:]+)`), `time=T`},
	{regexp.MustCompile(`"(pid|goroutines|bytes_in|bytes_out)":[1-9][0-9]*`), `"$1":N`},
	{regexp.MustCompile(`"id":[0-9]{4,}`), `"id":N`},
	{regexp.MustCompile(`"uptime":[0-9.]+`), `"uptime":N`},
	{regexp.MustCompile(`"since":"20[0-9-]+T[0-9:]+Z"`), `"since":"T"`},
	{regexp.MustCompile(`\buid[: ][0-9]+`), `uid:N`},
	{regexp.MustCompile(`by process [0-9]+ of`), `by process N of`},
	{regexp.MustCompile(`\bkill [0-9]+`), `kill N`},
	{regexp.MustCompile(`\[::\]:[0-9]+`), `[::]:N`},
	{regexp.MustCompile(`\b[A-Z2-7]{7} in `), `ID in `},
	{regexp.MustCompile(`trying again in [0-9.]+ s`), `trying again in N s`},
}

func stable(ts *testscript.TestScript, text string) string {
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
	for _, u := range unstable {
		text = u.pattern.ReplaceAllString(text, u.instead)
	}
	return text
}

// marked is text with a mark in front of each line; a last line without a newline
// ends in a backslash, and what would not be seen is escaped.
func marked(mark byte, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		body, whole := strings.CutSuffix(line, "\n")
		b.WriteByte(mark)
		if body != "" {
			b.WriteString(" " + escaped(body))
		}
		if !whole {
			b.WriteByte('\\')
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// escaped shows what a terminal would obey as <U+001B>, and a byte that is no
// UTF-8 as <FF>.
func escaped(line string) string {
	var b strings.Builder
	for len(line) > 0 {
		r, n := utf8.DecodeRuneInString(line)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "<%02X>", line[0])
		case unsafe(r) && r != '\t':
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteString(line[:n])
		}
		line = line[n:]
	}
	return b.String()
}
