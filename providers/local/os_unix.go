//go:build unix

package local

import (
	"io/fs"
	"syscall"

	"github.com/moorage/moorage/providers"
)

const openFlags = syscall.O_NONBLOCK

var classes = []class{
	{syscall.ENOTEMPTY, providers.ErrNotEmpty}, // before the host's reading of it as fs.ErrExist
	{syscall.ENOTDIR, providers.ErrNotDir},
	{syscall.EISDIR, providers.ErrIsDir},
	{syscall.ENOSPC, providers.ErrFull},
	{syscall.EDQUOT, providers.ErrFull},
	{syscall.ENAMETOOLONG, fs.ErrInvalid},
}

func inode(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// syncDir makes a change of names durable.
func (r *Remote) syncDir(dir string) error {
	f, err := r.root.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
