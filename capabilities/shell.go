package capabilities

import "strings"

// unquoted are the characters that no shell treats specially, wherever they stand.
const unquoted = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,"

// ShellWord is text as one word of a POSIX shell's command line, quoted where it must
// be. Every line that is meant to be pasted has its paths, names and addresses from
// here: a fix of doctor, a hint, Finding.Fix.
func ShellWord(text string) string {
	if text != "" && strings.Trim(text, unquoted) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
