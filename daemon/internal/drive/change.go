package drive

import (
	"context"
	"errors"
	"fmt"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
)

var (
	_ nfs.Creator   = (*Drive)(nil)
	_ nfs.Symlinker = (*Drive)(nil)
	_ nfs.Remover   = (*Drive)(nil)
	_ nfs.Renamer   = (*Drive)(nil)
)

// Changes of names are made here, in one durable step with the note that the
// remote has to follow, and published later. What the remote has under a name
// that is given up here is remembered by a tomb, until the remote has given it
// up, too, so that a listing does not bring it back.

// change is one change of names. Its methods are called within an update.
type change struct {
	d     *Drive
	c     *nfs.Caller
	tx    *nodes.Tx
	tasks []task // to be done soon
	gone  []uint64
}

// changeNames runs fn in one durable step, and then sees to what it left to do.
func (d *Drive) changeNames(c *nfs.Caller, fn func(*change) error) error {
	if err := d.writable(); err != nil {
		return err
	}
	if err := d.room(0); err != nil {
		return err
	}
	var ch change
	d.step("change")
	err := d.update(func(tx *nodes.Tx) error {
		ch = change{d: d, c: c, tx: tx}
		if err := fn(&ch); err != nil {
			return err
		}
		d.repeats.note(tx, c)
		return nil
	})
	if err != nil {
		return err
	}
	d.step("changed")
	for _, id := range ch.gone {
		d.discard(id)
	}
	for _, t := range ch.tasks {
		d.pub.touch(t.key, t.delay)
	}
	return nil
}

// task is what is left to do for the remote.
type task struct {
	key   taskKey
	delay quiet
}

// dir gives a directory in which c may change names.
func (ch *change) dir(id uint64) (nodes.Node, error) {
	n, err := ch.node(id)
	switch {
	case err != nil:
		return n, err
	case n.Kind != nodes.Dir:
		return n, nfs.ErrNotDir
	}
	if a := ch.d.attr(&n); !nfs.Permits(ch.c, &a, nfs.MayWrite|nfs.MayExec) {
		return n, nfs.ErrAccess
	}
	return n, nil
}

func (ch *change) node(id uint64) (nodes.Node, error) {
	n, err := ch.tx.Get(id)
	if errors.Is(err, nodes.ErrNotFound) || err == nil && n.State&nodes.Gone != 0 && n.Kind == nodes.Dir {
		return n, fmt.Errorf("%w: id %d", nfs.ErrStale, id)
	}
	return n, err
}

// child finds a name; ErrNoEnt.
func (ch *change) child(dir uint64, name string) (nodes.Node, nodes.Entry, error) {
	id, cookie, err := ch.tx.Child(dir, name)
	if errors.Is(err, nodes.ErrNotFound) {
		return nodes.Node{}, nodes.Entry{}, fmt.Errorf("%w: %q", nfs.ErrNoEnt, name)
	}
	if err != nil {
		return nodes.Node{}, nodes.Entry{}, err
	}
	n, err := ch.node(id)
	return n, nodes.Entry{ID: id, Cookie: cookie, Name: name}, err
}

// link gives n the name n.Name in dir, which it is in from now on, and stores
// both. cookie is that of the name if it was there before, or 0.
func (ch *change) link(dir *nodes.Node, n *nodes.Node, cookie uint64) {
	if cookie == 0 {
		cookie = dir.NextCookie
		dir.NextCookie++
	}
	n.Parent = dir.ID
	if n.Kind == nodes.Dir {
		dir.Subdirs++
	}
	ch.tx.Link(dir.ID, n.Name, n.ID, cookie)
	ch.tx.Put(*n)
	ch.d.forgetMissing(dir.ID, n.Name)
}

// unlink takes a name of dir away and leaves the node. If the node was to replace
// something on the remote, that is taken away now.
func (ch *change) unlink(dir *nodes.Node, n *nodes.Node, e nodes.Entry) {
	if t, err := ch.tx.Tomb(dir.ID, e.Name); err == nil && t.Node == 0 {
		ch.tasks = append(ch.tasks, task{tombTask(dir.ID, e.Name), quietDelete})
	}
	ch.tx.Unlink(dir.ID, e)
	if n.Kind == nodes.Dir && dir.Subdirs > 0 {
		dir.Subdirs--
	}
}

