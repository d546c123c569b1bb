package router

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
	"golang.org/x/sys/unix"

	"github.com/deskconn/dconn/router/transport"
	"github.com/deskconn/dconn/router/wire"
)

// ListenUnix listens on the unix socket path, mode 0600, in a directory it
// makes if need be (0700). A stale socket is replaced; a live one is an error
// that says who holds it. A lock keeps two daemons of this user apart that start at
// once, and leaves no file behind.
func ListenUnix(path string) (net.Listener, error) {
	if err := CheckSocketPath(path); err != nil {
		return nil, err
	}
	umask.Lock()
	defer umask.Unlock()
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := awaitStale(path); err != nil {
		return nil, err
	}
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	info, err := os.Lstat(path)
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	return &ownSocket{Listener: ln, path: path, info: info}, nil
}

// umask is held while that of the process is another.
var umask sync.Mutex

// maxSocketPath is what fits into a sockaddr_un, in bytes: unix(7).
const maxSocketPath = 107

// CheckSocketPath refuses a path that is too long for a socket: the kernel only
// says that an argument is invalid.
func CheckSocketPath(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("the path of a socket has at most %d bytes, got %d: %s", maxSocketPath, len(path), path)
	}
	return nil
}

// ownSocket removes its file when it closes, unless somebody has put another
// in its place.
type ownSocket struct {
	net.Listener
	path string
	info os.FileInfo
	once sync.Once
}

func (s *ownSocket) Close() error {
	s.once.Do(func() {
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.info) {
			_ = os.Remove(s.path)
		}
	})
	return s.Listener.Close()
}

// HeldError says that a daemon serves a socket already.
type HeldError struct {
	Path string
	PID  int
	UID  int
}

// Error says who serves the socket.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is served already, by process %d of uid %d", e.Path, e.PID, e.UID)
}

// awaitStale is removeStale that gives a process which was killed the time to go:
// the kernel closes its sockets late.
func awaitStale(path string) error {
	for range 100 {
		err := removeStale(path)
		if held, ok := errors.AsType[*HeldError](err); !ok || !exiting(held.PID) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return removeStale(path)
}

// exiting reports whether a process is about to end, or has: the flag PF_EXITING
// among those of /proc/PID/stat, proc_pid_stat(5).
func exiting(pid int) bool {
	const flagsField, pfExiting = 9, 0x4
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the third and on
	if len(fields) <= flagsField-3 {
		return false
	}
	flags, err := strconv.ParseUint(fields[flagsField-3], 10, 64)
	return err == nil && flags&pfExiting != 0
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	nc, err := net.Dial("unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	cred, err := PeerCred(nc)
	if err != nil {
		return err
	}
	return &HeldError{Path: path, PID: int(cred.Pid), UID: int(cred.Uid)}
}

// PeerCred is who is at the other end of a unix socket, as the kernel noted at
// connect(2) or listen(2): SO_PEERCRED, unix(7).
func PeerCred(nc net.Conn) (*unix.Ucred, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("no peer credentials on a %T", nc)
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	err = rc.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(err, credErr)
}

// identify names the peer of a unix socket. The daemon's own user and root are
// its owner; anybody else gets an error that may be told to them.
func identify(nc net.Conn) (Identity, error) {
	cred, err := PeerCred(nc)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{AuthID: "uid:" + strconv.Itoa(int(cred.Uid)), Role: roleOwner, Method: wire.AuthPeerCred}
	if own := os.Geteuid(); int(cred.Uid) != own && cred.Uid != 0 {
		return id, wire.Errorf(wire.ErrNotAuthorized, "this daemon belongs to uid %d, not to uid %d", own, cred.Uid)
	}
	return id, nil
}

// greetLocal shakes hands with a peer of a unix socket.
func (r *Router) greetLocal(nc net.Conn) (*transport.Conn, *account, error) {
	id, denied := identify(nc)
	a := r.ledger.begin(id)
	if denied != nil && id.AuthID == "" {
		return nil, a, denied
	}
	own := r.newGuard(a)
	var guard transport.Guard = own
	if denied != nil {
		guard = doorkeeper{denied}
	}
	conn, err := transport.Accept(nc, r.opts.Transport, guard)
	a.attach(conn, own)
	return conn, a, err
}

// doorkeeper is the guard of a peer that is refused: it answers the first
// message with the reason.
type doorkeeper struct{ reason error }

func (d doorkeeper) Inbound(wamp.Message) (pass, answer wamp.Message, err error) {
	return nil, nil, d.reason
}
func (d doorkeeper) Outbound(msg wamp.Message, queue func(wamp.Message)) { queue(msg) }
func (d doorkeeper) Closed()                                             {}
