package nfs

import (
	"context"
	"errors"
)

// ErrNotInFile means that bytes are in no file of the host at this time.
var ErrNotInFile = errors.New("nfs: the data are in no file of the host")

// FileReader is a file system whose data lie in files of the host. On Linux
// the server sends large READs straight from such a file.
type FileReader interface {
	// ReadFile is [AttrReader].ReadAttr that names the place of the data in
	// place of the data: the caller takes them from s.FD at off, and calls
	// s.Release once when it is done, which may be after Unexport. With
	// ErrNotInFile the file system is asked to read them, as if it were no
	// FileReader.
	ReadFile(ctx context.Context, c *Caller, id ID, off uint64, count int) (s FileSpan, err error)
}

// FileSpan is a part of an open file of the host.
type FileSpan struct {
	FD      int
	N       int  // bytes that are there
	EOF     bool // the end of the file comes right behind them
	Attr    Attr
	Release func()
}

// fileData is a span that is part of a reply.
type fileData struct {
	FileSpan
	off int64
}

// size is the number of bytes of the span and its padding.
func (f *fileData) size() int {
	if f == nil {
		return 0
	}
	return (f.N + 3) &^ 3
}

func (f *fileData) release() { f.Release() }
