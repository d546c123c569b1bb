// Command mutants takes one check out of the router at a time, and wants a test to
// fail for it: `make test-mutants`. What docs/reliability.md promises has a test, and
// this shows that the test can fail.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// testTimeout is how long the test of one mutant may take: a mutant that hangs is
// caught by it.
const testTimeout = "60s"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := copyTree(ctx, dir); err != nil {
		return err
	}
	survived := 0
	for _, m := range mutants {
		began := time.Now()
		caught, err := m.try(ctx, dir)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", m.invariant, err)
		case !caught:
			survived++
			fmt.Printf("SURVIVED  %s: %s passes\n", m.invariant, m.tests)
		default:
			fmt.Printf("caught    %s: by %s in %v\n", m.invariant, m.tests, time.Since(began).Round(time.Second))
		}
	}
	if survived > 0 {
		return fmt.Errorf("%d of %d mutants survived", survived, len(mutants))
	}
	fmt.Printf("all %d mutants were caught\n", len(mutants))
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

// try applies the mutant to the tree in dir, and takes it back. It reports whether the
// test has failed; one that does not build is an error of the table.
func (m mutant) try(ctx context.Context, dir string) (caught bool, err error) {
	path := filepath.Join(dir, m.file)
	was, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	mutated, err := m.apply(was)
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(path, mutated, 0o644); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, was, 0o644)) }()
	if out, err := m.gotest(ctx, dir, "-c", "-o", os.DevNull); err != nil {
		return false, fmt.Errorf("does not build: %w\n%s", err, out)
	}
	_, failed := m.gotest(ctx, dir, "-count=1", "-timeout", testTimeout, "-run", m.tests)
	return failed != nil, ctx.Err()
}

func (m mutant) gotest(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"test"}, args...), m.pkg)...)
	cmd.Dir = dir
	return cmd.CombinedOutput()
}

// apply takes the check out of a file.
func (m mutant) apply(file []byte) ([]byte, error) {
	if n := bytes.Count(file, []byte(m.check)); n != 1 {
		return nil, fmt.Errorf("%s has %d times %q, expected once", m.file, n, m.check)
	}
	return bytes.Replace(file, []byte(m.check), []byte(m.instead), 1), nil
}
