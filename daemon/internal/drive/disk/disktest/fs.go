package disktest

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// find finds the directory that name is in, and the last part of name; "" for
// the root itself.
func (d *Disk) find(name string) (place, error) {
	if name == "." {
		return place{d.root, ""}, nil
	}
	in, last := path.Split(name)
	dir := d.root
	for part := range strings.SplitSeq(strings.TrimSuffix(in, "/"), "/") {
		if part == "" {
			continue
		}
		dir = dir.kids[part]
		if dir == nil {
			return place{}, fs.ErrNotExist
		}
		if !dir.dir {
			return place{}, syscall.ENOTDIR
		}
	}
	return place{dir, last}, nil
}

func (d *Disk) lookup(name string) (*node, error) {
	p, err := d.find(name)
	if err != nil {
		return nil, err
	}
	n := p.dir
	if p.name != "" {
		n = p.dir.kids[p.name]
	}
	if n == nil {
		return nil, fs.ErrNotExist
	}
	return n, nil
}

// mkdirAll makes the directory name with those on the way.
func (d *Disk) mkdirAll(name string) error {
	if name == "." {
		return nil
	}
	dir := d.root
	for part := range strings.SplitSeq(name, "/") {
		kid := dir.kids[part]
		if kid == nil {
			kid = newDir()
			d.note(change{node: kid, to: place{dir, part}})
		}
		if !kid.dir {
			return syscall.ENOTDIR
		}
		dir = kid
	}
	return nil
}

// failed makes the error of an operation, nil of nil.
func failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func valid(op string, names ...string) error {
	for _, name := range names {
		if !fs.ValidPath(name) {
			return failed(op, name, fs.ErrInvalid)
		}
	}
	return nil
}

