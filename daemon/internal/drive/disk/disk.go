// Package disk is where the drive engine keeps files of its own: a folder of
// this computer, and in tests one that loses power.
//
// What is promised of a folder is what POSIX promises and no more: bytes are on
// stable storage after [File.Sync], names after [FS.SyncDir], and not before.
// Until then a power failure may lose any part of them.
package disk

import (
	"errors"
	"io"
)

// ErrUnsupported means that a file system cannot do what was asked, though
// nothing is wrong.
var ErrUnsupported = errors.New("the file system cannot do this")

// FS is a folder. Names are slash-separated, relative and pass [fs.ValidPath].
// All methods may be called concurrently. Errors are those of package os: they
// match fs.ErrNotExist, fs.ErrExist and syscall.ENOSPC where these apply.
type FS interface {
	// Open opens a file for reading and writing. With create it is made, folders
	// on the way included, if it is not there.
	Open(name string, create bool) (File, error)
	// Remove takes a file or an empty folder away.
	Remove(name string) error
	// Rename moves a file to another name, over what is there. The folder of the
	// new name is made if need be.
	Rename(from, to string) error
	// List gives what is directly in a folder, in no special order; nothing if
	// there is no such folder.
	List(dir string) ([]Info, error)
	// SyncDir puts the names in a folder on stable storage.
	SyncDir(dir string) error
	// Free is how many bytes can still be written.
	Free() (free, total int64, err error)
}

// Info describes a file or folder.
type Info struct {
	Name string // without the folder
	Dir  bool
	Size int64 // bytes
	Used int64 // bytes that it takes; less than Size if it has holes
}

// File is an open file. Its methods may be called concurrently; it can be used
// until it is closed, also after its name is gone.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Truncate sets the size in bytes; what is added is a hole of zeros.
	Truncate(size int64) error
	// Sync puts the bytes and the size on stable storage.
	Sync() error
	// Stat tells the size and the bytes in use. Info.Name is not set.
	Stat() (Info, error)
	Close() error
}

// Puncher is a File in which holes can be made.
type Puncher interface {
	// PunchHole makes n bytes at off zeros that take no room, as far as whole
	// blocks of the file system are covered. ErrUnsupported if it cannot.
	PunchHole(off, n int64) error
}
