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

	// StatKnowsMore says that listings lack what is stored with each object:
	// there ModTime is the time of the upload and Mode has default permissions,
	// while Stat, Open and Put tell those that Put was given. As long as the
	// Version stays, what they told is right and a listing's is not.
	StatKnowsMore bool
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
	// page may be empty and not the last. What a page tells may be as old as the
	// first one of its listing. Errors: ErrNotExist, ErrNotDir, ErrChanged if the
	// listing must start again.
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

// EntryOpener opens a version that is known well enough to be asked for at once.
type EntryOpener interface {
	// OpenEntry is Open of the version that e describes, without I/O. e is what
	// this provider told about path, or was put together again from its Version,
	// Size and Mode. That the remote has another version shows when it is read:
	// ErrChanged, or ErrNotExist. ErrUnsupported if e has not enough (no
	// Version, an unknown Size): then Open it. ErrIsDir.
	OpenEntry(ctx context.Context, path string, e Entry) (Object, error)
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

// Waker holds connections that wait for their next use.
type Waker interface {
	// Woke tells that this computer has slept, or may be in another network by
	// now: connections that nobody uses at the moment are closed, as they may be
	// dead without a word, and calls that begin later make new ones. It does no
	// I/O that could take long.
	Woke()
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

// Uploader uploads large files in steps that survive a restart.
type Uploader interface {
	// Upload is Put. While it runs it may call save with what it takes to go
	// on: a later Upload of the same bytes, path and options that is given the
	// last such state sends only what is missing. state is nil to start. save
	// must put the state on stable storage; its error ends the Upload. It is
	// not called by two at a time, nor after Upload returned. A state that is
	// malformed, of another path or size, or no longer known to the remote
	// starts anew. When Upload succeeds, or its error is ErrChanged or ErrExist,
	// the state is used up; after other errors it stays good.
	Upload(ctx context.Context, path string, src Source, o PutOptions, state []byte, save func(state []byte) error) (Entry, error)

	// AbandonUpload frees what the remote holds for a state that will not be
	// used again. One that is used up or not known any more is no error.
	AbandonUpload(ctx context.Context, state []byte) error
}

// WalkEntry is one object below a directory.
type WalkEntry struct {
	Path  string // relative to that directory; its last element is Entry.Name
	Entry Entry
}

// WalkPage is a part of a walk.
type WalkPage struct {
	Entries []WalkEntry
	Next    string // cursor of the next page; "" if this is the last
}

// Walker lists a directory with everything below it, in few round trips.
type Walker interface {
	// Walk gives what is below a directory in pages, like ReadDir. Directories
	// may have no entry of their own: a path below which something is listed is
	// a directory, even if another entry says that it is a file. What is below a
	// directory, its own entry included, comes in one piece: once a page has
	// nothing of it, later ones have not either. Errors as of ReadDir.
	Walk(ctx context.Context, path, cursor string) (WalkPage, error)
}

// Mover moves an object without copying its bytes.
type Mover interface {
	// Move moves a file or directory; a file at the target is replaced. c is
	// about the target. Errors: ErrNotExist, ErrChanged, ErrExist,
	// ErrUnsupported for a directory where the remote cannot move one at once:
	// the caller then moves what is in it.
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
