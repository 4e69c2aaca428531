package drive

import (
	"errors"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/providers"
)

// changedHere reports whether what the remote says of a node's place does not
// tell what the node is: it is not there yet, it is there as something older,
// or it is elsewhere.
func (d *Drive) changedHere(n *nodes.Node) bool {
	if n.State&(nodes.Created|nodes.Staged|nodes.Moved|nodes.Gone) != 0 {
		return true
	}
	return n.Kind == nodes.File && d.staged.has(n.ID)
}

// masked reports whether an entry of the remote was taken away here, so that it
// is not shown. What was changed on the remote since is: an edit beats a
// removal.
func (a *applier) masked(e providers.Entry, kind nodes.Kind) (bool, error) {
	if some, err := a.tx.HasTombs(); !some {
		return false, err
	}
	t, err := a.tx.Tomb(a.dir, e.Name)
	if errors.Is(err, nodes.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if t.Node != 0 || t.Kind == kind && sameAsTomb(&t, e) {
		return true, nil
	}
	if _, _, err := a.tx.Child(a.dir, e.Name); !errors.Is(err, nodes.ErrNotFound) {
		return true, err // what is here meets it when it is published
	}
	a.tx.DeleteTomb(a.dir, e.Name)
	return false, nil
}

// sameAsTomb reports whether an entry is what was taken away.
func sameAsTomb(t *nodes.Tomb, e providers.Entry) bool {
	n := nodes.Node{Kind: t.Kind, Version: t.Version, Size: t.Size, RemoteTime: t.RemoteTime}
	return sameContent(&n, e)
}

// meet is called when the remote lists something in the place of a node that
// was changed here. The publisher finds out what becomes of both; a directory
// is the same directory.
func (d *Drive) meet(tx *nodes.Tx, n nodes.Node, e providers.Entry) error {
	if n.Kind == nodes.Dir && e.Mode.IsDir() && n.State&(nodes.Created|nodes.Moved|nodes.Local) == nodes.Created {
		n.State &^= nodes.Created
		d.turns.turn(n.Parent, n.Name)
		n.Complete, n.Missed = false, true // the remote's names are not known, and clients believe in those here
		tx.Put(n)
		tx.DeletePending(n.ID)
	}
	return nil
}

// keep reports whether a node stays although the remote does not have it any
// more: because of what was changed here, in it or below it. A directory is
// then to be made anew.
func (d *Drive) keep(tx *nodes.Tx, n nodes.Node) (bool, error) {
	if d.changedHere(&n) {
		return true, nil
	}
	if _, err := tx.Upload(n.ID); !errors.Is(err, nodes.ErrNotFound) {
		return err == nil, err // it was renamed and back: it may be on the remote where it was to go
	}
	// While a directory above is on its way, nothing that the remote says of what
	// is in it tells where that is.
	for id, i := n.Parent, 0; id != nodes.Root; i++ {
		up, err := tx.Get(id)
		if err != nil || i == maxDepth {
			return false, err
		}
		if up.State&(nodes.Created|nodes.Moved|nodes.Gone) != 0 {
			return true, nil
		}
		id = up.Parent
	}
	if n.Kind != nodes.Dir {
		return false, nil
	}
	below, err := tx.PendingBelow(n.ID)
	if !below || err != nil {
		return false, err
	}
	remake(&n)
	tx.Put(n)
	if err := d.pend(tx, n.ID); err != nil {
		return true, err
	}
	d.pub.touch(nodeTask(n.ID), quietCommit)
	return true, nil
}

// remake notes that a node is to be made anew on the remote. If it is a directory, what
// was in it there is gone too.
func remake(n *nodes.Node) {
	n.State |= nodes.Created
	n.ListRev, n.ListVersion, n.ListedAt = 0, "", time.Time{}
}

// isLocal reports whether a node stays on this computer, because of its name or
// that of a directory above it.
func (d *Drive) isLocal(n nodes.Node) (bool, error) {
	for i := 0; i < maxDepth; i++ {
		if n.State&nodes.Local != 0 {
			return true, nil
		}
		if n.ID == nodes.Root {
			return false, nil
		}
		var err error
		if n, err = d.store.Get(n.Parent); err != nil {
			return false, err
		}
	}
	return false, nodes.ErrCorrupt
}

// byContent reports whether the times of a file move with its content alone:
// where every revision has a time of its own, and where versions tell for sure
// that nothing has changed.
func (d *Drive) byContent() bool { return d.info.TreeVersion || d.info.StrongVersion }

// renewed brings a node to what the remote says and reports whether anything is
// different, see merge. The times of a directory that is changed here move with
// its names alone: the remote's move when changes from here arrive there.
func (d *Drive) renewed(n *nodes.Node, e providers.Entry, now time.Time) bool {
	was := *n
	same := sameContent(n, e)
	merge(n, e, d.byContent(), now)
	if d.info.TreeVersion && !same && !n.Mtime.After(was.Mtime) {
		// An earlier revision is shown now. As in a checkout, what is built from a file
		// that is another one has to be built again.
		n.Mtime = later(was.Mtime, now)
	}
	if n.Kind == nodes.Dir && d.writer != nil {
		n.Mtime, n.Ctime = was.Mtime, was.Ctime
	}
	return *n != was
}
