package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/deskconn/dconn"

// stages in the order a call flows through them, and so do imports.
var stages = []string{"cmd", "commands", "client", "router", "capabilities"}

// confined packages are imported only in the places named.
var confined = []struct {
	pkg    string
	places []string
}{
	{"github.com/gammazero/nexus", []string{"router/", "client/", "scripts/bench/"}},
	{"github.com/spf13/viper", []string{"commands/config.go", "scripts/bench/"}},
}

// file is one Go file with what it imports.
type file struct {
	path    string // slash-separated, below the root of the repository
	imports []string
}

func sources(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	var files []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2:
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(p, ".go"):
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		f := file{path: filepath.ToSlash(rel)}
		for _, i := range tree.Imports {
			name, _ := strconv.Unquote(i.Path.Value)
			f.imports = append(f.imports, name)
		}
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d Go files found: is this the repository?", len(files))
	}
	return files
}

// offence says what is wrong with an import, "" if nothing is.
func offence(importer, imported string) string {
	if in, ours := strings.CutPrefix(imported, module+"/"); ours {
		from, to := stageOf(importer), stageOf(in)
		if from >= 0 && to >= 0 && to < from {
			return fmt.Sprintf("%s imports %s: calls flow %s, and so do imports", importer, in, strings.Join(stages, " -> "))
		}
	}
	for _, c := range confined {
		if !strings.HasPrefix(imported, c.pkg) {
			continue
		}
		if !slices.ContainsFunc(c.places, func(place string) bool { return strings.HasPrefix(importer, place) }) {
			return fmt.Sprintf("%s imports %s: only %s may", importer, imported, strings.Join(c.places, ", "))
		}
	}
	if imported == "os/exec" && strings.HasPrefix(importer, "capabilities/") && !strings.HasSuffix(importer, "_test.go") {
		return importer + " imports os/exec: a capability talks to the kernel or to D-Bus, it runs nothing"
	}
	return ""
}

func stageOf(p string) int {
	first, _, _ := strings.Cut(p, "/")
	return slices.Index(stages, first)
}

func TestImportsFlowOneWay(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.imports {
			if wrong := offence(f.path, imported); wrong != "" {
				t.Error(wrong)
			}
		}
	}
}

func TestOffenceIsNamed(t *testing.T) {
	for _, c := range []struct{ importer, imported, want string }{
		{"router/router.go", module + "/commands", "router/router.go imports commands"},
		{"capabilities/x/x.go", module + "/router/wire", "capabilities/x/x.go imports router/wire"},
		{"commands/call.go", "github.com/gammazero/nexus/v3/wamp", "commands/call.go imports github.com/gammazero/nexus"},
		{"commands/call.go", "github.com/spf13/viper", "commands/call.go imports github.com/spf13/viper"},
		{"capabilities/x/x.go", "os/exec", "capabilities/x/x.go imports os/exec"},
		{"commands/call.go", module + "/router/session", ""},
		{"router/router.go", module + "/capabilities", ""},
	} {
		got := offence(c.importer, c.imported)
		if (c.want == "") != (got == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("offence(%q, %q) = %q, want prefix %q", c.importer, c.imported, got, c.want)
		}
	}
}

// Adding a capability is one folder and one line in all.go.
func TestOneFolderOneLine(t *testing.T) {
	list, err := os.ReadFile("../../capabilities/all/all.go")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("../../capabilities")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "all" {
			continue
		}
		if n := strings.Count(string(list), e.Name()+".New(env)"); n != 1 {
			t.Errorf("capabilities/%s has %d lines in all.go, expected 1: %s.New(env)", e.Name(), n, e.Name())
		}
	}
	for line := range strings.SplitSeq(string(list), "\n") {
		if name, found := strings.CutSuffix(strings.TrimSpace(line), ".New(env),"); found {
			if _, err := os.Stat(path.Join("../../capabilities", name)); err != nil {
				t.Errorf("all.go lists %s, which has no folder", name)
			}
		}
	}
}

func TestTopLevel(t *testing.T) {
	allowed := []string{"cmd", "commands", "router", "client", "capabilities", "scripts", "completions", "docs", "web"}
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "dist" && !slices.Contains(allowed, e.Name()) {
			t.Errorf("top-level folder %s: none of %s can hold it?", e.Name(), strings.Join(allowed, ", "))
		}
	}
}
