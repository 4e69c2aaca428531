package dirfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"github.com/moorage/moorage/nfs"
)

// Root implements nfs.FileSystem.
func (f *FS) Root() nfs.ID { return f.root }

// Lookup implements nfs.FileSystem.
func (f *FS) Lookup(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.Attr, error) {
	p, d, err := f.folder(ctx, dir)
	if err != nil {
		return nfs.Attr{}, err
	}
	defer d.close()
	switch name {
	case ".":
		return d.attr, nil
	case "..":
		_, parent, _, err := f.path(dir)
		if err != nil {
			return nfs.Attr{}, nfs.ErrJukebox
		}
		return f.GetAttr(ctx, c, parent)
	}
	if err := checkHostName(name); err != nil {
		return nfs.Attr{}, nfs.ErrNoEnt
	}
	i, err := f.inspect(dir, name, path.Join(p, name))
	if err != nil {
		return nfs.Attr{}, fmt.Errorf("look up name: %w", err)
	}
	i.close()
	f.note(dir, name, &i)
	f.index.flush()
	return i.attr, nil
}

// GetAttr implements nfs.FileSystem.
func (f *FS) GetAttr(ctx context.Context, _ *nfs.Caller, id nfs.ID) (nfs.Attr, error) {
	if o := f.files.get(id, false); o != nil {
		defer f.files.release(o)
		i, err := f.stat(o.file)
		return i.attr, err
	}
	_, i, err := f.object(ctx, id)
	i.close()
	return i.attr, err
}

// data opens a regular file for its data; the caller releases it.
func (f *FS) data(ctx context.Context, id nfs.ID, write bool) (*openFile, nfs.Attr, error) {
	if o := f.files.get(id, write); o != nil {
		i, err := f.stat(o.file)
		if err != nil {
			f.files.release(o)
			return nil, i.attr, err
		}
		return o, i.attr, nil
	}
	p, i, err := f.object(ctx, id)
	if err != nil {
		return nil, i.attr, err
	}
	switch {
	case i.attr.Type == nfs.TypeDirectory:
		i.close()
		return nil, i.attr, nfs.ErrIsDir
	case i.attr.Type != nfs.TypeRegular:
		return nil, i.attr, nfs.ErrInval
	case !write:
		return f.files.put(id, i.file, false), i.attr, nil
	}
	i.close()
	file, err := f.top.OpenFile(p, os.O_RDWR, 0)
	if err != nil {
		return nil, i.attr, hostError(err)
	}
	again, err := f.stat(file)
	if err == nil && again.attr.ID != id {
		err = nfs.ErrJukebox // replaced between two looks
	}
	if err != nil {
		file.Close()
		return nil, i.attr, err
	}
	return f.files.put(id, file, true), again.attr, nil
}

// Read implements nfs.FileSystem.
func (f *FS) Read(ctx context.Context, _ *nfs.Caller, id nfs.ID, p []byte, off uint64) (n int, eof bool, err error) {
	o, a, err := f.data(ctx, id, false)
	if err != nil {
		return 0, false, err
	}
	defer f.files.release(o)
	if off >= math.MaxInt64 {
		return 0, true, nil
	}
	n, err = o.file.ReadAt(p, int64(off))
	if err == io.EOF {
		return n, true, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read: %w", hostError(err))
	}
	return n, off+uint64(n) >= a.Size, nil
}

// Readlink implements nfs.LinkReader.
func (f *FS) Readlink(ctx context.Context, _ *nfs.Caller, id nfs.ID) (string, error) {
	p, i, err := f.object(ctx, id)
	if err != nil {
		return "", err
	}
	defer i.close()
	if i.attr.Type != nfs.TypeSymlink {
		return "", nfs.ErrInval
	}
	target, err := f.top.Readlink(p)
	return filepath.ToSlash(target), hostError(err)
}

// StatFS implements nfs.FileSystem.
func (f *FS) StatFS(ctx context.Context, c *nfs.Caller, id nfs.ID) (nfs.FSStat, error) {
	if _, err := f.GetAttr(ctx, c, id); err != nil {
		return nfs.FSStat{}, err
	}
	s, err := f.freeSpace()
	return s, hostError(err)
}

