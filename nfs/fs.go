package nfs

import (
	"context"
	"time"
)

// ID names one file system object for ever: it never changes while the object
// lives, survives renames and restarts, and is not given to another object
// afterwards. 0 is not an id.
type ID uint64

// FileType is ftype3 of RFC 1813 §2.6.
type FileType uint32

// The file types of RFC 1813 §2.6.
const (
	TypeRegular   FileType = 1
	TypeDirectory FileType = 2
	TypeBlock     FileType = 3
	TypeChar      FileType = 4
	TypeSymlink   FileType = 5
	TypeSocket    FileType = 6
	TypeFIFO      FileType = 7
)

// Attr describes one object (fattr3, RFC 1813 §2.6). The server adds the file
// system's id itself.
type Attr struct {
	ID    ID
	Type  FileType
	Mode  uint32 // permission bits and setuid, setgid, sticky: 07777
	Nlink uint32 // at least 1 for an object that has a name
	UID   uint32
	GID   uint32
	Size  uint64 // bytes
	Used  uint64 // bytes on stable storage
	Major uint32 // of a TypeBlock or TypeChar
	Minor uint32
	Atime time.Time
	Mtime time.Time
	Ctime time.Time // moves on every change of the object
}

// Caller is who makes a call: the AUTH_SYS identity of RFC 5531 §14 after the
// export's Squash. AUTH_NONE arrives as uid and gid 65534 without groups.
// It is valid until the method returns and must not be changed.
type Caller struct {
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary; at most 16 come over the wire
	Call   CallKey  // of a call that changes something, for a [ReplyKeeper]
}

// In reports whether gid is the caller's group or one of its further groups.
func (c *Caller) In(gid uint32) bool {
	if c.GID == gid {
		return true
	}
	for _, g := range c.Groups {
		if g == gid {
			return true
		}
	}
	return false
}

// FileSystem is what a [Server] exports. These six methods give a read-only
// file system; every further power is one of the optional interfaces of this
// package, found by assertion. A call whose interface is missing is answered
// with [ErrNotSupp], or with [ErrROFS] if it would change something and the file
// system has none of the interfaces that do.
//
// All methods may be called concurrently, also for one object. They return
// errors that [StatusOf] understands: a [Status], an [io/fs] sentinel or a
// syscall.Errno, wrapped or not. An id that the file system no longer knows
// gives [ErrStale]; trouble of any other kind must not, because clients drop
// unwritten data on it. A method that cannot answer soon returns when ctx is
// done, with ctx's error: the client is told to ask again ([ErrJukebox]). Like the
// Caller, ctx is valid until the method returns; work that goes on after that
// needs a context of its own.
//
// The file system checks c's permissions as POSIX says ([Permits] helps), with
// the exceptions that NFSv3 needs because it has no open (RFC 1813 §4.4): the
// owner of a regular file may always read and write its data, and whoever may
// execute it may read it.
//
// Names are bytes, at most 255 of them, never empty and without '/' and NUL;
// the server refuses others before it calls. "." and ".." reach Lookup only.
type FileSystem interface {
	// Root is the id of the root directory; it never changes.
	Root() ID

	// Lookup finds name in dir, which needs execute permission on dir. "." is
	// dir itself and ".." its parent; the root is its own parent. Symbolic
	// links are not followed. Errors: ErrNotDir, ErrNoEnt, ErrAccess.
	Lookup(ctx context.Context, c *Caller, dir ID, name string) (Attr, error)

	// GetAttr needs no permission.
	GetAttr(ctx context.Context, c *Caller, id ID) (Attr, error)

	// Read fills p from offset off of a regular file. n is less than len(p)
	// only at the end of the file; eof says that off+n is the end or past it.
	// Errors: ErrIsDir for a directory, ErrInval for other types, ErrAccess.
	Read(ctx context.Context, c *Caller, id ID, p []byte, off uint64) (n int, eof bool, err error)

	// ReadDir calls fill for the entries of dir that follow cookie, without
	// "." and "..", until fill returns false, which means that this entry was
	// not taken, or the directory ends, which eof reports. Cookie 0 starts.
	// An entry's cookie is greater than 2, stays the same as long as the name
	// stays, and is not reused for another name while the file system runs.
	// Any cookie is accepted, also one whose entry is gone: the listing goes
	// on behind the place where it was. An entry that is there during the
	// whole walk is listed exactly once. Listing needs read permission.
	// fill must not call the file system. With plus, entries carry their
	// attributes where they can be had. Errors: ErrNotDir, ErrAccess.
	ReadDir(ctx context.Context, c *Caller, dir ID, cookie uint64, plus bool, fill func(DirEntry) bool) (eof bool, err error)

	// StatFS tells space and file counts of the file system that holds id.
	StatFS(ctx context.Context, c *Caller, id ID) (FSStat, error)
}

