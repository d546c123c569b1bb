package commands

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxRemembered bounds the file that keeps an answer, in bytes.
const maxRemembered = maxOffers * 1024

// memory is the file that keeps the last answer of who has that key, a socket or a
// device.
func memory(key, kind string) (string, error) {
	dir, err := os.UserCacheDir() // an error where neither variable says
	if err != nil || !filepath.IsAbs(dir) {
		return "", errors.New("no cache directory")
	}
	name := sha256.Sum256([]byte(kind + "\x00" + key))
	return filepath.Join(dir, "dconn", fmt.Sprintf("uris-%x", name[:8])), nil
}

// remember keeps an answer, one "URI\tDOC" a line. Not being able to is no
// failure.
func remember(key, kind string, offers []offer) {
	file, err := memory(key, kind)
	if err != nil || private(filepath.Dir(file)) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".uris-")
	if err != nil {
		return
	}
	defer func() { _ = os.Remove(f.Name()) }() // unless it has its name by then
	w := bufio.NewWriter(f)
	for _, o := range offers[:min(len(offers), maxOffers)] {
		fmt.Fprintf(w, "%s\t%s\n", o.uri, o.doc)
	}
	if errors.Join(w.Flush(), f.Close()) == nil {
		_ = os.Rename(f.Name(), file)
	}
}

// private makes dir a directory that only this user may look into.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return errors.Join(err, fs.ErrInvalid)
	}
	if info.Mode().Perm() != 0o700 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// recall reads what remember kept. Anything may have become of that file.
func recall(key, kind string) []offer {
	file, err := memory(key, kind)
	if err != nil {
		return nil
	}
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return nil // opening a fifo would hang
	}
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxRemembered))
	if err != nil {
		return nil
	}
	var offers []offer
	for line := range strings.Lines(string(text)) {
		uri, doc, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		offers = append(offers, offer{uri, doc})
	}
	return offers
}
