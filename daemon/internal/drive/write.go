package drive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
	"github.com/moorage/moorage/nfs"
)

var (
	_ nfs.Writer     = (*Drive)(nil)
	_ nfs.AttrSetter = (*Drive)(nil)
)

// maxFile is the largest size of a file, in bytes.
const maxFile = 1 << 62

// writable fails for drives that cannot be changed.
func (d *Drive) writable() error {
	if d.writer == nil {
		return nfs.ErrROFS
	}
	return nil
}

// mayWrite checks that id is a file that c may write to.
func (d *Drive) mayWrite(c *nfs.Caller, id uint64) (nodes.Node, error) {
	n, err := d.node(id)
	if err != nil {
		return n, err
	}
	switch n.Kind {
	case nodes.Dir:
		return n, nfs.ErrIsDir
	case nodes.Link:
		return n, nfs.ErrInval
	}
	if a := d.attr(&n); c.UID != a.UID && !nfs.Permits(c, &a, nfs.MayWrite) {
		return n, nfs.ErrAccess
	}
	return n, nil
}

// Write stores bytes on this computer, laid over what the remote has.
func (d *Drive) Write(ctx context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64, want nfs.Stable) (nfs.Stable, nfs.WCC, error) {
	if err := d.enter(); err != nil {
		return 0, nfs.WCC{}, err
	}
	defer d.leave()
	got, w, err := d.write(ctx, c, uint64(id), p, off, want)
	return got, w, d.status("write", err)
}

func (d *Drive) write(ctx context.Context, c *nfs.Caller, id uint64, p []byte, off uint64, want nfs.Stable) (nfs.Stable, nfs.WCC, error) {
	if err := d.writable(); err != nil {
		return 0, nfs.WCC{}, err
	}
	n, err := d.mayWrite(c, id)
	if err != nil {
		return 0, nfs.WCC{}, err
	}
	if off > maxFile || uint64(len(p)) > maxFile-off {
		return 0, nfs.WCC{}, nfs.ErrFBig
	}
	if len(p) == 0 {
		a := d.attr(&n)
		return nfs.FileSync, nfs.WCC{HasBefore: true, Before: a.Pre(), After: a}, nil
	}
	if err := d.room(int64(len(p))); err != nil {
		return 0, nfs.WCC{}, err
	}
	if _, err := d.sized(ctx, n); err != nil {
		return 0, nfs.WCC{}, err
	}
	if err := d.dropSetID(c, n); err != nil {
		return 0, nfs.WCC{}, err
	}
	e, err := d.stage(ctx, id, true)
	if err != nil {
		return 0, nfs.WCC{}, err
	}
	defer d.unstage(e)
	d.uses.note(id, d.o.Clock())
	before, err := d.node(id)
	if err != nil {
		return 0, nfs.WCC{}, err
	}
	w, err := d.changeStaged(e, before, func(f *staging.File) error {
		if _, err := f.WriteAt(p, int64(off)); err != nil {
			return d.failsToWrite(err)
		}
		return nil
	})
	if err != nil {
		return 0, w, err
	}
	if want == nfs.Unstable {
		d.pub.touch(nodeTask(id), quietWrite)
		return nfs.Unstable, w, nil
	}
	if err := d.record(e, nil); err != nil {
		return 0, w, err
	}
	d.pub.touch(nodeTask(id), quietCommit)
	return nfs.FileSync, w, nil
}

// withoutSetID is a mode after c has changed the bytes of a file.
func (d *Drive) withoutSetID(c *nfs.Caller, mode uint16) uint16 {
	if c.UID == 0 {
		return mode
	}
	mode &^= 0o4000
	if mode&0o010 != 0 || c.UID != d.o.UID && !c.In(d.o.GID) {
		mode &^= 0o2000
	}
	return mode
}

// dropSetID takes the set-id bits of n away before c changes its bytes.
func (d *Drive) dropSetID(c *nfs.Caller, n nodes.Node) error {
	if !n.HasMode || n.Mode == d.withoutSetID(c, n.Mode) {
		return nil
	}
	return d.update(func(tx *nodes.Tx) error {
		n, err := tx.Get(n.ID)
		if err != nil {
			return ignoreNotFound(err)
		}
		n.Mode = d.withoutSetID(c, n.Mode)
		tx.Put(n)
		return nil
	})
}

