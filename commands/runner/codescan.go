package runner

import (
	"cmp"
	"slices"
	"strings"
)

// scan reads the words of one program, as far as they say what it runs.
type scan struct {
	*checker
	*program

	at      int    // the program
	ahead   int    // operands that come before the command or the script
	given   bool   // an option was or had the script
	script  bool   // the first operand is the script: -c of a shell
	input   bool   // the script comes from stdin: -s of a shell
	unsure  bool   // after an option that the table does not have
	plain   bool   // after --
	found   bool   // the script or the command has been seen
	done    bool   // what follows is data
	replace string // stands for words from stdin: xargs
}

// word takes word i, and the value that it may have in the next one; last is the
// last word taken.
func (s *scan) word(i int) (last int, err *CodeError) {
	w := s.argv[i]
	switch {
	case !s.plain && (w == "--" || w == "-" && s.does == runsShell):
		s.plain = s.does != runsCommand // whose command has a -- of its own
		return i, nil
	case w == "-" && s.does == runsCommand: // of env
		return i, nil
	case s.plain || len(w) < 2 || w[0] != '-' && (w[0] != '+' || s.does != runsShell):
		return i, s.operand(i)
	case strings.HasPrefix(w, "--") || s.oneDash:
		return s.long(i)
	}
	return s.short(i)
}

// What an option is, as in program.longs.
const (
	aFlag   = 0
	aTail   = '?'
	aValue  = '='
	aScript = '!'
	aFile   = '<'
	aModule = 'm'
	aVar    = '1'
	aPair   = '2'
	anInfo  = 'i'
)

// short takes word i, a dash and letters.
func (s *scan) short(i int) (last int, err *CodeError) {
	w, last := s.argv[i], i
	for n := 1; n < len(w); n++ {
		kind, known := s.letter(w[n])
		switch {
		case !known:
			s.unsure = true
			return i, s.wrong(Ahead, i, s.at)
		case kind == aValue && s.does == runsShell: // in the next word, whatever follows here
			if last = min(last+1, len(s.argv)-1); len(Placeholders(s.argv[last])) > 0 {
				return last, s.wrong(Ahead, last, s.at)
			}
		case kind != aFlag && kind != anInfo:
			return s.take(i, kind, w[n:n+1], w[n+1:], n+1 < len(w))
		}
		s.given = s.given || kind == anInfo
		s.script = s.script || s.does == runsShell && w[n] == 'c'
		s.input = s.input || s.does == runsShell && w[n] == 's'
	}
	return last, nil
}

// letter is what a short option is.
func (s *scan) letter(l byte) (kind byte, known bool) {
	for _, k := range []struct {
		letters string
		kind    byte
	}{
		{s.code, aScript}, {s.files, aFile}, {s.module, aModule}, {s.data, aVar}, {s.values, aValue},
		{s.tails, aTail}, {s.info, anInfo}, {s.flags, aFlag},
	} {
		if strings.IndexByte(k.letters, l) >= 0 {
			return k.kind, true
		}
	}
	return aFlag, l >= '0' && l <= '9' || s.does == runsShell && (l >= 'a' && l <= 'z' || l >= 'A' && l <= 'Z')
}

// long takes word i, an option with a name.
func (s *scan) long(i int) (last int, err *CodeError) {
	name, value, attached := strings.Cut(strings.TrimLeft(s.argv[i], "-"), "=")
	switch {
	case slices.Contains([]string{"help", "version", "h", "v"}, name):
		s.given = true
		return i, nil
	case len(Placeholders(name)) > 0:
		return i, s.wrong(Ahead, i, s.at)
	}
	for known := range strings.FieldsSeq(s.longs) {
		bare := strings.TrimRight(known, "=!<?12")
		if bare != name {
			continue
		}
		kind := byte(aFlag)
		if bare != known {
			kind = known[len(known)-1]
		}
		return s.take(i, kind, name, value, attached)
	}
	s.unsure = s.unsure || !s.anyLong
	return i, s.wrong(Ahead, i, s.at)
}