// moved stores a directory whose names have changed, and tells the attributes
// around that.
func (ch *change) moved(dir *nodes.Node, before nfs.Attr) nfs.WCC {
	now := ch.d.o.Clock()
	dir.Mtime, dir.Ctime = later(dir.Mtime, now), later(dir.Ctime, now)
	ch.tx.Put(*dir)
	return nfs.WCC{HasBefore: true, Before: before.Pre(), After: ch.d.attr(dir)}
}

// pend notes that a node is to be published after a pause.
func (ch *change) pend(id uint64, pause quiet) error {
	ch.tasks = append(ch.tasks, task{nodeTask(id), pause})
	return ch.d.pend(ch.tx, id)
}

// place is where the remote has a node; false if it has it nowhere.
func place(n *nodes.Node) (dir uint64, name string, ok bool) {
	switch {
	case n.State&nodes.Created != 0:
		return 0, "", false
	case n.State&nodes.Moved != 0:
		return n.RParent, n.RName, true
	}
	return n.Parent, n.Name, true
}

// bury notes that the remote still has n, which goes: elsewhere if stays, or away.
func (ch *change) bury(n *nodes.Node, stays bool) {
	dir, name, ok := place(n)
	if !ok {
		return
	}
	t := nodes.Tomb{
		Dir: dir, Name: name, Kind: n.Kind, Version: n.Version, Size: n.Size, RemoteTime: n.RemoteTime, Since: ch.d.o.Clock(),
	}
	if n.State&nodes.Staged != 0 {
		t.Size = n.RSize
	}
	if stays || n.Kind == nodes.Dir {
		t.Node = n.ID
	}
	ch.tx.PutTomb(t)
	if !stays {
		ch.tasks = append(ch.tasks, task{tombTask(dir, name), quietDelete})
	}
}

// remove takes a file, link or empty directory away, whose name is unlinked.
func (ch *change) remove(n nodes.Node) error {
	if _, _, ok := place(&n); ok {
		ch.bury(&n, false)
		if n.Kind == nodes.Dir {
			// It stays until the remote's is gone: tombs in it need to know where it is.
			n.RParent, n.RName, _ = place(&n)
			n.State |= nodes.Gone | nodes.Moved
			ch.tx.Put(n)
			ch.tx.DeletePending(n.ID)
			return nil
		}
	}
	if n.Kind == nodes.File {
		// Somebody may have it open.
		ch.d.uses.remove(&n, ch.d.o.Clock())
		n.State |= nodes.Gone
		n.Ctime = later(n.Ctime, ch.d.o.Clock())
		ch.tx.Put(n)
		return ch.pend(n.ID, quietNow)
	}
	return ch.forget(n.ID)
}

// forget takes a node away that nobody can use any more.
func (ch *change) forget(id uint64) error {
	if err := ch.tx.Delete(id); err != nil {
		return err
	}
	ch.tx.DeletePending(id)
	ch.gone = append(ch.gone, id)
	return ch.tx.DeleteRegions(id)
}

func mayBeName(name string) error {
	switch {
	case len(name) > 255:
		return nfs.ErrNameTooLong
	case !showable(name):
		return fmt.Errorf("%w: %q can be no name here", nfs.ErrInval, name)
	}
	return nil
}

// newName makes a node with a name of dir that is free.
func (ch *change) newName(dir *nodes.Node, name string, kind nodes.Kind) (nodes.Node, error) {
	if err := mayBeName(name); err != nil {
		return nodes.Node{}, err
	}
	id, err := ch.tx.NewID()
	if err != nil {
		return nodes.Node{}, err
	}
	now := ch.d.o.Clock()
	n := nodes.Node{ID: id, Parent: dir.ID, Name: name, Kind: kind, Mtime: now, Ctime: now, State: nodes.Created}
	if sideFile(name) {
		n.State |= nodes.Local
	}
	if kind == nodes.Dir {
		n.NextCookie, n.Complete, n.ListedAt = nodes.FirstCookie, true, now
	}
	return n, nil
}

// Create makes a file.
func (d *Drive) Create(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, how nfs.CreateHow) (nfs.Attr, nfs.WCC, error) {
	if err := d.enter(); err != nil {
		return nfs.Attr{}, nfs.WCC{}, err
	}
	defer d.leave()
	a, w, err := d.create(ctx, c, uint64(dir), name, how)
	return a, w, d.status("create", err)
}

