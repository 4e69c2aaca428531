package drive

import "sync/atomic"

// turns tell which names of the remote were changed from here since some moment.
// What the remote said of a name before that is not to be believed after: it
// would bring back what is gone, and take away what has just been put there.
// Names share a counter now and then, which only makes one of them be looked at
// once more.
type turns struct {
	n [turnsSize]atomic.Uint32
}

const turnsSize = 1 << 12

// moment is the state of turns at some time.
type moment [turnsSize]uint32

func newTurns() *turns { return &turns{} }

// slot is FNV-1a: who makes names share a counter gains nothing.
func (t *turns) slot(dir uint64, name string) uint64 {
	h := uint64(14695981039346656037)
	for i := range 8 {
		h = (h ^ dir>>(8*i)&0xff) * 1099511628211
	}
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h % turnsSize
}

// turn says that a name was changed on the remote. It is called in the update
// that takes note of it.
func (t *turns) turn(dir uint64, name string) { t.n[t.slot(dir, name)].Add(1) }

// now is the moment before the remote is asked.
func (t *turns) now() *moment {
	var m moment
	for i := range m {
		m[i] = t.n[i].Load()
	}
	return &m
}

// since reports whether a name was changed since m. Nothing was since nil.
func (t *turns) since(m *moment, dir uint64, name string) bool {
	if m == nil {
		return false
	}
	i := t.slot(dir, name)
	return t.n[i].Load() != m[i]
}
