package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Base is a rig inside this one for a dconn that was built elsewhere. It has a
// home, a socket and a copy of the binary of its own, so that both may serve at
// the same time.
func (r *Rig) Base(binary string) (*Rig, error) {
	base := &Rig{Dir: filepath.Join(r.Dir, "base"), name: r.name, tags: r.tags}
	if err := os.Mkdir(base.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := duplicate(binary, base.Dconn()); err != nil {
		return nil, fmt.Errorf("-base: %w", err)
	}
	r.base = base
	return base, nil
}

// Dconn is where the binary of a rig is, once it was built or copied.
func (r *Rig) Dconn() string { return filepath.Join(r.Dir, "dconn") }

// Renew puts a copy in the place of the binary: two copies of one file were seen to
// differ by up to 5 %, and with a new one in each round none is the slower one for
// a whole run.
func (r *Rig) Renew() error {
	renewed := r.Dconn() + ".new"
	if err := duplicate(r.Dconn(), renewed); err != nil {
		return err
	}
	return os.Rename(renewed, r.Dconn())
}

// Turns is who measures first in a round, this tree or the base: they alternate.
// Without a base only this tree has a turn.
func Turns[T any](round int, this, base *T) []*T {
	switch {
	case base == nil:
		return []*T{this}
	case round%2 == 0:
		return []*T{this, base}
	}
	return []*T{base, this}
}

// SaysItIs names the dconn of the base in a report.
func (r *Rig) SaysItIs(ctx context.Context) string {
	return "base: " + r.FirstLine(ctx, r.Dconn(), "version")
}