func (d *Drive) create(ctx context.Context, c *nfs.Caller, dir uint64, name string, how nfs.CreateHow) (a nfs.Attr, w nfs.WCC, err error) {
	if err := d.writable(); err != nil {
		return a, w, err
	}
	old, err := d.known(ctx, dir, name)
	if err != nil && !errors.Is(err, nfs.ErrNoEnt) {
		return a, w, err
	}
	if err == nil && d.repeated(c) && old.Kind == nodes.File {
		a, err = d.sizedAttr(ctx, old)
		return a, d.wcc(dir), err
	}
	if err == nil {
		return d.createOver(ctx, c, dir, old, how)
	}
	size := how.Set.Size
	if how.Mode == nfs.Exclusive || how.Set.Valid&nfs.SetSize == 0 {
		size = 0
	}
	appeared := false
	err = d.changeNames(c, func(ch *change) error {
		p, err := ch.dir(dir)
		if err != nil {
			return err
		}
		if old, _, err = ch.child(dir, name); !errors.Is(err, nfs.ErrNoEnt) {
			appeared = err == nil
			return err
		}
		n, err := ch.newName(&p, name, nodes.File)
		if err != nil {
			return err
		}
		if how.Mode == nfs.Exclusive {
			n.Verifier = how.Verifier
			n.Mode, n.HasMode = 0o600, true
		} else {
			how.Set.Valid &^= nfs.SetSize // of 0 bytes; more are set below
			setOn(&n, &how.Set, n.Mtime)
		}
		before := d.attr(&p)
		ch.link(&p, &n, 0)
		w = ch.moved(&p, before)
		a = d.attr(&n)
		return ch.pend(n.ID, quietWrite)
	})
	d.uses.note(uint64(a.ID), d.o.Clock())
	switch {
	case err != nil:
	case appeared:
		return d.createOver(ctx, c, dir, old, how)
	case size > 0:
		own := &nfs.Caller{UID: d.o.UID, GID: d.o.GID} // whatever the mode, who made it may fill it
		if _, err = d.setAttr(ctx, own, uint64(a.ID), nfs.SetAttr{Valid: nfs.SetSize, Size: size}, nil); err == nil {
			a, err = d.getAttr(ctx, uint64(a.ID))
		}
	}
	return a, w, err
}

// createOver is create where the name is there.
func (d *Drive) createOver(ctx context.Context, c *nfs.Caller, dir uint64, n nodes.Node, how nfs.CreateHow) (nfs.Attr, nfs.WCC, error) {
	w := nfs.WCC{}
	if p, err := d.node(dir); err == nil {
		w.After = d.attr(&p)
	}
	switch {
	case how.Mode == nfs.Exclusive && how.Verifier != [8]byte{} && n.Verifier == how.Verifier:
		a, err := d.sizedAttr(ctx, n) // the same call again
		return a, w, err
	case how.Mode != nfs.Unchecked:
		return nfs.Attr{}, w, fmt.Errorf("%w: %q", nfs.ErrExist, n.Name)
	case n.Kind == nodes.Dir:
		return nfs.Attr{}, w, nfs.ErrIsDir
	case n.Kind != nodes.File:
		return nfs.Attr{}, w, nfs.ErrExist
	}
	if how.Set.Valid&nfs.SetSize != 0 {
		if _, err := d.setAttr(ctx, c, n.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: how.Set.Size}, nil); err != nil {
			return nfs.Attr{}, w, err
		}
	}
	n, err := d.node(n.ID)
	if err != nil {
		return nfs.Attr{}, w, err
	}
	a, err := d.sizedAttr(ctx, n)
	return a, w, err
}

// known finds a name as the remote and what was changed here have it.
func (d *Drive) known(ctx context.Context, dir uint64, name string) (nodes.Node, error) {
	p, err := d.node(dir)
	if err != nil {
		return p, err
	}
	if p.Kind != nodes.Dir {
		return p, nfs.ErrNotDir
	}
	return d.child(ctx, dir, name)
}

// Mkdir makes a directory.
func (d *Drive) Mkdir(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	return d.make(ctx, c, uint64(dir), name, "make a directory", nodes.Dir, func(ch *change, n *nodes.Node) { setOn(n, &set, n.Mtime) })
}

// targetRegion is the record of a symbolic link's target.
const targetRegion = 0

// Symlink makes a symbolic link.
func (d *Drive) Symlink(ctx context.Context, c *nfs.Caller, dir nfs.ID, name, target string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	if len(target) > nfs.MaxTarget {
		return nfs.Attr{}, nfs.WCC{}, nfs.ErrNameTooLong
	}
	return d.make(ctx, c, uint64(dir), name, "make a link", nodes.Link, func(ch *change, n *nodes.Node) {
		setOn(n, &set, n.Mtime)
		n.Size = int64(len(target))
		ch.tx.PutRegion(n.ID, targetRegion, []byte(target))
	})
}