// Properties implements nfs.Describer.
func (f *FS) Properties() nfs.Properties {
	return nfs.Properties{
		MaxFileSize: math.MaxInt64, TimeDelta: 100 * time.Nanosecond, LinkMax: 1023, NameMax: 255,
		CaseInsensitive: true, CasePreserving: true, ChownRestricted: true, HardLinks: true, Symlinks: true,
	}
}

// ReadDir implements nfs.FileSystem.
func (f *FS) ReadDir(ctx context.Context, _ *nfs.Caller, dir nfs.ID, cookie uint64, plus bool, fill func(nfs.DirEntry) bool) (eof bool, err error) {
	p, d, err := f.folder(ctx, dir)
	if err != nil {
		return false, err
	}
	defer d.close()
	defer f.index.flush()
	for {
		l := f.listings.get(dir)
		if l == nil || !l.serves(cookie, stampOf(&d.attr), f.now()) || cookie < l.after || cookie >= l.upTo {
			if l, err = f.readListing(d.file, stampOf(&d.attr), cookie); err != nil {
				return false, fmt.Errorf("read directory: %w", hostError(err))
			}
			f.listings.put(dir, l)
		}
		entries, _ := l.from(cookie)
		for k := range entries {
			e := &entries[k]
			id, _ := e.loadID()
			de := nfs.DirEntry{Name: e.name, Cookie: e.cookie, ID: id}
			if plus || de.ID == 0 || !l.exact(stampOf(&d.attr)) {
				i, err := f.inspect(dir, e.name, path.Join(p, e.name))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err == nil {
					i.close()
					f.note(dir, e.name, &i)
					de.ID = i.attr.ID
					if plus {
						de.Attr = i.attr
					}
				} else { // in exclusive use: shown, no more
					de.ID, _ = (&identity{volume: uint64(dir), ino: e.cookie}).hash(0)
				}
				e.storeID(de.ID, true)
			}
			if !fill(de) {
				return false, nil
			}
			cookie = e.cookie
		}
		if l.whole() {
			return true, nil
		}
		cookie = max(cookie, l.upTo)
	}
}

