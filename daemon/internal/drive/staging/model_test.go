package staging_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
)

// kind is what the model knows of a byte.
type kind uint8

const (
	none  kind = iota // behind the size
	base              // of the base version
	local             // written here, or a zero behind the base
)

// cell is one byte. Writes are even and not 0, those of the base are odd.
type cell struct {
	kind kind
	b    byte
}

// model is a file of which only the bytes from lo to lo+window are ever written.
type model struct {
	lo         int64
	size, base int64
	cur        [window]cell

	rsize, rbase int64
	rec          [window]cell // what was recorded
	since        [window]set  // what was written since then
	gone         [window]bool // was truncated away since then
	zero         [window]bool // and the file grew after that
	doubt        [window]set  // what may be there of a Sync that failed
	gens         map[uint64]bool
}

const window = 16 << 10

// set is a set of even bytes.
type set [2]uint64

func (s *set) add(b byte)      { s[b>>7] |= 1 << (b >> 1 & 63) }
func (s *set) has(b byte) bool { return b&1 == 0 && s[b>>7]>>(b>>1&63)&1 == 1 }
func (s *set) join(t set)      { s[0], s[1] = s[0]|t[0], s[1]|t[1] }

func newModel(rng *rand.Rand, size int64) *model {
	m := &model{size: size, base: size, gens: map[uint64]bool{}}
	switch rng.IntN(4) {
	case 0:
		m.lo = staging.RegionSize - window/2
	case 1:
		m.lo = 3*staging.RegionSize - window/3
	case 2:
		m.lo = 1 << 42
	}
	if m.size > 0 {
		m.size += m.lo
		m.base = m.size
	}
	for i := range m.cur {
		if m.lo+int64(i) < m.base {
			m.cur[i] = cell{base, baseByte(m.lo + int64(i))}
		}
	}
	return m
}

func (m *model) write(off int64, p []byte) {
	m.grow(off + int64(len(p)))
	for i, b := range p {
		at := off - m.lo + int64(i)
		m.cur[at] = cell{local, b}
		m.note(at, b)
		m.settle(at)
	}
}

func (m *model) note(at int64, b byte) { m.since[at].add(b) }

// settle: the next Sync will put an end to doubts.
func (m *model) settle(at int64) {
	m.since[at].join(m.doubt[at])
	m.doubt[at] = set{}
}

func (m *model) grow(size int64) {
	if size <= m.size {
		return
	}
	for i := range m.cur {
		if at := m.lo + int64(i); at >= m.size && at < size {
			m.cur[i] = cell{kind: local}
		}
	}
	m.size = size
	m.grew()
}

// grew: what was truncated away before may be zeros at the size of before.
func (m *model) grew() {
	for i := range m.zero {
		m.zero[i] = m.zero[i] || m.gone[i]
	}
}

func (m *model) truncate(size int64) {
	m.grow(size)
	for i := range m.cur {
		if m.lo+int64(i) >= size {
			m.cur[i] = cell{}
			m.gone[i] = true
		}
	}
	m.size = size
	m.base = min(m.base, size)
}

// recorded: the content now is on stable storage.
func (m *model) recorded() {
	m.rec, m.rsize, m.rbase = m.cur, m.size, m.base
	clear(m.since[:])
	clear(m.gone[:])
	clear(m.zero[:])
}

// syncFailed: what was not on stable storage will not get there by itself.
func (m *model) syncFailed() {
	for i := range m.cur {
		if m.since[i] == (set{}) && !m.zero[i] || m.rec[i].kind == base {
			continue
		}
		m.doubt[i].join(m.since[i])
		m.doubt[i].add(m.rec[i].b)
		if m.zero[i] {
			m.doubt[i].add(0)
		}
	}
}

// world is one file with everything around it.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	disk  *disktest.Disk
	after *disktest.Disk // what a crash in the middle of an operation left
	store *staging.Store
	file  *staging.File
	kept  *record
	*model
}

func TestModel(t *testing.T) {
	seeds(t, 300, func(t *testing.T, seed uint64) {
		w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), disk: disktest.New(seed)}
		w.start()
		for range 10 + w.rng.IntN(60) {
			w.step()
			if t.Failed() {
				return
			}
		}
		w.crash()
	})
}

const id = 0xabc

func (w *world) start() {
	var err error
	if w.store, err = staging.Open(w.disk); err != nil {
		w.t.Fatal(err)
	}
	size := int64(0)
	if w.rng.IntN(4) > 0 {
		size = w.rng.Int64N(window) + 1
	}
	w.model = newModel(w.rng, size)
	if w.file, err = w.store.Create(id, w.size); err != nil {
		w.t.Fatal(err)
	}
	w.kept = &record{regions: map[uint32][]byte{}}
	w.sync()
}

// log tells what happens, of a single seed.
func (w *world) log(f string, a ...any) {
	if os.Getenv("MOORAGE_STAGING_SEED") != "" {
		w.t.Logf(f, a...)
	}
}

