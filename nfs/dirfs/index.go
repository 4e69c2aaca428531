package dirfs

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/moorage/moorage/nfs"
)

const (
	logName = "places.log"
	// maxPending bounds what waits in memory when the log cannot be written.
	maxPending = 16 << 20
	// compactSlack is how many superfluous records are not worth a compaction.
	compactSlack = 16 << 10
	// goneLimit is how many ids are known to be gone for certain. For others a
	// search has to find out.
	goneLimit = 64 << 10
)

// store is the place of the log's bytes: a file, or memory without a StateDir.
type store interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
}

// slot is what the index holds in memory for one id.
type slot struct {
	pos   int64  // of the record in the log
	print uint32 // fingerprint of the place: tells whether a new record is needed
	check uint32
}

// index knows for every id where its object was seen last. Its methods may be
// called concurrently. What put and drop change is in the log after flush.
type index struct {
	log *slog.Logger
	dir *os.Root // nil without a StateDir
	key [keySize]byte

	// swap is held shared by whoever uses a position, and exclusively while a
	// compaction changes them all. It comes before mu.
	swap  sync.RWMutex
	store store

	writing sync.Mutex // one flush at a time; comes before mu

	mu      sync.Mutex
	slots   map[nfs.ID]slot
	records int    // in the log
	pend    []byte // not yet written; begins at position pendAt
	pendAt  int64
	busy    []byte // being written; begins at position busyAt
	busyAt  int64
	gone    map[nfs.ID]bool
	goneRow []nfs.ID // a ring, the oldest at goneAt
	goneAt  int

	compacting sync.WaitGroup
	compactMu  sync.Mutex // held by a running compaction, and by one that failed
}

// openIndex opens the log in dir, or one in memory if dir is "".
func openIndex(dir string, log *slog.Logger) (*index, error) {
	x := &index{log: log, slots: make(map[nfs.ID]slot), gone: make(map[nfs.ID]bool)}
	if dir == "" {
		// A fixed key: cookies then have the same order in the next process.
		x.store, x.pendAt = new(memStore), headerSize
		return x, nil
	}
	d, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open log of places: %w", err)
	}
	f, err := d.OpenFile(logName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("open log of places: %w", err)
	}
	x.store, x.dir = f, d
	if err := x.load(f); err != nil {
		f.Close()
		d.Close()
		return nil, fmt.Errorf("read log of places: %w", err)
	}
	return x, nil
}

// load reads the whole log, and cuts it off behind the last good record: what
// was being written when the process or the machine stopped is lost, which
// costs a search.
func (x *index) load(f *os.File) error {
	buf := make([]byte, 256<<10)
	n, err := io.ReadFull(f, buf[:headerSize])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if x.key, err = decodeHeader(buf[:n]); err != nil {
		if n > 0 {
			x.log.Warn("log of places is not readable, starting a new one", "file", f.Name())
		}
		if _, err := rand.Read(x.key[:]); err != nil {
			return err
		}
		if err := f.Truncate(0); err != nil {
			return err
		}
		x.pendAt = headerSize
		_, err := f.WriteAt(appendHeader(nil, x.key), 0)
		return err
	}
	pos, have := int64(headerSize), 0
	for {
		n, rerr := f.Read(buf[have:])
		have += n
		used := 0
		var derr error
		for {
			r, size, err := decodeRecord(buf[used:have])
			if err != nil {
				derr = err
				break
			}
			if r.kind == kindGone {
				delete(x.slots, r.id)
			} else {
				x.slots[r.id] = slot{pos: pos + int64(used), print: fingerprint(&r.place), check: r.check}
			}
			x.records++
			used += size
		}
		pos += int64(used)
		have = copy(buf, buf[used:have])
		if rerr != nil && !errors.Is(rerr, io.EOF) {
			return rerr
		}
		if errors.Is(derr, errCorrupt) || rerr != nil {
			if have > 0 || errors.Is(derr, errCorrupt) {
				x.log.Warn("log of places has a damaged end, cut off", "file", f.Name(), "at", pos)
			}
			break
		}
	}
	x.pendAt = pos
	return f.Truncate(pos)
}

func fingerprint(p *place) uint32 {
	h := fnv.New32a()
	var b [16]byte
	for i := range 8 {
		b[i], b[8+i] = byte(p.parent>>(8*i)), byte(p.ino>>(8*i))
	}
	h.Write(b[:])
	io.WriteString(h, p.name)
	return h.Sum32()
}

