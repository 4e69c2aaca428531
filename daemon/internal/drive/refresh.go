package drive

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
)

// Folders that clients use are listed again in the background when that is old,
// so that changes show without anybody who waits for the remote.
const (
	// A drive is active for so long after it was used. Then the folders used within
	// activeFolders are kept fresh.
	activeFor     = 2 * time.Minute
	activeFolders = 5 * time.Minute
	// Otherwise those used within idleFolders are, every idleEvery.
	idleEvery   = 5 * time.Minute
	idleFolders = 15 * time.Minute

	maxFolders   = 64     // that are kept fresh
	maxRefreshes = 2      // at a time
	tooBig       = 20_000 // names that a folder may have had; listing more of them takes many calls
)

// folders are the directories used last.
type folders struct {
	mu    sync.Mutex
	m     map[uint64]*list.Element // of *folder
	order list.List                // used last in front
	woken chan struct{}            // a folder was used while there was none
}

type folder struct {
	dir       uint64
	used      time.Time
	refreshed time.Time // when that was begun last; zero: it was not
}

func newFolders() *folders {
	return &folders{m: map[uint64]*list.Element{}, woken: make(chan struct{}, 1)}
}

// note says that a client has used a directory.
func (s *folders) note(dir uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.m[dir]; ok {
		e.Value.(*folder).used = now
		s.order.MoveToFront(e)
		return
	}
	s.m[dir] = s.order.PushFront(&folder{dir: dir, used: now})
	if s.order.Len() > maxFolders {
		delete(s.m, s.order.Remove(s.order.Back()).(*folder).dir)
	}
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// due gives the directories that are to be kept fresh now, those used last
// first, and how many others there are.
func (s *folders) due(now time.Time) (dirs []uint64, others int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next *list.Element
	idle := false
	for e := s.order.Front(); e != nil; e = next {
		next = e.Next()
		f := e.Value.(*folder)
		age := now.Sub(f.used)
		if e == s.order.Front() {
			idle = age > activeFor
		}
		switch {
		case age > idleFolders:
			s.order.Remove(e)
			delete(s.m, f.dir)
		case !idle && age <= activeFolders, idle && now.Sub(f.refreshed) >= idleEvery && now.Sub(f.used) >= idleEvery:
			dirs = append(dirs, f.dir)
		default:
			others++
		}
	}
	return dirs, others
}

// begun notes that a directory is being listed.
func (s *folders) begun(dir uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.m[dir]; ok {
		e.Value.(*folder).refreshed = now
	}
}

// backgroundKey marks contexts of work that no client has asked for.
type backgroundKey struct{}

func inBackground(ctx context.Context) bool { return ctx.Value(backgroundKey{}) != nil }

// keepFresh lists folders that are in use while the drive is open.
func (d *Drive) keepFresh() {
	ctx := context.WithValue(d.flights.base, backgroundKey{}, true)
	timer := time.NewTimer(d.o.RefreshInterval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-d.flights.done():
			return
		}
		if !d.refreshFolders(ctx) {
			select {
			case <-d.folders.woken:
			case <-d.flights.done():
				return
			}
		}
		timer.Reset(d.o.RefreshInterval)
	}
}

// refreshFolders lists those folders in use again whose listings are old. It
// reports whether there are any in use.
func (d *Drive) refreshFolders(ctx context.Context) bool {
	select {
	case <-d.folders.woken: // what comes from here on wakes
	default:
	}
	dirs, others := d.folders.due(d.o.Clock())
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxRefreshes)
	for _, dir := range dirs {
		n, err := d.node(dir)
		if err != nil || !n.Complete || d.listed(&n) || !d.health.online() || ctx.Err() != nil {
			continue
		}
		if n.NextCookie > nodes.FirstCookie+tooBig && !d.info.TreeVersion {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			d.refresh(ctx, dir)
		})
	}
	wg.Wait()
	return len(dirs)+others > 0
}

// refresh lists a directory again and waits for the end.
func (d *Drive) refresh(ctx context.Context, dir uint64) {
	d.folders.begun(dir, d.o.Clock())
	_, err := d.listing(ctx, dir, nil)
	if l := d.lists.get(dir); l != nil && err == nil {
		err = l.wait(ctx, nil)
	}
	if err != nil && ctx.Err() == nil {
		d.o.Logger.Debug("a folder in use cannot be listed", "err", err)
	}
}
