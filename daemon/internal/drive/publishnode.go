package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// publish does one task: it makes the remote what the drive is, as far as that
// node or tomb is concerned. What the remote has must be what was known of it;
// otherwise both stay, see conflict.
func (d *Drive) publish(ctx context.Context, k taskKey) error {
	if k.node == 0 {
		return d.publishTomb(ctx, k.dir, k.name)
	}
	n, err := d.node(k.node)
	if errors.Is(err, nfs.ErrStale) {
		if g, err := d.store.Get(k.node); err == nil && d.pub.isHalf(g.ID) {
			d.pub.hurry(tombTask(g.RParent, g.RName)) // whose task moves it before it removes it
			return errOther
		}
		return d.settleUpload(ctx, k.node)
	}
	if err != nil {
		return err
	}
	if n.State&nodes.Gone != 0 {
		return d.publishGone(ctx, n)
	}
	pending, err := d.isPending(n.ID)
	if err != nil {
		return err
	}
	if !pending {
		return d.settleUpload(ctx, n.ID)
	}
	if err := d.settleUpload(ctx, n.ID); err != nil {
		return err
	}
	if local, err := d.isLocal(n); err != nil || local {
		if err == nil {
			err = errStays
		}
		return err
	}
	if n, err = d.node(k.node); err != nil || n.State&nodes.Gone != 0 {
		return errNow
	}
	if err := d.parentsFirst(n); err != nil {
		return err
	}
	switch err := d.claim(k, n); {
	case errors.Is(err, errSourceGone):
		return d.withoutSource(ctx, n)
	case err != nil:
		return err
	}
	was := n
	if n, err = d.node(k.node); err != nil || !samePlace(&n, &was) {
		return errNow // it was moved before its place was reserved
	}
	slot, err := d.clearSlot(ctx, n)
	if err != nil {
		return err
	}
	switch {
	case n.Kind == nodes.Dir:
		return d.publishDir(ctx, n)
	case n.Kind == nodes.Link && n.State&nodes.Created != 0:
		return d.publishLink(ctx, n)
	case n.State&(nodes.Created|nodes.Staged) != 0:
		return d.publishFile(ctx, n, slot)
	case n.State&nodes.Moved != 0:
		return d.publishMove(ctx, n, slot)
	}
	return d.update(func(tx *nodes.Tx) error {
		tx.DeletePending(n.ID)
		return nil
	})
}

// retain is how long a file that was removed stays usable: clients have no way
// to say that they have one open.
const retain = time.Minute

// publishGone forgets a file that was removed, when nobody uses it any more.
func (d *Drive) publishGone(ctx context.Context, n nodes.Node) error {
	if err := d.settleUpload(ctx, n.ID); err != nil {
		return err
	}
	if wait := retain - d.o.Clock().Sub(n.Ctime); wait > 0 {
		return restError{wait}
	}
	var ch change
	err := d.update(func(tx *nodes.Tx) error {
		ch = change{d: d, tx: tx}
		now, err := tx.Get(n.ID)
		if err != nil {
			return ignoreNotFound(err)
		}
		if now.State&nodes.Gone == 0 {
			return errNow
		}
		return ch.forget(n.ID)
	})
	if err != nil {
		return err
	}
	d.discard(n.ID)
	return nil
}

func (d *Drive) isPending(id uint64) (yes bool, err error) {
	err = d.update(func(tx *nodes.Tx) error {
		_, err := tx.Pending(id)
		yes = err == nil
		if errors.Is(err, nodes.ErrNotFound) {
			err = nil
		}
		return err
	})
	return yes, err
}

// parentsFirst holds a node until the directories above it are in their place
// on the remote.
func (d *Drive) parentsFirst(n nodes.Node) error {
	for i := 0; n.Parent != n.ID && i < maxDepth; i++ {
		p, err := d.node(n.Parent)
		if err != nil {
			return errNow
		}
		if p.State&(nodes.Created|nodes.Moved) != 0 {
			d.pub.hurry(nodeTask(p.ID))
			return heldBy(nodeTask(p.ID))
		}
		n = p
	}
	return nil
}

// claim reserves what publishing n is about: where it goes, where the remote has
// it, and for a directory that is moved, everything below.
func (d *Drive) claim(k taskKey, n nodes.Node) error {
	places := []taskKey{tombTask(n.Parent, n.Name)}
	dirs := []uint64{n.Parent}
	var dir uint64
	if rdir, rname, ok := place(&n); ok && n.State&nodes.Moved != 0 {
		places = append(places, tombTask(rdir, rname))
		dirs = append(dirs, rdir)
		if n.Kind == nodes.Dir {
			dir = n.ID
		}
		if _, err := d.above(rdir); errors.Is(err, errNow) {
			return errSourceGone
		}
	}
	return d.claimIn(k, places, dir, dirs...)
}