// known tells the check of id, if there is a record of it.
func (x *index) known(id nfs.ID) (check uint32, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, ok := x.slots[id]
	return s.check, ok
}

func (x *index) put(id nfs.ID, p place) {
	if len(p.name) > maxName || len(p.handle) > maxHandle {
		return
	}
	print := fingerprint(&p)
	x.mu.Lock()
	defer x.mu.Unlock()
	if s, ok := x.slots[id]; ok && s.print == print {
		return
	}
	delete(x.gone, id)
	x.slots[id] = slot{pos: x.pendAt + int64(len(x.pend)), print: print, check: p.check}
	x.pend = appendRecord(x.pend, &record{kind: kindSeen, id: id, place: p})
	x.records++
}

// drop takes note that the object of id is gone for good.
func (x *index) drop(id nfs.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.gone[id] {
		x.gone[id] = true
		if len(x.goneRow) < goneLimit {
			x.goneRow = append(x.goneRow, id)
		} else {
			delete(x.gone, x.goneRow[x.goneAt])
			x.goneRow[x.goneAt] = id
			x.goneAt = (x.goneAt + 1) % goneLimit
		}
	}
	if _, ok := x.slots[id]; !ok {
		return
	}
	delete(x.slots, id)
	x.pend = appendRecord(x.pend, &record{kind: kindGone, id: id})
	x.records++
}

// isGone reports whether the object of id is known to be gone.
func (x *index) isGone(id nfs.ID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.gone[id]
}

// get tells where id was seen last; ok is false if there is no record of it.
func (x *index) get(id nfs.ID) (p place, ok bool, err error) {
	x.swap.RLock()
	defer x.swap.RUnlock()
	var buf [frameSize + maxBody]byte
	x.mu.Lock()
	s, ok := x.slots[id]
	if !ok {
		x.mu.Unlock()
		return place{}, false, nil
	}
	n := -1
	switch {
	case s.pos >= x.pendAt:
		n = copy(buf[:], x.pend[s.pos-x.pendAt:])
	case x.busy != nil && s.pos >= x.busyAt:
		n = copy(buf[:], x.busy[s.pos-x.busyAt:])
	}
	x.mu.Unlock()
	if n < 0 {
		n, err = x.store.ReadAt(buf[:], s.pos)
		if err != nil && !errors.Is(err, io.EOF) {
			return place{}, false, fmt.Errorf("read log of places: %w", err)
		}
	}
	r, _, err := decodeRecord(buf[:n])
	if err != nil || r.id != id || r.kind != kindSeen {
		// Damaged beneath us: as good as not there.
		return place{}, false, nil
	}
	return r.place, true, nil
}

// flush writes what put and drop left. It does not sync: what the machine
// loses with its power costs a search.
func (x *index) flush() {
	x.mu.Lock()
	nothing := len(x.pend) == 0 && x.busy == nil
	x.mu.Unlock()
	if nothing {
		return
	}
	x.swap.RLock()
	x.writing.Lock()
	x.write()
	x.writing.Unlock()
	x.swap.RUnlock()
	x.mu.Lock()
	wasteful := x.records > 2*len(x.slots)+compactSlack
	x.mu.Unlock()
	if wasteful && x.compactMu.TryLock() {
		x.compacting.Go(func() {
			if err := x.compact(); err != nil {
				// It is tried again in the next process.
				x.log.Warn("log of places could not be compacted", "error", err)
				return
			}
			x.compactMu.Unlock()
		})
	}
}

// write needs x.writing, and x.swap in any way.
func (x *index) write() {
	x.mu.Lock()
	x.busy, x.busyAt = x.pend, x.pendAt
	x.pend, x.pendAt = nil, x.pendAt+int64(len(x.pend))
	b, at := x.busy, x.busyAt
	x.mu.Unlock()
	if len(b) == 0 {
		x.mu.Lock()
		x.busy = nil
		x.mu.Unlock()
		return
	}
	_, err := x.store.WriteAt(b, at)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.busy = nil
	if err == nil {
		return
	}
	x.pend, x.pendAt = append(b, x.pend...), at
	if len(x.pend) <= maxPending {
		return
	}
	x.log.Warn("log of places cannot be written, forgetting the newest places", "error", err)
	for id, s := range x.slots {
		if s.pos >= at {
			delete(x.slots, id)
		}
	}
	x.pend = nil
}

// movedRecord is where a compaction takes a record from and puts it.
type movedRecord struct {
	id       nfs.ID
	old, new int64
}

