//go:build unix

package nfs

import (
	"io/fs"
	"os"
	"syscall"
)

// owner is the owner of a file of package os.
func owner(info fs.FileInfo) (uid, gid uint32, known bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return st.Uid, st.Gid, true
}

func processOwner() (uid, gid uint32) { return uint32(os.Getuid()), uint32(os.Getgid()) }
