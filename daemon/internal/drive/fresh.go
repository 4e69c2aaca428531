package drive

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	short, cancel := context.WithTimeout(patience(ctx, d.o.Patience), d.o.Patience)
	defer cancel()
	if err := work(short); err != nil && !d.unavailable(err) {
		return err
	}
	return nil
}

// A listing that took long counts for stretch times as long, if that is more than
// the TTL, so that a huge folder is not listed all the time; maxStretch at most.
const (
	stretch    = 10
	maxStretch = 5 * time.Minute
)

// countsFrom is since when a listing counts that began at began and ends now: as
// if it had been made in a moment, later than it was if it took long.
func (d *Drive) countsFrom(began time.Time) time.Time {
	now := d.o.Clock()
	from := now.Add(min(stretch*now.Sub(began), maxStretch) - d.o.TTL)
	if from.Before(began) {
		return began
	}
	return from
}

// counts reports whether what the remote said at that time and revision still
// counts, where only time can tell for ttl. A time far ahead shows that the
// clock was set back.
func (d *Drive) counts(at time.Time, rev uint64, ttl time.Duration) bool {
	if cur := d.currentRev(); cur != 0 {
		return rev == cur
	}
	age := d.o.Clock().Sub(at)
	return !at.IsZero() && age < ttl && age >= -maxStretch
}

// confirmed reports whether the attributes of a node were confirmed by
// themselves, and still count.
func (d *Drive) confirmed(id uint64) bool {
	st := d.stamps.get(id)
	return d.counts(st.attrAt, st.attrRev, d.o.TTL)
}

// listed reports whether the listing of a directory is known to be right.
func (d *Drive) listed(n *nodes.Node) bool {
	if !n.Complete {
		return false
	}
	if n.State&nodes.Created != 0 {
		return true
	}
	st := d.stamps.get(n.ID)
	return d.counts(st.listAt, st.listRev, d.o.TTL) || d.counts(n.ListedAt, n.ListRev, d.o.TTL)
}

// described reports whether the attributes of a node are known to be right.
func (d *Drive) described(n *nodes.Node) bool {
	if d.changedHere(n) {
		return true
	}
	if d.confirmed(n.ID) {
		return true
	}
	if n.ID == nodes.Root {
		return false
	}
	parent, err := d.store.Get(n.Parent)
	return err == nil && d.listed(&parent) || d.arrived(n.Parent, n.Name)
}

// arrived reports whether a name of a directory that is being listed is among
// those that the listing has given so far.
func (d *Drive) arrived(dir uint64, name string) bool {
	l := d.lists.get(dir)
	if l == nil {
		return false
	}
	_, cookie, err := d.store.Child(dir, name)
	return err == nil && l.has(cookie, d.currentRev())
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

// current brings a directory, whose attributes are right, to the times that show
// whether names came or went.
func (d *Drive) current(ctx context.Context, n nodes.Node) (nodes.Node, error) {
	switch {
	case n.Complete:
		l, err := d.listing(ctx, n.ID, nil)
		if err == nil || errors.Is(err, nfs.ErrStale) {
			return l, err
		}
	case n.Missed:
		return d.dropMisses(n)
	}
	return n, nil
}

// listing makes sure that the listing of dir is right, or at least there. It does
// not wait for its end once enough says so; nil never does.
func (d *Drive) listing(ctx context.Context, dir uint64, enough func(progress) bool) (nodes.Node, error) {
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
	err = d.await(ctx, n.Complete, func(ctx context.Context) error {
		l, err := d.beginList(ctx, dir)
		if err != nil {
			return err
		}
		return l.wait(ctx, enough)
	})
	if err != nil {
		return n, err
	}
	return d.node(dir)
}

// name makes sure that one name of a directory, whose listing is not known to
// be right, is. older says that there is something to fall back on.
func (d *Drive) name(ctx context.Context, dir uint64, name string, older bool) error {
	st := d.stamps.update(dir, func(s *stamp) { s.lookups++ })
	byListing := d.info.TreeVersion || st.lookups >= maxLookups || d.lists.get(dir) != nil
	return d.await(ctx, older, func(ctx context.Context) error {
		if byListing {
			n, err := d.listing(ctx, dir, func(p progress) bool {
				// To ask for one name takes less time than the rest of a long listing.
				return p.pages > 0 || d.arrived(dir, name)
			})
			switch {
			case err == nil && (d.listed(&n) || d.arrived(dir, name)):
				return nil
			case err == nil && ctx.Err() != nil:
				return ctx.Err()
			case err != nil && !errors.Is(err, providers.ErrPermission) && !errors.Is(err, providers.ErrUnsupported):
				return err
			}
			// What cannot be listed may still be known by name.
		}
		return d.stat(ctx, dir, name)
	})
}

// child finds the node of a name.
func (d *Drive) child(ctx context.Context, dir uint64, name string) (nodes.Node, error) {
	n, err := d.childOf(ctx, dir, name)
	if errors.Is(err, nfs.ErrNoEnt) {
		d.missed(dir)
	}
	return n, err
}

func (d *Drive) childOf(ctx context.Context, dir uint64, name string) (nodes.Node, error) {
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
	case err == nil && (!d.health.online() || d.confirmed(n.ID) || d.arrived(dir, name)):
		return n, nil
	case err != nil && !errors.Is(err, nfs.ErrNoEnt):
		return n, err
	case err != nil && parent.Missed && d.absent(dir, name):
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
		if d.renewed(&n, e, d.o.Clock()) {
			tx.Put(n)
		}
		return nil
	})
}
