//go:build linux || darwin

package dirfs

import (
	"io/fs"
	"syscall"
)

func inoOf(fi fs.FileInfo) uint64 { return fi.Sys().(*syscall.Stat_t).Ino }
