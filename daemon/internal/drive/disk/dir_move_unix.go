//go:build linux || darwin

package disk

import "golang.org/x/sys/unix"

// errOtherDevice is what renaming to another file system gives.
const errOtherDevice = unix.EXDEV
