// Package providers declares what a remote is to Moorage: a small read
// interface that every provider has, further powers found by assertion, the
// errors they share, and the URLs that name them. A provider knows nothing of
// NFS, caches or mounts, and never another provider.
package providers

import (
	"context"
	"io"
	"io/fs"
	"time"
)

// Version is an opaque token of one state of an object: an ETag, an object id,
// a revision. Equal non-empty versions of one path mean equal content; how
// sure that is, [Info].StrongVersion says. "" is not known.
type Version string

// Entry describes one object of a remote.
type Entry struct {
	Name    string      // last element of its path; "" for the root
	Mode    fs.FileMode // type bits and permissions: regular, directory or symbolic link
	Size    int64       // bytes; of a symbolic link, of its target; -1 if not known yet, see Sizer
	ModTime time.Time   // zero if the remote has none
	Version Version
	ID      string // stable across renames where the remote has such an id, else ""
}

// Page is a part of a listing.
type Page struct {
	Entries []Entry
	Next    string // cursor of the next page; "" if this is the last
}

// Info holds the facts about a remote that a cache needs. They do not change.
type Info struct {
	Kind              string        // "git", "mem", …
	Writable          bool          // Writer is there and this login may use it, as far as is known
	StrongVersion     bool          // a Version changes if and only if the bytes change
	TreeVersion       bool          // the Version of a directory changes when anything below it changes
	CaseInsensitive   bool          // names that differ in case only are one
	TimePrecision     time.Duration // of ModTime; 0 if there is none
	PreferredReadSize int64         // bytes a cache does well to ask for at once
	MaxParallel       int           // calls at a time that the remote takes well
}

// Provider is one open remote. Paths are slash-separated, without leading or
// trailing slash, and pass [fs.ValidPath], save that the root is "".
//
// All methods may be called concurrently, also after Close, when they fail with
// ErrClosed. They return when ctx is done, with its error. Errors are the
// sentinels of this package, wrapped with what was tried; an error that is none
// of them is the remote's own trouble. A remote that cannot be reached is
// ErrOffline, never ErrNotExist: absence is believed.
type Provider interface {
	// Info does no I/O.
	Info() Info

	// Stat describes the object at path. Errors: ErrNotExist, ErrNotDir if a
	// parent is no directory.
	Stat(ctx context.Context, path string) (Entry, error)

	// ReadDir gives the listing of a directory in pages: cursor "" starts, then
	// Page.Next goes on. Every entry is listed once, in no special order. A
	// page may be empty and not the last. Errors: ErrNotExist, ErrNotDir,
	// ErrChanged if the listing must start again.
	ReadDir(ctx context.Context, path, cursor string) (Page, error)

	// Open makes the bytes of a regular file readable, or the target of a
	// symbolic link. With v not "" it is that version or ErrChanged. The caller
	// closes the Object. Errors: ErrNotExist, ErrIsDir.
	Open(ctx context.Context, path string, v Version) (Object, error)

	// Close lets go of all connections and waits for what the provider started.
	Close() error
}

// Object is one version of a file. Its methods may be called concurrently. An
// Object that is also an [io.ReaderAt] lies on this computer already.
type Object interface {
	// Entry describes this version; Size is known.
	Entry() Entry

	// ReadRange streams n bytes from off, fewer only at the end of the object.
	// All bytes are of this version; if the remote has another one by now,
	// ErrChanged. The caller closes the reader.
	ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error)

	Close() error
}

// Sizer finds sizes that a listing left out (-1).
type Sizer interface {
	// Sizes fills in the sizes of those entries of directory dir that have -1,
	// in as few round trips as the remote allows.
	Sizes(ctx context.Context, dir string, entries []Entry) error
}

// Prober asks the one cheap question that tells whether anything changed.
type Prober interface {
	// Probe returns the version of the whole remote and turns to it: calls that
	// begin after Probe returned see this version or a later one. Versions
	// handed out before can still be opened, or give ErrChanged.
	Probe(ctx context.Context) (Version, error)
}

// Source is what Put uploads. It may be read several times and in parallel.
type Source interface {
	io.ReaderAt
	Size() int64
}

// Cond is the state that a change expects. The zero Cond expects nothing.
type Cond struct {
	IfVersion Version // only if this is the current version
	IfAbsent  bool    // only if there is no such object
}

// PutOptions go with an upload.
type PutOptions struct {
	Cond
	ModTime time.Time   // zero: the remote's clock
	Mode    fs.FileMode // permissions where the remote has them; 0: its default
}

// Writer changes a remote. A Cond that does not hold gives ErrChanged
// (IfVersion) or ErrExist (IfAbsent) and changes nothing.
type Writer interface {
	// Put stores src at path, atomically: readers see the old or the new
	// object. The parent must exist. Errors: ErrIsDir, ErrNotExist.
	Put(ctx context.Context, path string, src Source, o PutOptions) (Entry, error)
	// Remove takes a file or symbolic link away. Errors: ErrNotExist, ErrIsDir.
	Remove(ctx context.Context, path string, c Cond) error
	// Mkdir makes a directory. Errors: ErrExist, ErrNotExist.
	Mkdir(ctx context.Context, path string) (Entry, error)
	// Rmdir takes an empty directory away. Errors: ErrNotEmpty, ErrNotDir.
	Rmdir(ctx context.Context, path string) error
}

// Mover moves an object without copying its bytes.
type Mover interface {
	// Move moves a file or directory; a file at the target is replaced. c is
	// about the target. Errors: ErrNotExist, ErrChanged, ErrExist.
	Move(ctx context.Context, from, to string, c Cond) (Entry, error)
}

// Symlinker makes symbolic links where the remote has them.
type Symlinker interface {
	Symlink(ctx context.Context, path, target string) (Entry, error)
}

// Usage tells how full a remote is.
type Usage interface {
	// Usage in bytes; total is 0 where there is no limit.
	Usage(ctx context.Context) (used, total int64, err error)
}
