package dirfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/windows"

	"github.com/moorage/moorage/nfs"
)

// FS is a folder as an nfs.FileSystem. Its methods may be called concurrently.
//
// On Windows there are no owners and modes: everything belongs to uid and gid
// 65534 and may be used by all, as far as Windows lets the process; the
// read-only attribute takes the write bits away. Objects are reached by their
// last known path below an os.Root, and are told by the file index that NTFS
// and ReFS give them. Symbolic links are told by parent and name. A file that
// another program has open without sharing is listed, but cannot be looked up.
type FS struct {
	log      *slog.Logger
	now      func() time.Time
	readOnly bool
	dir      string
	top      *os.Root
	root     nfs.ID
	lock     *os.File

	index    *index
	listings *listings
	locks    keyedMutex
	files    *fileCache
	search   searcher
	close    func() error
}

var _ interface {
	nfs.FileSystem
	nfs.AttrSetter
	nfs.Writer
	nfs.Creator
	nfs.Symlinker
	nfs.NodeMaker
	nfs.Remover
	nfs.Renamer
	nfs.Linker
	nfs.Describer
} = (*FS)(nil)

// nobody owns everything.
const nobody = 65534

// maxDepth bounds a chain of parents, which records from before a rename
// beside us could make endless.
const maxDepth = 1 << 12

func descriptorLimit() int { return 1 << 14 }

// Open makes the folder dir a file system. The caller closes it.
func Open(dir string, o Options) (*FS, error) {
	o.setDefaults()
	f := &FS{log: o.Logger, now: o.Clock, readOnly: o.ReadOnly, listings: newListings(), files: newFileCache(o.MaxOpen)}
	var err error
	if f.dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	if f.top, err = os.OpenRoot(f.dir); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	if o.StateDir != "" {
		if f.lock, err = lockState(o.StateDir); err != nil {
			f.top.Close()
			return nil, fmt.Errorf("open folder: %w", err)
		}
	}
	if f.index, err = openIndex(o.StateDir, o.Logger); err == nil {
		var i info
		if i, err = f.inspect(0, "", "."); err == nil {
			f.root = i.attr.ID
			i.file.Close()
		}
	}
	if err != nil {
		if f.index != nil {
			f.index.close()
		}
		f.unlock()
		f.top.Close()
		return nil, fmt.Errorf("open folder: %w", err)
	}
	f.search.fs, f.close = f, sync.OnceValue(f.shut)
	return f, nil
}

func (f *FS) unlock() {
	if f.lock != nil {
		f.lock.Close()
	}
}

// Close gives all handles back. No call may be running or follow, but
// another Close, which does nothing.
func (f *FS) Close() error { return f.close() }

func (f *FS) shut() error {
	f.search.close()
	f.files.close()
	err := errors.Join(f.index.close(), f.top.Close())
	f.unlock()
	return err
}

func lockState(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	var o windows.Overlapped
	err = windows.LockFileEx(windows.Handle(l.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &o)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("%w: %s: %w", ErrInUse, dir, err)
	}
	return l, nil
}

// syncDir has nothing to do: NTFS keeps a journal of names.
func syncDir(*os.Root) error { return nil }

// info is what inspect finds out. file is open for a file or a directory, and
// nil for a symbolic link.
type info struct {
	identity
	attr  nfs.Attr
	check uint32
	file  *os.File
}

// inspect identifies the object at p, which is called name in parent.
func (f *FS) inspect(parent nfs.ID, name, p string) (i info, err error) {
	fi, err := f.top.Lstat(p)
	if err != nil {
		return i, hostError(err)
	}
	if fi.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0 {
		i.identity = identity{volume: uint64(parent), ino: cookieOf(&[keySize]byte{}, strings.ToLower(name)), typ: nfs.TypeSymlink}
		i.attr = nfs.Attr{Type: nfs.TypeSymlink, Mode: 0o777, Nlink: 1, UID: nobody, GID: nobody,
			Size: uint64(fi.Size()), Atime: fi.ModTime(), Mtime: fi.ModTime(), Ctime: fi.ModTime()}
		if target, err := f.top.Readlink(p); err == nil {
			i.attr.Size = uint64(len(target))
		}
		i.attr.ID, i.check = f.index.idOf(&i.identity)
		return i, nil
	}
	file, err := f.top.Open(p)
	if err != nil {
		return i, hostError(err)
	}
	if i, err = f.stat(file); err != nil {
		file.Close()
		return i, err
	}
	i.file = file
	return i, nil
}

