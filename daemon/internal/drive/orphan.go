package drive

import (
	"context"
	"errors"
	"path"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
)

// errSourceGone means that the directory that a node is to be moved out of was taken away
// on the remote, and the node there with it.
var errSourceGone = errors.New("the folder that it was in is gone")

// withoutSource is called for errSourceGone. What has bytes of this computer's own
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
