package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/deskconn/dconn/router/trust"
)

const imageSize = 32 << 20 // of the disk; the journal is an eighth of it

// finding is something that the store does not keep to.
type finding struct{ what string }

func (f *finding) Error() string { return f.what }

// tool runs one of e2fsprogs in b.dir.
func (b *bench) tool(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return err
}

// recover recovers the file system on b.dir/recovered. e2fsck exits with 1 when
// it had something to correct, and with more when it could not.
func (b *bench) recover(ctx context.Context) error {
	err := b.tool(ctx, "e2fsck", "-fy", "recovered")
	var exit *exec.ExitError
	switch {
	case !errors.As(err, &exit) || !exit.Exited():
		return err
	case exit.ExitCode() == 1: // the kernel keeps no totals in the superblock
		return nil
	}
	return &finding{err.Error()}
}

// format makes the disk of a machine that has an identity, and no devices yet.
func (b *bench) format(ctx context.Context) ([]byte, error) {
	dir := filepath.Join(b.dir, "format", "dconn")
	if _, err := trust.OpenIdentity(dir); err != nil {
		return nil, err
	}
	var err error
	if b.identity, err = os.ReadFile(filepath.Join(dir, "identity.pem")); err != nil {
		return nil, err
	}
	image := filepath.Join(b.dir, "image")
	if err := os.WriteFile(image, make([]byte, imageSize), 0o600); err != nil {
		return nil, err
	}
	// nothing is left to do in the background
	err = b.tool(ctx, "mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", "format",
		"-E", "lazy_itable_init=0,lazy_journal_init=0", "image")
	if err != nil {
		return nil, err
	}
	return os.ReadFile(image)
}

// look reads the store on a disk as it is after a loss of power, whose file
// system is recovered first: which change has it, 0 before any? What is wrong
// with it is a *finding.
func (b *bench) look(ctx context.Context, image []byte) (int, error) {
	if err := os.RemoveAll(filepath.Join(b.dir, "dconn")); err != nil {
		return 0, err
	}
	for _, name := range []string{"image", "recovered"} {
		if err := os.WriteFile(filepath.Join(b.dir, name), image, 0o600); err != nil {
			return 0, err
		}
	}
	if err := b.recover(ctx); err != nil {
		return 0, err
	}
	if err := b.tool(ctx, "debugfs", "-R", "rdump /dconn .", "recovered"); err != nil {
		return 0, err
	}
	return b.read(filepath.Join(b.dir, "dconn"))
}

// read reads the store and the identity in dir as dconn does. Both refuse a
// file that others may read.
func (b *bench) read(dir string) (int, error) {
	if _, err := trust.OpenIdentity(dir); err != nil {
		return 0, &finding{err.Error()}
	}
	if pem, err := os.ReadFile(filepath.Join(dir, "identity.pem")); err != nil || !bytes.Equal(pem, b.identity) {
		return 0, &finding{"identity.pem has changed"}
	}
	s, err := trust.OpenStore(dir)
	if err != nil {
		return 0, &finding{err.Error()}
	}
	info, err := os.Stat(filepath.Join(dir, "devices.json"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if info.Mode() != 0o600 {
		return 0, &finding{fmt.Sprintf("devices.json has mode %04o, expected 0600", info.Mode())}
	}
	d, found := s.Find(trust.ID{1})
	n, err := strconv.Atoi(d.Name)
	if !found || err != nil {
		return 0, &finding{fmt.Sprintf("devices.json has %q where a number was", d.Name)}
	}
	return n, nil
}
