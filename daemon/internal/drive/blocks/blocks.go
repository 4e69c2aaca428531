// Package blocks keeps what was read of a remote on this computer's disk: one
// sparse file for each version of an object, with a checksum for each unit of
// 64 KiB that is there.
//
// # What is promised
//
// A read gives the bytes that were put for that key and range, or an error.
// After a crash less may be there than before, never more, and never other
// bytes. The folder belongs to the person: it may be deleted, or its files
// replaced, at any time, and what is lost that way is only absent.
package blocks

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// Unit is how many bytes are present or absent together.
const Unit = 64 << 10

var (
	// ErrMissing means that bytes are not here, or not any more. They have to be
	// fetched again.
	ErrMissing = errors.New("not in the cache")
	// ErrFull means that bytes could not be kept: there is no room, or the disk
	// takes none. The caller still has them.
	ErrFull = errors.New("no room in the cache")
	// ErrClosed means that the Cache or the File is closed.
	ErrClosed = errors.New("the cache is closed")
)

// Key names the bytes of one version of an object.
type Key struct {
	Object  uint64
	Version string // any bytes
}

// Range is a part of a file, in bytes.
type Range struct{ Off, N int64 }

// Options say how much a Cache may keep.
type Options struct {
	// Limit is how many bytes of the disk the cache may take; 0: as many as Floor
	// leaves.
	Limit int64
	// Floor is how many bytes of the disk must stay free; 0: 5% of it, but at
	// least 2 GiB; negative: none.
	Floor  int64
	Logger *slog.Logger     // nil: silent
	Clock  func() time.Time // nil: time.Now
	// Pinned tells whether an object must be kept. It may be called at any time
	// from any goroutine, without locks. Nil: none is.
	Pinned func(object uint64) bool
}

// Cache is a folder of versions. It is safe for concurrent use.
type Cache struct{}

// Open opens the cache in a folder. What lies there is looked through in the
// background; it can be read meanwhile.
func Open(fs disk.FS, o Options) (*Cache, error) { return &Cache{}, nil }

// File gives the version k, whose size in bytes the caller knows, to read and to
// fill. It costs no I/O. The File must be closed.
func (c *Cache) File(k Key, size int64) (*File, error) { return &File{}, nil }

// Adopt makes the file name of src, whose first size bytes are all of version
// k, part of the cache, and takes it away from src. It is renamed where that can
// be done and copied elsewhere. Whatever tells that the file is needed at its
// old place must be gone before: after a crash it may be in neither.
//
// With ErrFull, and whenever it could not be read, the file stays where it was.
func (c *Cache) Adopt(k Key, src disk.FS, name string, size int64) error { return ErrFull }

// Drop takes away all versions of an object. Those with a File that is open go
// when that is closed.
func (c *Cache) Drop(object uint64) {}

// Prune takes away all versions of k.Object but k, as Drop does.
func (c *Cache) Prune(k Key) {}

// Flush returns when all that was present before is on stable storage.
func (c *Cache) Flush() error { return nil }

// Usage tells how many bytes of the disk the cache takes, and its limit.
func (c *Cache) Usage() (used, limit int64) { return 0, 0 }

// SetLimit changes Options.Limit. What is too much is evicted in the background.
func (c *Cache) SetLimit(bytes int64) {}

// Close puts down what a later Open needs, and stops what Open started. Files
// that are still open fail from then on with ErrClosed.
func (c *Cache) Close() error { return nil }

// File is a user of one version. It is safe for concurrent use.
type File struct{}

// Have tells which parts of the n bytes at off are present, in order, merged,
// and rounded outwards to whole units (the last one ends where the file does).
// They may be gone by the time they are read.
func (f *File) Have(off, n int64) []Range { return nil }

// ReadAt is that of io.ReaderAt: at the end of the file it gives fewer bytes and
// io.EOF. It fails with ErrMissing and n = 0 if any unit that it needs is
// absent, or is not what was put there, which makes it absent.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return 0, ErrMissing }

// WriteAt puts units: off is a multiple of Unit, and so is len(p) unless p ends
// where the file does. They are present when it returns. If it fails, with
// ErrFull, some of them may be.
func (f *File) WriteAt(p []byte, off int64) error { return ErrFull }

// Span gives the operating system's file that has the n bytes at off, and their
// place in it, if all of them are present, read before, and in such a file. They
// stay there, and the file open, until f is closed: files that are kept open for
// long must not be read through Span.
func (f *File) Span(off, n int64) (file *os.File, at int64, ok bool) { return nil, 0, false }

// Close ends the use. Bytes that are present stay so.
func (f *File) Close() error { return nil }
