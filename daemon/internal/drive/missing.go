package drive

import (
	"container/list"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
)

// How absent names are remembered.
const (
	missingTTL   = 5 * time.Second // where the remote cannot be probed
	missingLimit = 8192            // names
)

// missing are the names that the remote was asked for last and does not have.
type missing struct {
	mu    sync.Mutex
	m     map[missingName]*list.Element // of *miss
	order list.List
}

type missingName struct {
	dir  uint64
	name string
}

type miss struct {
	missingName
	at  time.Time // before the remote was asked, as is rev
	rev uint64
}

func newMissing() *missing { return &missing{m: map[missingName]*list.Element{}} }

// add remembers a name.
func (s *missing) add(dir uint64, name string, at time.Time, rev uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &miss{missingName{dir, name}, at, rev}
	if e, ok := s.m[m.missingName]; ok {
		e.Value = m
		s.order.MoveToFront(e)
		return
	}
	s.m[m.missingName] = s.order.PushFront(m)
	if s.order.Len() > missingLimit {
		delete(s.m, s.order.Remove(s.order.Back()).(*miss).missingName)
	}
}

func (s *missing) get(dir uint64, name string) (miss, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.m[missingName{dir, name}]; ok {
		return *e.Value.(*miss), true
	}
	return miss{}, false
}

func (s *missing) forget(dir uint64, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.m[missingName{dir, name}]; ok {
		s.order.Remove(e)
		delete(s.m, missingName{dir, name})
	}
}

// forgetMissing makes the remote be asked for a name the next time. Whatever
// makes a name calls it.
func (d *Drive) forgetMissing(dir uint64, name string) { d.missing.forget(dir, name) }

// absent reports whether the remote said a moment ago that it does not have a
// name.
func (d *Drive) absent(dir uint64, name string) bool {
	m, ok := d.missing.get(dir, name)
	return ok && d.counts(m.at, m.rev, missingTTL)
}

// missed notes that a client was told that a name of a directory is not there.
func (d *Drive) missed(dir uint64) {
	now, rev := d.now()
	d.stamps.update(dir, func(s *stamp) {
		if s.missAt = now; s.missFrom.IsZero() {
			s.missFrom, s.missRev = now, rev
		}
	})
}

// missGrace is how long the answer that a name is absent may be under way.
const missGrace = 10 * time.Second

// dropMisses makes clients ask anew for names of a directory that were absent,
// once the time has come: they believe in the absence until the directory's
// times move. A directory that has a listing does not need it, since there new
// names move the times.
func (d *Drive) dropMisses(was nodes.Node) (n nodes.Node, err error) {
	n = was
	st := d.stamps.get(n.ID)
	if d.lists.get(n.ID) != nil || (!st.missFrom.IsZero() && d.counts(st.missFrom, st.missRev, missingTTL)) {
		return n, nil
	}
	now, rev := d.now()
	err = d.update(func(tx *nodes.Tx) error {
		var err error
		if n, err = tx.Get(was.ID); err != nil || n.Complete || !n.Missed {
			return err
		}
		n.Mtime, n.Ctime = n.Mtime.Add(step), later(n.Ctime, now)
		d.stamps.update(n.ID, func(s *stamp) {
			if now.Sub(s.missAt) < missGrace {
				s.missFrom, s.missRev = now, rev // the answer may come after this
				return
			}
			s.missFrom, n.Missed = time.Time{}, false
		})
		tx.Put(n)
		return nil
	})
	if errors.Is(err, nodes.ErrNotFound) {
		return n, fmt.Errorf("%w: id %d", nfs.ErrStale, was.ID)
	}
	if err != nil {
		return was, nil // what is known is served; the status tells of the trouble
	}
	return n, nil
}
