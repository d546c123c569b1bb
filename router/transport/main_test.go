package transport

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// No test may leave a goroutine behind. On a busy machine the last ones of a
// closed router take a while to end.
func TestMain(m *testing.M) {
	code := m.Run()
	err := goleak.Find()
	for i := 0; err != nil && i < 20; i++ {
		time.Sleep(500 * time.Millisecond)
		err = goleak.Find()
	}
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}

// allCodecs are the serializers every table runs over.
var allCodecs = []Codec{JSON, MsgPack, CBOR}

// pair is two ends of a unix socket that end with the test.
func pair(t testing.TB) (near, far *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far = socket(t, fds[0]), socket(t, fds[1])
	return near, far
}

func socket(t testing.TB, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }()
	nc, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	// A test that waits for what never comes fails here, with its own line.
	if err := nc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return nc.(*net.UnixConn)
}
