package router

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/deskconn/dconn/router/trust"
)

// lockSocket takes the lock of the socket path: a file beside it that only this user
// can open, because whoever can open a file can hold its lock for ever. A directory,
// for example, can be locked by anybody who may list it. The file is removed with the
// lock.
//
// In a directory where others may create files, one of them can have put a file of
// that name there. Then there is no lock. Such a directory is sticky (/tmp), or others
// could replace the socket itself; so nobody but daemons of this user could have been
// kept apart.
func lockSocket(path string) (unlock func(), err error) {
	name := path + ".lock"
	for range 100 { // each time another daemon has just removed it
		f, err := openLock(name)
		if errors.Is(err, errNotOurs) {
			return func() {}, nil
		}
		if err != nil {
			return nil, err
		}
		if err := trust.Lock(f); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		if isAt(f, name) {
			return func() { _, _ = os.Remove(name), f.Close() }, nil
		}
		_ = f.Close()
	}
	return nil, fmt.Errorf("lock %s: others make and remove it all the time", name)
}

// errNotOurs says that others can open the file of a lock, or have made it.
var errNotOurs = errors.New("the file of the lock is not this user's alone")

// openLock opens the file of a lock, which it makes if need be.
func openLock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	switch {
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		return nil, errNotOurs // a directory, a link, a socket
	case errors.Is(err, fs.ErrPermission):
		if _, statErr := os.Lstat(name); statErr == nil {
			return nil, errNotOurs
		}
		return nil, err // nothing can be made in this directory, a socket neither
	case err != nil:
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	owner := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || int(owner.Uid) != os.Geteuid() || owner.Nlink > 1 {
		_ = f.Close()
		return nil, errNotOurs
	}
	return f, nil
}

// isAt reports whether f is what has that name now.
func isAt(f *os.File, name string) bool {
	own, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(name)
	return err == nil && os.SameFile(own, now)
}
