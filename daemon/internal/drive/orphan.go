package drive

import (
	"context"
	"errors"
	"path"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
)

// sourceGone reports whether the directory that n is to be moved out of was taken away
// on the remote, and n there with it.
func (d *Drive) sourceGone(n nodes.Node) (bool, error) {
	if n.State&nodes.Moved == 0 {
		return false, nil
	}
	for id, i := n.RParent, 0; id != nodes.Root; i++ {
		up, err := d.store.Get(id)
		if errors.Is(err, nodes.ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if i == maxDepth {
			return false, nodes.ErrCorrupt
		}
		rdir, _, ok := place(&up)
		if !ok {
			rdir = up.Parent
		}
		id = rdir
	}
	return false, nil
}

// withoutSource is called when sourceGone says so. What has bytes of this computer's own
// in it is made anew, as is a directory; the rest is gone, unless it had arrived.
func (d *Drive) withoutSource(ctx context.Context, n nodes.Node) error {
	if n.Kind == nodes.Dir {
		return d.parentGoneFor(n)
	}
	if n.State&nodes.Staged == 0 {
		dir, err := d.path(n.Parent)
		if err != nil {
			return errNow
		}
		return orNow(d.lostSource(ctx, n, n.RName, path.Join(dir, n.Name)))
	}
	err := d.localise(ctx, n.ID, false)
	if errors.Is(err, nfs.ErrStale) { // there is no way to where it was
		return d.baseGone(ctx, n, err)
	}
	if err != nil {
		return d.baseTrouble(ctx, n, err)
	}
	err = d.update(func(tx *nodes.Tx) error {
		now, err := tx.Get(n.ID)
		if err != nil || !samePlace(&now, &n) {
			return errNow
		}
		tx.DeleteTomb(n.RParent, n.RName)
		now.State &^= nodes.Moved
		now.RParent, now.RName, now.Version = 0, "", ""
		remake(&now)
		tx.Put(now)
		return nil
	})
	return orNow(err)
}
