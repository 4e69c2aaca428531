package blocks

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// phase is what is being done to a version's file as a whole. One that does it
// holds no lock, and others wait for version.cond.
type phase uint8

const (
	idle phase = iota
	opening
	removing
)

// version is a version that somebody uses: an open File, the eviction, bytes
// whose sums are not written yet, or its file while that is kept open.
//
// Lock order: version.mu, then Cache.mu. Neither is held across I/O.
type version struct {
	c    *Cache
	id   id
	void bool // keeps nothing; it is not in Cache.open. Never changes

	touched atomic.Bool // since closeFiles saw it

	// Guarded by Cache.mu.
	users   int  // reasons to be in Cache.open
	handles int  // Files
	slot    int  // place in Cache.files, from 1; 0: none
	doomed  bool // to be removed when handles is 0

	mu     sync.Mutex
	cond   sync.Cond // phase, or an extent's loading, busy or writing has changed
	keyed  bool      // key and lay are known; they do not change then
	key    Key
	lay    layout
	phase  phase
	absent bool // there is no file
	file   *openFile
	exts   map[uint32]*extent // those that are in use; all of them that have dirty units
	dirty  int                // units whose sums have to be written
}

// openFile is a version's open file. It stays open as long as somebody has a
// reference, also when the version has it no more.
type openFile struct {
	disk.File
	os *os.File // nil: none

	// Guarded by version.mu.
	refs     int
	detached bool
}

// unitSet is a set of units of one extent.
type unitSet [extentUnits / 64]uint64

func (s *unitSet) has(u int) bool { return s[u/64]>>(u%64)&1 != 0 }
func (s *unitSet) add(u int)      { s[u/64] |= 1 << (u % 64) }
func (s *unitSet) remove(u int)   { s[u/64] &^= 1 << (u % 64) }
func (s *unitSet) empty() bool    { return *s == unitSet{} }

// extent is what is known of the units of one extent. Its fields are guarded by
// version.mu.
type extent struct {
	sums     []uint32 // of the units; 0: absent
	verified unitSet  // read since the file was opened, or put by this process
	dirty    unitSet  // the file has another sum
	writing  unitSet  // bytes are being put
	pins     int      // whoever reads or writes its bytes; it is not evicted
	spans    int      // pins of Spans, whose bytes must not even be written again
	gen      uint32   // moves when a present unit is put again
	seen     uint8    // the tick in which it was used
	loading  bool     // sums are being read
	busy     bool     // being evicted
	gone     bool     // not in version.exts any more; nothing counts for it
}

func newVersion(c *Cache, i id) *version {
	v := &version{c: c, id: i, exts: map[uint32]*extent{}}
	v.cond.L = &v.mu
	return v
}

// ensure gives the version's file with a reference, opened if need be, or made.
// v.mu is held, and let go meanwhile. Without create the error matches
// ErrMissing or ErrClosed, with it ErrFull or ErrClosed.
func (v *version) ensure(create bool) (*openFile, error) {
	kind := ErrMissing
	if create {
		kind = ErrFull
	}
	for {
		switch {
		case v.c.closed.Load():
			return nil, ErrClosed
		case v.void:
			return nil, kind
		case v.phase == removing && !create:
			return nil, ErrMissing // without waiting: a reader needs other bytes soon
		case v.phase != idle:
			v.cond.Wait()
		case v.file != nil:
			v.touched.Store(true)
			v.file.refs++
			return v.file, nil
		case v.absent && !create:
			return nil, ErrMissing
		default:
			if err := v.open(create); err != nil {
				return nil, fmt.Errorf("%w: %w", kind, err)
			}
		}
	}
}

// unref gives a reference back. v.mu is held. If the result is not nil it must
// be closed when v.mu is not held any more.
func (v *version) unref(f *openFile) *openFile {
	if f.refs--; f.refs == 0 && f.detached {
		return f
	}
	return nil
}

// closeLast closes what unref returned.
func closeLast(f *openFile) {
	if f != nil {
		f.Close()
	}
}

// open opens the file, or makes it. v.mu is held, and let go meanwhile. It leaves
// v.file nil and no error if there is none.
func (v *version) open(create bool) error {
	v.phase = opening
	keyed, key, lay := v.keyed, v.key, v.lay
	v.mu.Unlock()
	v.c.closeFiles()
	l := loader{c: v.c, id: v.id, keyed: keyed, key: key, lay: lay}
	err := l.load(create)
	v.mu.Lock()
	v.phase = idle
	v.cond.Broadcast()
	if err == nil && l.file != nil && !keyed && v.keyed && (l.key != v.key || l.lay != v.lay) {
		// It turned out meanwhile whose file should have been here. The next to
		// open it finds that it is not.
		l.file.Close()
		return nil
	}
	v.absent = err == nil && l.file == nil
	if err != nil || l.file == nil {
		if v.absent {
			v.forget()
		}
		return err
	}
	if !v.keyed { // else others may be reading them
		v.keyed, v.key, v.lay = true, l.key, l.lay
	}
	if !v.lay.big() {
		x := v.exts[0]
		if x == nil {
			x = v.put(0, &extent{})
		}
		x.merge(l.sums)
	}
	v.attach(l.file)
	if v.c.closed.Load() && v.dirty == 0 {
		// Close may have been here already.
		closeLast(v.detach())
	}
	return nil
}

