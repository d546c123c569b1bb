package transport

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// rawOf is how to read and write nc without waiting, nil if it cannot be done:
// what nc carries may be more than what the socket does.
func rawOf(nc net.Conn) syscall.RawConn {
	switch nc := nc.(type) {
	case *net.UnixConn:
		raw, _ := nc.SyscallConn()
		return raw
	case *net.TCPConn:
		raw, _ := nc.SyscallConn()
		return raw
	}
	return nil
}

// readSocket reads what the socket fd has now, or says errAgain.
func readSocket(fd uintptr, b []byte) (int, error) {
	n, err := readNow(int(fd), b)
	for err == unix.EINTR {
		n, err = readNow(int(fd), b)
	}
	switch {
	case err == unix.EAGAIN:
		return 0, errAgain{}
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