func (f *FS) readListing(d *os.File, now stamp, after uint64) (*listing, error) {
	begin := time.Now()
	if _, err := d.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	l, err := newListing(&f.index.key, after, listingWindow, func(add func(string)) error {
		for {
			names, err := d.Readdirnames(1024)
			for _, name := range names {
				add(name)
			}
			if err == io.EOF || len(names) == 0 {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	l.stamp, l.made, l.cost = now, f.now(), time.Since(begin)
	l.settled = begin.UnixNano()-now.ctime > int64(coarseTimeFAT)
	return l, nil
}

// wcc tells the attributes after a change.
func (f *FS) wcc(ctx context.Context, id nfs.ID) nfs.WCC {
	a, err := f.GetAttr(ctx, &nfs.Caller{}, id)
	if err != nil {
		return nfs.WCC{}
	}
	return nfs.WCC{After: a}
}

// SetAttr implements nfs.AttrSetter. Of a mode, only the owner's write bit
// means something: without it a file has the read-only attribute.
func (f *FS) SetAttr(ctx context.Context, c *nfs.Caller, id nfs.ID, set nfs.SetAttr, guard *time.Time) (nfs.WCC, error) {
	if f.readOnly {
		return nfs.WCC{}, nfs.ErrROFS
	}
	unlock := f.locks.lock(id)
	defer unlock()
	p, i, err := f.object(ctx, id)
	if err != nil {
		return nfs.WCC{}, err
	}
	i.close()
	if guard != nil && !guard.Equal(i.attr.Ctime) {
		return f.wcc(ctx, id), nfs.ErrNotSync
	}
	if err := f.setAttr(ctx, id, p, &i.attr, &set); err != nil {
		return f.wcc(ctx, id), fmt.Errorf("set attributes: %w", hostError(err))
	}
	return f.wcc(ctx, id), nil
}

func (f *FS) setAttr(ctx context.Context, id nfs.ID, p string, a *nfs.Attr, set *nfs.SetAttr) error {
	if set.Valid&nfs.SetUID != 0 && set.UID != a.UID || set.Valid&nfs.SetGID != 0 && set.GID != a.GID {
		return nfs.ErrPerm
	}
	if set.Valid&nfs.SetSize != 0 {
		if set.Size > math.MaxInt64 {
			return nfs.ErrFBig
		}
		o, _, err := f.data(ctx, id, true)
		if err != nil {
			return err
		}
		err = o.file.Truncate(int64(set.Size))
		if err == nil {
			err = o.file.Sync()
		}
		f.files.release(o)
		if err != nil {
			return err
		}
	}
	if a.Type == nfs.TypeSymlink {
		return nil
	}
	at, mt := a.Atime, a.Mtime
	const times = nfs.SetAtime | nfs.SetMtime | nfs.SetAtimeNow | nfs.SetMtimeNow
	if set.Valid&nfs.SetAtime != 0 {
		at = set.Atime
	} else if set.Valid&nfs.SetAtimeNow != 0 {
		at = f.now()
	}
	if set.Valid&nfs.SetMtime != 0 {
		mt = set.Mtime
	} else if set.Valid&nfs.SetMtimeNow != 0 {
		mt = f.now()
	}
	if set.Valid&times != 0 {
		if err := f.top.Chtimes(p, at, mt); err != nil {
			return err
		}
	}
	if set.Valid&nfs.SetMode != 0 && a.Type == nfs.TypeRegular {
		return f.top.Chmod(p, fs.FileMode(set.Mode&0o777))
	}
	return nil
}

// Write implements nfs.Writer.
func (f *FS) Write(ctx context.Context, _ *nfs.Caller, id nfs.ID, p []byte, off uint64, want nfs.Stable) (nfs.Stable, nfs.WCC, error) {
	if f.readOnly {
		return 0, nfs.WCC{}, nfs.ErrROFS
	}
	if off > math.MaxInt64 || uint64(len(p)) > math.MaxInt64-off {
		return 0, f.wcc(ctx, id), nfs.ErrFBig
	}
	o, _, err := f.data(ctx, id, true)
	if err != nil {
		return 0, f.wcc(ctx, id), err
	}
	defer f.files.release(o)
	if _, err = o.file.WriteAt(p, int64(off)); err == nil && want != nfs.Unstable {
		err = o.file.Sync()
	}
	if err != nil {
		return 0, f.wcc(ctx, id), fmt.Errorf("write: %w", hostError(err))
	}
	return want, f.wcc(ctx, id), nil
}

// Commit implements nfs.Writer.
func (f *FS) Commit(ctx context.Context, _ *nfs.Caller, id nfs.ID, _ uint64, _ uint32) (nfs.WCC, error) {
	o, _, err := f.data(ctx, id, true)
	if err != nil {
		return nfs.WCC{}, err
	}
	defer f.files.release(o)
	if err := o.file.Sync(); err != nil {
		return f.wcc(ctx, id), fmt.Errorf("commit: %w", hostError(err))
	}
	return f.wcc(ctx, id), nil
}

// change finds dir for a change of name in it, and gives the path of name.
func (f *FS) change(ctx context.Context, dir nfs.ID, name string) (p string, err error) {
	if f.readOnly {
		return "", nfs.ErrROFS
	}
	p, d, err := f.folder(ctx, dir)
	if err != nil {
		return "", err
	}
	d.close()
	if err := checkHostName(name); err != nil {
		return "", err
	}
	return path.Join(p, name), nil
}

// Create implements nfs.Creator. The verifier of an exclusive create is kept
// in the times until the first SetAttr.
func (f *FS) Create(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, how nfs.CreateHow) (nfs.Attr, nfs.WCC, error) {
	p, err := f.change(ctx, dir, name)
	if err != nil {
		return nfs.Attr{}, nfs.WCC{}, err
	}
	defer f.index.flush()
	at, mt := verifierTimes(how.Verifier)
	file, err := f.top.OpenFile(p, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		a, err := f.Lookup(ctx, c, dir, name)
		switch {
		case err != nil:
		case a.Type == nfs.TypeRegular && how.Mode == nfs.Unchecked:
			if how.Set.Valid&nfs.SetSize != 0 {
				_, err = f.SetAttr(ctx, c, a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: how.Set.Size}, nil)
			}
		case a.Type == nfs.TypeRegular && how.Mode == nfs.Exclusive && a.Size == 0 && a.Atime.Equal(at) && a.Mtime.Equal(mt):
		default:
			err = nfs.ErrExist
		}
		if err == nil {
			a, err = f.GetAttr(ctx, c, a.ID)
		}
		return a, f.wcc(ctx, dir), err
	}
	if err != nil {
		return nfs.Attr{}, f.wcc(ctx, dir), fmt.Errorf("create file: %w", hostError(err))
	}
	i, err := f.stat(file)
	if err != nil {
		file.Close()
		return nfs.Attr{}, f.wcc(ctx, dir), fmt.Errorf("create file: %w", err)
	}
	f.note(dir, name, &i)
	o := f.files.put(i.attr.ID, file, true)
	defer f.files.release(o)
	set := how.Set
	if how.Mode == nfs.Exclusive {
		set = nfs.SetAttr{Valid: nfs.SetAtime | nfs.SetMtime, Atime: at, Mtime: mt}
	}
	set.Valid &^= nfs.SetUID | nfs.SetGID
	if err := f.setAttr(ctx, i.attr.ID, p, &i.attr, &set); err != nil {
		_ = f.top.Remove(p)
		return nfs.Attr{}, f.wcc(ctx, dir), fmt.Errorf("create file: %w", hostError(err))
	}
	if err := file.Sync(); err != nil {
		return nfs.Attr{}, f.wcc(ctx, dir), fmt.Errorf("create file: %w", hostError(err))
	}
	i, err = f.stat(file)
	return i.attr, f.wcc(ctx, dir), err
}

// Mkdir implements nfs.Creator.
func (f *FS) Mkdir(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, _ nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	return f.make(ctx, c, dir, name, func(p string) error { return f.top.Mkdir(p, 0o777) })
}

// Symlink implements nfs.Symlinker. Windows lets few users make one (ErrPerm).
func (f *FS) Symlink(ctx context.Context, c *nfs.Caller, dir nfs.ID, name, target string, _ nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	return f.make(ctx, c, dir, name, func(p string) error { return f.top.Symlink(filepath.FromSlash(target), p) })
}

// Mknod implements nfs.NodeMaker: Windows has no special nodes.
func (f *FS) Mknod(context.Context, *nfs.Caller, nfs.ID, string, nfs.FileType, nfs.SetAttr, uint32, uint32) (nfs.Attr, nfs.WCC, error) {
	return nfs.Attr{}, nfs.WCC{}, nfs.ErrNotSupp
}

// Link implements nfs.Linker.
func (f *FS) Link(ctx context.Context, c *nfs.Caller, id nfs.ID, dir nfs.ID, name string) (nfs.Attr, nfs.WCC, error) {
	from, i, err := f.object(ctx, id)
	if err != nil {
		return nfs.Attr{}, nfs.WCC{}, err
	}
	i.close()
	if i.attr.Type == nfs.TypeDirectory {
		return nfs.Attr{}, f.wcc(ctx, dir), nfs.ErrIsDir
	}
	return f.make(ctx, c, dir, name, func(p string) error { return f.top.Link(from, p) })
}

func (f *FS) make(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, call func(p string) error) (nfs.Attr, nfs.WCC, error) {
	p, err := f.change(ctx, dir, name)
	if err == nil {
		err = hostError(call(p))
	}
	if err != nil {
		return nfs.Attr{}, f.wcc(ctx, dir), fmt.Errorf("create: %w", err)
	}
	a, err := f.Lookup(ctx, c, dir, name)
	return a, f.wcc(ctx, dir), err
}

// Remove implements nfs.Remover.
func (f *FS) Remove(ctx context.Context, _ *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	return f.remove(ctx, dir, name, false)
}

// Rmdir implements nfs.Remover.
func (f *FS) Rmdir(ctx context.Context, _ *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	return f.remove(ctx, dir, name, true)
}

func (f *FS) remove(ctx context.Context, dir nfs.ID, name string, wantDir bool) (nfs.WCC, error) {
	p, err := f.change(ctx, dir, name)
	if err != nil {
		return nfs.WCC{}, err
	}
	i, err := f.inspect(dir, name, p)
	if err != nil {
		return f.wcc(ctx, dir), fmt.Errorf("remove: %w", err)
	}
	switch isDir := i.attr.Type == nfs.TypeDirectory; {
	case isDir && !wantDir:
		err = nfs.ErrIsDir
	case !isDir && wantDir:
		err = nfs.ErrNotDir
	case i.attr.Type == nfs.TypeRegular:
		// Stays usable without the name.
		f.note(dir, name, &i)
		if o, _, err := f.data(ctx, i.attr.ID, true); err == nil {
			f.files.release(o)
		}
	}
	i.close()
	if err == nil {
		err = hostError(f.top.Remove(p))
	}
	if err != nil {
		return f.wcc(ctx, dir), fmt.Errorf("remove: %w", err)
	}
	if wantDir {
		f.index.drop(i.attr.ID)
	}
	f.index.flush()
	return f.wcc(ctx, dir), nil
}

// Rename implements nfs.Renamer.
func (f *FS) Rename(ctx context.Context, _ *nfs.Caller, fromDir nfs.ID, from string, toDir nfs.ID, to string) (fromWCC, toWCC nfs.WCC, err error) {
	err = f.rename(ctx, fromDir, from, toDir, to)
	if err != nil {
		err = fmt.Errorf("rename: %w", hostError(err))
	}
	return f.wcc(ctx, fromDir), f.wcc(ctx, toDir), err
}

func (f *FS) rename(ctx context.Context, fromDir nfs.ID, from string, toDir nfs.ID, to string) error {
	fp, err := f.change(ctx, fromDir, from)
	if err != nil {
		return err
	}
	tp, err := f.change(ctx, toDir, to)
	if err != nil {
		return err
	}
	src, err := f.inspect(fromDir, from, fp)
	if err != nil {
		return err
	}
	src.close()
	isDir := src.attr.Type == nfs.TypeDirectory
	if isDir {
		f.files.closeIdle()
	}
	dst, err := f.inspect(toDir, to, tp)
	if err == nil {
		dst.close()
		switch dstDir := dst.attr.Type == nfs.TypeDirectory; {
		case dst.attr.ID == src.attr.ID && (fromDir != toDir || from == to || !strings.EqualFold(from, to)):
			return nil
		case dst.attr.ID == src.attr.ID: // another case of the same name
		case isDir && !dstDir:
			return nfs.ErrNotDir
		case !isDir && dstDir:
			return nfs.ErrIsDir
		case dstDir:
			// Windows replaces no directory; an empty one makes way.
			if err := f.top.Remove(tp); err != nil {
				return err
			}
			f.index.drop(dst.attr.ID)
		case dst.attr.Type == nfs.TypeRegular:
			f.note(toDir, to, &dst)
			if o, _, err := f.data(ctx, dst.attr.ID, true); err == nil {
				f.files.release(o)
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f.top.Rename(fp, tp); err != nil {
		var e windows.Errno
		if isDir && errors.As(err, &e) && e == windows.ERROR_INVALID_PARAMETER {
			return nfs.ErrInval
		}
		return err
	}
	i, err := f.inspect(toDir, to, tp)
	if err != nil {
		return nil // moved on already
	}
	i.close()
	f.note(toDir, to, &i)
	f.index.flush()
	return nil
}
