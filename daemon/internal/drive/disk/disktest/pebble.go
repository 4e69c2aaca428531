package disktest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble gives the disk to a Pebble store: the same files under the same names,
// cut off by the same Crash and Kill, counted by the same Ops and failed by the
// same Fail. A path that begins with a slash is taken as one that does not.
//
// A store that is open when the power is cut is not told. Pebble meets failing
// files with panics of goroutines of its own, or tries again without a pause,
// and either ends the test. So it goes on in memory, where the disks that come
// out of Crash and Kill do not see it, and only GetDiskUsage and Lock give
// ErrPower. Whoever passes on that something is durable has to ask GetDiskUsage
// between that and Pebble's word for it.
func (d *Disk) Pebble() vfs.FS { return pebbleFS{d} }

type pebbleFS struct{ d *Disk }

func clean(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name != "" {
		return name
	}
	return "."
}

func (p pebbleFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.d.create(clean(name), true, pebble)
	if err != nil {
		return nil, err
	}
	return &pebbleFile{file: f}, nil
}

func (p pebbleFS) Link(from, to string) error {
	from, to = clean(from), clean(to)
	if err := p.d.begin("link", from, pebble|changing); err != nil {
		return err
	}
	defer p.d.mu.Unlock()
	n, err := p.d.lookup(from)
	if err != nil {
		return failed("link", from, err)
	}
	at, err := p.d.find(to)
	switch {
	case err != nil:
	case n.dir:
		err = syscall.EPERM
	case at.name == "" || at.dir.kids[at.name] != nil:
		err = fs.ErrExist
	default:
		p.d.note(change{node: n, to: at})
	}
	return failed("link", to, err)
}

func (p pebbleFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := p.d.open(clean(name), pebble)
	if err != nil {
		return nil, err
	}
	f := &pebbleFile{file: file}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

func (p pebbleFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := p.Open(name, opts...)
	if errors.Is(err, fs.ErrNotExist) {
		return p.Create(name, category)
	}
	return f, err
}

func (p pebbleFS) OpenDir(name string) (vfs.File, error) { return p.Open(name) }

func (p pebbleFS) Remove(name string) error { return p.d.remove(clean(name), pebble) }

func (p pebbleFS) RemoveAll(name string) error {
	l, err := p.List(name)
	if err == nil {
		for _, kid := range l {
			if err := p.RemoveAll(path.Join(name, kid)); err != nil {
				return err
			}
		}
	}
	err = p.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (p pebbleFS) Rename(from, to string) error {
	from, to = clean(from), clean(to)
	if err := p.d.begin("rename", from, pebble|changing); err != nil {
		return err
	}
	defer p.d.mu.Unlock()
	return failed("rename", from, p.d.rename(from, to, false))
}

func (p pebbleFS) ReuseForWrite(from, to string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := p.Rename(from, to); err != nil {
		return nil, err
	}
	return p.Open(to)
}

func (p pebbleFS) MkdirAll(name string, _ os.FileMode) error {
	name = clean(name)
	if err := p.d.begin("create", name, pebble|changing); err != nil {
		return err
	}
	defer p.d.mu.Unlock()
	return failed("create", name, p.d.mkdirAll(name))
}

func (p pebbleFS) Lock(name string) (io.Closer, error) {
	name = clean(name)
	if err := p.d.lock(name); err != nil {
		return nil, err
	}
	f, err := p.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		p.d.unlock(name)
		return nil, err
	}
	return &lock{d: p.d, name: name, f: f}, nil
}

func (d *Disk) lock(name string) error {
	if err := d.begin("lock", name, 0); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if d.locks[name] {
		return failed("lock", name, syscall.EAGAIN)
	}
	d.locks[name] = true
	return nil
}

func (d *Disk) unlock(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.locks, name)
}

type lock struct {
	d    *Disk
	name string
	f    vfs.File
}

func (l *lock) Close() error {
	l.d.unlock(l.name)
	return l.f.Close()
}

func (p pebbleFS) List(name string) ([]string, error) {
	name = clean(name)
	if err := p.d.begin("list", name, pebble); err != nil {
		return nil, err
	}
	defer p.d.mu.Unlock()
	n, err := p.d.lookup(name)
	if err == nil && !n.dir {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, failed("list", name, err)
	}
	return sortedNames(n.kids), nil
}

func (p pebbleFS) Stat(name string) (vfs.FileInfo, error) {
	name = clean(name)
	if err := p.d.begin("stat", name, pebble); err != nil {
		return nil, err
	}
	defer p.d.mu.Unlock()
	n, err := p.d.lookup(name)
	if err != nil {
		return nil, failed("stat", name, err)
	}
	return fileInfo{path.Base(name), n.size, n.dir}, nil
}

func (pebbleFS) PathBase(name string) string     { return path.Base(name) }
func (pebbleFS) PathJoin(parts ...string) string { return path.Join(parts...) }
func (pebbleFS) PathDir(name string) string      { return path.Dir(name) }
func (pebbleFS) Unwrap() vfs.FS                  { return nil }

func (p pebbleFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	free, total, err := p.d.Free()
	return vfs.DiskUsage{AvailBytes: uint64(free), TotalBytes: uint64(total), UsedBytes: uint64(total - free)}, err
}

// pebbleFile is a file or directory with a place where it is read and written.
// Pebble reads or writes such a file from one goroutine at a time.
type pebbleFile struct {
	*file
	pos int64
}

func (f *pebbleFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *pebbleFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *pebbleFile) Sync() error {
	if f.n.dir {
		return f.d.syncDir(f.name, pebble)
	}
	return f.file.Sync()
}

func (f *pebbleFile) SyncData() error { return f.Sync() }

// SyncTo only begins to sync, which promises nothing.
func (f *pebbleFile) SyncTo(int64) (bool, error) { return false, nil }

func (f *pebbleFile) Preallocate(_, _ int64) error { return nil }
func (f *pebbleFile) Prefetch(_, _ int64) error    { return nil }
func (f *pebbleFile) Fd() uintptr                  { return vfs.InvalidFd }

func (f *pebbleFile) Stat() (vfs.FileInfo, error) {
	i, err := f.file.Stat()
	if err != nil {
		return nil, err
	}
	return fileInfo{path.Base(f.name), i.Size, i.Dir}, nil
}

type fileInfo struct {
	name string
	size int64
	dir  bool
}

func (i fileInfo) Name() string           { return i.name }
func (i fileInfo) Size() int64            { return i.size }
func (i fileInfo) ModTime() time.Time     { return time.Time{} }
func (i fileInfo) IsDir() bool            { return i.dir }
func (i fileInfo) Sys() any               { return nil }
func (i fileInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (i fileInfo) Mode() os.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