// claimIn is [publisher.claim] of places in directories, which with those above them stay
// where they are on the remote from then on. It fails with errNow if one is gone.
func (d *Drive) claimIn(k taskKey, places []taskKey, dir uint64, dirs ...uint64) error {
	all := func() (above []uint64, err error) {
		for _, id := range dirs {
			more, err := d.above(id)
			if err != nil {
				return nil, err
			}
			above = append(above, more...)
		}
		return above, nil
	}
	above, err := all()
	if err != nil {
		return err
	}
	if err := d.pub.claim(k, places, dir, above); err != nil {
		return err
	}
	if now, err := all(); err != nil || !slices.Equal(now, above) {
		return errNow // one was moved before it was reserved
	}
	return nil
}

// above are a directory and those above it, by where the remote has them; errNow if one
// of them is gone.
func (d *Drive) above(id uint64) ([]uint64, error) {
	var all []uint64
	for len(all) < maxDepth {
		all = append(all, id)
		if id == nodes.Root {
			return all, nil
		}
		n, err := d.store.Get(id)
		if errors.Is(err, nodes.ErrNotFound) {
			return nil, errNow
		}
		if err != nil {
			return nil, err
		}
		rdir, _, ok := place(&n)
		if !ok {
			rdir = n.Parent
		}
		id = rdir
	}
	return nil, nodes.ErrCorrupt
}

// clearSlot makes sure that nothing of the drive's own is in the place where n
// goes on the remote, but a file that n replaces, which it returns.
func (d *Drive) clearSlot(ctx context.Context, n nodes.Node) (*nodes.Tomb, error) {
	t, err := d.store.Tomb(n.Parent, n.Name)
	if errors.Is(err, nodes.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if t.Node == n.ID && n.Kind == nodes.Dir {
		return nil, d.cameBack(n)
	}
	if t.Node == n.ID {
		return nil, fmt.Errorf("node %d: %w: its tomb is in its own place", n.ID, nodes.ErrCorrupt)
	}
	if t.Node == 0 && t.Kind == nodes.File && n.Kind == nodes.File {
		return &t, nil
	}
	if t.Node != 0 {
		_, err := d.node(t.Node)
		if err == nil || t.Kind != nodes.Dir { // else the directory is removed
			return nil, d.makeWay(ctx, n, t)
		}
	}
	d.pub.hurry(tombTask(t.Dir, t.Name))
	return nil, heldBy(tombTask(t.Dir, t.Name))
}

// cameBack is called for a directory that got its old name again while it was on its
// way. If it still is, it arrives first; else it has never left.
func (d *Drive) cameBack(n nodes.Node) error {
	moving := false
	err := d.update(func(tx *nodes.Tx) error {
		now, err := tx.Get(n.ID)
		if err != nil || !samePlace(&now, &n) {
			return errNow
		}
		if moving, err = onWay(tx, &now); moving || err != nil {
			return err
		}
		tx.DeleteTomb(n.Parent, n.Name)
		now.State &^= nodes.Moved
		now.RParent, now.RName = 0, ""
		tx.Put(now)
		return nil
	})
	if moving {
		return nil
	}
	return orNow(err)
}

// makeWay is called when the remote still has a file in n's place that is
// somewhere else here. It goes to its place first. If that cannot be, because
// it stays on this computer, or waits for n in turn, all of its bytes are
// fetched, so that the remote's can be replaced; a directory steps aside.
func (d *Drive) makeWay(ctx context.Context, n nodes.Node, t nodes.Tomb) error {
	o, err := d.node(t.Node)
	if errors.Is(err, nfs.ErrStale) {
		return d.update(func(tx *nodes.Tx) error { // it is gone, and only its tomb says otherwise
			t.Node = 0
			tx.PutTomb(t)
			return errors.Join(nil, d.pend(tx, n.ID))
		})
	}
	if err != nil {
		return err
	}
	local, err := d.isLocal(o)
	if err != nil {
		return err
	}
	if !local {
		waits, err := d.waitsFor(o, n.ID)
		if err != nil {
			return err
		}
		if !waits {
			d.pub.hurry(nodeTask(o.ID))
			return heldBy(nodeTask(o.ID))
		}
	} else if age := d.o.Clock().Sub(t.Since); age >= 0 && age < time.Duration(quietDelete)*d.o.Quiet/4 { // else the clock was set back
		return laterError{pause: quietCommit} // it is usually gone in a moment
	}
	if o.Kind != nodes.File {
		if o.Kind == nodes.Dir {
			if err := d.pub.claimDir(nodeTask(n.ID), o.ID); err != nil {
				return err
			}
		}
		return d.stepAside(ctx, o, o.RParent)
	}
	return d.uprootNow(ctx, o)
}

// uproot makes o independent of what the remote has of it.
func (d *Drive) uproot(ctx context.Context, o nodes.Node) error {
	if err := d.localise(ctx, o.ID, true); err != nil {
		return err
	}
	return d.updateAnd(func(tx *nodes.Tx, after func(taskKey, quiet)) error {
		n, err := tx.Get(o.ID)
		if errors.Is(err, nodes.ErrNotFound) {
			return nil
		}
		if err != nil || n.State&nodes.Moved == 0 || n.State&nodes.Staged == 0 {
			return orNow(err)
		}
		t, err := tx.Tomb(n.RParent, n.RName)
		if err == nil && t.Node == n.ID {
			t.Node = 0
			tx.PutTomb(t)
			after(tombTask(t.Dir, t.Name), quietDelete)
		}
		n.State = n.State&^nodes.Moved | nodes.Created
		n.RParent, n.RName, n.Version = 0, "", ""
		tx.Put(n)
		return d.pend(tx, n.ID)
	})
}

func ignoreNotFound(err error) error {
	if errors.Is(err, nodes.ErrNotFound) {
		return nil
	}
	return err
}

// publishMove moves a file or link that is as the remote has it.
func (d *Drive) publishMove(ctx context.Context, n nodes.Node, slot *nodes.Tomb) error {
	mover, ok := d.p.(providers.Mover)
	if !ok {
		return d.uprootNow(ctx, n)
	}
	dir, err := d.path(n.Parent)
	if err != nil {
		return errNow
	}
	from, err := d.path(n.ID)
	if err != nil {
		return errNow
	}
	to := path.Join(dir, n.Name)
	cond := providers.Cond{IfAbsent: true}
	if slot != nil {
		if cond, err = d.over(ctx, to, slot.Version, slot.Size, slot.RemoteTime); err != nil {
			return d.meetOr(ctx, n, to, err)
		}
	}
	if err := d.beginMove(n, string(cond.IfVersion)); err != nil {
		return err
	}
	var e providers.Entry
	d.rescue(ctx, n.Parent, n.Name)
	d.step("move")
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = mover.Move(ctx, from, to, cond)
		return err
	})
	switch {
	case errors.Is(err, providers.ErrUnsupported):
		return d.uprootNow(ctx, n)
	case errors.Is(err, fs.ErrNotExist):
		there, serr := d.statDir(ctx, from)
		if kind, _ := kindOf(there); serr == nil && kind == n.Kind { // it is the place to go to that is not there
			return d.parentGone(ctx, n, err)
		}
		return d.lostSource(ctx, n, from, to)
	case errors.Is(err, providers.ErrChanged), errors.Is(err, fs.ErrExist):
		if e, err = d.endMove(ctx, n, from, to, err); err != nil {
			return d.meetOr(ctx, n, to, err)
		}
	case err != nil:
		return d.meetOr(ctx, n, to, err)
	}
	d.step("move done")
	return d.complete(n.ID, nil, 0, n.Parent, n.Name, e)
}