// stat identifies an open file or directory.
func (f *FS) stat(file *os.File) (i info, err error) {
	h := windows.Handle(file.Fd())
	var x windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &x); err != nil {
		return i, hostError(err)
	}
	a := nfs.Attr{Type: nfs.TypeRegular, Mode: 0o777, Nlink: max(x.NumberOfLinks, 1), UID: nobody, GID: nobody,
		Size:  uint64(x.FileSizeHigh)<<32 | uint64(x.FileSizeLow),
		Atime: time.Unix(0, x.LastAccessTime.Nanoseconds()), Mtime: time.Unix(0, x.LastWriteTime.Nanoseconds()),
	}
	a.Ctime, a.Used = a.Mtime, a.Size
	// FILE_BASIC_INFO: four times, of which the last is that of any change.
	var basic [40]byte
	if windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo, &basic[0], uint32(len(basic))) == nil {
		t := binary.LittleEndian.Uint64(basic[24:])
		ft := windows.Filetime{LowDateTime: uint32(t), HighDateTime: uint32(t >> 32)}
		a.Ctime = time.Unix(0, ft.Nanoseconds())
	}
	if x.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0 {
		a.Type, a.Size = nfs.TypeDirectory, 4096
	} else if x.FileAttributes&windows.FILE_ATTRIBUTE_READONLY != 0 {
		a.Mode = 0o555
	}
	i.identity = identity{volume: uint64(x.VolumeSerialNumber), ino: uint64(x.FileIndexHigh)<<32 | uint64(x.FileIndexLow), typ: a.Type}
	a.ID, i.check = f.index.idOf(&i.identity)
	i.attr = a
	return i, nil
}

func (f *FS) note(parent nfs.ID, name string, i *info) {
	if i.attr.ID != f.root {
		f.index.put(i.attr.ID, place{parent: parent, name: name, ino: i.ino, check: i.check})
	}
}

// errMoved means that an object is not where it was seen last.
var errMoved = errors.New("object is not at its last place")