// AttrLookuper is a file system that knows the attributes of a directory when it
// has looked a name up in it, which saves the server asking for them.
type AttrLookuper interface {
	// LookupAttr is Lookup and gives dir's attributes from before, also with an
	// error if they are known.
	LookupAttr(ctx context.Context, c *Caller, dir ID, name string) (a, dirAttr Attr, err error)
}

// AttrReader is a file system that knows the attributes of a file when it has
// read it, which saves the server asking for them.
type AttrReader interface {
	// ReadAttr is Read and gives the attributes from before, also with an error
	// if they are known.
	ReadAttr(ctx context.Context, c *Caller, id ID, p []byte, off uint64) (n int, eof bool, a Attr, err error)
}

// DirEntry is one name of a directory.
type DirEntry struct {
	Name   string
	ID     ID
	Cookie uint64
	Attr   Attr // valid if Attr.ID is not 0
}

// FSStat is the answer to FSSTAT (RFC 1813 §3.3.18), sizes in bytes.
type FSStat struct {
	TotalBytes, FreeBytes, AvailBytes uint64
	TotalFiles, FreeFiles, AvailFiles uint64
}

// PreAttr is the part of the attributes that weak cache consistency compares
// (wcc_attr, RFC 1813 §2.6).
type PreAttr struct {
	Size  uint64
	Mtime time.Time
	Ctime time.Time
}

// Pre is the part of a that weak cache consistency compares.
func (a *Attr) Pre() PreAttr { return PreAttr{Size: a.Size, Mtime: a.Mtime, Ctime: a.Ctime} }

// WCC holds the attributes of an object right before and right after a change
// (wcc_data, RFC 1813 §2.6). A file system fills Before only if nothing else
// can have changed the object in between, because clients keep their caches on
// the strength of it. After.ID 0 means that the attributes are not known.
type WCC struct {
	HasBefore bool
	Before    PreAttr
	After     Attr
}

// Stable is stable_how of RFC 1813 §3.3.7.
type Stable uint32

// How durable a write is asked to be or has become.
const (
	Unstable Stable = 0 // may be lost until Commit
	DataSync Stable = 1 // the data is on stable storage
	FileSync Stable = 2 // data and attributes are on stable storage
)

// SetMask says which fields of a [SetAttr] are set.
type SetMask uint32

// The fields of a SetAttr. SetAtimeNow and SetMtimeNow ask for the server's
// clock and exclude SetAtime and SetMtime.
const (
	SetMode SetMask = 1 << iota
	SetUID
	SetGID
	SetSize
	SetAtime
	SetMtime
	SetAtimeNow
	SetMtimeNow
)

// SetAttr is sattr3 of RFC 1813 §2.6.
type SetAttr struct {
	Valid SetMask
	Mode  uint32
	UID   uint32
	GID   uint32
	Size  uint64
	Atime time.Time
	Mtime time.Time
}

// AttrSetter changes attributes.
type AttrSetter interface {
	// SetAttr applies all of set or nothing. If guard is not nil and differs
	// from the object's ctime, it fails with ErrNotSync. An empty set succeeds.
	// The rules of chmod, chown, truncate and utimensat hold: ErrPerm, ErrAccess.
	SetAttr(ctx context.Context, c *Caller, id ID, set SetAttr, guard *time.Time) (WCC, error)
}

// Writer changes the data of regular files.
type Writer interface {
	// Write stores all of p at off, or fails and stores nothing or a prefix.
	// The result is at least as stable as asked. Beyond the end the gap reads
	// as zeros. p must not be kept.
	Write(ctx context.Context, c *Caller, id ID, p []byte, off uint64, want Stable) (Stable, WCC, error)

	// Commit puts what was written to the range on stable storage; count 0
	// means to the end. After an error the unstable data may be lost; the
	// server changes its write verifier, so that clients send it again.
	Commit(ctx context.Context, c *Caller, id ID, off uint64, count uint32) (WCC, error)
}

// LossTeller is a Writer that may lose unstable data at other times than in a
// Commit or a stable write that fails, for instance when it syncs by itself.
type LossTeller interface {
	// Losses counts the times when unstable data may have been lost. The write
	// verifier changes with it, so it has to move before a Commit that comes after
	// the loss succeeds. It must not block.
	Losses() uint64
}

