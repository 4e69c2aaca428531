package nfs

import "sync"

// memory is the bytes that large requests and replies of all connections may
// take together. Its mu guards the shares too.
type memory struct {
	mu    sync.Mutex
	freed sync.Cond
	free  int64
	share int64 // the most that one share may hold
}

// share is the part of one direction of one connection. The first piece of a
// share is always granted, so that nobody can starve a connection.
type share struct {
	m      *memory
	used   int64
	closed bool
}

func newMemory(total int64) *memory {
	m := &memory{free: total, share: total / 8}
	m.freed.L = &m.mu
	return m
}

// take waits for n bytes. It returns false if the share was closed.
func (s *share) take(n int64) bool {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for !s.closed && s.used > 0 && (s.used+n > m.share || n > m.free) {
		m.freed.Wait()
	}
	if s.closed {
		return false
	}
	s.used += n
	m.free -= n
	return true
}

// tryTake is take for who does not want to wait.
func (s *share) tryTake(n int64) bool {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.closed || s.used > 0 && (s.used+n > m.share || n > m.free) {
		return false
	}
	s.used += n
	m.free -= n
	return true
}

func (s *share) give(n int64) {
	if n == 0 {
		return
	}
	m := s.m
	m.mu.Lock()
	s.used -= n
	m.free += n
	m.mu.Unlock()
	m.freed.Broadcast()
}

// close wakes who waits and refuses from then on.
func (s *share) close() {
	s.m.mu.Lock()
	s.closed = true
	s.m.mu.Unlock()
	s.m.freed.Broadcast()
}
