package helper

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kept are the capabilities that the helper works with: to mount and to enter
// namespaces, to raise the loopback interface of one, and to open a folder with the
// rights of its owner.
var kept = []uint{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID}

// Confine gives up, for this process and for good, what the helper does not need:
// all other capabilities, and getting any back by running a program.
func Confine() error {
	all := func(what string, trap, a, b, c uintptr) error {
		if _, _, errno := syscall.AllThreadsSyscall6(trap, a, b, c, 0, 0, 0); errno != 0 {
			return fmt.Errorf("%s: %w", what, errno)
		}
		return nil
	}
	var mask uint64
	for _, c := range kept {
		mask |= 1 << c
	}
	if err := all("no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return err
	}
	for c := uint(0); c <= 63; c++ {
		in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil {
			break // the kernel knows no more
		}
		if in == 0 || mask&(1<<c) != 0 {
			continue
		}
		if err := all("drop a capability", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0); err != nil {
			return err
		}
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(mask), Permitted: uint32(mask)},
		{Effective: uint32(mask >> 32), Permitted: uint32(mask >> 32)},
	}
	return all("drop capabilities", unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data[0])), 0)
}