// Open implements [disk.FS]. Its files are Punchers.
func (d *Disk) Open(name string, create bool) (disk.File, error) {
	if err := valid("open", name); err != nil {
		return nil, err
	}
	f, err := d.open(name, 0)
	if create && errors.Is(err, fs.ErrNotExist) {
		f, err = d.create(name, false, 0)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d *Disk) open(name string, m mode) (*file, error) {
	if err := d.begin("open", name, m); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	n, err := d.lookup(name)
	if err == nil && n.dir && m&pebble == 0 {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, failed("open", name, err)
	}
	n.opens++
	return &file{d: d, n: n, name: name, m: m}, nil
}

// create makes a file, over another one if replace is set.
func (d *Disk) create(name string, replace bool, m mode) (*file, error) {
	if err := d.begin("create", name, m|changing); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if !replace {
		if err := d.mkdirAll(path.Dir(name)); err != nil {
			return nil, failed("create", name, err)
		}
	}
	p, err := d.find(name)
	if err != nil {
		return nil, failed("create", name, err)
	}
	n := p.dir.kids[p.name]
	if n != nil && n.dir || p.name == "" {
		return nil, failed("create", name, syscall.EISDIR)
	}
	if n == nil || replace {
		n = newFile()
		d.note(change{node: n, to: p})
	}
	n.opens++
	return &file{d: d, n: n, name: name, m: m}, nil
}

// Remove implements [disk.FS].
func (d *Disk) Remove(name string) error {
	if err := valid("remove", name); err != nil {
		return err
	}
	return d.remove(name, 0)
}

func (d *Disk) remove(name string, m mode) error {
	if err := d.begin("remove", name, m|changing); err != nil {
		return err
	}
	defer d.mu.Unlock()
	p, err := d.find(name)
	if err != nil {
		return failed("remove", name, err)
	}
	n := p.dir.kids[p.name]
	switch {
	case p.name == "":
		err = fs.ErrInvalid
	case n == nil:
		err = fs.ErrNotExist
	case len(n.kids) > 0:
		err = syscall.ENOTEMPTY
	default:
		d.note(change{node: n, from: p})
	}
	return failed("remove", name, err)
}

// Rename implements [disk.FS].
func (d *Disk) Rename(from, to string) error {
	if err := valid("rename", from, to); err != nil {
		return err
	}
	if err := d.begin("rename", from, changing); err != nil {
		return err
	}
	defer d.mu.Unlock()
	return failed("rename", from, d.rename(from, to, true))
}

// rename makes the folder of to if mkdir is set.
func (d *Disk) rename(from, to string, mkdir bool) error {
	a, err := d.find(from)
	if err != nil {
		return err
	}
	n := a.dir.kids[a.name]
	if n == nil {
		return fs.ErrNotExist
	}
	if n.dir && strings.HasPrefix(to+"/", from+"/") && to != from {
		return fs.ErrInvalid
	}
	if mkdir {
		if err := d.mkdirAll(path.Dir(to)); err != nil {
			return err
		}
	}
	b, err := d.find(to)
	if err != nil {
		return err
	}
	was := b.dir.kids[b.name]
	switch {
	case b.name == "":
		return fs.ErrInvalid
	case was == n:
		return nil
	case was != nil && was.dir && !n.dir:
		return syscall.EISDIR
	case was != nil && !was.dir && n.dir:
		return syscall.ENOTDIR
	case was != nil && len(was.kids) > 0:
		return syscall.ENOTEMPTY
	}
	d.note(change{node: n, from: a, to: b})
	return nil
}

// List implements [disk.FS]; it gives the names in order.
func (d *Disk) List(dir string) ([]disk.Info, error) {
	if err := valid("list", dir); err != nil {
		return nil, err
	}
	if err := d.begin("list", dir, 0); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	n, err := d.lookup(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !n.dir {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, failed("list", dir, err)
	}
	l := make([]disk.Info, 0, len(n.kids))
	for _, name := range sortedNames(n.kids) {
		i := n.kids[name].info()
		i.Name = name
		l = append(l, i)
	}
	return l, nil
}

func (n *node) info() disk.Info {
	return disk.Info{Dir: n.dir, Size: n.size, Used: int64(len(n.pages)) * PageSize}
}

// SyncDir implements [disk.FS].
func (d *Disk) SyncDir(dir string) error {
	if err := valid("syncdir", dir); err != nil {
		return err
	}
	return d.syncDir(dir, 0)
}

func (d *Disk) syncDir(dir string, m mode) error {
	if err := d.begin("syncdir", dir, m|changing); err != nil {
		return err
	}
	defer d.mu.Unlock()
	n, err := d.lookup(dir)
	if err == nil && !n.dir {
		err = syscall.ENOTDIR
	}
	if err == nil {
		d.settle(n)
	}
	return failed("syncdir", dir, err)
}

// Free implements [disk.FS].
func (d *Disk) Free() (free, total int64, err error) {
	if err := d.begin("free", ".", 0); err != nil {
		return 0, 0, err
	}
	defer d.mu.Unlock()
	return max(d.free, 0), max(d.free, 0) + d.held, nil
}

// file is an open file.
type file struct {
	d      *Disk
	n      *node
	name   string
	m      mode
	closed bool // guarded by Disk.mu
}

var (
	_ disk.File    = (*file)(nil)
	_ disk.Puncher = (*file)(nil)
)

// begin is Disk.begin for something to be done with the file.
func (f *file) begin(op string, m mode) error {
	if err := f.d.begin(op, f.name, f.m|m); err != nil {
		return err
	}
	if f.closed {
		f.d.mu.Unlock()
		return failed(op, f.name, os.ErrClosed)
	}
	return nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, failed("read", f.name, fs.ErrInvalid)
	}
	if err := f.begin("read", 0); err != nil {
		return 0, err
	}
	defer f.d.mu.Unlock()
	return f.n.readAt(p, off)
}

// maxSize is what ext4 can have in a file.
const maxSize = 16 << 40

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, failed("write", f.name, fs.ErrInvalid)
	}
	if err := f.begin("write", changing); err != nil {
		return 0, err
	}
	defer f.d.mu.Unlock()
	if off > maxSize-int64(len(p)) {
		return 0, failed("write", f.name, syscall.EFBIG)
	}
	n, err := f.d.writeAt(f.n, p, off)
	return n, failed("write", f.name, err)
}

func (f *file) Truncate(size int64) error {
	if size < 0 {
		return failed("truncate", f.name, fs.ErrInvalid)
	}
	if err := f.begin("truncate", changing); err != nil {
		return err
	}
	defer f.d.mu.Unlock()
	if size > maxSize {
		return failed("truncate", f.name, syscall.EFBIG)
	}
	f.d.truncate(f.n, size)
	return nil
}

func (f *file) PunchHole(off, n int64) error {
	if off < 0 || n < 0 {
		return failed("punch", f.name, fs.ErrInvalid)
	}
	if err := f.begin("punch", changing); err != nil {
		return err
	}
	defer f.d.mu.Unlock()
	f.d.punch(f.n, off, n)
	return nil
}

func (f *file) Sync() error {
	err := f.begin("sync", changing)
	if err == nil {
		f.n.sync()
		f.d.mu.Unlock()
		return nil
	}
	if !errors.Is(err, ErrPower) && !errors.Is(err, os.ErrClosed) {
		f.d.mu.Lock()
		defer f.d.mu.Unlock()
		f.n.syncFailed()
	}
	return err
}

func (f *file) Stat() (disk.Info, error) {
	if err := f.begin("stat", 0); err != nil {
		return disk.Info{}, err
	}
	defer f.d.mu.Unlock()
	return f.n.info(), nil
}

func (f *file) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.closed {
		return failed("close", f.name, os.ErrClosed)
	}
	f.closed = true
	f.n.opens--
	f.d.reclaim(f.n)
	if f.d.left != nil && f.m&pebble == 0 {
		return failed("close", f.name, ErrPower)
	}
	return nil
}
