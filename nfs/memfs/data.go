package memfs

import (
	"context"
	"time"

	"github.com/moorage/moorage/nfs"
)

// GetAttr implements [nfs.FileSystem].
func (f *FS) GetAttr(_ context.Context, _ *nfs.Caller, id nfs.ID) (nfs.Attr, error) {
	n, err := f.node(id)
	if err != nil {
		return nfs.Attr{}, err
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.gone {
		return nfs.Attr{}, nfs.ErrStale
	}
	return n.attr(), nil
}

// Access implements [nfs.AccessChecker].
func (f *FS) Access(ctx context.Context, c *nfs.Caller, id nfs.ID, want uint32) (uint32, nfs.Attr, error) {
	a, err := f.GetAttr(ctx, c, id)
	if err != nil {
		return 0, a, err
	}
	return nfs.Accessible(c, &a, want), a, nil
}

// Read implements [nfs.FileSystem]. Who may execute a file may read it, because
// executing over NFS is reading (RFC 1813 §4.4).
func (f *FS) Read(_ context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64) (int, bool, error) {
	n, err := f.node(id)
	if err != nil {
		return 0, false, err
	}
	if err := n.regular(); err != nil {
		return 0, false, err
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.gone {
		return 0, false, nfs.ErrStale
	}
	a := n.attr()
	if !owner(c, &a) && !nfs.Permits(c, &a, nfs.MayRead) && !nfs.Permits(c, &a, nfs.MayExec) {
		return 0, false, nfs.ErrAccess
	}
	if off >= n.size {
		return 0, true, nil
	}
	if rest := n.size - off; uint64(len(p)) > rest {
		p = p[:rest]
	}
	n.data.read(p, off)
	if len(p) > 0 {
		n.accessed(f.clock())
	}
	return len(p), off+uint64(len(p)) >= n.size, nil
}

// Write implements [nfs.Writer]. A write that does not fit the quota stores nothing.
func (f *FS) Write(_ context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64, _ nfs.Stable) (nfs.Stable, nfs.WCC, error) {
	n, err := f.node(id)
	if err != nil {
		return 0, nfs.WCC{}, err
	}
	w, err := f.change(n, func(a *nfs.Attr) error {
		if err := n.regular(); err != nil {
			return err
		}
		if !owner(c, a) && !nfs.Permits(c, a, nfs.MayWrite) {
			return nfs.ErrAccess
		}
		if off > maxFileSize || uint64(len(p)) > maxFileSize-off {
			return nfs.ErrFBig
		}
		if len(p) == 0 {
			return nil
		}
		more := n.data.missing(off, len(p)) * pageSize
		if err := f.reserve(more, 0); err != nil {
			return err
		}
		f.charge(n, more)
		n.data.write(p, off)
		n.size = max(n.size, off+uint64(len(p)))
		if c.UID != 0 {
			n.dropPrivileges(c)
		}
		n.modified(f.clock())
		return nil
	})
	// Memory is as stable as this file system ever gets.
	return nfs.FileSync, w, err
}

// Commit implements [nfs.Writer].
func (f *FS) Commit(_ context.Context, c *nfs.Caller, id nfs.ID, _ uint64, _ uint32) (nfs.WCC, error) {
	n, err := f.node(id)
	if err != nil {
		return nfs.WCC{}, err
	}
	return f.change(n, func(*nfs.Attr) error { return n.regular() })
}

// SetAttr implements [nfs.AttrSetter].
func (f *FS) SetAttr(_ context.Context, c *nfs.Caller, id nfs.ID, set nfs.SetAttr, guard *time.Time) (nfs.WCC, error) {
	n, err := f.node(id)
	if err != nil {
		return nfs.WCC{}, err
	}
	return f.change(n, func(a *nfs.Attr) error {
		if guard != nil && !guard.Equal(a.Ctime) {
			return nfs.ErrNotSync
		}
		if set.Valid == 0 {
			return nil
		}
		if err := maySet(c, a, &set); err != nil {
			return err
		}
		f.apply(c, n, &set)
		n.verifier = nil
		return nil
	})
}

// change runs do with n locked and its attributes, and returns the attributes
// around it.
func (f *FS) change(n *node, do func(*nfs.Attr) error) (nfs.WCC, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone {
		return nfs.WCC{}, nfs.ErrStale
	}
	a := n.attr()
	w := nfs.WCC{HasBefore: true, Before: a.Pre()}
	err := do(&a)
	w.After = n.attr()
	return w, err
}

// maySet checks all of set, so that applying it cannot fail.
func maySet(c *nfs.Caller, a *nfs.Attr, set *nfs.SetAttr) error {
	own := owner(c, a)
	if set.Valid&(nfs.SetMode|nfs.SetUID|nfs.SetGID|nfs.SetAtime|nfs.SetMtime) != 0 && !own {
		return nfs.ErrPerm
	}
	if !mayChown(c, a, set) {
		return nfs.ErrPerm
	}
	if set.Valid&nfs.SetSize != 0 {
		if a.Type == nfs.TypeDirectory {
			return nfs.ErrIsDir
		}
		if a.Type != nfs.TypeRegular {
			return nfs.ErrInval
		}
	}
	if set.Valid&(nfs.SetSize|nfs.SetAtimeNow|nfs.SetMtimeNow) != 0 && !own && !nfs.Permits(c, a, nfs.MayWrite) {
		return nfs.ErrAccess
	}
	if set.Valid&nfs.SetSize != 0 && set.Size > maxFileSize {
		return nfs.ErrFBig
	}
	return nil
}

// mayChown reports whether c, who owns a, may give it the owner and group of set.
func mayChown(c *nfs.Caller, a *nfs.Attr, set *nfs.SetAttr) bool {
	if c.UID == 0 {
		return true
	}
	if set.Valid&nfs.SetUID != 0 && set.UID != a.UID {
		return false
	}
	return set.Valid&nfs.SetGID == 0 || set.GID == a.GID || c.In(set.GID)
}

// apply changes n, which is locked, as set says.
func (f *FS) apply(c *nfs.Caller, n *node, set *nfs.SetAttr) {
	now := f.clock()
	n.changed(now)
	if set.Valid&nfs.SetSize != 0 {
		f.charge(n, -n.data.truncate(set.Size)*pageSize)
		n.size = set.Size
		n.mtime = n.ctime
		if c.UID != 0 {
			n.dropPrivileges(c)
		}
	}
	if set.Valid&nfs.SetUID != 0 {
		n.uid = set.UID
	}
	if set.Valid&nfs.SetGID != 0 {
		n.gid = set.GID
	}
	switch {
	case set.Valid&nfs.SetMode != 0:
		n.mode = set.Mode & permBits
		if c.UID != 0 && !c.In(n.gid) {
			n.mode &^= setgid
		}
	case set.Valid&(nfs.SetUID|nfs.SetGID) != 0 && n.typ != nfs.TypeDirectory:
		n.dropPrivileges(c)
	}
	switch {
	case set.Valid&nfs.SetAtime != 0:
		n.accessed(set.Atime)
	case set.Valid&nfs.SetAtimeNow != 0:
		n.accessed(n.ctime)
	}
	switch {
	case set.Valid&nfs.SetMtime != 0:
		n.mtime = set.Mtime
	case set.Valid&nfs.SetMtimeNow != 0:
		n.mtime = n.ctime
	}
}
