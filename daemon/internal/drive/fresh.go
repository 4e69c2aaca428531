package drive

import (
	"context"
	"errors"
	"fmt"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// maxLookups is how many names of a directory are asked for one by one before
// the directory is listed.
const maxLookups = 3

// await waits for work that renews something. If there is something older to
// fall back on it waits less, and trouble with the remote is no error.
func (d *Drive) await(ctx context.Context, older bool, work func(context.Context) error) error {
	if !older {
		return work(ctx)
	}
	short, cancel := context.WithTimeout(ctx, d.o.Patience)
	defer cancel()
	if err := work(short); err != nil && !d.unavailable(err) {
		return err
	}
	return nil
}

// confirmed reports whether a confirmation still counts.
func (d *Drive) confirmed(st stamp, list bool) bool {
	at, rev := st.attrAt, st.attrRev
	if list {
		at, rev = st.listAt, st.listRev
	}
	if cur := d.currentRev(); cur != 0 {
		return rev == cur
	}
	return !at.IsZero() && d.o.Clock().Sub(at) < d.o.TTL
}

// listed reports whether the listing of a directory is known to be right.
func (d *Drive) listed(n *nodes.Node) bool {
	if !n.Complete {
		return false
	}
	if n.State&nodes.Created != 0 {
		return true
	}
	cur := d.currentRev()
	return d.confirmed(d.stamps.get(n.ID), true) || (cur != 0 && n.ListRev == cur)
}

// described reports whether the attributes of a node are known to be right.
func (d *Drive) described(n *nodes.Node) bool {
	if d.changedHere(n) {
		return true
	}
	if d.confirmed(d.stamps.get(n.ID), false) {
		return true
	}
	parent, err := d.store.Get(n.Parent)
	return n.ID != nodes.Root && err == nil && d.listed(&parent)
}

// attributes makes sure that the attributes of id are right, as far as the
// remote can be asked.
func (d *Drive) attributes(ctx context.Context, id uint64) (nodes.Node, error) {
	n, err := d.node(id)
	if err != nil || !d.health.online() || d.described(&n) {
		return n, err
	}
	if id == nodes.Root {
		err = d.await(ctx, true, d.statRoot)
	} else {
		err = d.name(ctx, n.Parent, n.Name, true)
	}
	if err != nil {
		return n, err
	}
	return d.node(id)
}

// listing makes sure that the listing of dir is right, or at least there.
func (d *Drive) listing(ctx context.Context, dir uint64) (nodes.Node, error) {
	n, err := d.node(dir)
	if err != nil || d.listed(&n) || (n.Complete && !d.health.online()) {
		return n, err
	}
	if d.info.TreeVersion {
		at, rev := d.now()
		if n, err = d.attributes(ctx, dir); err != nil {
			return n, err
		}
		right := d.described(&n)
		if right && n.Complete && n.Version != "" && n.Version == n.ListVersion {
			d.stamps.update(dir, func(s *stamp) { s.listAt, s.listRev = at, rev })
			return n, nil
		}
		if d.listed(&n) || (n.Complete && !right) {
			return n, nil
		}
	}
	err = d.await(ctx, n.Complete, func(ctx context.Context) error { return d.list(ctx, dir) })
	if err != nil {
		return n, err
	}
	return d.node(dir)
}

// name makes sure that one name of a directory, whose listing is not known to
// be right, is. older says that the name has a node already.
func (d *Drive) name(ctx context.Context, dir uint64, name string, older bool) error {
	st := d.stamps.update(dir, func(s *stamp) { s.lookups++ })
	if d.info.TreeVersion || st.lookups >= maxLookups {
		_, err := d.listing(ctx, dir)
		switch {
		case err == nil, older && d.unavailable(err):
			return nil
		case !errors.Is(err, providers.ErrPermission) && !errors.Is(err, providers.ErrUnsupported):
			return err
		}
		// What cannot be listed may still be known by name.
	}
	return d.await(ctx, older, func(ctx context.Context) error { return d.stat(ctx, dir, name) })
}

// child finds the node of a name.
func (d *Drive) child(ctx context.Context, dir uint64, name string) (nodes.Node, error) {
	parent, err := d.node(dir)
	if err != nil {
		return nodes.Node{}, err
	}
	known := func() (nodes.Node, error) {
		id, _, err := d.store.Child(dir, name)
		if err == nil {
			var n nodes.Node
			if n, err = d.node(id); err == nil {
				return n, nil
			}
		}
		if errors.Is(err, nodes.ErrNotFound) {
			err = fmt.Errorf("%w: %q", nfs.ErrNoEnt, name)
		}
		return nodes.Node{}, err
	}
	n, err := known()
	if d.listed(&parent) || err == nil && d.changedHere(&n) {
		return n, err
	}
	if _, terr := d.store.Tomb(dir, name); terr == nil && errors.Is(err, nfs.ErrNoEnt) {
		return n, err // it was taken away here
	}
	switch {
	case err == nil && (!d.health.online() || d.confirmed(d.stamps.get(n.ID), false)):
		return n, nil
	case err != nil && !errors.Is(err, nfs.ErrNoEnt):
		return n, err
	}
	// A whole listing, even an old one, is something to fall back on, also to
	// say that a name is not there.
	if err := d.name(ctx, dir, name, err == nil || parent.Complete); err != nil {
		return nodes.Node{}, err
	}
	return known()
}

// postpone keeps a newer state of a file until it is not being read any more.
// An entry without a name drops what was kept.
func (d *Drive) postpone(id uint64, e providers.Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.Name == "" {
		delete(d.deferred, id)
		return
	}
	d.deferred[id] = e
}

// catchUp brings a file to the state that was put off, once nobody is in the
// midst of reading it or if force says so.
func (d *Drive) catchUp(id uint64, force bool) error {
	d.mu.Lock()
	e, ok := d.deferred[id]
	d.mu.Unlock()
	if !ok || (!force && d.streams.active(id, d.o.Clock())) {
		return nil
	}
	return d.update(func(tx *nodes.Tx) error {
		n, err := tx.Get(id)
		if err != nil {
			if errors.Is(err, nodes.ErrNotFound) {
				return nil
			}
			return err
		}
		d.postpone(id, providers.Entry{})
		if merge(&n, e, d.byContent(), d.o.Clock()) {
			tx.Put(n)
		}
		return nil
	})
}
