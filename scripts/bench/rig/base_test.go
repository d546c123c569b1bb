package rig

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTurns(t *testing.T) {
	this, base := new(int), new(int)
	for round := range 4 {
		first := Turns(round, this, base)[0]
		if want := []*int{this, base}[round%2]; first != want {
			t.Errorf("round %d: the wrong one is first", round)
		}
	}
	if turns := Turns(1, this, nil); len(turns) != 1 || turns[0] != this {
		t.Errorf("without a base: %v", turns)
	}
}

func TestBase(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(binary, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Rig{Dir: t.TempDir()}
	base, err := r.Base(binary)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(base.Dconn()); err != nil || string(got) != "program" {
		t.Errorf("the copy is %q, %v", got, err)
	}
	if err := base.Renew(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(base.Dconn()); err != nil || string(got) != "program" {
		t.Errorf("the copy of the copy is %q, %v", got, err)
	}
	if base.Socket() == r.Socket() || base.Dconn() == r.Dconn() {
		t.Error("the base has the socket or the binary of this tree")
	}
	if _, err := (&Rig{Dir: t.TempDir()}).Base(binary + ".none"); err == nil {
		t.Error("a base that does not exist: no error")
	}
}
