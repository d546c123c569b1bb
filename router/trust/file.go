package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deskconn/dconn/capabilities"
)

// DefaultDir is where this user keeps what a machine knows for good: what systemd
// gives a service, else $XDG_STATE_HOME/dconn, else ~/.local/state/dconn; root without
// a home has /var/lib/dconn.
func DefaultDir() (string, error) {
	if dir := os.Getenv("STATE_DIRECTORY"); filepath.IsAbs(dir) {
		return dir, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "dconn"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil && os.Geteuid() == 0 {
		return "/var/lib/dconn", nil // a service that was told nothing
	}
	if err != nil {
		return "", fmt.Errorf("no place for state: neither XDG_STATE_HOME nor HOME is set")
	}
	return filepath.Join(home, ".local", "state", "dconn"), nil
}

// LooseError says that others may read or change what only its owner may.
type LooseError struct {
	Path string
	Why  string
	Fix  string // a line for a shell
}

// Error says which file, and what is wrong with it.
func (e *LooseError) Error() string { return e.Path + ": " + e.Why }

// VersionError says that a newer dconn wrote a file.
type VersionError struct {
	Path        string
	Have, Known int
}

// Error says both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s is of version %d, this dconn knows %d: update it", e.Path, e.Have, e.Known)
}

// makeDir makes a directory of state, 0700, and refuses one that others may
// write to: they could put files of theirs into it.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return checkMode(dir, 0o022, "0700")
}

// checkMode refuses a file that has any bit of loose, or belongs to somebody
// else. Root may use the files of a service.
func checkMode(path string, loose fs.FileMode, right string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode()&loose != 0 {
		return &LooseError{path, fmt.Sprintf("its mode is %04o, it must be %s", info.Mode().Perm(), right), fmt.Sprintf("chmod %s %s", right, capabilities.ShellWord(path))}
	}
	uid, own := ownerOf(info), os.Geteuid()
	if uid != own && uid != 0 && own != 0 {
		return &LooseError{path, fmt.Sprintf("it belongs to uid %d, expected uid %d", uid, own), fmt.Sprintf("sudo chown %d %s", own, capabilities.ShellWord(path))}
	}
	return nil
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// readPrivate reads a file that nobody but its owner may read.
func readPrivate(path string) ([]byte, error) {
	if err := checkMode(path, 0o077, "0600"); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// writePrivate replaces the file name in dir at once and for good: after a loss
// of power it has the old content or the new one. The lock of dir is held.
func writePrivate(dir, name string, data []byte) error {
	path := filepath.Join(dir, name)
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(fill(f, dir, data), f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	return syncDir(dir)
}

// fill writes data and waits until the disk has it. The file is the owner's of
// dir, also where root works for a service. Its time tells it from any other:
// the kernel's own would be the same for all that are written within one tick.
func fill(f *os.File, dir string, data []byte) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := giveTo(f, dir); err != nil {
		return err
	}
	if err := os.Chtimes(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), time.Time{}, time.Now()); err != nil {
		return err
	}
	return f.Sync()
}

// giveTo makes f belong to whom dir belongs, where that takes root.
func giveTo(f *os.File, dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 || ownerOf(info) == 0 {
		return err
	}
	own, err := f.Stat()
	if err != nil || own.Sys().(*syscall.Stat_t).Nlink != 1 {
		return errors.Join(err, fmt.Errorf("%s has several names: it may be somebody else's file", f.Name()))
	}
	return f.Chown(ownerOf(info), int(info.Sys().(*syscall.Stat_t).Gid))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// locked runs change while no other process changes a file of dir.
func locked(dir string, change func() error) error {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	// Whoever can open the file can hold its lock for ever.
	if err := checkMode(f.Name(), 0o077, "0600"); err != nil {
		return err
	}
	if err := errors.Join(giveTo(f, dir), Lock(f)); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return change()
}

// Lock takes the lock of an open file (flock(2)), for which it waits 2 s at most.
func Lock(f *os.File) error {
	for range 100 {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("another process holds it")
}
