package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/providers"
)

// publishTomb takes away on the remote what was taken away here, unless it has
// changed there since.
func (d *Drive) publishTomb(ctx context.Context, dir uint64, name string) error {
	t, err := d.store.Tomb(dir, name)
	if errors.Is(err, nodes.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if t.Node != 0 {
		o, err := d.store.Get(t.Node)
		switch {
		case err == nil && o.State&nodes.Gone != 0:
			return d.publishRmdir(ctx, t)
		case err == nil:
			return errOther // it is moved, and that node's task sees to it
		case !errors.Is(err, nodes.ErrNotFound):
			return err
		}
	}
	if id, _, err := d.store.Child(dir, name); err == nil {
		n, err := d.node(id)
		if err == nil && n.Kind == nodes.File && t.Kind == nodes.File && d.changedHere(&n) {
			pending, err := d.isPending(id)
			if err == nil && pending {
				err = errOther // what is here now replaces it
			}
			if err != nil {
				return err
			}
		}
	}
	if _, err := d.above(dir); errors.Is(err, errNow) {
		return d.endTomb(t, false) // what it was in is gone
	}
	if err := d.claimIn(tombTask(dir, name), []taskKey{tombTask(dir, name)}, 0, dir); err != nil {
		return err
	}
	parent, err := d.path(dir)
	if err != nil {
		return errNow
	}
	at := path.Join(parent, name)
	var cond providers.Cond
	if t.Kind != nodes.Dir {
		cond, err = d.over(ctx, at, t.Version, t.Size, t.RemoteTime)
	}
	if err == nil && cond.IfAbsent {
		return d.endTomb(t, false)
	}
	if err == nil {
		d.rescue(ctx, dir, name)
		d.step("remove")
		err = d.health.put(ctx, func(ctx context.Context) error {
			if t.Kind == nodes.Dir {
				return d.writer.Rmdir(ctx, at)
			}
			return d.writer.Remove(ctx, at, cond)
		})
		d.step("removed")
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, providers.ErrNotDir):
		return d.endTomb(t, false)
	case errors.Is(err, providers.ErrChanged), errors.Is(err, providers.ErrIsDir), errors.Is(err, providers.ErrNotEmpty):
		d.o.Logger.Info("a file that was removed here was changed on the remote, and is back", "path", at)
		return d.endTomb(t, true)
	}
	return fmt.Errorf("remove %q: %w", at, err)
}

// endTomb forgets a tomb. back says that the remote has something there, which
// is to be seen again.
func (d *Drive) endTomb(t nodes.Tomb, back bool) error {
	if back {
		d.stamps.update(t.Dir, func(s *stamp) { *s = stamp{} })
	}
	return d.update(func(tx *nodes.Tx) error {
		now, err := tx.Tomb(t.Dir, t.Name)
		if err != nil {
			return ignoreNotFound(err)
		}
		if now.Node != t.Node || now.Version != t.Version {
			return errNow
		}
		tx.DeleteTomb(t.Dir, t.Name)
		if !back {
			d.turns.turn(t.Dir, t.Name)
			return nil
		}
		n, err := tx.Get(t.Dir)
		if err != nil {
			return ignoreNotFound(err)
		}
		n.ListRev, n.ListVersion = 0, "" // the listing is to be made anew
		moveDir(&n, d.o.Clock())
		tx.Put(n)
		return nil
	})
}

// rmdirLook is how many names that are to be removed from a directory before it are
// looked for at once.
const rmdirLook = 256

