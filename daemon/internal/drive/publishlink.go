package drive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/providers"
)

// publishLink makes a symbolic link.
func (d *Drive) publishLink(ctx context.Context, n nodes.Node) error {
	maker, ok := d.p.(providers.Symlinker)
	if !ok {
		return fmt.Errorf("%w: symbolic links", providers.ErrUnsupported)
	}
	target, err := d.targetHere(n.ID)
	if err != nil {
		return err
	}
	dir, err := d.path(n.Parent)
	if err != nil {
		return errNow
	}
	at := path.Join(dir, n.Name) // where n is by now may be elsewhere
	u := nodes.Upload{Dir: n.Parent, Name: n.Name, Size: int64(len(target)), Sum: sha256.Sum256([]byte(target))}
	if err := d.beginUpload(ctx, n.ID, &u); err != nil {
		return err
	}
	var e providers.Entry
	d.step("symlink")
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = maker.Symlink(ctx, at, target)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return d.meetAt(ctx, n, at)
	}
	if err != nil {
		return d.meetOr(ctx, n, at, err)
	}
	d.step("symlink done")
	return d.complete(n.ID, nil, 0, n.Parent, n.Name, e)
}

// relink makes a link that cannot be moved on the remote one that is new.
func (d *Drive) relink(ctx context.Context, n nodes.Node) error {
	target, err := d.target(ctx, n)
	if err != nil {
		return err
	}
	err = d.updateAnd(func(tx *nodes.Tx, after func(taskKey, quiet)) error {
		n, err := tx.Get(n.ID)
		if err != nil {
			return ignoreNotFound(err)
		}
		if n.State&nodes.Moved != 0 {
			t := nodes.Tomb{Dir: n.RParent, Name: n.RName, Kind: n.Kind, Version: n.Version, Size: n.Size, RemoteTime: n.RemoteTime, Since: d.o.Clock()}
			tx.PutTomb(t)
			after(tombTask(t.Dir, t.Name), quietNow)
		}
		n.State = n.State&^nodes.Moved | nodes.Created
		n.RParent, n.RName, n.Version = 0, "", ""
		tx.PutRegion(n.ID, targetRegion, []byte(target))
		tx.Put(n)
		return nil
	})
	return orNow(err)
}
