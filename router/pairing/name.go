package pairing

import (
	"strings"
	"unicode"
)

const (
	maxName = 32 // runes
	unnamed = "unnamed"
)

// CleanName is a name as it may be shown and stored: without control, format,
// bidirectional and invisible characters, with single spaces, at most 32 runes
// and never empty: a name of nothing else becomes "unnamed". Cleaning twice
// changes nothing more.
func CleanName(name string) string {
	var kept []rune
	space := false
	for _, r := range strings.ToValidUTF8(name, "") {
		switch {
		case unicode.IsSpace(r):
			space = len(kept) > 0
			continue
		case invisible(r), len(kept) == 0 && unicode.IsMark(r): // would join what stands before the name
			continue
		}
		if space {
			kept = append(kept, ' ')
			space = false
		}
		kept = append(kept, r)
	}
	clean := strings.TrimSpace(string(kept[:min(len(kept), maxName)]))
	if clean == "" {
		return unnamed
	}
	return clean
}

// invisible reports whether r shows nothing or changes how its neighbours show.
func invisible(r rune) bool {
	const brailleBlank = 0x2800
	return r == brailleBlank || !unicode.IsGraphic(r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
