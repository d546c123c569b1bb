package main

import (
	"os"
	"path/filepath"
	"testing"
)

// Each check of the table stands where the table says, once.
func TestTable(t *testing.T) {
	for _, m := range mutants {
		file, err := os.ReadFile(filepath.Join("../..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.apply(file); err != nil {
			t.Errorf("%s: %v", m.invariant, err)
		}
	}
}

func TestApply(t *testing.T) {
	m := mutant{file: "f", check: "b", instead: "x"}
	if got, err := m.apply([]byte("abc")); err != nil || string(got) != "axc" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, file := range []string{"ac", "abcb"} {
		if got, err := m.apply([]byte(file)); err == nil {
			t.Errorf("%q becomes %q", file, got)
		}
	}
}
