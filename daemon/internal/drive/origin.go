package drive

import (
	"container/list"
	"context"
	"errors"
	"io/fs"
	"path"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/providers"
)

// Where the remote's objects have ids, an object that it has renamed stays the
// node that it was. Two objects that are both there never become one: a node
// takes another name only if the remote does not have it at its own any more.

// maxVacant is how many objects that seem to have come from another directory
// are looked for there in one listing. Further ones count as new.
const maxVacant = 32

// maxWaiting is how many names of one listing wait for what becomes of the names
// that their objects had.
const maxWaiting = 8192

// origin finds or makes the node of a name that is new, without linking it. The
// node has no id if it is not known yet where the object comes from: then the
// entry is put again at the end of the listing.
func (a *applier) origin(e providers.Entry, kind nodes.Kind) (nodes.Node, error) {
	var n nodes.Node
	err := nodes.ErrNotFound
	if e.ID != "" {
		n, err = a.tx.ByRemoteID(e.ID)
	}
	if err != nil && !errors.Is(err, nodes.ErrNotFound) {
		return n, err
	}
	switch here := n.Parent == a.dir; {
	case err != nil, n.Kind != kind, n.ID == nodes.Root, a.d.changedHere(&n):
	case a.free[n.ID]:
		if ok, err := a.adopt(&n, e); ok || err != nil {
			return n, err
		}
	case !a.waits || len(a.waiting) >= maxWaiting:
	case here:
		if _, cookie, err := a.tx.Child(a.dir, n.Name); err == nil && !a.listed(cookie) && cookie < a.limit {
			a.waiting = append(a.waiting, e)
			return nodes.Node{}, nil
		}
	default:
		a.waiting = append(a.waiting, e)
		return nodes.Node{}, nil
	}
	if errors.Is(err, nodes.ErrNotFound) && e.ID != "" {
		if n, ok, err := a.revive(e, kind); ok || err != nil {
			return n, err
		}
	}
	id, err := a.tx.NewID()
	if err != nil {
		return nodes.Node{}, err
	}
	n = newNode(id, a.dir, e, kind, a.now)
	if err := a.tx.Identify(&n, e.ID); err != nil {
		return nodes.Node{}, err
	}
	a.tx.Put(n)
	return n, nil
}

// adopt takes a node from the name that it has, for the one of e. It reports
// whether it could.
func (a *applier) adopt(n *nodes.Node, e providers.Entry) (bool, error) {
	for id := a.dir; id != nodes.Root; {
		up, err := a.tx.Get(id)
		if err != nil || id == n.ID {
			return false, err // it holds this directory
		}
		id = up.Parent
	}
	_, cookie, err := a.tx.Child(n.Parent, n.Name)
	if err != nil {
		return false, err
	}
	from := applier{d: a.d, dir: n.Parent, now: a.now}
	if n.Parent == a.dir {
		from.n = a.n
	} else if err := from.begin(a.tx); err != nil {
		return false, err
	}
	a.tx.Unlink(n.Parent, nodes.Entry{ID: n.ID, Cookie: cookie, Name: n.Name})
	if n.Kind == nodes.Dir && from.n.Subdirs > 0 {
		from.n.Subdirs--
	}
	if n.Parent == a.dir {
		a.n, a.went = from.n, true
	} else {
		from.tx, from.moved = a.tx, true
		from.end()
	}
	delete(a.free, n.ID)
	n.Parent, n.Name, n.Ctime = a.dir, e.Name, later(n.Ctime, a.now)
	a.tx.Put(*n)
	return true, nil
}

