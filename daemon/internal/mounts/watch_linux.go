package mounts

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// watchTable calls changed after every change of the mount table, by the poll
// that proc(5) describes for mountinfo, until ctx is done.
func watchTable(ctx context.Context, changed func()) error {
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the mount table: %w", err)
	}
	defer unix.Close(fd)
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("make an event: %w", err)
	}
	defer unix.Close(wake)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // cannot block: the counter is 0
	}()
	defer func() { cancel(); <-ended }()
	changed() // what was missed before the table was open
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}, {Fd: int32(wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for the mount table: %w", err)
		}
		if fds[0].Revents != 0 {
			changed()
			// Mounts come in swarms when containers start.
			pause(ctx, 50*time.Millisecond)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
