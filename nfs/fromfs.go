package nfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strings"
	"syscall"
	"time"
)

// FromFS serves any [fs.FS], read-only: an embedded one, an archive, a folder.
//
// Objects are known by their paths and types. The id of a path is a hash of
// them, so it is the same after a restart, and a handle works again as soon as
// its path has been looked up. The table of ids takes about 150 bytes and the
// path itself for each path that was seen, for the last half million to a
// million of them; older ones, and paths that are gone, are [ErrStale]. A path
// that comes back with the same type is the same object.
//
// fsys may change while it is served, if it can be used concurrently at all.
// Changes of a file are told by its size and modification time, since an fs.FS
// knows no other; of files from package os also by their identity.
//
// Modes are those of fsys, and they count. Where fsys does not tell owners, the
// process owns everything, and mode bits that are all 0 become r--r--r-- and
// r-xr-xr-x. Objects without a modification time have the time of this call.
// Left out are names that are no path elements for [fs.ValidPath], such as
// those that are no UTF-8, or longer than 255 bytes, and objects of no type
// that NFS has.
//
// Symbolic links are links if fsys has [fs.ReadLinkFS]; otherwise they are what
// its Stat and Open make of them. A folder is best served by os.Root.FS, which
// does not let a link that is put there meanwhile lead out of it.
//
// Files with io.ReaderAt are read in any order; those with io.Seeker one after
// the other. All other files are read from their beginning to what is wanted:
// well if a client reads them in order, else slowly. Up to 64 files are kept
// open for some seconds; Close closes them at once, for the result is an
// [io.Closer]. A listing is kept in memory while a client reads it page by page.
//
// The calling goroutine is not freed before a method of fsys returns, whatever
// its context says.
func FromFS(fsys fs.FS) FileSystem {
	f := &ioFS{fsys: fsys, epoch: time.Now(), ids: ioIDs{generation: idGeneration}}
	f.root = f.ids.put(ioNode{".", TypeDirectory})
	f.files.open = fsys.Open
	if _, ok := fsys.(fs.ReadLinkFS); ok {
		f.links = true
		return &ioLinkFS{f}
	}
	return f
}

// ioFS is a FileSystem over an fs.FS.
type ioFS struct {
	fsys  fs.FS
	links bool // fsys tells and reads symbolic links
	epoch time.Time
	root  ID
	ids   ioIDs
	files ioFiles
	dirs  ioListings
}

// ioLinkFS is an ioFS with symbolic links.
type ioLinkFS struct{ *ioFS }

var _ LinkReader = (*ioLinkFS)(nil)

// Close closes the files that are kept open.
func (f *ioFS) Close() error {
	f.dirs.close()
	return f.files.close()
}

func (f *ioFS) Root() ID { return f.root }

// node finds what id stands for, as it is now.
func (f *ioFS) node(ctx context.Context, id ID) (ioNode, Attr, fs.FileInfo, error) {
	n, ok := f.ids.get(id)
	if id == f.root {
		n, ok = ioNode{".", TypeDirectory}, true
	}
	if !ok {
		return n, Attr{}, nil, ErrStale
	}
	if err := ctx.Err(); err != nil {
		return n, Attr{}, nil, err
	}
	info, err := f.stat(n.path)
	if err != nil {
		return n, Attr{}, nil, staleIfGone(err)
	}
	a, err := f.attr(n.path, info)
	if err != nil {
		return n, Attr{}, nil, err
	}
	if a.Type != n.typ {
		return n, Attr{}, nil, ErrStale
	}
	a.ID = id
	return n, a, info, nil
}

func (f *ioFS) stat(p string) (fs.FileInfo, error) {
	if f.links {
		return fs.Lstat(f.fsys, p)
	}
	return fs.Stat(f.fsys, p)
}

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func staleIfGone(err error) error {
	if gone(err) {
		return fmt.Errorf("%w: %w", ErrStale, err)
	}
	return err
}

// attr is the attributes without the id; Type is 0 for what NFS has no type for.
func (f *ioFS) attr(p string, info fs.FileInfo) (Attr, error) {
	a := Attr{Type: f.typeOf(info.Mode()), Mode: modeOf(info.Mode()), Nlink: 1, Size: uint64(max(info.Size(), 0)), Mtime: info.ModTime()}
	var known bool
	if a.UID, a.GID, known = owner(info); !known {
		a.UID, a.GID = processOwner()
		if info.Mode().Perm() == 0 {
			switch a.Type {
			case TypeDirectory:
				a.Mode |= 0o555
			case TypeSymlink:
				a.Mode |= 0o777
			default:
				a.Mode |= 0o444
			}
		}
	}
	if a.Mtime.IsZero() {
		a.Mtime = f.epoch
	}
	a.Atime, a.Ctime = a.Mtime, a.Mtime
	if a.Type == TypeSymlink && a.Size == 0 { // as on Windows
		target, err := fs.ReadLink(f.fsys, p)
		if err != nil {
			return a, staleIfGone(err)
		}
		a.Size = uint64(len(target))
	}
	a.Used = a.Size
	return a, nil
}