// revive makes a node anew that was taken away a while ago.
func (a *applier) revive(e providers.Entry, kind nodes.Kind) (nodes.Node, bool, error) {
	n, ok := a.d.limbo.take(e.ID)
	if !ok || n.Kind != kind {
		return nodes.Node{}, false, nil
	}
	if _, err := a.tx.Get(n.ID); !errors.Is(err, nodes.ErrNotFound) {
		return nodes.Node{}, false, err // it has not gone
	}
	if cut, err := a.tx.CutOff(n.ID); cut || err != nil {
		return nodes.Node{}, false, err // what was in it is still going
	}
	n.Parent, n.Name, n.Ctime, n.RemoteID = a.dir, e.Name, later(n.Ctime, a.now), ""
	if kind == nodes.Dir {
		n.Subdirs, n.Hidden, n.Complete, n.Missed = 0, 0, false, false
		n.ListVersion, n.ListRev, n.ListedAt = "", 0, time.Time{}
		moveDir(&n, a.now)
	}
	err := a.tx.Identify(&n, e.ID)
	a.tx.Put(n)
	return n, true, err
}

// putWaiting puts the entries of a listing that waited for its end: names that
// were not listed are gone, and what had them may have others.
func (d *Drive) putWaiting(ctx context.Context, a *applier) error {
	a.waits = false
	asked := 0
	for _, e := range a.waiting {
		n, err := d.store.ByRemoteID(e.ID)
		switch {
		case errors.Is(err, nodes.ErrNotFound):
		case err != nil:
			return err
		case n.Parent == a.dir:
			_, cookie, err := d.store.Child(a.dir, n.Name)
			a.free[n.ID] = err == nil && !a.listed(cookie)
		case asked < maxVacant:
			asked++
			a.free[n.ID] = d.vanished(ctx, n)
		}
	}
	if len(a.waiting) == 0 {
		return nil
	}
	return d.applyPage(a, a.waiting, func() {})
}

// vacant is what a node needs to become the one of name e of a directory: see
// applier.free.
func (d *Drive) vacant(ctx context.Context, dir uint64, e providers.Entry) map[uint64]bool {
	if e.ID == "" {
		return nil
	}
	n, err := d.store.ByRemoteID(e.ID)
	if err != nil || (n.Parent == dir && n.Name == e.Name) || !d.vanished(ctx, n) {
		return nil
	}
	return map[uint64]bool{n.ID: true}
}

// vanished reports whether the remote says that it does not have a node at its
// name any more.
func (d *Drive) vanished(ctx context.Context, n nodes.Node) bool {
	dir, err := d.path(n.Parent)
	if err != nil || n.ID == nodes.Root {
		return false
	}
	var e providers.Entry
	err = d.health.call(ctx, true, func(ctx context.Context) (err error) {
		e, err = d.p.Stat(ctx, path.Join(dir, n.Name))
		return err
	})
	if err == nil {
		return e.ID != "" && e.ID != n.RemoteID
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, providers.ErrNotDir)
}

// limboLimit is how many nodes that were taken away are remembered.
const limboLimit = 1 << 14

// limbo are the nodes taken away last that have ids of the remote: an object
// that has moved may show at its new place after it has gone from the old one.
type limbo struct {
	lost *lostFiles // those that no object can turn out to be

	mu    sync.Mutex
	m     map[string]*list.Element // of nodes.Node
	order list.List
}

func newLimbo(lost *lostFiles) *limbo { return &limbo{lost: lost, m: map[string]*list.Element{}} }

func (s *limbo) add(n nodes.Node) {
	if n.RemoteID == "" {
		s.lost.add(&n)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.m[n.RemoteID]; ok {
		if was := e.Value.(nodes.Node); was.ID != n.ID {
			s.lost.add(&was)
		}
		e.Value = n
		s.order.MoveToFront(e)
		return
	}
	s.m[n.RemoteID] = s.order.PushFront(n)
	if s.order.Len() > limboLimit {
		was := s.order.Remove(s.order.Back()).(nodes.Node)
		delete(s.m, was.RemoteID)
		s.lost.add(&was)
	}
}

// take gives what was remembered of an id, once.
func (s *limbo) take(remoteID string) (nodes.Node, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[remoteID]
	if !ok {
		return nodes.Node{}, false
	}
	delete(s.m, remoteID)
	return s.order.Remove(e).(nodes.Node), true
}