func (w *world) step() {
	if w.rng.IntN(12) == 0 {
		w.disk.CrashAt(w.disk.Ops()+1+w.rng.Uint64N(6), func() {
			if w.rng.IntN(3) == 0 {
				w.after = w.disk.Kill()
			} else {
				w.after = w.disk.Crash(w.rng)
			}
		})
	}
	switch w.rng.IntN(16) {
	case 0:
		w.crash()
	case 1:
		w.reload(w.disk.Kill(), true)
	case 2:
		w.truncate()
	case 3:
		w.disk.SetFree(w.rng.Int64N(4) * disktest.PageSize)
		w.write()
		w.disk.SetFree(1 << 40)
	case 4, 5, 6:
		w.sync()
	case 7:
		w.snapshot()
	case 8:
		if w.rng.IntN(4) == 0 {
			w.syncFails()
		}
	default:
		w.write()
	}
	if w.disk.Dead() {
		w.reload(w.after, true) // nobody had to be told
	}
	w.check()
}

// ended deals with the end of the power, and tells whether err is that.
func (w *world) ended(err error) bool {
	if !errors.Is(err, disktest.ErrPower) {
		return false
	}
	if w.after == nil {
		w.t.Fatal("no power, but nobody cut it: ", err)
	}
	w.reload(w.after, true)
	return true
}

func (w *world) crash() { w.reload(w.disk.Crash(w.rng), false) }

// bytes are a place in the window and something to write there.
func (w *world) bytes() (int64, []byte) {
	off := w.rng.Int64N(window)
	n := 1 + w.rng.Int64N(window-off)
	switch w.rng.IntN(3) {
	case 0:
		n = min(n, 64)
	case 1:
		off &^= disktest.PageSize - 1
		n = min(disktest.PageSize, window-off)
	}
	p := bytes.Repeat([]byte{byte(w.rng.IntN(127)+1) << 1}, int(n))
	return w.lo + off, p
}

func (w *world) write() {
	off, p := w.bytes()
	was := w.file.State()
	n, err := w.file.WriteAt(p, off)
	w.log("write %d+%d (%d): %v", off, len(p), p[0], err)
	if err == nil {
		if n != len(p) {
			w.t.Fatalf("wrote %d of %d", n, len(p))
		}
		w.model.write(off, p)
		w.moved()
		return
	}
	for i, b := range p {
		w.note(off-w.lo+int64(i), b)
	}
	if off+int64(len(p)) > w.size {
		w.grew()
	}
	if w.ended(err) {
		return
	}
	if !errors.Is(err, syscall.ENOSPC) || n != 0 {
		w.t.Fatalf("write: %d, %v", n, err)
	}
	if w.file.State() != was {
		w.t.Fatalf("the failed write of %d at %d made %v of %v", len(p), off, w.file.State(), was)
	}
	w.moved()
	// What was local already may be either now.
	now := w.read()
	for i, b := range p {
		at := off - w.lo + int64(i)
		if c := &w.cur[at]; c.kind == local && now[at] != c.b {
			if now[at] != b {
				w.t.Fatalf("byte %d is %d after %d was to replace %d", off+int64(i), now[at], b, c.b)
			}
			c.b = b
		}
	}
}

func (w *world) moved() {
	g := w.file.Generation()
	if w.gens[g] {
		w.t.Fatalf("generation %d comes again", g)
	}
	w.gens[g] = true
}

func (w *world) truncate() {
	size := w.lo + w.rng.Int64N(window+1)
	if w.rng.IntN(8) == 0 {
		size = 0
	}
	err := w.file.Truncate(size)
	w.log("truncate %d: %v", size, err)
	if err != nil {
		if !w.ended(err) {
			w.t.Fatal(err)
		}
		return
	}
	w.model.truncate(size)
	w.moved()
	if w.rng.IntN(4) > 0 {
		w.sync() // as a caller should
	}
}

func (w *world) sync() {
	st, regions, err := w.file.Sync()
	w.log("sync %v %v", st, err)
	if err != nil {
		if !w.ended(err) {
			w.t.Fatal(err)
		}
		return
	}
	if w.rng.IntN(8) == 0 && w.kept.state != nil {
		return // nothing was recorded
	}
	w.kept.apply(st, regions)
	w.log("recorded")
	w.recorded()
	if l, err := w.disk.List("staging"); err == nil && (len(l) != 1 || l[0].Used != w.store.Used()) {
		w.t.Fatalf("%d bytes are used: %+v", w.store.Used(), l)
	}
	if w.rng.IntN(2) == 0 {
		w.file.Recorded()
	}
}

