package linuxnfs

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Flags are those of every mount of ours.
func Flags(readOnly bool) uintptr {
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	return flags
}

// Mount is mount(2) with d, which has zero bytes in it.
func Mount(source, target string, flags uintptr, d Data) error {
	data := d.Encode(binary.NativeEndian)
	// The kernel copies a whole page, of which it reads the beginning.
	page := make([]byte, max(len(data), os.Getpagesize()))
	copy(page, data)
	src, err := unix.BytePtrFromString(source)
	if err != nil {
		return err
	}
	dst, err := unix.BytePtrFromString(target)
	if err != nil {
		return err
	}
	fstype, err := unix.BytePtrFromString("nfs")
	if err != nil {
		return err
	}
	_, _, errno := unix.Syscall6(unix.SYS_MOUNT, uintptr(unsafe.Pointer(src)), uintptr(unsafe.Pointer(dst)),
		uintptr(unsafe.Pointer(fstype)), flags, uintptr(unsafe.Pointer(&page[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Table is this process's table of mounts.
func Table() ([]Entry, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mount table: %w", err)
	}
	defer f.Close()
	return ReadMountinfo(f)
}