// take takes the option at i, whose value is in the same word if it is attached,
// else in the next one.
func (s *scan) take(i int, kind byte, name, value string, attached bool) (last int, err *CodeError) {
	from := i
	switch {
	case kind == aFlag, kind == aTail:
		if s.appends && (name == "replace" || name == "i") {
			s.replace = cmp.Or(value, "{}")
		}
		return i, s.wrong(Ahead, i, s.at)
	case kind == aPair:
		if i++; i < len(s.argv) && len(Placeholders(s.argv[i])) > 0 {
			return i, s.wrong(Ahead, i, s.at)
		}
		return min(i+1, len(s.argv)-1), nil
	case !attached && i+1 < len(s.argv):
		i++
		value = s.argv[i]
	}
	switch kind {
	case aVar:
		if before, _, ok := strings.Cut(value, "="); ok && len(Placeholders(before)) == 0 {
			return i, nil
		}
	case aScript:
		s.given, s.done = true, s.ends
		if err := s.wrong(Script, i, s.at); err != nil {
			return i, err
		}
		// -S of env takes more words of the command, -p of node may have no value
		s.unsure = s.unsure || s.does == runsCommand || i > from && strings.HasPrefix(value, "-")
		if s.assigns && i+1 < len(s.argv) {
			return i, nil
		}
		return i, s.reads(value)
	case aFile, aModule:
		s.given, s.done = s.given || s.does != runsAlways, kind == aModule
		if kind == aFile && standardInput(value) {
			return i, s.stdin(s.at)
		}
		return i, s.wrong(File, i, s.at)
	case aValue:
		if s.appends && name == "I" {
			s.replace = value
		}
	}
	return i, s.wrong(Ahead, i, s.at)
}

// operand takes word i, which is no option.
func (s *scan) operand(i int) *CodeError {
	w := s.argv[i]
	switch {
	case s.unsure && s.script:
		return s.wrong(Script, i, s.at)
	case s.unsure:
		return s.wrong(Ahead, i, s.at)
	case s.does == runsCommand:
		return s.toCommand(i)
	case s.ahead > 0:
		s.ahead--
		return s.mayBeOption(i)
	case s.does == runsShell && s.script:
		s.found, s.done = true, true
		if err := s.wrong(Script, i, s.at); err != nil {
			return err
		}
		return s.reads(w)
	case s.does == runsShell && s.input:
		s.done = true
		return s.stdin(s.at)
	case s.does == runsAll:
		s.found = true
		return s.wrong(Script, i, s.at)
	case s.does == runsCode && !s.given && !s.found:
		s.found, s.done = true, s.stops
		return s.wrong(Script, i, s.at)
	case s.does == runsAlways, !s.given && (s.does == runsFile || s.does == runsShell):
		s.found, s.done = true, true
		if standardInput(w) {
			return s.stdin(s.at)
		}
		return s.wrong(File, i, s.at)
	}
	s.done = s.stops
	return s.mayBeOption(i)
}

// mayBeOption refuses a caller's text that may begin with a dash, where the program
// looks for options that have a script.
func (s *scan) mayBeOption(i int) *CodeError {
	if s.plain || !s.AllowDash || !strings.HasPrefix(s.argv[i], "{") || s.does == runsNothing && s.code == "" {
		return nil
	}
	return s.wrong(Option, i, s.at)
}

// toCommand takes an operand of a program that runs a command.
func (s *scan) toCommand(i int) *CodeError {
	name, _, assigns := strings.Cut(s.argv[i], "=")
	switch {
	case assigns && s.assigns && len(Placeholders(name)) == 0:
		if influential(name) {
			return s.wrong(Setting, i, s.at)
		}
		return nil
	case s.ahead > 0:
		s.ahead--
		return s.wrong(Ahead, i, s.at)
	}
	s.found, s.done = true, true
	if s.appends {
		if err := s.appended(s.at, i, s.replace); err != nil {
			return err
		}
	}
	return s.command(i, s.called(s.at))
}

// end is where there are no more words, or only data: a program that has no script
// by now runs what it reads.
func (s *scan) end() *CodeError {
	switch {
	case s.found, s.given, s.does == runsCode:
		return nil
	case s.does == runsCommand && (s.unsure || !s.opens), s.does == runsNothing && !s.reader:
		return nil
	}
	return s.stdin(s.at)
}