// changeStaged makes a change of e, whose node was n, and tells the attributes
// around it. Those before are told only if no other change came in between.
func (d *Drive) changeStaged(e *staged, n nodes.Node, change func(*staging.File) error) (nfs.WCC, error) {
	e.mu.Lock()
	seq := e.seq
	if e.clean {
		e.mtime, e.ctime = n.Mtime, n.Ctime
	}
	alone := e.writers == 1
	e.mu.Unlock()
	a := d.attr(&n)
	e.filling.RLock()
	err := change(e.f)
	e.filling.RUnlock()
	now := d.o.Clock()
	e.mu.Lock()
	if err == nil {
		e.seq++
		if e.clean {
			e.clean = false
			e.mtime, e.ctime = n.Mtime, n.Ctime
		}
		e.mtime, e.ctime = later(e.mtime, now), later(e.ctime, now)
	}
	alone = alone && e.writers == 1 && e.seq <= seq+1
	e.mu.Unlock()
	var w nfs.WCC
	if after, nerr := d.node(e.id); nerr == nil {
		w.After = d.attr(&after)
	}
	if alone {
		w.HasBefore, w.Before = true, a.Pre()
	}
	return w, err
}

// Commit puts what was written on stable storage of this computer. It never
// waits for the remote.
func (d *Drive) Commit(ctx context.Context, c *nfs.Caller, id nfs.ID, _ uint64, _ uint32) (nfs.WCC, error) {
	if err := d.enter(); err != nil {
		return nfs.WCC{}, err
	}
	defer d.leave()
	w, err := d.commit(ctx, c, uint64(id))
	return w, d.status("commit", err)
}

func (d *Drive) commit(ctx context.Context, c *nfs.Caller, id uint64) (nfs.WCC, error) {
	if err := d.writable(); err != nil {
		return nfs.WCC{}, err
	}
	n, err := d.mayWrite(c, id)
	if err != nil {
		return nfs.WCC{}, err
	}
	if n.State&nodes.Staged != 0 {
		e, err := d.stage(ctx, id, false)
		if err != nil && !errors.Is(err, errNotStaged) { // else it was published meanwhile
			return nfs.WCC{}, err
		}
		if err == nil {
			defer d.staged.release(e)
			if err := d.record(e, nil); err != nil {
				return nfs.WCC{}, err
			}
			d.pub.touch(nodeTask(id), quietCommit)
		}
	}
	if n, err = d.node(id); err != nil {
		return nfs.WCC{}, err
	}
	a := d.attr(&n)
	return nfs.WCC{HasBefore: true, Before: a.Pre(), After: a}, nil // it changes nothing
}

// SetAttr changes attributes. Permission bits and times are kept here, and go to
// remotes that have such.
func (d *Drive) SetAttr(ctx context.Context, c *nfs.Caller, id nfs.ID, set nfs.SetAttr, guard *time.Time) (nfs.WCC, error) {
	if err := d.enter(); err != nil {
		return nfs.WCC{}, err
	}
	defer d.leave()
	w, err := d.setAttr(ctx, c, uint64(id), set, guard)
	return w, d.status("set attributes", err)
}

func (d *Drive) setAttr(ctx context.Context, c *nfs.Caller, id uint64, set nfs.SetAttr, guard *time.Time) (nfs.WCC, error) {
	if err := d.writable(); err != nil {
		return nfs.WCC{}, err
	}
	n, err := d.node(id)
	if err != nil {
		return nfs.WCC{}, err
	}
	if n.Kind == nodes.File {
		if n, err = d.sized(ctx, n); err != nil {
			return nfs.WCC{}, err
		}
	}
	a := d.attr(&n)
	if guard != nil && !guard.Equal(a.Ctime) {
		return nfs.WCC{After: a}, nfs.ErrNotSync
	}
	if set.Valid == 0 {
		return nfs.WCC{HasBefore: true, Before: a.Pre(), After: a}, nil
	}
	if err := d.maySet(c, &a, &set); err != nil {
		return nfs.WCC{After: a}, err
	}
	if set.Valid&nfs.SetSize != 0 {
		if err := d.dropSetID(c, n); err != nil {
			return nfs.WCC{}, err
		}
	}
	if n.Kind == nodes.File && (set.Valid&nfs.SetSize != 0 || n.State&nodes.Staged != 0) {
		return d.setStaged(ctx, n, set)
	}
	w := nfs.WCC{}
	now := d.o.Clock()
	err = d.update(func(tx *nodes.Tx) error {
		n, err := tx.Get(id)
		if errors.Is(err, nodes.ErrNotFound) {
			return fmt.Errorf("%w: id %d", nfs.ErrStale, id)
		}
		if err != nil {
			return err
		}
		a := d.attr(&n)
		w.HasBefore, w.Before = true, a.Pre()
		setOn(&n, &set, now)
		w.After = d.attr(&n)
		tx.Put(n)
		return nil
	})
	return w, err
}

