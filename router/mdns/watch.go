package mdns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// settle is how long interfaces and addresses must stay as they are before a
// change is told: a new network comes in several.
const settle = 200 * time.Millisecond

// Watch sends on the channel that it returns whenever interfaces or addresses
// may have changed, until ctx ends. The kernel tells (rtnetlink(7)); what it says
// is not looked at, so that nothing in it can be missed or misread.
func Watch(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch the network: %w", err)
	}
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	f := os.NewFile(uintptr(fd), "rtnetlink")
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return nil, errors.Join(fmt.Errorf("watch the network: %w", err), f.Close())
	}
	context.AfterFunc(ctx, func() { _ = f.Close() })
	changed := make(chan struct{}, 1)
	tell := time.AfterFunc(time.Hour, func() {
		select {
		case changed <- struct{}{}:
		default: // one is due already
		}
	})
	tell.Stop()
	go func() {
		defer tell.Stop()
		buf := make([]byte, 1<<16)
		for {
			_, err := f.Read(buf)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil && !errors.Is(err, unix.ENOBUFS): // which says that there was too much to tell
				time.Sleep(time.Second)
			}
			tell.Reset(settle)
		}
	}()
	return changed, nil
}
