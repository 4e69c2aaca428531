package drive

import (
	"container/list"
	"fmt"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/providers"
)

// versionKey names one version of a file.
type versionKey struct {
	id      uint64
	version string
}

// keyOf names the version that a node shows, with the size that it has there: see
// sameContent. Where the remote has no versions, size and time tell them apart.
func keyOf(n *nodes.Node) versionKey {
	if n.Version != "" {
		return versionKey{n.ID, fmt.Sprintf("v%d:%s", n.Size, n.Version)}
	}
	return versionKey{n.ID, fmt.Sprintf("t%d:%d", n.Size, n.RemoteTime.UnixNano())}
}

// openObject is an open object of the provider that several reads share.
type openObject struct {
	providers.Object
	key  versionKey
	refs int // under objects.mu; the list itself holds one
}

// objects are the open objects used last.
type objects struct {
	limit int

	mu     sync.Mutex
	closed bool
	m      map[versionKey]*list.Element // of *openObject
	order  list.List
	err    error // the first of closing
}

func newObjects(limit int) *objects {
	return &objects{limit: limit, m: map[versionKey]*list.Element{}}
}

// acquire finds an open object and holds it until release.
func (s *objects) acquire(key versionKey) *openObject {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[key]
	if !ok {
		return nil
	}
	s.order.MoveToFront(e)
	o := e.Value.(*openObject)
	o.refs++
	return o
}

// release lets go of an object.
func (s *objects) release(o *openObject) {
	s.mu.Lock()
	o.refs--
	last := o.refs == 0
	s.mu.Unlock()
	if last {
		s.closeObject(o)
	}
}

// drop makes sure that nobody finds o any more.
func (s *objects) drop(o *openObject) {
	s.mu.Lock()
	e, ok := s.m[o.key]
	ok = ok && e.Value.(*openObject) == o
	if ok {
		s.unlink(e)
	}
	s.mu.Unlock()
	if ok {
		s.release(o)
	}
}

func (s *objects) closeObject(o *openObject) {
	if err := o.Close(); err != nil {
		s.mu.Lock()
		if s.err == nil {
			s.err = err
		}
		s.mu.Unlock()
	}
}

// add takes over an open object.
func (s *objects) add(key versionKey, obj providers.Object) {
	o := &openObject{Object: obj, key: key, refs: 1}
	var drop []*openObject
	s.mu.Lock()
	if _, ok := s.m[key]; ok || s.closed {
		drop = append(drop, o)
	} else {
		s.m[key] = s.order.PushFront(o)
		for s.order.Len() > s.limit {
			drop = append(drop, s.unlink(s.order.Back()))
		}
	}
	s.mu.Unlock()
	for _, o := range drop {
		s.release(o)
	}
}

// unlink takes an element off the list; its reference goes to the caller.
// Called with mu held.
func (s *objects) unlink(e *list.Element) *openObject {
	o := e.Value.(*openObject)
	s.order.Remove(e)
	delete(s.m, o.key)
	return o
}

// close closes all objects; none is held.
func (s *objects) close() error {
	s.mu.Lock()
	s.closed = true
	var drop []*openObject
	for s.order.Len() > 0 {
		drop = append(drop, s.unlink(s.order.Back()))
	}
	s.mu.Unlock()
	for _, o := range drop {
		s.release(o)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// chunkSize is how much of a file is read at once from remotes that keep none
// on this computer.
const chunkSize = 1 << 20

// chunkKey names a piece of a version, counted from its start.
type chunkKey struct {
	versionKey
	index int64
}

// chunks are the pieces read last, so that a client that was told to come again
// finds what it asked for.
type chunks struct {
	limit int64

	mu    sync.Mutex
	bytes int64
	m     map[chunkKey]*list.Element // of *chunk
	order list.List
}

type chunk struct {
	key  chunkKey
	data []byte // never changed
}

func newChunks(limit int64) *chunks {
	return &chunks{limit: limit, m: map[chunkKey]*list.Element{}}
}

func (s *chunks) used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

func (s *chunks) get(key chunkKey) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[key]
	if !ok {
		return nil
	}
	s.order.MoveToFront(e)
	return e.Value.(*chunk).data
}

func (s *chunks) add(key chunkKey, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.m[key]; ok {
		return
	}
	s.m[key] = s.order.PushFront(&chunk{key, data})
	s.bytes += int64(len(data))
	for s.bytes > s.limit && s.order.Len() > 1 {
		c := s.order.Remove(s.order.Back()).(*chunk)
		delete(s.m, c.key)
		s.bytes -= int64(len(c.data))
	}
}

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