func (w *world) syncFails() {
	w.log("a sync fails")
	d := w.disk
	d.Fail(func(op, _ string) error {
		if op == "sync" {
			return syscall.EIO
		}
		return nil
	})
	w.write()
	if w.disk != d {
		return
	}
	_, _, err := w.file.Sync()
	d.Fail(nil)
	if d.Dead() {
		return
	}
	if !errors.Is(err, syscall.EIO) || !errors.Is(err, staging.ErrSync) {
		w.t.Fatalf("sync: %v", err)
	}
	if _, _, err := w.file.Sync(); !errors.Is(err, staging.ErrSync) {
		w.t.Fatalf("sync after a failed one: %v", err)
	}
	if _, err := w.file.WriteAt([]byte{2}, w.lo); !errors.Is(err, staging.ErrSync) {
		w.t.Fatalf("write after a failed sync: %v", err)
	}
	if err := w.file.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.syncFailed()
	w.load(true)
}

// reload goes on with what a crash left.
func (w *world) reload(d *disktest.Disk, cached bool) {
	if _, err := w.file.WriteAt([]byte{2}, w.lo); !errors.Is(err, disktest.ErrPower) && !errors.Is(err, staging.ErrSync) {
		w.t.Fatalf("write without power: %v", err)
	}
	w.disk, w.after = d, nil
	w.log("reload, cached %v", cached)
	var err error
	if w.store, err = staging.Open(d); err != nil {
		w.t.Fatal(err)
	}
	w.gens = map[uint64]bool{}
	ids, err := w.store.IDs()
	if err != nil || len(ids) != 1 || ids[0] != id {
		w.t.Fatalf("after a crash there are %x, %v", ids, err)
	}
	w.load(cached)
}

// load compares what was recorded with what is there. cached: what was not
// synced then may be there and still get lost.
func (w *world) load(cached bool) {
	f, err := w.kept.load(w.store, id)
	if err != nil {
		if !w.ended(err) {
			w.t.Fatal(err)
		}
		return
	}
	w.file = f
	w.size, w.base = w.rsize, w.rbase
	now := w.read()
	for i := range w.cur {
		c, off := w.rec[i], w.lo+int64(i)
		if c.kind == none {
			w.cur[i] = cell{}
			continue
		}
		b := now[i]
		ok := b == c.b || c.kind == local && (w.since[i].has(b) || w.doubt[i].has(b) || w.zero[i] && b == 0)
		if !ok {
			w.t.Fatalf("byte %d of %d over %d is %d after a crash, recorded was %v, since then %v", off, w.size, w.base, b, c, w.since[i])
		}
		w.cur[i] = cell{c.kind, b}
	}
	if !cached {
		w.recorded()
	}
}

// read gives the window, as far as the file reaches.
func (w *world) read() []byte {
	w.t.Helper()
	size := w.file.State().Size
	if size != w.size || w.file.State().Base != w.base {
		w.t.Fatalf("size and base are %v, not %d, %d", w.file.State(), w.size, w.base)
	}
	if size <= w.lo {
		return nil
	}
	return content(w.t, w.file.Pieces(w.lo, size), size, w.file.ReadAt, w.lo)
}

func (w *world) check() {
	now := w.read()
	for i, b := range now {
		if b != w.cur[i].b {
			w.t.Fatalf("byte %d is %d, not %v", w.lo+int64(i), b, w.cur[i])
		}
	}
	off, p := w.bytes()
	for _, piece := range w.file.Pieces(off, int64(len(p))) {
		for at := piece.Off; at < piece.Off+piece.N; at++ {
			k := w.cur[at-w.lo].kind
			if k == base != (piece.Kind == staging.Base) || k == none {
				w.t.Fatalf("byte %d is in %v, it should be %d", at, piece, k)
			}
		}
	}
}

func (w *world) snapshot() {
	s := w.file.Snapshot()
	if s.Generation() != w.file.Generation() || s.Size() != w.size {
		w.t.Fatalf("a snapshot of %d bytes, generation %d", s.Size(), s.Generation())
	}
	was, cur, size := s.Pieces(w.lo, window), w.cur, w.size
	for range 3 {
		moved := s.Generation() != w.file.Generation()
		for _, p := range s.Pieces(w.lo, window) {
			b := make([]byte, p.N)
			n, err := s.ReadAt(b, p.Off)
			switch {
			case p.Kind == staging.Base:
				if !errors.Is(err, staging.ErrNotLocal) {
					w.t.Fatalf("read %v of a snapshot: %v", p, err)
				}
				continue
			case p.Kind == staging.Local && moved:
				if !errors.Is(err, staging.ErrMoved) {
					w.t.Fatalf("read %v of a snapshot that moved: %v", p, err)
				}
				continue
			case err != nil || n != len(b):
				w.t.Fatalf("read %v of a snapshot: %d, %v", p, n, err)
			}
			for i, b := range b {
				if c := cur[p.Off-w.lo+int64(i)]; c != (cell{local, b}) {
					w.t.Fatalf("byte %d of a snapshot is %d, not %v", p.Off+int64(i), b, c)
				}
			}
		}
		if s.Size() != size || len(s.Pieces(w.lo, window)) != len(was) {
			w.t.Fatal("the pieces of a snapshot changed")
		}
		f := w.file
		if w.rng.IntN(2) == 0 {
			w.write()
		} else {
			w.truncate()
		}
		if w.file != f {
			return
		}
	}
}
