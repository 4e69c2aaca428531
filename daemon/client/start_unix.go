//go:build unix

package client

import (
	"os"
	"strconv"
	"syscall"
)

const exeSuffix = ""

// detached puts the service into a session of its own, so that it does not end
// with the terminal.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// keepDescriptors keeps the descriptors that this process was started with, say
// by a shell's exec 3<file, from the service. One that is open on a drive would
// make the drive busy for ever, and hold up the end of the very process that
// serves it.
func keepDescriptors() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		for fd := 3; fd < 256; fd++ {
			syscall.CloseOnExec(fd)
		}
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
