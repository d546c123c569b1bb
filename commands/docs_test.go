package commands

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/deskconn/dconn/router"
)

// evidence is what docs/reliability.md names to show something: the package of
// the tests that follow, a test, a script, a target of make.
var evidence = regexp.MustCompile("`([a-z/]+)`:\\s|\\b((?:Test|Fuzz)[A-Z]\\w*)|\\b(\\w+\\.txtar)|`make ([a-z-]+)`")

// Every test, script and target that docs/reliability.md names is there.
func TestReliabilityIsShown(t *testing.T) {
	tests, targets := testsOfPackages(t), declared(t, "../Makefile", `(?m)^([a-z-]+):`)
	within, named := "", 0
	for _, name := range evidence.FindAllStringSubmatch(reliability(t), -1) {
		switch pkg, test, script, target := name[1], name[2], name[3], name[4]; {
		case pkg != "":
			within = pkg
		case test != "" && !slices.Contains(tests[within], test):
			t.Errorf("there is no %s in %s", test, within)
		case script != "":
			if _, err := os.Stat("testdata/" + script); err != nil {
				t.Error(err)
			}
		case target != "" && !slices.Contains(targets, target):
			t.Errorf("there is no target %s in the Makefile", target)
		}
		named++
	}
	if named < 100 {
		t.Errorf("only %d names are found", named)
	}
}

// Its table of limits has all of them, in their order, with their defaults.
func TestReliabilityHasTheLimits(t *testing.T) {
	var got, want []string
	_, section, _ := strings.Cut(reliability(t), "\n## Limits\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range regexp.MustCompile(`(?m)^\| (\w+) \| (\w+) \|`).FindAllStringSubmatch(section, -1) {
		got = append(got, row[1]+"="+row[2])
	}
	got = slices.DeleteFunc(got, func(row string) bool { return row == "limit=default" })
	options := router.DefaultOptions()
	for _, l := range router.Limits {
		want = append(want, l.Name+"="+l.Text(l.Of(&options)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/reliability.md has the limits\n%v, want\n%v", got, want)
	}
}

func reliability(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// testsOfPackages are the tests of each folder that docs/reliability.md may name.
func testsOfPackages(t *testing.T) map[string][]string {
	t.Helper()
	tests := map[string][]string{}
	for _, depth := range []string{"../*/*_test.go", "../*/*/*_test.go"} {
		files, err := filepath.Glob(depth)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../")
			tests[pkg] = append(tests[pkg], declared(t, file, `(?m)^func ((?:Test|Fuzz)\w+)\(`)...)
		}
	}
	return tests
}

// declared are the names in a file that pattern captures.
func declared(t *testing.T, file, pattern string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		names = append(names, match[1])
	}
	return names
}
