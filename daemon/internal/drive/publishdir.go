package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/providers"
)

// publishDir makes or moves a directory.
func (d *Drive) publishDir(ctx context.Context, n nodes.Node) error {
	if n.State&nodes.Created == 0 {
		if n.State&nodes.Moved != 0 {
			return d.publishMoveDir(ctx, n)
		}
		return d.update(func(tx *nodes.Tx) error {
			tx.DeletePending(n.ID)
			return nil
		})
	}
	dir, err := d.path(n.Parent)
	if err != nil {
		return errNow
	}
	at := path.Join(dir, n.Name)
	made := true
	if err := d.beginDir(n); err != nil {
		return err
	}
	d.step("mkdir")
	var e providers.Entry
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = d.writer.Mkdir(ctx, at)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		made = false
		e, err = d.statDir(ctx, at)
		if err == nil && !e.Mode.IsDir() {
			return d.conflict(ctx, n, e)
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, providers.ErrNotDir) {
		return d.parentGone(ctx, n, err)
	}
	if err != nil {
		return d.trouble(n, err)
	}
	d.step("mkdir done")
	return d.madeDir(n.ID, n.Parent, n.Name, e, made)
}

// makesDir is nodes.Upload.Moved of a directory that is made.
const makesDir = "+"

// beginDir notes that the remote may have a directory from now on.
func (d *Drive) beginDir(n nodes.Node) error {
	u := nodes.Upload{Dir: n.Parent, Name: n.Name, Moved: makesDir}
	return d.noteWay(n.ID, u, func(_ *nodes.Tx, now *nodes.Node) error {
		if !samePlace(now, &n) {
			return errNow
		}
		return nil
	})
}

// settleDir finds out whether a directory was made on the remote that is not here,
// or somewhere else here, by now.
func (d *Drive) settleDir(ctx context.Context, id uint64, u nodes.Upload) error {
	n, err := d.store.Get(id)
	if err != nil && !errors.Is(err, nodes.ErrNotFound) {
		return err
	}
	if err == nil {
		switch made := n.State&nodes.Created == 0; {
		case made:
			return d.endUpload(ctx, id, u)
		case n.Parent == u.Dir && n.Name == u.Name:
			return nil // it is made anew, to no effect if it is there
		}
	}
	dir, err := d.path(u.Dir)
	if err != nil {
		return d.endUpload(ctx, id, u)
	}
	e, err := d.statDir(ctx, path.Join(dir, u.Name))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, providers.ErrNotDir), err == nil && !e.Mode.IsDir():
		return d.notArrived(ctx, id, u, dir)
	case err != nil:
		return fmt.Errorf("find out whether %q was made: %w", u.Name, err)
	}
	return d.madeDir(id, u.Dir, u.Name, e, false)
}

// madeDir notes that the remote has the directory id at a name of parent. empty says
// that nothing is in it there.
func (d *Drive) madeDir(id, parent uint64, name string, e providers.Entry, empty bool) error {
	err := d.updateAnd(func(tx *nodes.Tx, after func(taskKey, quiet)) error {
		tx.DeleteUpload(id)
		d.turns.turn(parent, name)
		now, err := tx.Get(id)
		if errors.Is(err, nodes.ErrNotFound) || err == nil && (now.Parent != parent || now.Name != name) {
			// It was removed or moved here while it was made there.
			t := nodes.Tomb{Dir: parent, Name: name, Kind: nodes.Dir, Since: d.o.Clock()}
			if err == nil {
				if now.State&nodes.Created == 0 {
					return nil // a listing has told that it is there, before it was moved
				}
				t.Node = id
				now.State = now.State&^nodes.Created | nodes.Moved
				now.RParent, now.RName = parent, name
				tx.Put(now)
			}
			tx.PutTomb(t)
			after(tombTask(t.Dir, t.Name), quietNow)
			return nil
		}
		if err != nil {
			return err
		}
		known := empty && !now.ListedAt.IsZero()
		now.State &^= nodes.Created
		now.Version, now.RemoteTime, now.ListedAt, now.ListRev, now.ListVersion = string(e.Version), e.ModTime, time.Time{}, 0, ""
		d.stamps.update(id, func(s *stamp) { s.listAt, s.listRev = time.Time{}, 0 })
		if known {
			now.ListedAt = d.o.Clock()
			d.stamps.update(id, func(s *stamp) { s.listAt, s.listRev = d.now() })
		}
		tx.Put(now)
		tx.DeletePending(id)
		return nil
	})
	if err == nil {
		d.pub.notSent(id)
	}
	return err
}
