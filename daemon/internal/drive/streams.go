package drive

import (
	"container/list"
	"sync"
	"time"
)

// A file counts as being read while its last read did not reach the end and
// was not longer ago than streamIdle, for streamLimit at most.
const (
	streamIdle  = 5 * time.Second
	streamLimit = 10 * time.Minute
)

// streams know which files are being read from start to end.
type streams struct {
	limit int

	mu    sync.Mutex
	m     map[uint64]*list.Element // of *stream
	order list.List
}

type stream struct {
	id          uint64
	begin, last time.Time
}

func newStreams(limit int) *streams {
	return &streams{limit: limit, m: map[uint64]*list.Element{}}
}

// note tells of a read.
func (s *streams) note(id uint64, now time.Time, eof bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[id]
	switch {
	case eof && ok:
		s.order.Remove(e)
		delete(s.m, id)
	case eof:
	case ok:
		st := e.Value.(*stream)
		if now.Sub(st.last) > streamIdle {
			st.begin = now
		}
		st.last = now
		s.order.MoveToFront(e)
	default:
		s.m[id] = s.order.PushFront(&stream{id, now, now})
		if s.order.Len() > s.limit {
			delete(s.m, s.order.Remove(s.order.Back()).(*stream).id)
		}
	}
}

// active reports whether id is being read.
func (s *streams) active(id uint64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[id]
	if !ok {
		return false
	}
	st := e.Value.(*stream)
	return now.Sub(st.last) <= streamIdle && now.Sub(st.begin) <= streamLimit
}
