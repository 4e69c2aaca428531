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

// stepAside moves o on the remote into dir, to a name that nothing else has.
func (d *Drive) stepAside(ctx context.Context, o nodes.Node, dir uint64) error {
	from, err := d.path(o.ID)
	if err != nil {
		return errNow
	}
	to, err := d.path(dir)
	if err != nil {
		return errNow
	}
	if err := d.beginAside(o, dir); err != nil {
		return err
	}
	aside := path.Join(to, asideName(o.ID))
	err = d.moveTree(ctx, branch{id: o.ID, from: from, to: aside, kind: o.Kind})
	if errors.Is(err, fs.ErrNotExist) {
		_, err = d.statDir(ctx, aside) // an answer may have been lost
	}
	if err != nil {
		return d.trouble(o, err)
	}
	if err := d.isAside(o, dir); err != nil {
		return err
	}
	return errNow
}

// beginAside notes that o steps aside into a directory: until it has done so, what
// is in either place is of o, and no news.
func (d *Drive) beginAside(o nodes.Node, dir uint64) error {
	if _, _, ok := place(&o); !ok {
		return nil
	}
	u := nodes.Upload{Dir: dir, Name: asideName(o.ID), Size: o.Size, Moved: o.Version}
	switch {
	case o.Kind == nodes.Dir:
		u = nodes.Upload{Dir: dir, Name: asideName(o.ID), Moved: movesTree}
	case o.Version == "":
		d.pub.noteSent(o.ID, u)
		return nil
	}
	return d.noteWay(o.ID, u, func(tx *nodes.Tx, now *nodes.Node) error {
		if !samePlace(now, &o) {
			return errNow
		}
		if was, err := tx.Upload(o.ID); err == nil && was.Moved == movesTree && (was.Dir != u.Dir || was.Name != u.Name) {
			d.pub.hurry(nodeTask(o.ID)) // it is on its way elsewhere
			return heldBy(nodeTask(o.ID))
		}
		return nil
	})
}

// asideIn gives the directory in which o has stepped aside, if it has and nobody
// has noted that: the one that it was in, or if that is removed here, one above.
func (d *Drive) asideIn(ctx context.Context, o nodes.Node) (dir uint64, ok bool) {
	for dir = o.RParent; ; {
		if at, err := d.path(dir); err == nil && o.RName != asideName(o.ID) {
			if _, err := d.statDir(ctx, path.Join(at, asideName(o.ID))); err == nil {
				return dir, true
			}
		}
		n, err := d.store.Get(dir)
		if err != nil || n.State&nodes.Gone == 0 {
			return 0, false
		}
		dir = n.RParent
	}
}

// isAside notes that o has stepped aside into a directory.
func (d *Drive) isAside(o nodes.Node, into uint64) error {
	err := d.updateAnd(func(tx *nodes.Tx, after func(taskKey, quiet)) error {
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
		t.Dir, t.Name = into, asideName(n.ID)
		tx.PutTomb(t)
		if n.State&nodes.Gone != 0 { // it was removed here meanwhile
			after(tombTask(t.Dir, t.Name), quietNow)
		}
		n.RParent, n.RName = t.Dir, t.Name
		tx.Put(n)
		tx.DeleteUpload(n.ID)
		return nil
	})
	if err == nil {
		d.pub.notSent(o.ID)
	}
	return err
}

// maxWaits bounds how many nodes are looked at to find out what one waits for.
const maxWaits = 1024

// waitsFor reports whether o waits, through any number of others, for node id: for
// what the remote has in its place, for a directory above it that is not in its own
// place, or for what is in a removed directory.
func (d *Drive) waitsFor(o nodes.Node, id uint64) (bool, error) {
	seen := map[uint64]bool{0: true}
	for todo := []uint64{o.ID}; len(todo) > 0 && len(seen) < maxWaits; {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if next == id {
			return true, nil
		}
		if seen[next] {
			continue
		}
		seen[next] = true
		n, err := d.store.Get(next)
		if errors.Is(err, nodes.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		if n.Kind == nodes.Dir && n.State&nodes.Gone != 0 {
			err := d.store.Tombs(n.ID, func(t nodes.Tomb) bool {
				todo = append(todo, t.Node)
				return true
			})
			if err != nil {
				return false, err
			}
			continue
		}
		t, err := d.store.Tomb(n.Parent, n.Name)
		if err == nil {
			todo = append(todo, t.Node)
		} else if !errors.Is(err, nodes.ErrNotFound) {
			return false, err
		}
		for up, i := n.Parent, 0; up != nodes.Root && i < maxDepth; i++ {
			p, err := d.store.Get(up)
			if err != nil {
				break
			}
			if p.State&(nodes.Created|nodes.Moved) != 0 {
				todo = append(todo, up)
			}
			up = p.Parent
		}
	}
	return false, nil
}
