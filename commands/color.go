package commands

import (
	"os"

	"github.com/jedib0t/go-pretty/v6/text"
)

// colorFlag is --color.
type colorFlag struct {
	*choice
	to *streams
}

func newColor(s *streams) *colorFlag {
	return &colorFlag{newChoice(new(string), "auto", "always", "never"), s}
}

func (c *colorFlag) Set(v string) error {
	err := c.choice.Set(v)
	if err == nil {
		c.to.color(v)
	}
	return err
}

// color decides about colour: auto is on a terminal that can, unless NO_COLOR
// is set (no-color.org).
func (s *streams) color(when string) {
	can := os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	s.outColor = when == "always" || when == "auto" && s.outTTY && can
	s.errColor = when == "always" || when == "auto" && s.errTTY && can
	if when == "always" {
		text.EnableColors() // NO_COLOR has turned them off already
	}
}
