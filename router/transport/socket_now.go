//go:build !race

package transport

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow are read(2) and write(2) of a socket that does not block, for
// which there is no need to tell Go's scheduler that a call of the system begins: it
// would give the processor to another thread whenever the kernel has the peer that is
// woken run first, and a fifth of what a call costs the router went into that.
func readNow(fd int, b []byte) (int, error)  { return now(syscall.SYS_READ, fd, b) }
func writeNow(fd int, b []byte) (int, error) { return now(syscall.SYS_WRITE, fd, b) }

func now(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
