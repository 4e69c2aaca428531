package memfs

import (
	"context"

	"github.com/moorage/moorage/nfs"
)

// Remove implements [nfs.Remover].
func (f *FS) Remove(_ context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	return f.remove(c, dir, name, func(n *node) error {
		if n.typ == nfs.TypeDirectory {
			return nfs.ErrIsDir
		}
		return nil
	})
}

// Rmdir implements [nfs.Remover].
func (f *FS) Rmdir(_ context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	return f.remove(c, dir, name, func(n *node) error {
		if n.typ != nfs.TypeDirectory {
			return nfs.ErrNotDir
		}
		if len(n.dir.byName) != 0 {
			return nfs.ErrNotEmpty
		}
		return nil
	})
}

func (f *FS) remove(c *nfs.Caller, dir nfs.ID, name string, may func(*node) error) (nfs.WCC, error) {
	defer f.expire()
	return f.changeDir(dir, c, name, func(d *node, a *nfs.Attr) error {
		e := d.dir.byName[name]
		if e == nil {
			return nfs.ErrNoEnt
		}
		n := e.node
		child := n.lockedAttr()
		if err := mayDelete(c, a, &child); err != nil {
			return err
		}
		if err := may(n); err != nil {
			return err
		}
		f.forget(d, e)
		f.lose(d, n)
		d.modified(f.clock())
		return nil
	})
}

// forget takes e away from d, which is locked, and gives back what it cost.
func (f *FS) forget(d *node, e *entry) {
	size := int64(nameCost + len(e.name))
	f.charge(d, -size)
	d.size -= uint64(size)
	d.dir.remove(e)
}

// lose notes that n has one name less, in d, which is locked. It needs tree.
func (f *FS) lose(d, n *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := f.clock()
	n.nlink--
	if n.typ == nfs.TypeDirectory {
		n.nlink = 0
		n.dir.removed = true
		d.nlink--
	}
	n.changed(now)
	if n.nlink == 0 {
		f.unlink(n, now)
	}
}

// Rename implements [nfs.Renamer].
func (f *FS) Rename(_ context.Context, c *nfs.Caller, fromDir nfs.ID, from string, toDir nfs.ID, to string) (fromWCC, toWCC nfs.WCC, err error) {
	fd, err := f.node(fromDir)
	if err != nil {
		return fromWCC, toWCC, err
	}
	td, err := f.node(toDir)
	if err != nil {
		return fromWCC, toWCC, err
	}
	defer f.expire()
	f.tree.Lock()
	defer f.tree.Unlock()
	if fd == td {
		fromWCC, err = f.change(fd, func(a *nfs.Attr) error { return f.rename(c, fd, a, from, fd, a, to) })
		return fromWCC, fromWCC, err
	}
	fromWCC, err = f.change(fd, func(fa *nfs.Attr) error {
		toWCC, err = f.change(td, func(ta *nfs.Attr) error { return f.rename(c, fd, fa, from, td, ta, to) })
		return err
	})
	return fromWCC, toWCC, err
}

// below reports whether d is dir or lies below it. It needs tree.
func (f *FS) below(d, dir *node) bool {
	for ; d != dir; d = d.dir.parent {
		if d == f.root || d.dir.removed {
			return false
		}
	}
	return true
}

// rename needs tree and both directories locked; the order of its checks is
// that of Linux's do_renameat2 and vfs_rename.
func (f *FS) rename(c *nfs.Caller, fd *node, fa *nfs.Attr, from string, td *node, ta *nfs.Attr, to string) error {
	for _, check := range []error{mayEnter(c, fa), mayEnter(c, ta), checkName(from), checkName(to)} {
		if check != nil {
			return check
		}
	}
	src := fd.dir.byName[from]
	if src == nil {
		return nfs.ErrNoEnt
	}
	n := src.node
	isDir := n.typ == nfs.TypeDirectory
	if isDir && f.below(td, n) {
		return nfs.ErrInval
	}
	var old *node
	dst := td.dir.byName[to]
	if dst != nil {
		old = dst.node
	}
	switch {
	case old == n:
		return nil
	case old != nil && old.typ == nfs.TypeDirectory && f.below(fd, old):
		return nfs.ErrNotEmpty
	}
	na := n.lockedAttr()
	if err := mayDelete(c, fa, &na); err != nil {
		return err
	}
	if old != nil {
		oa := old.lockedAttr()
		if err := mayDelete(c, ta, &oa); err != nil {
			return err
		}
		switch oldDir := old.typ == nfs.TypeDirectory; {
		case isDir && !oldDir:
			return nfs.ErrNotDir
		case !isDir && oldDir:
			return nfs.ErrIsDir
		}
	} else if err := mayAdd(c, ta); err != nil {
		return err
	}
	if td.dir.removed {
		return nfs.ErrNoEnt
	}
	// ".." changes: that is writing to the directory.
	if isDir && fd != td && !nfs.Permits(c, &na, nfs.MayWrite) {
		return nfs.ErrAccess
	}
	if old != nil {
		if old.dir != nil && len(old.dir.byName) != 0 {
			return nfs.ErrNotEmpty
		}
		f.lose(td, old)
		dst.node = n // the name stays, and its cookie
	} else {
		size := int64(nameCost + len(to))
		if err := f.reserve(size, 0); err != nil {
			return err
		}
		f.charge(td, size)
		td.size += uint64(size)
		td.dir.add(to, n)
	}
	f.forget(fd, src)
	if isDir {
		n.dir.parent = td
		fd.nlink--
		td.nlink++
	}
	now := f.clock()
	n.mu.Lock()
	n.changed(now)
	n.mu.Unlock()
	fd.modified(now)
	if fd != td {
		td.modified(now)
	}
	return nil
}
