package git

import (
	"context"
	"time"

	"github.com/moorage/moorage/providers/git/internal/object"
)

// Without history nobody knows when a file was last changed, so that all have
// the time of the commit. But what a move of the branch left alone must not look
// changed: programs would read and build it again. So the revisions shown before
// are remembered, and an object has the time of the first of them since which it
// is the same.

// era is a revision that was shown.
type era struct {
	top  object.ID
	time time.Time
}

// maxEras are remembered: the first, and the last of the others. What was last
// changed by one that is forgotten gets a later time, once.
const maxEras = 32

// follow says that s is shown after old, which may be nil.
func (s *snapshot) follow(old *snapshot) {
	switch {
	case old == nil || old.subdir != s.subdir:
	case old.version() == s.version():
		s.eras = old.eras // the same by another name
	default:
		s.eras = append(append([]era(nil), old.eras...), era{old.top, old.time})
		if len(s.eras) > maxEras {
			s.eras = append(s.eras[:1], s.eras[2:]...)
		}
	}
}

// timer tells the times of the objects in a folder.
type timer struct {
	times []time.Time // newest first
	trees []*tree     // of the folder at that time
}

// timesIn looks the folder dir up in the revisions shown before. It looks only at
// what is here.
func (r *Remote) timesIn(snap *snapshot, dir string, now *tree) timer {
	t := timer{[]time.Time{snap.time}, []*tree{now}}
	if len(snap.eras) == 0 {
		return t
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for i := len(snap.eras) - 1; i >= 0; i-- {
		e, err := r.lookup(ctx, snap, snap.eras[i].top, dir)
		if err != nil || e.Mode != object.ModeTree {
			break
		}
		was, err := r.tree(ctx, e.ID, snap.id)
		if err != nil {
			break
		}
		t.times = append(t.times, snap.eras[i].time)
		t.trees = append(t.trees, was)
	}
	return t
}

// of is the time since which e is in the folder.
func (t timer) of(e object.TreeEntry) time.Time {
	since, found := t.times[0], false
	for i, tree := range t.trees {
		was, ok := tree.find(e.Name)
		if !ok || was != e {
			if found {
				break
			}
			continue // an older version, whose time may follow
		}
		since, found = t.times[i], true
	}
	return since
}

// timeOfTop is the time since which the folder that is shown is the same.
func (s *snapshot) timeOfTop() time.Time {
	since := s.time
	for i := len(s.eras) - 1; i >= 0 && s.eras[i].top == s.top; i-- {
		since = s.eras[i].time
	}
	return since
}
