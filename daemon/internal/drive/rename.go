package drive

import (
	"context"
	"errors"
	"fmt"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
)

// Rename moves a name.
func (d *Drive) Rename(ctx context.Context, c *nfs.Caller, fromDir nfs.ID, from string, toDir nfs.ID, to string) (nfs.WCC, nfs.WCC, error) {
	if err := d.enter(); err != nil {
		return nfs.WCC{}, nfs.WCC{}, err
	}
	defer d.leave()
	fw, tw, err := d.rename(ctx, c, uint64(fromDir), from, uint64(toDir), to)
	return fw, tw, d.status("rename", err)
}

func (d *Drive) rename(ctx context.Context, c *nfs.Caller, fromDir uint64, from string, toDir uint64, to string) (fw, tw nfs.WCC, err error) {
	if err := d.writable(); err != nil {
		return fw, tw, err
	}
	if d.repeated(c) {
		return d.wcc(fromDir), d.wcc(toDir), nil
	}
	n, err := d.known(ctx, fromDir, from)
	if err != nil {
		return fw, tw, err
	}
	switch old, err := d.known(ctx, toDir, to); {
	case err == nil:
		if err := d.listedWhole(ctx, &old); err != nil {
			return fw, tw, err
		}
	case !errors.Is(err, nfs.ErrNoEnt):
		return fw, tw, err
	}
	err = d.changeNames(c, func(ch *change) (err error) {
		fw, tw, err = ch.rename(fromDir, from, toDir, to)
		return err
	})
	if err == nil && n.Kind == nodes.Dir {
		d.pub.rouse() // what is in it may not be of this computer alone any more
	}
	return fw, tw, err
}

func (ch *change) rename(fromDir uint64, from string, toDir uint64, to string) (fw, tw nfs.WCC, err error) {
	d := ch.d
	fp, err := ch.dir(fromDir)
	if err != nil {
		return fw, tw, err
	}
	tp := &fp
	if toDir != fromDir {
		p, err := ch.dir(toDir)
		if err != nil {
			return fw, tw, err
		}
		tp = &p
	}
	n, e, err := ch.child(fromDir, from)
	if err != nil {
		return fw, tw, err
	}
	if err := mayBeName(to); err != nil {
		return fw, tw, err
	}
	if n.Kind == nodes.Dir {
		if err := ch.notBelow(toDir, n.ID); err != nil {
			return fw, tw, err
		}
	}
	fBefore, tBefore := d.attr(&fp), d.attr(tp)
	cookie := uint64(0)
	switch old, oe, err := ch.child(toDir, to); {
	case err == nil && old.ID == n.ID:
		return nfs.WCC{After: fBefore}, nfs.WCC{After: tBefore}, nil
	case err == nil:
		cookie = oe.Cookie
		if err := ch.mayReplace(&n, &old); err != nil {
			return fw, tw, err
		}
		ch.unlink(tp, &old, oe)
		if err := ch.tx.MovePin(old.ID, n.ID); err != nil { // it is the same file to who pinned it
			return fw, tw, err
		}
		if err := ch.remove(old); err != nil {
			return fw, tw, err
		}
	case !errors.Is(err, nfs.ErrNoEnt):
		return fw, tw, err
	}
	ch.unlink(&fp, &n, e)
	if err := ch.relocate(&n, toDir, to); err != nil {
		return fw, tw, err
	}
	ch.link(tp, &n, cookie)
	fw = ch.moved(&fp, fBefore)
	if tp == &fp {
		tw = fw
	} else {
		tw = ch.moved(tp, tBefore)
	}
	pause := quietCommit
	if cookie != 0 {
		pause = quietRename
	}
	return fw, tw, ch.pend(n.ID, pause)
}

// relocate brings n's idea of where the remote has it to its new name.
func (ch *change) relocate(n *nodes.Node, dir uint64, name string) error {
	if sideFile(name) {
		n.State |= nodes.Local
	} else {
		n.State &^= nodes.Local
	}
	rdir, rname, ok := place(n)
	moving, err := onWay(ch.tx, n)
	if err != nil {
		return err
	}
	switch {
	case ok && rdir == dir && rname == name && !moving:
		ch.tx.DeleteTomb(dir, name)
		n.State &^= nodes.Moved
		n.RParent, n.RName = 0, ""
	case ok:
		ch.bury(n, true)
		n.State |= nodes.Moved
		n.RParent, n.RName = rdir, rname
	}
	n.Parent, n.Name = dir, name
	n.Ctime = later(n.Ctime, ch.d.o.Clock())
	return nil
}

// onWay reports whether the remote has a directory in two places just now. Until it
// is in one, where it comes from is not where it is, even if it is to come back there.
func onWay(tx *nodes.Tx, n *nodes.Node) (bool, error) {
	if n.Kind != nodes.Dir {
		return false, nil
	}
	u, err := tx.Upload(n.ID)
	return err == nil && u.Moved == movesTree, ignoreNotFound(err)
}

// mayReplace checks that rename may put n in the place of old.
func (ch *change) mayReplace(n, old *nodes.Node) error {
	switch {
	case n.Kind == nodes.Dir && old.Kind != nodes.Dir:
		return nfs.ErrNotDir
	case n.Kind != nodes.Dir && old.Kind == nodes.Dir:
		return nfs.ErrIsDir
	}
	return ch.empty(old)
}

// notBelow fails if dir is id or below it.
func (ch *change) notBelow(dir, id uint64) error {
	for i := 0; ; i++ {
		switch {
		case dir == id:
			return nfs.ErrInval
		case dir == nodes.Root:
			return nil
		case i == maxDepth:
			return fmt.Errorf("node %d: %w", dir, nodes.ErrCorrupt)
		}
		n, err := ch.node(dir)
		if err != nil {
			return err
		}
		dir = n.Parent
	}
}
