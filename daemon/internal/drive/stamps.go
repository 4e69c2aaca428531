package drive

import (
	"container/list"
	"sync"
	"time"
)

// stamp says when the remote last confirmed what is known of a node.
type stamp struct {
	attrAt, listAt   time.Time
	attrRev, listRev uint64
	lookups          int // names asked for one by one since the last listing

	// Of names that clients were told to be absent, before there was a listing:
	// the first since the directory's times moved for it, and the last.
	missFrom, missAt time.Time
	missRev          uint64 // of missFrom
}

// stamps are the stamps of the nodes used last. They are kept in memory only:
// what has none is asked for again.
type stamps struct {
	limit int

	mu    sync.Mutex
	m     map[uint64]*list.Element // of *stampOf
	order list.List
}

type stampOf struct {
	id uint64
	stamp
}

func newStamps(limit int) *stamps {
	return &stamps{limit: limit, m: map[uint64]*list.Element{}}
}

func (s *stamps) get(id uint64) stamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.m[id]; ok {
		return e.Value.(*stampOf).stamp
	}
	return stamp{}
}

// update changes the stamp of id and returns it.
func (s *stamps) update(id uint64, fn func(*stamp)) stamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[id]
	if !ok {
		e = s.order.PushFront(&stampOf{id: id})
		s.m[id] = e
		if s.order.Len() > s.limit {
			old := s.order.Back()
			s.order.Remove(old)
			delete(s.m, old.Value.(*stampOf).id)
		}
	} else {
		s.order.MoveToFront(e)
	}
	st := e.Value.(*stampOf)
	fn(&st.stamp)
	return st.stamp
}
