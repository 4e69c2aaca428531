package memfs

import (
	"context"

	"github.com/moorage/moorage/nfs"
)

// listBatch is how many entries are taken from a directory at a time.
const listBatch = 128

// Lookup implements [nfs.FileSystem].
func (f *FS) Lookup(_ context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.Attr, error) {
	d, err := f.node(dir)
	if err != nil {
		return nfs.Attr{}, err
	}
	f.tree.RLock()
	defer f.tree.RUnlock()
	a := d.lockedAttr()
	if err := mayEnter(c, &a); err != nil {
		return nfs.Attr{}, err
	}
	switch {
	case name == ".":
		return a, nil
	case name == "..":
		return d.dir.parent.lockedAttr(), nil
	case len(name) > maxName:
		return nfs.Attr{}, nfs.ErrNameTooLong
	}
	e := d.dir.byName[name]
	if e == nil {
		return nfs.Attr{}, nfs.ErrNoEnt
	}
	return e.node.lockedAttr(), nil
}

// ReadDir implements [nfs.FileSystem].
func (f *FS) ReadDir(_ context.Context, c *nfs.Caller, dir nfs.ID, cookie uint64, plus bool, fill func(nfs.DirEntry) bool) (bool, error) {
	d, err := f.node(dir)
	if err != nil {
		return false, err
	}
	batch := make([]nfs.DirEntry, 0, listBatch)
	for {
		batch, eof, err := f.list(c, d, cookie, plus, batch[:0])
		if err != nil {
			return false, err
		}
		for _, e := range batch {
			if !fill(e) {
				return false, nil
			}
			cookie = e.Cookie
		}
		if eof {
			return true, nil
		}
	}
}

// list fills batch to its capacity with the entries behind cookie.
func (f *FS) list(c *nfs.Caller, d *node, cookie uint64, plus bool, batch []nfs.DirEntry) ([]nfs.DirEntry, bool, error) {
	f.tree.RLock()
	defer f.tree.RUnlock()
	a := d.lockedAttr()
	if a.Type != nfs.TypeDirectory {
		return nil, false, nfs.ErrNotDir
	}
	if !nfs.Permits(c, &a, nfs.MayRead) {
		return nil, false, nfs.ErrAccess
	}
	d.accessed(f.clock())
	eof := d.dir.after(cookie, func(e *entry) bool {
		if len(batch) == cap(batch) {
			return false
		}
		de := nfs.DirEntry{Name: e.name, ID: e.node.id, Cookie: e.cookie}
		if plus {
			de.Attr = e.node.lockedAttr()
		}
		batch = append(batch, de)
		return true
	})
	return batch, eof, nil
}

// changeDir runs do with tree and the directory locked, and returns the
// directory's attributes around it.
func (f *FS) changeDir(dir nfs.ID, c *nfs.Caller, name string, do func(d *node, a *nfs.Attr) error) (nfs.WCC, error) {
	d, err := f.node(dir)
	if err != nil {
		return nfs.WCC{}, err
	}
	f.tree.Lock()
	defer f.tree.Unlock()
	return f.change(d, func(a *nfs.Attr) error {
		if err := mayEnter(c, a); err != nil {
			return err
		}
		if err := checkName(name); err != nil {
			return err
		}
		return do(d, a)
	})
}

// add makes the name of n in d, both locked as far as they are known, and
// charges it. n.nlink is the caller's.
func (f *FS) add(c *nfs.Caller, d *node, a *nfs.Attr, name string, n *node, cost, files int64) error {
	if err := mayAdd(c, a); err != nil {
		return err
	}
	if d.dir.removed {
		return nfs.ErrNoEnt
	}
	size := int64(nameCost + len(name))
	if err := f.reserve(cost+size, files); err != nil {
		return err
	}
	f.charge(d, size)
	d.size += uint64(size)
	d.dir.add(name, n)
	d.modified(f.clock())
	return nil
}

// create makes a new object under a name that is not there. attr is valid
// where err is nil.
func (f *FS) create(c *nfs.Caller, d *node, a *nfs.Attr, name string, n *node, set *nfs.SetAttr, mode uint32) (nfs.Attr, error) {
	if set.Valid&nfs.SetSize != 0 && set.Size > maxFileSize {
		return nfs.Attr{}, nfs.ErrFBig
	}
	n.id = nfs.ID(f.lastID.Add(1))
	n.nlink, n.uid, n.gid, n.mode = 1, c.UID, c.GID, mode
	n.charged = nodeCost + int64(len(n.target))
	n.size = uint64(len(n.target))
	inherit := uint32(0)
	if a.Mode&setgid != 0 {
		n.gid = a.GID
		if n.typ == nfs.TypeDirectory {
			inherit = setgid
		}
	}
	if n.typ == nfs.TypeDirectory {
		n.dir = newDirectory(d)
		n.nlink = 2
	}
	n.born(f.clock())
	// As in knfsd, an owner that the caller may not give is left out: macOS
	// sends the group that its own rules would choose.
	var own nfs.Attr
	own.UID, own.GID = n.uid, n.gid
	if !mayChown(c, &own, set) {
		set.Valid &^= nfs.SetUID | nfs.SetGID
	}
	if n.typ != nfs.TypeRegular {
		set.Valid &^= nfs.SetSize
	}
	wantsMode := set.Valid&nfs.SetMode != 0
	if set.Valid &^= nfs.SetMode; set.Valid != 0 {
		f.apply(c, n, set)
	}
	if wantsMode {
		n.mode = set.Mode & permBits
	}
	// Unlike chmod, making a file takes only the setgid bit that means a group.
	if c.UID != 0 && n.mode&groupExecute != 0 && !c.In(n.gid) {
		n.mode &^= setgid
	}
	n.mode |= inherit
	if err := f.add(c, d, a, name, n, n.charged, 1); err != nil {
		return nfs.Attr{}, err
	}
	if n.typ == nfs.TypeDirectory {
		d.nlink++
	}
	out := n.attr()
	f.nodes.Store(n.id, n)
	return out, nil
}