// attach makes f the version's file. v.mu is held.
func (v *version) attach(f disk.File) {
	v.file = &openFile{File: f}
	if o, ok := f.(interface{ OS() *os.File }); ok {
		v.file.os = o.OS()
	}
	v.touched.Store(true)
	v.c.fileOpened(v)
}

// merge takes the sums that a file has for those that are not known better.
func (x *extent) merge(sums []uint32) {
	if x.sums == nil {
		x.sums = sums
		return
	}
	for u := range x.sums {
		if !x.dirty.has(u) {
			x.sums[u] = sums[u]
		}
	}
}

// put and drop are the only ones to change v.exts. v.mu is held.
func (v *version) put(e uint32, x *extent) *extent {
	v.c.extents.Add(1)
	v.exts[e] = x
	return x
}

func (v *version) drop(e uint32, x *extent) {
	v.clean(x, x.dirty)
	x.gone = true
	v.c.extents.Add(-1)
	delete(v.exts, e)
}

// forget makes everything absent, and lets go of the file, which the caller
// closes if the result is not nil and when v.mu, which is held, is not any more.
func (v *version) forget() *openFile {
	for e, x := range v.exts {
		v.drop(e, x)
	}
	v.cond.Broadcast()
	return v.detach()
}

// detach lets go of the file, as forget does.
func (v *version) detach() *openFile {
	f := v.file
	if f == nil {
		return nil
	}
	v.file = nil
	v.c.fileClosed(v)
	f.detached = true
	if f.refs > 0 {
		return nil
	}
	return f
}

// soil makes units dirty. v.mu is held.
func (v *version) soil(x *extent, e uint32, units unitSet) {
	var bytes int64
	n := 0
	for u := range x.sums {
		if units.has(u) && !x.dirty.has(u) {
			x.dirty.add(u)
			n++
			if x.sums[u] != 0 {
				bytes += v.lay.unitBytes(e, u)
			}
		}
	}
	if v.dirty == 0 && n > 0 {
		v.c.soiled(v)
	}
	v.dirty += n
	v.c.soiledBytes(bytes)
}

// clean is the reverse of soil.
func (v *version) clean(x *extent, units unitSet) {
	n := 0
	for i := range units {
		n += bits.OnesCount64(x.dirty[i] & units[i])
		x.dirty[i] &^= units[i]
	}
	if n == 0 {
		return
	}
	if v.dirty -= n; v.dirty == 0 {
		v.c.cleaned(v)
	}
}

// errStale means that the file that the caller has is not the version's any more.
var errStale = errors.New("the file was replaced")

// pin gives an extent whose sums are known, and pins it. v.mu is held, and let
// go meanwhile. of must be v.file, with a reference of the caller. Without
// create, an extent that cannot have anything present is ErrMissing.
func (v *version) pin(of *openFile, e uint32, create bool) (*extent, error) {
	for {
		if v.file != of {
			return nil, errStale
		}
		x := v.exts[e]
		switch {
		case x == nil:
			known := v.lay.big() && v.c.hasExtent(v.id, e)
			if !known && !create {
				return nil, ErrMissing
			}
			v.shed()
			x = v.put(e, &extent{sums: make([]uint32, v.lay.extentUnits(e))})
			if !known {
				continue
			}
			x.loading = true
			at, buf := v.lay.sumsAt+4*extentUnits*int64(e), make([]byte, 4*len(x.sums))
			v.mu.Unlock()
			err := readFull(of, buf, at)
			v.mu.Lock()
			x.loading = false
			v.cond.Broadcast()
			if err != nil && !x.gone {
				v.drop(e, x)
				return nil, fmt.Errorf("read sums: %w", err)
			}
			decodeSums(x.sums, buf)
		case x.loading || x.busy && create:
			v.cond.Wait()
		case x.busy:
			return nil, ErrMissing
		default:
			x.pins++
			return x, nil
		}
	}
}

// shed forgets extents that can be read again when the cache has too many of
// them in memory. v.mu is held.
func (v *version) shed() {
	if v.c.extents.Load() < v.c.tune.extents || len(v.exts) < 16 {
		return
	}
	for e, x := range v.exts {
		if x.pins == 0 && !x.loading && !x.busy && x.dirty.empty() {
			v.drop(e, x)
		}
	}
}

// closeFile closes the version's file if nobody uses it. What is read of it
// after it is opened again is verified again, since it may be another file.
func (v *version) closeFile() bool {
	v.mu.Lock()
	if v.phase != idle || v.file == nil || v.file.refs > 0 {
		v.mu.Unlock()
		return false
	}
	f := v.detach()
	for e, x := range v.exts {
		if x.dirty.empty() {
			v.drop(e, x)
		} else {
			x.verified = unitSet{}
		}
	}
	v.mu.Unlock()
	closeLast(f)
	return true
}