// CreateMode is createmode3 of RFC 1813 §3.3.8.
type CreateMode uint32

// How Create treats a name that exists.
const (
	Unchecked CreateMode = 0 // an existing regular file is opened; a size in the attributes is applied to it
	Guarded   CreateMode = 1 // ErrExist
	Exclusive CreateMode = 2 // ErrExist, unless it was made with the same verifier
)

// CreateHow says how a regular file is made.
type CreateHow struct {
	Mode     CreateMode
	Set      SetAttr // not with Exclusive
	Verifier [8]byte // with Exclusive: kept with the file on stable storage until its first SetAttr
}

// Creator makes regular files and directories. New objects belong to the
// caller; in a setgid directory they get its group (and directories the bit).
// Without SetMode files get 0644 (exclusive: 0600) and directories 0755. When
// a method returns, the change is on stable storage as far as it will ever be.
type Creator interface {
	Create(ctx context.Context, c *Caller, dir ID, name string, how CreateHow) (Attr, WCC, error)
	Mkdir(ctx context.Context, c *Caller, dir ID, name string, set SetAttr) (Attr, WCC, error)
}

// MaxTarget is the longest target of a symbolic link, in bytes: what a path
// may have on Linux (PATH_MAX less its NUL), and more than elsewhere.
const MaxTarget = 4095

// Symlinker makes symbolic links and reads them.
type Symlinker interface {
	// Symlink stores target (at most MaxTarget bytes) as it is.
	Symlink(ctx context.Context, c *Caller, dir ID, name, target string, set SetAttr) (Attr, WCC, error)
	LinkReader
}

// LinkReader reads symbolic links.
type LinkReader interface {
	// Readlink fails with ErrInval if id is not a symbolic link.
	Readlink(ctx context.Context, c *Caller, id ID) (string, error)
}

// NodeMaker makes special nodes.
type NodeMaker interface {
	// Mknod makes a FIFO, socket, or character or block device; devices need
	// the superuser (ErrPerm). ErrBadType for any other type.
	Mknod(ctx context.Context, c *Caller, dir ID, name string, typ FileType, set SetAttr, major, minor uint32) (Attr, WCC, error)
}

// Remover takes names away. An object whose last name goes stays usable by its
// id as long as clients can be expected to have it open.
type Remover interface {
	// Remove fails with ErrIsDir for a directory.
	Remove(ctx context.Context, c *Caller, dir ID, name string) (WCC, error)
	// Rmdir fails with ErrNotDir, ErrNotEmpty.
	Rmdir(ctx context.Context, c *Caller, dir ID, name string) (WCC, error)
}

// Renamer moves a name, atomically, within this file system.
type Renamer interface {
	// Rename follows rename(2): an existing target of a matching type is
	// replaced (a directory only if empty: ErrNotEmpty), two names of one
	// object are left alone, a directory cannot move below itself (ErrInval).
	Rename(ctx context.Context, c *Caller, fromDir ID, from string, toDir ID, to string) (fromWCC, toWCC WCC, err error)
}

// Linker makes further names for an object that is no directory.
type Linker interface {
	Link(ctx context.Context, c *Caller, id ID, dir ID, name string) (Attr, WCC, error)
}

// The bits of ACCESS (RFC 1813 §3.3.4).
const (
	AccessRead    uint32 = 0x01
	AccessLookup  uint32 = 0x02
	AccessModify  uint32 = 0x04
	AccessExtend  uint32 = 0x08
	AccessDelete  uint32 = 0x10
	AccessExecute uint32 = 0x20
)

// AccessChecker decides ACCESS where the mode bits do not tell all. Without it
// the server derives the answer from the attributes ([Accessible]).
type AccessChecker interface {
	// Access returns those bits of want that c has.
	Access(ctx context.Context, c *Caller, id ID, want uint32) (granted uint32, a Attr, err error)
}

// Properties are the constants of a file system for FSINFO and PATHCONF (RFC
// 1813 §3.3.19, §3.3.20).
type Properties struct {
	MaxFileSize     uint64
	TimeDelta       time.Duration // granularity of times
	LinkMax         uint32        // at least 1
	NameMax         uint32        // bytes of one name
	CaseInsensitive bool
	CasePreserving  bool
	ChownRestricted bool
	HardLinks       bool
	Symlinks        bool
}

// Describer tells the properties of a file system where they differ from the
// server's defaults: 8 EiB, 1 ns, 32000 links, 255 bytes, case-sensitive.
type Describer interface {
	Properties() Properties
}