// setStaged is setAttr for a file with content of its own here, or that gets it.
func (d *Drive) setStaged(ctx context.Context, n nodes.Node, set nfs.SetAttr) (nfs.WCC, error) {
	e, err := d.stage(ctx, n.ID, true)
	if err != nil {
		return nfs.WCC{}, err
	}
	defer d.unstage(e)
	d.uses.note(n.ID, d.o.Clock())
	if n, err = d.node(n.ID); err != nil {
		return nfs.WCC{}, err
	}
	w, err := d.changeStaged(e, n, func(f *staging.File) error {
		if set.Valid&nfs.SetSize == 0 {
			return nil
		}
		if grow := int64(set.Size) - n.Size; grow > 0 {
			if err := d.room(0); err != nil {
				return err
			}
		}
		return f.Truncate(int64(set.Size))
	})
	if err != nil {
		return w, err
	}
	now := d.o.Clock()
	e.mu.Lock()
	if set.Valid&nfs.SetMtime != 0 {
		e.mtime = set.Mtime
		e.seq++
	} else if set.Valid&(nfs.SetSize|nfs.SetMtimeNow) == 0 {
		e.mtime = n.Mtime // the change was none of the bytes
	}
	e.mu.Unlock()
	set.Valid &^= nfs.SetMtime | nfs.SetMtimeNow | nfs.SetSize
	if err := d.record(e, func(n *nodes.Node) {
		mtime := n.Mtime
		setOn(n, &set, now)
		n.Mtime = mtime
	}); err != nil {
		return w, err
	}
	d.pub.touch(nodeTask(n.ID), quietCommit)
	if n, err = d.node(n.ID); err == nil {
		w.After = d.attr(&n)
	}
	return w, err
}

// maySet checks all of set, so that applying it cannot fail.
func (d *Drive) maySet(c *nfs.Caller, a *nfs.Attr, set *nfs.SetAttr) error {
	own := c.UID == 0 || c.UID == a.UID
	if set.Valid&(nfs.SetMode|nfs.SetUID|nfs.SetGID|nfs.SetAtime|nfs.SetMtime) != 0 && !own {
		return nfs.ErrPerm
	}
	// All belongs to one person.
	if set.Valid&nfs.SetUID != 0 && set.UID != a.UID || set.Valid&nfs.SetGID != 0 && set.GID != a.GID {
		return nfs.ErrPerm
	}
	if set.Valid&nfs.SetSize != 0 {
		switch {
		case a.Type == nfs.TypeDirectory:
			return nfs.ErrIsDir
		case a.Type != nfs.TypeRegular:
			return nfs.ErrInval
		case set.Size > maxFile:
			return nfs.ErrFBig
		}
	}
	if set.Valid&(nfs.SetSize|nfs.SetAtimeNow|nfs.SetMtimeNow) != 0 && !own && !nfs.Permits(c, a, nfs.MayWrite) {
		return nfs.ErrAccess
	}
	return nil
}

// setOn applies what maySet allowed, save the size.
func setOn(n *nodes.Node, set *nfs.SetAttr, now time.Time) {
	if set.Valid&nfs.SetMode != 0 && n.Kind != nodes.Link {
		n.Mode, n.HasMode = uint16(set.Mode&0o7777), true
		n.State |= nodes.Edited
	}
	switch {
	case set.Valid&nfs.SetAtime != 0:
		n.Atime = set.Atime
	case set.Valid&nfs.SetAtimeNow != 0:
		n.Atime = now
	case n.Atime.IsZero() && set.Valid&nfs.SetMtime != 0:
		n.Atime = n.Mtime // else it would follow
	}
	switch {
	case set.Valid&nfs.SetMtime != 0:
		n.Mtime = set.Mtime
		n.State |= nodes.Edited
	case set.Valid&nfs.SetMtimeNow != 0:
		n.Mtime = later(n.Mtime, now)
		n.State |= nodes.Edited
	}
	n.Ctime = later(n.Ctime, now)
	n.Verifier = [8]byte{}
}
