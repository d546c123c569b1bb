package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// chooser is a flag's value that is one of a few words: completion offers
// them.
type chooser interface {
	pflag.Value
	offers() []string
}

// choice is a flag that takes one of a few words.
type choice struct {
	word  *string
	words []string
}

// newChoice stores in word, which is the first of words until the flag is set.
func newChoice(word *string, words ...string) *choice {
	*word = words[0]
	return &choice{word, words}
}

func (c *choice) offers() []string { return c.words }
func (c *choice) String() string   { return *c.word }
func (c *choice) Type() string     { return "WORD" }
func (c *choice) Set(v string) error {
	if !slices.Contains(c.words, v) {
		return fmt.Errorf("must be one of %s", strings.Join(c.words, ", "))
	}
	*c.word = v
	return nil
}
