package service

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// start starts a successor; the channel gets a value when it ends. When it goes on, this
// process ends. Under systemd it has the same parent as this process, which is systemd:
// systemd does not wait for the end of a service that is no child of its own, but
// kills it.
func start(successor *exec.Cmd) (<-chan error, error) {
	ended := make(chan error, 1)
	if os.Getenv("NOTIFY_SOCKET") == "" {
		if err := successor.Start(); err != nil {
			return nil, err
		}
		go func() { ended <- successor.Wait() }()
		return ended, nil
	}
	fd := -1
	successor.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT, PidFD: &fd}
	if err := successor.Start(); err != nil {
		return nil, err
	}
	if fd < 0 {
		_ = successor.Process.Kill()
		return nil, errors.New("this kernel has no descriptors of processes")
	}
	go func() {
		defer unix.Close(fd)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if err != unix.EINTR {
				ended <- err
				return
			}
		}
	}()
	return ended, nil
}
