package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
)

// asideName is where a node waits on the remote for its place.
func asideName(id uint64) string { return fmt.Sprintf(".moorage-%x", id) }

// stepAside moves o on the remote to a name that nothing else has.
func (d *Drive) stepAside(ctx context.Context, o nodes.Node) error {
	from, err := d.path(o.ID)
	if err != nil {
		return errNow
	}
	if err := d.beginAside(o); err != nil {
		return err
	}
	aside := path.Join(path.Dir(from), asideName(o.ID))
	err = d.moveTree(ctx, branch{id: o.ID, from: from, to: aside, kind: o.Kind})
	if errors.Is(err, fs.ErrNotExist) {
		_, err = d.statDir(ctx, aside) // an answer may have been lost
	}
	if err != nil {
		return d.trouble(o, err)
	}
	if err := d.isAside(o); err != nil {
		return err
	}
	return errNow
}

// beginAside notes that o steps aside: until it has done so, what is in either
// place is of o, and no news.
func (d *Drive) beginAside(o nodes.Node) error {
	dir, _, ok := place(&o)
	if !ok || o.Kind != nodes.Dir && o.Version == "" {
		return nil
	}
	u := nodes.Upload{Dir: dir, Name: asideName(o.ID), Size: o.Size, Moved: o.Version}
	if o.Kind == nodes.Dir {
		u = nodes.Upload{Dir: dir, Name: asideName(o.ID), Moved: movesTree}
	}
	err := d.update(func(tx *nodes.Tx) error {
		now, err := tx.Get(o.ID)
		if err != nil || !samePlace(&now, &o) {
			return errNow
		}
		if was, err := tx.Upload(o.ID); err == nil && was.Moved == movesTree && (was.Dir != u.Dir || was.Name != u.Name) {
			d.pub.hurry(nodeTask(o.ID)) // it is on its way elsewhere
			return errHeld
		}
		tx.PutUpload(o.ID, u)
		return nil
	})
	if err == nil {
		d.pub.noteSent(o.ID, u)
	}
	return err
}

// isAside notes that o has stepped aside.
func (d *Drive) isAside(o nodes.Node) error {
	var then []taskKey
	err := d.update(func(tx *nodes.Tx) error {
		n, err := tx.Get(o.ID)
		if err != nil {
			return ignoreNotFound(err)
		}
		dir, name, ok := place(&n)
		if !ok || dir != o.RParent || name != o.RName {
			return errNow
		}
		t, err := tx.Tomb(dir, name)
		if err != nil {
			return ignoreNotFound(err)
		}
		tx.DeleteTomb(dir, name)
		d.turns.turn(dir, name)
		t.Name = asideName(n.ID)
		tx.PutTomb(t)
		if n.State&nodes.Gone != 0 { // it was removed here meanwhile
			then = append(then, tombTask(t.Dir, t.Name))
		}
		n.RName = t.Name
		tx.Put(n)
		tx.DeleteUpload(n.ID)
		return nil
	})
	d.pub.stored(err, quietNow, then...)
	if err == nil {
		d.pub.notSent(o.ID)
	}
	return err
}
