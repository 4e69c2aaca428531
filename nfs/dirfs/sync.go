package dirfs

import (
	"sync"

	"github.com/moorage/moorage/nfs"
)

// keyedMutex is a mutex per object.
type keyedMutex struct {
	mu   sync.Mutex
	held map[nfs.ID]*keyed
}

type keyed struct {
	mu    sync.Mutex
	users int
}

// lock locks id's mutex and returns what unlocks it.
func (m *keyedMutex) lock(id nfs.ID) (unlock func()) {
	m.mu.Lock()
	if m.held == nil {
		m.held = make(map[nfs.ID]*keyed)
	}
	k := m.held[id]
	if k == nil {
		k = new(keyed)
		m.held[id] = k
	}
	k.users++
	m.mu.Unlock()
	k.mu.Lock()
	return func() {
		k.mu.Unlock()
		m.mu.Lock()
		if k.users--; k.users == 0 {
			delete(m.held, id)
		}
		m.mu.Unlock()
	}
}

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
	mu    sync.RWMutex
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
			u.mu.Unlock()
			return sync.OnceFunc(func() {
				u.mu.Lock()
				delete(u.names, key)
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
	u.mu.RLock()
	done := u.names[unbornName{dir, name}]
	u.mu.RUnlock()
	if done != nil {
		<-done
	}
}
