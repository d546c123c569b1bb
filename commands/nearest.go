package commands

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deskconn/dconn/router/trust"
)

// nearest is the candidate that word is probably a slip or the beginning of,
// "" if there is none: a third of its letters may be wrong, missing, added or
// swapped.
func nearest(word string, candidates []string) string {
	best, limit := "", max(1, (len(word)+1)/3)
	for _, c := range candidates {
		if len(word) > 2*len(c) {
			continue // nor is it worth comparing
		}
		if d := slips(word, c); d <= limit && d < len(c) {
			best, limit = c, d-1
		}
	}
	i := slices.IndexFunc(candidates, func(c string) bool { return strings.HasPrefix(c, word) })
	if best == "" && word != "" && i >= 0 {
		return candidates[i]
	}
	return best
}

// slips counts what turns a into b: letters added, left out, replaced, or
// swapped with the next (optimal string alignment).
func slips(a, b string) int {
	from, to := []rune(a), []rune(b)
	rows := make([][]int, len(from)+1)
	for i := range rows {
		rows[i] = make([]int, len(to)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(from); i++ {
		for j := 1; j <= len(to); j++ {
			replaced := rows[i-1][j-1]
			if from[i-1] != to[j-1] {
				replaced++
			}
			rows[i][j] = min(replaced, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && from[i-1] == to[j-2] && from[i-2] == to[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(from)][len(to)]
}

// wrongFlag is the error of a command line that pflag refuses.
func wrongFlag(cmd *cobra.Command, err error) error {
	f := usage("%s", withoutStrconv(err)).hint("%s --help", cmd.CommandPath())
	if wrong, ok := errors.AsType[*trust.ScopeError](err); ok && wrong.Instead != "" {
		return f.hint("--%s %s", scopesFlag, wrong.Instead)
	}
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || unknown.GetSpecifiedShortnames() != "" {
		return f
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := nearest(unknown.GetSpecifiedName(), names); near != "" {
		return f.hint("did you mean: --%s", near)
	}
	return f
}

// withoutStrconv takes Go's own words out of the error for a flag's value.
func withoutStrconv(err error) string {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err.Error()
	}
	var number *strconv.NumError
	if cause := invalid.Unwrap(); errors.As(cause, &number) {
		return strings.TrimSuffix(err.Error(), cause.Error()) + rules[invalid.GetFlag().Value.Type()]
	}
	return err.Error()
}

// lateFlag is the first of words that would be a flag before the URI, "" if
// none would.
func lateFlag(f *pflag.FlagSet, words []string) string {
	for _, w := range words {
		name, _, _ := strings.Cut(strings.TrimLeft(w, "-"), "=")
		switch {
		case strings.HasPrefix(w, "--") && f.Lookup(name) != nil,
			strings.HasPrefix(w, "-") && len(w) == 2 && f.ShorthandLookup(name) != nil:
			return w
		}
	}
	return ""
}

// refuseLate refuses words behind the URI that would be flags before it.
func refuseLate(f *pflag.FlagSet, words []string) error {
	if late := lateFlag(f, words); late != "" {
		return usage("%s stands behind the URI: flags come before it", late)
	}
	return nil
}
