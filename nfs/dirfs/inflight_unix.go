//go:build linux || darwin

package dirfs

import (
	"sync"
	"sync/atomic"

	"github.com/moorage/moorage/nfs"
)

// syncKey says what is synced: an object, with or without its attributes.
type syncKey struct {
	id   nfs.ID
	data bool
}

// syncs lets calls that sync the same object at the same time share the work:
// a call is satisfied by any sync that begins after the call did.
type syncs struct {
	mu      sync.Mutex
	running map[syncKey]*syncRun
}

type syncRun struct {
	now  *syncFlight // has begun
	next *syncFlight // begins when now is done; nil if nobody waits
}

type syncFlight struct {
	done chan struct{}
	err  error
}

func (s *syncs) do(key syncKey, fsync func() error) error {
	s.mu.Lock()
	if s.running == nil {
		s.running = make(map[syncKey]*syncRun)
	}
	r := s.running[key]
	if r == nil {
		r = &syncRun{now: &syncFlight{done: make(chan struct{})}}
		s.running[key] = r
		s.mu.Unlock()
		return s.run(key, r, r.now, fsync)
	}
	if r.next != nil {
		f := r.next
		s.mu.Unlock()
		<-f.done
		return f.err
	}
	f := &syncFlight{done: make(chan struct{})}
	r.next = f
	before := r.now
	s.mu.Unlock()
	<-before.done
	s.mu.Lock()
	r.now, r.next = f, nil
	s.mu.Unlock()
	return s.run(key, r, f, fsync)
}

func (s *syncs) run(key syncKey, r *syncRun, f *syncFlight, fsync func() error) error {
	f.err = fsync()
	s.mu.Lock()
	if r.next == nil {
		delete(s.running, key)
	}
	s.mu.Unlock()
	close(f.done)
	return f.err
}

// unborn are the names whose objects are being made: they exist on the host,
// but have not got their owner and mode yet. Calls wait until they have.
type unborn struct {
	some atomic.Int64 // len(names), for a look without mu

	mu    sync.Mutex
	names map[unbornName]chan struct{}
}

type unbornName struct {
	dir  nfs.ID
	name string
}

// begin hides name in dir from other calls until shown is called, which may be
// done more than once. It waits for who makes the same name.
func (u *unborn) begin(dir nfs.ID, name string) (shown func()) {
	key, done := unbornName{dir, name}, make(chan struct{})
	for {
		u.mu.Lock()
		other := u.names[key]
		if other == nil {
			if u.names == nil {
				u.names = make(map[unbornName]chan struct{})
			}
			u.names[key] = done
			u.some.Add(1)
			u.mu.Unlock()
			return sync.OnceFunc(func() {
				u.mu.Lock()
				delete(u.names, key)
				u.some.Add(-1)
				u.mu.Unlock()
				close(done)
			})
		}
		u.mu.Unlock()
		<-other
	}
}

// wait returns when name in dir is not hidden.
func (u *unborn) wait(dir nfs.ID, name string) {
	if u.some.Load() == 0 {
		return
	}
	u.mu.Lock()
	done := u.names[unbornName{dir, name}]
	u.mu.Unlock()
	if done != nil {
		<-done
	}
}

// virgins are the files that an exclusive create made and that no SetAttr
// touched yet, as far as this process remembers.
type virgins struct {
	mu  sync.Mutex
	ids map[nfs.ID]bool
}

func (v *virgins) born(id nfs.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ids == nil || len(v.ids) >= 4096 {
		v.ids = make(map[nfs.ID]bool) // clients send SetAttr at once
	}
	v.ids[id] = true
}

// lost reports whether id was one, and is none from now on.
func (v *virgins) lost(id nfs.ID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	was := v.ids[id]
	delete(v.ids, id)
	return was
}
