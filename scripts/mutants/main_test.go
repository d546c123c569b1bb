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

func TestVerdict(t *testing.T) {
	for name, row := range map[string]struct {
		out    string
		failed bool
		by     string
		err    bool
	}{
		"passes":   {"=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\n", false, "", false},
		"fails":    {"=== RUN   TestA\n    a_test.go:3: got 2, want 1\n--- FAIL: TestA (0.00s)\nFAIL\n", true, "--- FAIL: TestA (0.00s) a_test.go:3: got 2, want 1", false},
		"panics":   {"=== RUN   TestA\npanic: test timed out after 40s\n", true, "panic: test timed out after 40s", false},
		"no test":  {"testing: warning: no tests to run\nPASS\n", false, "", true},
		"setup":    {"cannot listen\n", true, "", true},
		"no words": {"=== RUN   TestA\n--- PASS: TestA (0.00s)\nexit status 3\n", true, "", true},
	} {
		if by, err := verdict([]byte(row.out), row.failed); by != row.by || (err != nil) != row.err {
			t.Errorf("%s: got %q, %v", name, by, err)
		}
	}
}