func (f *ioFS) typeOf(m fs.FileMode) FileType {
	switch t := m.Type(); {
	case t == 0:
		return TypeRegular
	case t == fs.ModeDir:
		return TypeDirectory
	case t == fs.ModeSymlink && f.links:
		return TypeSymlink
	case t == fs.ModeSymlink: // an archive's, whose Open gives data
		return TypeRegular
	case t == fs.ModeNamedPipe:
		return TypeFIFO
	case t == fs.ModeSocket:
		return TypeSocket
	case t == fs.ModeDevice|fs.ModeCharDevice:
		return TypeChar
	case t == fs.ModeDevice:
		return TypeBlock
	}
	return 0
}

func modeOf(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		mode |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		mode |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		mode |= 0o1000
	}
	return mode
}

// usable reports whether name can be an element of a path.
func usable(name string) bool {
	return name != "." && fs.ValidPath(name) && len(name) <= maxName && !strings.ContainsAny(name, "/\x00")
}

func (f *ioFS) Lookup(ctx context.Context, c *Caller, dir ID, name string) (Attr, error) {
	n, a, _, err := f.node(ctx, dir)
	switch {
	case err != nil:
		return Attr{}, err
	case n.typ != TypeDirectory:
		return Attr{}, ErrNotDir
	case !Permits(c, &a, MayExec):
		return Attr{}, ErrAccess
	case name == "." || name == ".." && n.path == ".":
		return a, nil
	case len(name) > maxName:
		return Attr{}, ErrNameTooLong
	case name == "..":
		return f.GetAttr(ctx, c, f.ids.put(ioNode{path.Dir(n.path), TypeDirectory}))
	case !usable(name):
		return Attr{}, ErrNoEnt
	}
	p := path.Join(n.path, name)
	info, err := f.stat(p)
	if gone(err) || errors.Is(err, fs.ErrInvalid) { // a name that the host cannot have
		return Attr{}, fmt.Errorf("%w: %w", ErrNoEnt, err)
	}
	if err != nil {
		return Attr{}, err
	}
	if a, err = f.attr(p, info); err != nil {
		return Attr{}, err
	}
	if a.Type == 0 {
		return Attr{}, ErrNoEnt
	}
	a.ID = f.ids.put(ioNode{p, a.Type})
	return a, nil
}

func (f *ioFS) GetAttr(ctx context.Context, _ *Caller, id ID) (Attr, error) {
	_, a, _, err := f.node(ctx, id)
	return a, err
}

func (f *ioFS) Read(ctx context.Context, c *Caller, id ID, p []byte, off uint64) (int, bool, error) {
	n, a, info, err := f.node(ctx, id)
	switch {
	case err != nil:
		return 0, false, err
	case n.typ == TypeDirectory:
		return 0, false, ErrIsDir
	case n.typ != TypeRegular:
		return 0, false, ErrInval
	case c.UID != a.UID && !Permits(c, &a, MayRead) && !Permits(c, &a, MayExec):
		return 0, false, ErrAccess
	case off >= a.Size || off > math.MaxInt64:
		return 0, true, nil
	case len(p) == 0:
		return 0, false, nil
	}
	want := int(min(uint64(len(p)), a.Size-off))
	file, err := f.files.acquire(id, n.path, info)
	if err != nil {
		return 0, false, staleIfGone(err)
	}
	defer f.files.release(file)
	got, err := file.read(ctx, p[:want], int64(off), int64(a.Size))
	if err != nil {
		return 0, false, staleIfGone(err)
	}
	// Less than there should be means that the file has become shorter.
	return got, got < want || off+uint64(got) >= a.Size, nil
}

func (f *ioFS) StatFS(ctx context.Context, _ *Caller, id ID) (FSStat, error) {
	_, _, _, err := f.node(ctx, id)
	return FSStat{}, err // an fs.FS does not tell
}

func (f *ioLinkFS) Readlink(ctx context.Context, _ *Caller, id ID) (string, error) {
	n, _, _, err := f.node(ctx, id)
	if err != nil {
		return "", err
	}
	if n.typ != TypeSymlink {
		return "", ErrInval
	}
	target, err := fs.ReadLink(f.fsys, n.path)
	if err != nil {
		return "", staleIfGone(err)
	}
	return target, nil
}
