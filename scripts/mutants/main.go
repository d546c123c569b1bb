// Command mutants takes one check out of the router at a time, and wants a test to
// fail for it: `make test-mutants`. What docs/reliability.md promises has a test, and
// this shows that the test can fail.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// testTimeout is how long the test of one mutant may take: a mutant that hangs is
// caught by it. The slowest of these tests takes 12 s.
const testTimeout = "40s"

func main() {
	only := flag.String("only", "", "try the mutants whose invariant matches this regular expression")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) error {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := copyTree(ctx, dir); err != nil {
		return err
	}
	tried, survived := 0, 0
	for _, m := range mutants {
		if !chosen.MatchString(m.invariant) {
			continue
		}
		tried++
		began := time.Now()
		by, err := m.try(ctx, dir)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", m.invariant, err)
		case by == "":
			survived++
			fmt.Printf("SURVIVED  %s: %s passes\n", m.invariant, m.tests)
		default:
			fmt.Printf("caught    %s, in %v: %s\n", m.invariant, time.Since(began).Round(time.Second), by)
		}
	}
	if survived > 0 {
		return fmt.Errorf("%d of %d mutants survived", survived, tried)
	}
	fmt.Printf("all %d mutants were caught\n", tried)
	return nil
}

// copyTree copies what git knows of the tree to dir.
func copyTree(ctx context.Context, dir string) error {
	out, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) { // deleted, and not committed
			continue
		}
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// mutant is one check taken out, and the test that must fail for it.
type mutant struct {
	invariant string
	file      string
	check     string // as it stands in the file, once
	instead   string
	pkg       string
	tests     string // a pattern of go test -run
}

// try runs the test without the mutant, where it must pass, and with it. It returns by
// which assertion the mutant was caught, "" where it was not. A mutant that does not
// build, or a test that fails without it, is an error of the table.
func (m mutant) try(ctx context.Context, dir string) (by string, err error) {
	by, err = m.test(ctx, dir)
	if err != nil {
		return "", fmt.Errorf("without the mutant: %w", err)
	}
	if by != "" {
		return "", fmt.Errorf("fails without the mutant: %s", by)
	}
	path := filepath.Join(dir, m.file)
	was, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	mutated, err := m.apply(was)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, mutated, 0o644); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, was, 0o644)) }()
	return m.test(ctx, dir)
}

// test builds and runs the test. It returns by which assertion the test has failed, ""
// where it has passed.
func (m mutant) test(ctx context.Context, dir string) (by string, err error) {
	binary := filepath.Join(dir, "mutant.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-o", binary, m.pkg)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not build: %w\n%s", err, out)
	}
	run := exec.CommandContext(ctx, binary, "-test.count=1", "-test.v", "-test.timeout", testTimeout, "-test.run", m.tests)
	run.Dir = filepath.Join(dir, m.pkg)
	out, failed := run.CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return verdict(out, failed != nil)
}

// verdict reads what go test -v has printed. It returns by which assertion a test has
// failed, "" where all have passed. A run in which no test began, or that ended for
// another reason, is an error.
func verdict(out []byte, failed bool) (by string, err error) {
	began, place := false, ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "=== RUN"):
			began = true
		case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "):
			return line, nil
		case place == "" && assertion.MatchString(line):
			place = line
		case failed && strings.HasPrefix(line, "--- FAIL: "):
			return strings.TrimSpace(line + " " + place), nil
		}
	}
	switch {
	case !began:
		return "", errors.New("no test runs")
	case failed:
		return "", fmt.Errorf("no test fails, and the run does:\n%s", out)
	}
	return "", nil
}

// assertion is a line that a test logs.
var assertion = regexp.MustCompile(`^\w+_test\.go:\d+: `)

// apply takes the check out of a file.
func (m mutant) apply(file []byte) ([]byte, error) {
	if n := bytes.Count(file, []byte(m.check)); n != 1 {
		return nil, fmt.Errorf("%s has %d times %q, expected once", m.file, n, m.check)
	}
	return bytes.Replace(file, []byte(m.check), []byte(m.instead), 1), nil
}
