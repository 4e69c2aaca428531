package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// addressPause gathers what changes together: an interface that comes up gets several
// addresses, one after the other.
const addressPause = 500 * time.Millisecond

// awaitNetwork calls look when the kernel has told of an address that came or went
// (rtnetlink(7)), until ctx is done.
func awaitNetwork(ctx context.Context, look func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open a socket of the kernel's routing: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("listen to the kernel's routing: %w", err)
	}
	f := os.NewFile(uintptr(fd), "rtnetlink")
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	look() // what was missed before the socket was open
	b := make([]byte, 64<<10)
	for ctx.Err() == nil {
		// What is told is not read: it only says that it is time to look. ENOBUFS means
		// that more was told than there was room for.
		if _, err := f.Read(b); err != nil && !errors.Is(err, unix.ENOBUFS) {
			if ctx.Err() != nil {
				break
			}
			return fmt.Errorf("read what the kernel's routing tells: %w", err)
		}
		pause(ctx, addressPause)
		look()
	}
	return nil
}
