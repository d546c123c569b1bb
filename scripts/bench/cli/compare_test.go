package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		sent, got     string
		arrived, lost int
		wrong         bool
	}{
		"all":           {"1\n2\n3\n", "1\n2\n3\n", 3, 0, false},
		"none":          {"1\n2\n", "", 0, 2, false},
		"gaps":          {"1\n2\n3\n4\n", "2\n4\n", 2, 2, false},
		"end":           {"1\n2\n3\n", "1\n", 1, 2, false},
		"order":         {"1\n2\n3\n", "1\n3\n2\n", 2, 1, true},
		"twice":         {"1\n2\n3\n", "1\n1\n2\n3\n", 1, 2, true},
		"last twice":    {"1\n2\n", "1\n2\n2\n", 2, 0, true},
		"foreign":       {"1\n2\n", "1\nx\n2\n", 1, 1, true},
		"cut in a line": {"10\n20\n", "10\n2", 1, 1, true},
	} {
		dir := t.TempDir()
		sent, got := filepath.Join(dir, "sent"), filepath.Join(dir, "got")
		for path, text := range map[string]string{sent: c.sent, got: c.got} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		arrived, lost, err := compare(sent, got)
		if arrived != c.arrived || lost != c.lost || (err != nil) != c.wrong {
			t.Errorf("%s: compare = %d arrived, %d lost, %v, expected %d, %d, wrong %v", name, arrived, lost, err, c.arrived, c.lost, c.wrong)
		}
	}
}