// publishRmdir takes a directory away on the remote, after what was in it. If
// there is something in it that was not known here, it is back.
func (d *Drive) publishRmdir(ctx context.Context, t nodes.Tomb) error {
	if _, err := d.above(t.Node); errors.Is(err, errNow) {
		return d.endGhost(t)
	}
	claim := func() error {
		return d.claimIn(tombTask(t.Dir, t.Name), []taskKey{tombTask(t.Dir, t.Name)}, t.Node, t.Dir)
	}
	if d.pub.isHalf(t.Node) {
		// It was removed while it was on its way, and nothing that is in it can be
		// reached before it has arrived.
		if err := claim(); err != nil {
			return err
		}
		n, err := d.store.Get(t.Node)
		if err != nil {
			return d.endGhost(t)
		}
		return orNow(d.publishMoveDir(ctx, n))
	}
	var first []nodes.Tomb
	err := d.store.Tombs(t.Node, func(c nodes.Tomb) bool {
		first = append(first, c)
		return len(first) < rmdirLook
	})
	if err != nil {
		return err
	}
	for _, c := range first {
		if err := d.clearOut(ctx, t, c); err != nil {
			return err
		}
	}
	if n := len(first); n > 0 {
		last := first[n-1]
		if o, err := d.store.Get(last.Node); last.Node != 0 && err == nil && o.State&nodes.Gone == 0 {
			return heldBy(nodeTask(last.Node)) // that sees to the tomb
		}
		return heldBy(tombTask(last.Dir, last.Name))
	}
	if id := d.pub.coming(t.Node); id != 0 {
		return busyWith(nodeTask(id))
	}
	if err := claim(); err != nil {
		return err
	}
	at, err := d.path(t.Node)
	if err != nil {
		return errNow
	}
	d.step("rmdir")
	err = d.health.put(ctx, func(ctx context.Context) error { return d.writer.Rmdir(ctx, at) })
	d.step("rmdir done")
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, providers.ErrNotDir):
		return d.endGhost(t)
	case errors.Is(err, providers.ErrNotEmpty):
		return d.revive(t)
	}
	return fmt.Errorf("remove %q: %w", at, err)
}

// clearOut has something that t tells of leave the directory of ghost on the
// remote, which is removed here.
func (d *Drive) clearOut(ctx context.Context, ghost, t nodes.Tomb) error {
	o, err := d.node(t.Node)
	if t.Node == 0 || err != nil {
		d.pub.hurry(tombTask(t.Dir, t.Name))
		return nil
	}
	stuck, err := d.isLocal(o) // it goes nowhere there
	if err == nil && !stuck {
		stuck, err = d.waitsFor(o, t.Dir)
	}
	switch {
	case err != nil:
		return err
	case !stuck:
		d.pub.hurry(nodeTask(o.ID))
		return nil
	case o.Kind != nodes.Dir:
		return d.uprootNow(ctx, o)
	}
	if err := d.claimIn(tombTask(ghost.Dir, ghost.Name), []taskKey{tombTask(o.RParent, o.RName)}, o.ID, o.RParent); err != nil {
		return err
	}
	dir := ghost.Dir
	for {
		n, err := d.store.Get(dir)
		if err != nil {
			return errNow
		}
		if n.State&nodes.Gone == 0 {
			return d.stepAside(ctx, o, dir)
		}
		dir = n.RParent
	}
}

// endGhost forgets a directory that was removed.
func (d *Drive) endGhost(t nodes.Tomb) error {
	return d.update(func(tx *nodes.Tx) error {
		now, err := tx.Tomb(t.Dir, t.Name)
		if err != nil {
			return ignoreNotFound(err)
		}
		if now.Node != t.Node {
			return errNow
		}
		tx.DeleteTomb(t.Dir, t.Name)
		d.turns.turn(t.Dir, t.Name)
		return ignoreNotFound(tx.Delete(t.Node))
	})
}

// revive shows a directory again that was removed here and has something in it
// on the remote that nobody here has seen.
func (d *Drive) revive(t nodes.Tomb) error {
	d.o.Logger.Info("a folder that was removed here has new files on the remote, and is back", "name", t.Name)
	d.stamps.update(t.Node, func(s *stamp) { *s = stamp{} })
	return d.update(func(tx *nodes.Tx) error {
		n, err := tx.Get(t.Node)
		if err != nil {
			return ignoreNotFound(err)
		}
		tx.DeleteTomb(t.Dir, t.Name)
		p, err := tx.Get(t.Dir)
		_, _, taken := tx.Child(t.Dir, t.Name)
		if err != nil || p.State&nodes.Gone != 0 || !errors.Is(taken, nodes.ErrNotFound) {
			// There is no place for it here; the remote's is found by a listing.
			return errors.Join(ignoreNotFound(err), tx.Delete(n.ID))
		}
		n.State &^= nodes.Gone | nodes.Moved
		n.Parent, n.Name, n.RParent, n.RName = t.Dir, t.Name, 0, ""
		n.Complete, n.ListRev, n.ListVersion = false, 0, ""
		n.Mtime, n.Ctime = later(n.Mtime, d.o.Clock()), later(n.Ctime, d.o.Clock())
		tx.Put(n)
		tx.Link(p.ID, n.Name, n.ID, p.NextCookie)
		p.NextCookie++
		p.Subdirs++
		moveDir(&p, d.o.Clock())
		tx.Put(p)
		return nil
	})
}
