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