// compact writes the records that count to a new log, beside the calls, and
// puts it in the place of the old one.
func (x *index) compact() error {
	x.flushOnly()
	x.mu.Lock()
	end := x.pendAt
	if x.busy != nil {
		end = x.busyAt
	}
	items := make([]movedRecord, 0, len(x.slots))
	for id, s := range x.slots {
		if s.pos < end {
			items = append(items, movedRecord{id: id, old: s.pos})
		}
	}
	x.mu.Unlock()
	slices.SortFunc(items, func(a, b movedRecord) int { return int(a.old - b.old) })

	next, commit, abort, err := x.newStore()
	if err != nil {
		return err
	}
	out := appendHeader(nil, x.key)
	at := int64(0)
	var frame [frameSize + maxBody]byte
	for i := range items {
		n, err := x.store.ReadAt(frame[:], items[i].old)
		if err != nil && !errors.Is(err, io.EOF) {
			abort()
			return err
		}
		items[i].new = at + int64(len(out))
		if _, size, err := decodeRecord(frame[:n]); err == nil {
			out = append(out, frame[:size]...)
		} else {
			items[i].new = -1
		}
		if len(out) >= 1<<20 {
			if _, err := next.WriteAt(out, at); err != nil {
				abort()
				return err
			}
			at, out = at+int64(len(out)), out[:0]
		}
	}
	if _, err := next.WriteAt(out, at); err != nil {
		abort()
		return err
	}
	at += int64(len(out))
	if err := next.Sync(); err != nil {
		abort()
		return err
	}

	old, err := x.adopt(next, commit, items, end, at)
	if err != nil {
		abort()
		return err
	}
	// These may wait for the disk, which calls must not: they come after. If the
	// power goes before, the old log is there, which costs searches.
	return errors.Join(old.Close(), x.syncStore())
}

// adopt puts the log next, which ends at size at and has the records that were
// before end in the old one, in the place of the old one, which it returns.
func (x *index) adopt(next store, commit func() error, items []movedRecord, end, at int64) (old store, err error) {
	moved := make(map[nfs.ID]int64, len(items))
	for _, it := range items {
		moved[it.id] = it.new
	}
	x.swap.Lock()
	defer x.swap.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	// What came meanwhile is written to the old log or waits in pend.
	tail := make([]byte, x.pendAt-end)
	if _, err := x.store.ReadAt(tail, end); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	tail = append(tail, x.pend...)
	if _, err := next.WriteAt(tail, at); err != nil {
		return nil, err
	}
	if err := commit(); err != nil {
		return nil, err
	}
	for id, s := range x.slots {
		if s.pos >= end {
			s.pos += at - end
		} else if s.pos = moved[id]; s.pos <= 0 {
			delete(x.slots, id)
			continue
		}
		x.slots[id] = s
	}
	old, x.store = x.store, next
	x.pend, x.pendAt = nil, at+int64(len(tail))
	x.records = len(x.slots)
	return old, nil
}

// syncStore puts the log's name on stable storage.
func (x *index) syncStore() error {
	if x.dir == nil {
		return nil
	}
	return syncDir(x.dir)
}

func (x *index) flushOnly() {
	x.swap.RLock()
	defer x.swap.RUnlock()
	x.writing.Lock()
	defer x.writing.Unlock()
	x.write()
}

// newStore makes the store that commit puts in the place of the present one.
func (x *index) newStore() (s store, commit func() error, abort func(), err error) {
	if x.dir == nil {
		return new(memStore), func() error { return nil }, func() {}, nil
	}
	const next = logName + ".new"
	f, err := x.dir.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, nil, err
	}
	commit = func() error {
		// A Root renames over a file that is open, also on Windows.
		return x.dir.Rename(next, logName)
	}
	abort = func() { f.Close(); _ = x.dir.Remove(next) }
	return f, commit, abort, nil
}

func (x *index) close() error {
	x.compacting.Wait()
	x.flushOnly()
	err := errors.Join(x.store.Sync(), x.store.Close())
	if x.dir != nil {
		err = errors.Join(err, x.dir.Close())
	}
	return err
}

// memStore is a log in memory.
type memStore struct {
	mu sync.RWMutex
	b  []byte
}

func (m *memStore) ReadAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memStore) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if end := int(off) + len(p); end > len(m.b) {
		m.b = slices.Grow(m.b, end-len(m.b))[:end]
	}
	return copy(m.b[off:], p), nil
}

func (m *memStore) Sync() error  { return nil }
func (m *memStore) Close() error { return nil }
