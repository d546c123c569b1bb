//go:build !race && !386 && !s390x

package transport

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow are recv(2) and send(2) of a socket that does not block, which
// take 0.1 µs less than read(2) and write(2). There is no need to tell Go's scheduler
// that a call of the system begins: it would give the processor to another thread
// whenever the kernel has the peer that is woken run first, and a fifth of what a call
// costs the router went into that.
func readNow(fd int, b []byte) (int, error) { return now(syscall.SYS_RECVFROM, fd, b, 0) }

func writeNow(fd int, b []byte) (int, error) {
	return now(syscall.SYS_SENDTO, fd, b, syscall.MSG_NOSIGNAL)
}

func now(call uintptr, fd int, b []byte, flags uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall6(call, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags|syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
