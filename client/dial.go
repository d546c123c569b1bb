// Package client reaches a router and joins it.
package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/deskconn/dconn/router"
	"github.com/deskconn/dconn/router/session"
	"github.com/deskconn/dconn/router/transport"
)

// SystemSocket is where the system service listens.
const SystemSocket = "/run/dconn/dconn.sock"

// DefaultSocket is the socket of this user's own daemon, else the system's.
func DefaultSocket() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "dconn", "dconn.sock")
	}
	return SystemSocket
}

// FindSocket is the socket a client uses: the user's own if there is one, else
// the system's if there is one.
func FindSocket() string {
	own := DefaultSocket()
	if _, err := os.Stat(own); err != nil {
		if _, err := os.Stat(SystemSocket); err == nil {
			return SystemSocket
		}
	}
	return own
}

// UnreachableError says that nobody answers at a URL.
type UnreachableError struct {
	URL   string
	Cause error
}

// Error says where nobody answers, and why.
func (e *UnreachableError) Error() string { return fmt.Sprintf("%s: no answer: %v", e.URL, e.Cause) }

// ErrForeign marks a socket that this user may not or should not use.
var ErrForeign = errors.New("not your socket")

// Dial joins the router that listens on the unix socket path. The server must
// run as this user or as root: anybody could have put a socket there.
func Dial(ctx context.Context, path, agent string, options ...session.Option) (*session.Session, error) {
	if err := router.CheckSocketPath(path); err != nil {
		return nil, err
	}
	nc, err := place{url: "unix://" + path, network: "unix", address: path}.reach(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkServer(nc, path); err != nil {
		_ = nc.Close()
		return nil, err
	}
	conn, err := transport.Dial(nc, transport.CBOR, limits())
	if err != nil {
		return nil, err
	}
	return session.Join(ctx, conn, agent, options...)
}

func limits() transport.Limits {
	lim := transport.DefaultLimits()
	lim.Message = 1<<24 - 1 // a RESULT or EVENT may have grown on its way
	return lim
}

// reach connects to a place.
func (p place) reach(ctx context.Context) (net.Conn, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, p.network, p.address)
	if by, bounded := ctx.Deadline(); err != nil && bounded && !time.Now().Before(by) {
		<-ctx.Done() // whose timer may be the slower one
	}
	switch {
	case ctx.Err() != nil:
		if err == nil {
			_ = nc.Close()
		}
		return nil, context.Cause(ctx)
	case errors.Is(err, os.ErrPermission) && p.network == "unix":
		return nil, fmt.Errorf("%w: %s: %w", ErrForeign, p.url, bare(err))
	case err != nil:
		return nil, &UnreachableError{URL: p.url, Cause: bare(err)}
	}
	return nc, nil
}

// ServerPID is the process that listens on the unix socket path, as the kernel
// noted when it began to.
func ServerPID(path string) (int, error) {
	nc, err := net.Dial("unix", path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = nc.Close() }()
	cred, err := router.PeerCred(nc)
	if err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

func checkServer(nc net.Conn, path string) error {
	cred, err := router.PeerCred(nc)
	if err != nil {
		return err
	}
	if own := os.Geteuid(); int(cred.Uid) != own && cred.Uid != 0 {
		return fmt.Errorf("%w: unix://%s is served by uid %d, expected uid %d or root", ErrForeign, path, cred.Uid, own)
	}
	return nil
}

// bare strips "dial unix PATH: connect:" from an error, which names the place
// a second time.
func bare(err error) error {
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return sys.Err
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New(name.Err)
	}
	return err
}