// endMove ends a move that was broken off when the copy was made, on a remote that
// moves by copying. cause is its error if it was not.
func (d *Drive) endMove(ctx context.Context, n nodes.Node, from, to string, cause error) (e providers.Entry, err error) {
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = d.p.Stat(ctx, to)
		return err
	})
	if err != nil || !d.info.StrongVersion || n.Version == "" || !sameContent(&n, e) || e.Mode.IsDir() {
		return e, cause
	}
	err = d.health.put(ctx, func(ctx context.Context) error {
		return d.writer.Remove(ctx, from, providers.Cond{IfVersion: e.Version})
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, providers.ErrChanged) { // what is there now is new
		err = nil
	}
	return e, err
}

func (d *Drive) uprootNow(ctx context.Context, n nodes.Node) error {
	if n.Kind == nodes.Link {
		return d.relink(ctx, n)
	}
	err := d.uproot(ctx, n)
	if n.State&nodes.Staged == 0 && (changed(err) || errors.Is(err, fs.ErrNotExist)) {
		return d.renewMoved(ctx, n)
	}
	return orNow(err)
}

// renewMoved is called when the remote has something else, or nothing, where a file
// was that has another name here and the same bytes: the name is for what is there.
func (d *Drive) renewMoved(ctx context.Context, n nodes.Node) error {
	from, err := d.path(n.ID)
	if err != nil {
		return errNow
	}
	dir, err := d.path(n.Parent)
	if err != nil {
		return errNow
	}
	var e providers.Entry
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = d.p.Stat(ctx, from)
		return err
	})
	kind, _ := kindOf(e)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, providers.ErrNotDir), err == nil && kind != n.Kind:
		return d.lostSource(ctx, n, from, path.Join(dir, n.Name))
	case err != nil:
		return d.trouble(n, err)
	}
	if err := d.staged.dropFresh(n.ID); err != nil { // uproot may have begun one
		return err
	}
	err = d.update(func(tx *nodes.Tx) error {
		now, err := tx.Get(n.ID)
		if err != nil || !samePlace(&now, &n) || now.State&nodes.Staged != 0 || d.staged.has(n.ID) {
			return errNow
		}
		merge(&now, e, d.byContent(), d.o.Clock())
		tx.Put(now)
		if t, err := tx.Tomb(now.RParent, now.RName); err == nil && t.Node == n.ID {
			t.Version, t.Size, t.RemoteTime = now.Version, now.Size, now.RemoteTime
			tx.PutTomb(t)
		}
		return nil
	})
	return orNow(err)
}

