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

// isAside notes that o has stepped aside.
func (d *Drive) isAside(o nodes.Node) error {
	return d.update(func(tx *nodes.Tx) error {
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
			d.pub.touch(tombTask(t.Dir, t.Name), quietNow)
		}
		n.RName = t.Name
		tx.Put(n)
		return nil
	})
}
