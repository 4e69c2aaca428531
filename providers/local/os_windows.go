package local

import (
	"io/fs"
	"syscall"

	"github.com/moorage/moorage/providers"
)

const openFlags = 0

const (
	errorHandleDiskFull = syscall.Errno(39)  // ERROR_HANDLE_DISK_FULL
	errorDiskFull       = syscall.Errno(112) // ERROR_DISK_FULL
	errorInvalidName    = syscall.Errno(123) // ERROR_INVALID_NAME
)

var classes = []class{
	{syscall.ERROR_DIR_NOT_EMPTY, providers.ErrNotEmpty},
	{syscall.ENOTEMPTY, providers.ErrNotEmpty},
	{syscall.ENOTDIR, providers.ErrNotDir},
	{syscall.EISDIR, providers.ErrIsDir},
	{errorHandleDiskFull, providers.ErrFull},
	{errorDiskFull, providers.ErrFull},
	{errorInvalidName, fs.ErrInvalid},
}

// inode is not in what Windows tells with a listing; versions do without.
func inode(fs.FileInfo) uint64 { return 0 }

// syncDir has nothing to do: NTFS journals changes of names.
func (r *Remote) syncDir(string) error { return nil }
