package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The examples are short, need nothing but bash and dconn, stop at the first
// failure, and are shown in the README. What they do is in
// testdata/examples.txtar.
func TestExamplesAreShort(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../scripts/examples/*")
	if err != nil || len(files) != 5 {
		t.Fatalf("%d examples, want 5: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n >= 25 {
			t.Errorf("%s has %d lines, want fewer than 25", file, n)
		}
		name := filepath.Base(file)
		for part, want := range map[string]bool{
			"#!/usr/bin/env bash\n# " + name: true, "\nset -euo pipefail\n": true, "jq": false, "python": false,
		} {
			if strings.Contains(string(text), part) != want {
				t.Errorf("%s: contains %q: %t, want %t", file, part, !want, want)
			}
		}
		if !strings.Contains(string(readme), "`"+name) {
			t.Errorf("%s is not in the README", name)
		}
	}
}