// loader opens a version's file. It runs without locks.
type loader struct {
	c     *Cache
	id    id
	keyed bool
	key   Key
	lay   layout
	file  disk.File // nil: there is none
	sums  []uint32  // of a version that is not big
}

func (l *loader) load(create bool) error {
	f, err := l.c.fs.Open(l.id.name(), false)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.c.dropNode(l.id)
	case err != nil:
		return err
	default:
		err := l.read(f)
		if err == nil {
			l.file = f
			return nil
		}
		f.Close()
		if !errors.Is(err, errHeader) {
			return err
		}
		l.c.warn("a file in the cache is not what its name says; it is removed", "object", l.id.object)
		if err := l.c.fs.Remove(l.id.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		l.c.dropNode(l.id)
	}
	if !create {
		return nil
	}
	return l.make()
}

// make makes the file. The key is known.
func (l *loader) make() error {
	if err := l.c.reserve(l.lay.baseBlocks()); err != nil {
		return err
	}
	f, err := l.c.fs.Open(l.id.name(), true)
	if err != nil {
		l.c.unreserve(l.lay.baseBlocks())
		return err
	}
	err = f.Truncate(l.lay.total)
	if err == nil {
		_, err = f.WriteAt(appendHeader(nil, l.key, l.lay.size), l.lay.headerAt)
	}
	if err != nil {
		l.c.unreserve(l.lay.baseBlocks())
		return errors.Join(err, f.Close(), l.c.fs.Remove(l.id.name()))
	}
	l.file = f
	if !l.lay.big() {
		l.sums = make([]uint32, l.lay.units())
	}
	l.c.newNode(l.id, l.lay)
	return nil
}

// read reads what an existing file is. The error matches errHeader if it is not
// the file of the version.
func (l *loader) read(f disk.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if l.keyed && info.Size != l.lay.total || info.Dir {
		return errHeader
	}
	key, lay, err := readHeader(f, info.Size)
	switch {
	case err != nil:
		return err
	case l.keyed && (key != l.key || lay != l.lay):
		return errHeader
	case key.Object != l.id.object || l.c.tune.hash(key.Version) != l.id.version:
		return errHeader
	}
	l.key, l.lay = key, lay
	if !lay.big() {
		l.sums = make([]uint32, lay.units())
		buf := make([]byte, 4*len(l.sums))
		if err := readFull(f, buf, lay.sumsAt); err != nil {
			return err
		}
		decodeSums(l.sums, buf)
		l.c.addNode(l.id, lay, []uint32{0}, []int64{presentBlocks(lay, 0, l.sums)})
		return nil
	}
	if l.c.hasNode(l.id) {
		return nil
	}
	exts, blocks, err := scanSums(f, lay)
	if err == nil {
		l.c.addNode(l.id, lay, exts, blocks)
	}
	return err
}

// readHeader reads the header at the end of a file of that size.
func readHeader(f disk.File, size int64) (Key, layout, error) {
	buf := make([]byte, min(size, 256))
	if err := readFull(f, buf, size-int64(len(buf))); err != nil {
		return Key{}, layout{}, err
	}
	n, err := headerLen(buf)
	if err != nil || int64(n) > size {
		return Key{}, layout{}, errHeader
	}
	if n > len(buf) {
		buf = make([]byte, n)
		if err := readFull(f, buf, size-int64(n)); err != nil {
			return Key{}, layout{}, err
		}
	}
	key, bytes, err := decodeHeader(buf[len(buf)-n:])
	if err != nil {
		return Key{}, layout{}, err
	}
	lay := layoutOf(key, bytes)
	if lay.total != size {
		return Key{}, layout{}, errHeader
	}
	return key, lay, nil
}

// scanSums finds the extents that have units, and the pages that these take.
func scanSums(f disk.File, lay layout) (exts []uint32, blocks []int64, err error) {
	buf := make([]byte, min(256<<10, 4*lay.units()))
	sums := make([]uint32, extentUnits)
	for e := uint32(0); e < lay.extents(); {
		at := lay.sumsAt + 4*extentUnits*int64(e)
		n := min(int64(len(buf)), lay.headerAt-at)
		if err := readFull(f, buf[:n], at); err != nil {
			return nil, nil, err
		}
		for b := buf[:n]; len(b) > 0; e++ {
			s := sums[:lay.extentUnits(e)]
			decodeSums(s, b)
			b = b[4*len(s):]
			if p := presentBlocks(lay, e, s); p > 0 {
				exts, blocks = append(exts, e), append(blocks, p)
			}
		}
	}
	return exts, blocks, nil
}

// presentBlocks is how many pages the present units of an extent take.
func presentBlocks(lay layout, e uint32, sums []uint32) (n int64) {
	for u, s := range sums {
		if s != 0 {
			n += lay.unitBlocks(e, u)
		}
	}
	return n
}

// readFull reads all of p or fails.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