func (d *Drive) make(ctx context.Context, c *nfs.Caller, dir uint64, name, op string, kind nodes.Kind, fill func(*change, *nodes.Node)) (a nfs.Attr, w nfs.WCC, err error) {
	if err := d.enter(); err != nil {
		return a, w, err
	}
	defer d.leave()
	if err := d.writable(); err != nil {
		return a, w, d.status(op, err)
	}
	if old, err := d.known(ctx, dir, name); !errors.Is(err, nfs.ErrNoEnt) {
		if err == nil && d.repeated(c) && old.Kind == kind {
			return d.attr(&old), d.wcc(dir), nil
		}
		if err == nil {
			err = fmt.Errorf("%w: %q", nfs.ErrExist, name)
		}
		return a, w, d.status(op, err)
	}
	err = d.changeNames(c, func(ch *change) error {
		p, err := ch.dir(dir)
		if err != nil {
			return err
		}
		if _, _, err := ch.child(dir, name); !errors.Is(err, nfs.ErrNoEnt) {
			if err == nil {
				err = fmt.Errorf("%w: %q", nfs.ErrExist, name)
			}
			return err
		}
		n, err := ch.newName(&p, name, kind)
		if err != nil {
			return err
		}
		fill(ch, &n)
		before := d.attr(&p)
		ch.link(&p, &n, 0)
		w = ch.moved(&p, before)
		a = d.attr(&n)
		return ch.pend(n.ID, quietCommit)
	})
	return a, w, d.status(op, err)
}

// Remove takes a file or link away.
func (d *Drive) Remove(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	return d.takeAway(ctx, c, uint64(dir), name, "remove", func(n *nodes.Node) error {
		if n.Kind == nodes.Dir {
			return nfs.ErrIsDir
		}
		return nil
	})
}

// Rmdir takes an empty directory away.
func (d *Drive) Rmdir(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	return d.takeAway(ctx, c, uint64(dir), name, "remove a directory", func(n *nodes.Node) error {
		if n.Kind != nodes.Dir {
			return nfs.ErrNotDir
		}
		return nil
	})
}

func (d *Drive) takeAway(ctx context.Context, c *nfs.Caller, dir uint64, name, op string, right func(*nodes.Node) error) (w nfs.WCC, err error) {
	if err := d.enter(); err != nil {
		return w, err
	}
	defer d.leave()
	if err := d.writable(); err != nil {
		return w, d.status(op, err)
	}
	if d.repeated(c) {
		return d.wcc(dir), nil
	}
	old, err := d.known(ctx, dir, name)
	if err == nil {
		err = right(&old)
	}
	if err == nil {
		err = d.listedWhole(ctx, &old)
	}
	if err != nil {
		return w, d.status(op, err)
	}
	err = d.changeNames(c, func(ch *change) error {
		p, err := ch.dir(dir)
		if err != nil {
			return err
		}
		n, e, err := ch.child(dir, name)
		if err != nil {
			return err
		}
		if err := right(&n); err != nil {
			return err
		}
		if err := ch.empty(&n); err != nil {
			return err
		}
		before := d.attr(&p)
		ch.unlink(&p, &n, e)
		if err := ch.remove(n); err != nil {
			return err
		}
		w = ch.moved(&p, before)
		return nil
	})
	return w, d.status(op, err)
}

// listedWhole makes sure that all names of a directory are known.
func (d *Drive) listedWhole(ctx context.Context, n *nodes.Node) error {
	if n.Kind != nodes.Dir {
		return nil
	}
	l, err := d.listing(ctx, n.ID, nil)
	if err == nil && !l.Complete {
		err = fmt.Errorf("%w: %q is being listed", nfs.ErrJukebox, n.Name)
	}
	return err
}

// empty fails with ErrNotEmpty for a directory that has names.
func (ch *change) empty(n *nodes.Node) error {
	if n.Kind != nodes.Dir {
		return nil
	}
	if !n.Complete {
		return fmt.Errorf("%w: %q is being listed", nfs.ErrJukebox, n.Name)
	}
	var some bool
	err := ch.d.store.Children(n.ID, 0, func(nodes.Entry) bool {
		some = true
		return false
	})
	if some {
		err = nfs.ErrNotEmpty
	}
	return err
}