// lostSource is called when the remote does not have what is to be moved: it was
// moved before a crash, or somebody took it away.
func (d *Drive) lostSource(ctx context.Context, n nodes.Node, from, to string) error {
	var e providers.Entry
	err := d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = d.p.Stat(ctx, to)
		return err
	})
	if err == nil && (sameContent(&n, e) || d.isCopy(n, e)) {
		return d.complete(n.ID, nil, 0, n.Parent, n.Name, e)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.trouble(n, err)
	}
	d.o.Logger.Warn("a file was removed on the remote before it could be moved there", "from", from, "to", to)
	err = d.update(func(tx *nodes.Tx) error {
		n, err := tx.Get(n.ID)
		if err != nil {
			return ignoreNotFound(err)
		}
		if n.State&(nodes.Staged|nodes.Created) != 0 || n.State&nodes.Moved == 0 {
			return errNow // there is something of our own in it now
		}
		tx.DeleteUpload(n.ID)
		tx.DeleteTomb(n.RParent, n.RName)
		if t, err := tx.Tomb(n.Parent, n.Name); err == nil && t.Node == 0 {
			tx.DeleteTomb(t.Dir, t.Name) // nothing replaces that
		}
		p, err := tx.Get(n.Parent)
		if err != nil {
			return ignoreNotFound(err)
		}
		id, cookie, err := tx.Child(p.ID, n.Name)
		if err != nil || id != n.ID {
			return ignoreNotFound(err)
		}
		p.ListRev, p.ListVersion, p.ListedAt = 0, "", time.Time{} // there may be something else in its place
		d.stamps.update(p.ID, func(s *stamp) { *s = stamp{} })
		moveDir(&p, d.o.Clock())
		tx.Put(p)
		tx.DeletePending(n.ID)
		return tx.Remove(p.ID, nodes.Entry{ID: n.ID, Cookie: cookie, Name: n.Name})
	})
	if err == nil {
		d.pub.notSent(n.ID) // what is there now is somebody else's
	}
	return err
}

// isCopy reports whether what is in n's place can only be what a move of n has made
// there: another version of the same size, as a copy may be, and not what was to
// be replaced.
func (d *Drive) isCopy(n nodes.Node, there providers.Entry) (yes bool) {
	err := d.update(func(tx *nodes.Tx) error {
		u, err := tx.Upload(n.ID)
		yes = err == nil && u.Moved == n.Version && u.Dir == n.Parent && u.Name == n.Name && string(there.Version) != u.Version
		return ignoreNotFound(err)
	})
	kind, _ := kindOf(there)
	return yes && err == nil && kind == n.Kind && there.Size == n.Size
}

// over is the condition under which a file that is known may be replaced or
// removed. Where the remote has no versions, it is looked at first.
func (d *Drive) over(ctx context.Context, at, version string, size int64, when time.Time) (providers.Cond, error) {
	if version != "" {
		return providers.Cond{IfVersion: providers.Version(version)}, nil
	}
	var e providers.Entry
	err := d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = d.p.Stat(ctx, at)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return providers.Cond{IfAbsent: true}, nil
	case err != nil:
		return providers.Cond{}, err
	case !sameContent(&nodes.Node{Kind: nodes.File, Size: size, RemoteTime: when}, e):
		return providers.Cond{}, fmt.Errorf("replace %q: %w", at, providers.ErrChanged)
	}
	return providers.Cond{IfVersion: e.Version}, nil
}

// trouble is err as the publisher takes it.
func (d *Drive) trouble(n nodes.Node, err error) error {
	return fmt.Errorf("publish %q: %w", n.Name, err)
}

// parks reports whether trying again by itself is of no use. fs.ErrInvalid is of
// names that the remote cannot hold.
func parks(err error) bool {
	for _, e := range []error{
		providers.ErrPermission, providers.ErrUnsupported, providers.ErrFull, providers.ErrTooLarge, ErrBaseGone, fs.ErrInvalid,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return refused(err)
}
