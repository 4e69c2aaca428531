package nfs

import (
	"slices"
	"sync"
)

// memory is the bytes that large requests and replies of all connections may
// take together. Who gets none waits in the order of asking, but does not wait
// for those whose own share is used up.
type memory struct {
	share int64 // the most that one share may hold

	mu      sync.Mutex
	free    int64
	waiting []*taker // oldest first
}

// share is the part of one direction of one connection. The first piece of a
// share is always granted, so that nobody can starve a connection. Its fields
// are guarded by the memory's mu.
type share struct {
	m      *memory
	used   int64
	closed bool
}

// taker waits for a piece of n bytes.
type taker struct {
	s       *share
	n       int64
	granted chan bool // false: the share was closed
}

func newMemory(total int64) *memory { return &memory{free: total, share: total / 8} }

// fits needs mu.
func (s *share) fits(n int64) bool {
	return s.used == 0 || s.used+n <= s.m.share && n <= s.m.free
}

func (s *share) grant(n int64) {
	s.used += n
	s.m.free -= n
}

// take waits for n bytes. It returns false if the share was closed.
func (s *share) take(n int64) bool {
	m := s.m
	m.mu.Lock()
	if s.closed || s.fits(n) {
		defer m.mu.Unlock()
		if !s.closed {
			s.grant(n)
		}
		return !s.closed
	}
	t := &taker{s: s, n: n, granted: make(chan bool, 1)}
	m.waiting = append(m.waiting, t)
	m.mu.Unlock()
	return <-t.granted
}

// tryTake is take for who does not want to wait.
func (s *share) tryTake(n int64) bool {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.closed || !s.fits(n) {
		return false
	}
	s.grant(n)
	return true
}

func (s *share) give(n int64) {
	if n == 0 {
		return
	}
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	s.used -= n
	m.free += n
	m.wake()
}

// wake grants what can be granted now. It needs mu. Only those are woken, because
// a client that takes no replies can leave many waiting, and all others give
// memory back all the time.
func (m *memory) wake() {
	m.waiting = slices.DeleteFunc(m.waiting, func(t *taker) bool {
		switch {
		case t.s.closed:
			t.granted <- false
			return true
		case t.s.fits(t.n):
			t.s.grant(t.n)
			t.granted <- true
			return true
		}
		return false
	})
}

// close wakes who waits and refuses from then on.
func (s *share) close() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.closed = true
	s.m.wake()
}