// Create implements [nfs.Creator].
func (f *FS) Create(_ context.Context, c *nfs.Caller, dir nfs.ID, name string, how nfs.CreateHow) (out nfs.Attr, w nfs.WCC, err error) {
	w, err = f.changeDir(dir, c, name, func(d *node, a *nfs.Attr) error {
		if e := d.dir.byName[name]; e != nil {
			out, err = f.open(c, e.node, &how)
			return err
		}
		n := &node{typ: nfs.TypeRegular}
		set, mode := how.Set, uint32(0o644)
		if how.Mode == nfs.Exclusive {
			n.verifier = &how.Verifier
			set, mode = nfs.SetAttr{}, 0o600
		}
		out, err = f.create(c, d, a, name, n, &set, mode)
		return err
	})
	return out, w, err
}

// open is Create for a name that exists. It needs tree.
func (f *FS) open(c *nfs.Caller, n *node, how *nfs.CreateHow) (nfs.Attr, error) {
	w, err := f.change(n, func(a *nfs.Attr) error {
		if n.typ != nfs.TypeRegular {
			return nfs.ErrExist
		}
		switch how.Mode {
		case nfs.Unchecked:
			set := nfs.SetAttr{Valid: how.Set.Valid & nfs.SetSize, Size: how.Set.Size}
			if set.Valid == 0 {
				return nil
			}
			if err := maySet(c, a, &set); err != nil {
				return err
			}
			f.apply(c, n, &set)
			return nil
		case nfs.Exclusive:
			if n.verifier != nil && *n.verifier == how.Verifier {
				return nil
			}
		}
		return nfs.ErrExist
	})
	return w.After, err
}

// make is what Mkdir, Symlink and Mknod share.
func (f *FS) make(c *nfs.Caller, dir nfs.ID, name string, n *node, set nfs.SetAttr, mode uint32) (out nfs.Attr, w nfs.WCC, err error) {
	w, err = f.changeDir(dir, c, name, func(d *node, a *nfs.Attr) error {
		if d.dir.byName[name] != nil {
			return nfs.ErrExist
		}
		out, err = f.create(c, d, a, name, n, &set, mode)
		return err
	})
	return out, w, err
}

// Mkdir implements [nfs.Creator].
func (f *FS) Mkdir(_ context.Context, c *nfs.Caller, dir nfs.ID, name string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	return f.make(c, dir, name, &node{typ: nfs.TypeDirectory}, set, 0o755)
}

// Symlink implements [nfs.Symlinker].
func (f *FS) Symlink(_ context.Context, c *nfs.Caller, dir nfs.ID, name, target string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	switch {
	case target == "":
		return nfs.Attr{}, nfs.WCC{}, nfs.ErrNoEnt // as symlink(2)
	case len(target) > nfs.MaxTarget:
		return nfs.Attr{}, nfs.WCC{}, nfs.ErrNameTooLong
	}
	return f.make(c, dir, name, &node{typ: nfs.TypeSymlink, target: target}, set, 0o777)
}

// Readlink implements [nfs.LinkReader].
func (f *FS) Readlink(_ context.Context, _ *nfs.Caller, id nfs.ID) (string, error) {
	n, err := f.node(id)
	if err != nil {
		return "", err
	}
	if n.typ != nfs.TypeSymlink {
		return "", nfs.ErrInval
	}
	n.accessed(f.clock())
	return n.target, nil
}

// Mknod implements [nfs.NodeMaker].
func (f *FS) Mknod(_ context.Context, c *nfs.Caller, dir nfs.ID, name string, typ nfs.FileType, set nfs.SetAttr, major, minor uint32) (nfs.Attr, nfs.WCC, error) {
	n := &node{typ: typ}
	switch typ {
	case nfs.TypeFIFO, nfs.TypeSocket:
	case nfs.TypeBlock, nfs.TypeChar:
		if c.UID != 0 {
			return nfs.Attr{}, nfs.WCC{}, nfs.ErrPerm
		}
		n.major, n.minor = major, minor
	default:
		return nfs.Attr{}, nfs.WCC{}, nfs.ErrBadType
	}
	return f.make(c, dir, name, n, set, 0o644)
}

// Link implements [nfs.Linker].
func (f *FS) Link(_ context.Context, c *nfs.Caller, id, dir nfs.ID, name string) (out nfs.Attr, w nfs.WCC, err error) {
	n, err := f.node(id)
	if err != nil {
		return out, w, err
	}
	w, err = f.changeDir(dir, c, name, func(d *node, a *nfs.Attr) error {
		if d.dir.byName[name] != nil {
			return nfs.ErrExist
		}
		if n.typ == nfs.TypeDirectory {
			return nfs.ErrPerm
		}
		nw, err := f.change(n, func(*nfs.Attr) error {
			switch {
			case n.nlink == 0:
				return nfs.ErrNoEnt
			case n.nlink >= f.linkMax:
				return nfs.ErrMLink
			}
			if err := f.add(c, d, a, name, n, 0, 0); err != nil {
				return err
			}
			n.nlink++
			n.changed(f.clock())
			return nil
		})
		out = nw.After
		return err
	})
	return out, w, err
}