// path is where id was seen last, below the folder.
func (f *FS) path(id nfs.ID) (p string, parent nfs.ID, name string, err error) {
	if id == f.root {
		return ".", id, "", nil
	}
	var parts []string
	for cur := id; cur != f.root; {
		pl, ok, err := f.index.get(cur)
		if err != nil {
			return "", 0, "", err
		}
		if !ok || len(parts) == maxDepth {
			return "", 0, "", errMoved
		}
		if len(parts) == 0 {
			parent, name = pl.parent, pl.name
		}
		parts = append(parts, pl.name)
		cur = pl.parent
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return path.Join(parts...), parent, name, nil
}

// object finds id: its path, and its attributes, and for a file or directory a
// handle, which the caller closes.
func (f *FS) object(ctx context.Context, id nfs.ID) (p string, i info, err error) {
	for range 16 {
		var parent nfs.ID
		var name string
		p, parent, name, err = f.path(id)
		if err == nil {
			i, err = f.inspect(parent, name, p)
			if err == nil && i.attr.ID == id {
				return p, i, nil
			}
			if err == nil && i.file != nil {
				i.file.Close()
			}
			if err != nil && nfs.StatusOf(err) != nfs.ErrNoEnt && nfs.StatusOf(err) != nfs.ErrNotDir {
				return "", i, err
			}
		} else if !errors.Is(err, errMoved) {
			return "", i, err
		}
		if err := f.search.find(ctx, id); err != nil {
			return "", i, err
		}
	}
	return "", i, nfs.ErrJukebox
}

// folder is object for a directory.
func (f *FS) folder(ctx context.Context, id nfs.ID) (p string, i info, err error) {
	p, i, err = f.object(ctx, id)
	if err == nil && i.attr.Type != nfs.TypeDirectory {
		i.close()
		err = nfs.ErrNotDir
	}
	return p, i, err
}

func (i *info) close() {
	if i.file != nil {
		i.file.Close()
	}
}

// checkHostName refuses names that mean something else to Windows: streams,
// devices, other spellings of the same name.
func checkHostName(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if strings.ContainsAny(name, `\:*?"<>|`) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") ||
		!filepath.IsLocal(name) || !utf8.ValidString(name) {
		return nfs.ErrInval
	}
	for _, r := range name {
		if r < ' ' {
			return nfs.ErrInval
		}
	}
	return nil
}

// hostErrors are the errors of Windows that io/fs has no word for.
var hostErrors = map[windows.Errno]nfs.Status{
	windows.ERROR_DIRECTORY: nfs.ErrNotDir, windows.ERROR_DIR_NOT_EMPTY: nfs.ErrNotEmpty,
	windows.ERROR_DISK_FULL: nfs.ErrNoSpace, windows.ERROR_HANDLE_DISK_FULL: nfs.ErrNoSpace,
	windows.ERROR_WRITE_PROTECT: nfs.ErrROFS, windows.ERROR_NOT_SAME_DEVICE: nfs.ErrXDev,
	windows.ERROR_PRIVILEGE_NOT_HELD: nfs.ErrPerm, windows.ERROR_INVALID_NAME: nfs.ErrInval,
	windows.ERROR_SHARING_VIOLATION: nfs.ErrAccess, windows.ERROR_LOCK_VIOLATION: nfs.ErrAccess,
	windows.ERROR_TOO_MANY_LINKS: nfs.ErrMLink, windows.ERROR_TOO_MANY_OPEN_FILES: nfs.ErrJukebox,
}

func hostError(err error) error {
	var e windows.Errno
	if errors.As(err, &e) {
		if s, ok := hostErrors[e]; ok {
			return fmt.Errorf("%w: %w", s, err)
		}
	}
	return err
}

// searcher finds objects that something beside us renamed, by looking at the
// whole folder. One search serves all who ask for the same object.
type searcher struct {
	fs   *FS
	done sync.WaitGroup
	stop context.CancelFunc
	ctx  context.Context

	mu      sync.Mutex
	running map[nfs.ID]chan struct{}
}

func (s *searcher) find(ctx context.Context, id nfs.ID) error {
	s.mu.Lock()
	if s.fs.index.isGone(id) {
		s.mu.Unlock()
		return nfs.ErrStale
	}
	if s.ctx == nil {
		s.ctx, s.stop = context.WithCancel(context.Background())
		s.running = make(map[nfs.ID]chan struct{})
	}
	done := s.running[id]
	if done == nil {
		if len(s.running) >= 16 {
			s.mu.Unlock()
			return nfs.ErrJukebox
		}
		done = make(chan struct{})
		s.running[id] = done
		s.done.Go(func() {
			// Twice: one walk could miss what is moved while it goes on.
			found := false
			for range 2 {
				found = found || s.walk(id)
			}
			if !found && s.ctx.Err() == nil {
				s.fs.index.drop(id)
			}
			s.mu.Lock()
			delete(s.running, id)
			s.mu.Unlock()
			close(done)
		})
	}
	s.mu.Unlock()
	select {
	case <-done:
		return nil // the next look at the index tells
	case <-ctx.Done():
		return fmt.Errorf("search by file index: %w", ctx.Err())
	}
}

func (s *searcher) walk(id nfs.ID) (found bool) {
	parents := map[string]nfs.ID{".": s.fs.root}
	_ = fs.WalkDir(s.fs.top.FS(), ".", func(p string, _ fs.DirEntry, err error) error {
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if err != nil || p == "." {
			return nil
		}
		parent := parents[path.Dir(p)]
		i, err := s.fs.inspect(parent, path.Base(p), p)
		if err != nil {
			return nil
		}
		i.close()
		s.fs.note(parent, path.Base(p), &i)
		if i.attr.Type == nfs.TypeDirectory {
			parents[p] = i.attr.ID
		}
		if i.attr.ID == id {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found
}

func (s *searcher) close() {
	s.mu.Lock()
	stop := s.stop
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	s.done.Wait()
}

// freeSpace asks for the volume of the folder.
func (f *FS) freeSpace() (s nfs.FSStat, err error) {
	name, err := windows.UTF16PtrFromString(f.dir)
	if err != nil {
		return s, err
	}
	err = windows.GetDiskFreeSpaceEx(name, &s.AvailBytes, &s.TotalBytes, &s.FreeBytes)
	// NTFS has no fixed number of files: as many as there is room for.
	s.TotalFiles, s.FreeFiles = s.TotalBytes/1024, s.FreeBytes/1024
	s.AvailFiles = s.FreeFiles
	return s, err
}
