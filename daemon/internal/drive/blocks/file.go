package blocks

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync/atomic"
)

// File is a user of one version. It is safe for concurrent use.
type File struct {
	v      *version
	closed atomic.Bool
	uses   atomic.Int64 // calls that are going on, and 1 until it is closed

	spans []span // guarded by v.mu
}

// span is what File.Span holds until the File is closed.
type span struct {
	of *openFile
	x  *extent
}

// File gives the version k, whose size in bytes the caller knows, to read and to
// fill. It costs no I/O. The File must be closed.
//
// A version that cannot be kept, for its Key.Version is longer than 32 KiB or the
// same key is in use with another size, gives a File that never has anything.
func (c *Cache) File(k Key, size int64) (*File, error) {
	if size < 0 {
		return nil, fmt.Errorf("open cached version: size %d: %w", size, fs.ErrInvalid)
	}
	if c.closed.Load() {
		return nil, fmt.Errorf("open cached version: %w", ErrClosed)
	}
	if size > 0 && size <= maxSize && len(k.Version) <= maxVersion {
		for range 2 {
			v := c.acquire(id{k.Object, c.tune.hash(k.Version)}, true)
			if v.claim(k, size) {
				return newFile(v), nil
			}
			c.mu.Lock()
			alone := v.handles == 1
			c.mu.Unlock()
			if alone { // nobody needs what is in its place
				c.discard(v, false)
			}
			c.releaseHandle(v)
		}
		c.warn("a version is in use under another size or name and is not cached", "object", k.Object, "size", size)
	}
	v := newVersion(c, id{object: k.Object})
	v.void, v.keyed, v.key, v.lay = true, true, k, layout{size: size}
	return newFile(v), nil
}

func newFile(v *version) *File {
	f := &File{v: v}
	f.uses.Store(1)
	return f
}

// enter begins a call, for which the version stays; leave ends it.
func (f *File) enter() error {
	for {
		n := f.uses.Load()
		if n == 0 || f.closed.Load() {
			return fmt.Errorf("cached version: %w", fs.ErrClosed)
		}
		if f.uses.CompareAndSwap(n, n+1) {
			return nil
		}
	}
}

func (f *File) leave() {
	if f.uses.Add(-1) > 0 {
		return
	}
	v := f.v
	v.mu.Lock()
	var last []*openFile
	for _, s := range f.spans {
		s.x.pins--
		s.x.spans--
		last = append(last, v.unref(s.of))
	}
	f.spans = nil
	v.mu.Unlock()
	for _, l := range last {
		closeLast(l)
	}
	if !v.void {
		v.c.releaseHandle(v)
	}
}

// claim says whose version it is. It fails if it is another's.
func (v *version) claim(k Key, size int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.keyed {
		v.keyed, v.key, v.lay = true, k, layoutOf(k, size)
	}
	return v.key == k && v.lay.size == size
}

// Close ends the use. Bytes that are present stay so. Calls that are going on
// may end later.
func (f *File) Close() error {
	if f.closed.Swap(true) {
		return fmt.Errorf("close cached version: %w", fs.ErrClosed)
	}
	f.leave()
	return nil
}

// ReadAt is that of io.ReaderAt: at the end of the file it gives fewer bytes and
// io.EOF. It fails with ErrMissing and n = 0 if any unit that it needs is
// absent, or is not what was put there, which makes it absent.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.enter(); err != nil {
		return 0, err
	}
	defer f.leave()
	size := f.v.lay.size
	switch {
	case off < 0:
		return 0, fmt.Errorf("read cached version: offset %d: %w", off, fs.ErrInvalid)
	case len(p) == 0:
		return 0, nil
	case off >= size:
		return 0, io.EOF
	}
	n := min(int64(len(p)), size-off)
	for done := int64(0); done < n; {
		at := off + done
		m := min(n-done, extentSize-at%extentSize)
		if err := f.v.read(p[done:done+m], at); err != nil {
			return 0, err
		}
		done += m
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// read fills p, which lies in one extent.
func (v *version) read(p []byte, off int64) error {
	e := uint32(off / extentSize)
	first := int(off % extentSize / Unit)
	last := int((off%extentSize + int64(len(p)) - 1) / Unit)
	for {
		v.mu.Lock()
		of, err := v.ensure(false)
		if err != nil {
			v.mu.Unlock()
			return err
		}
		x, err := v.pin(of, e, false)
		if err != nil {
			gone := v.unref(of)
			v.mu.Unlock()
			closeLast(gone)
			switch {
			case errors.Is(err, errStale):
				continue
			case !errors.Is(err, ErrMissing):
				v.wreck(err)
			}
			return ErrMissing
		}
		r := reading{lay: v.lay, of: of, e: e, first: first}
		missing := r.take(x, last)
		gen := x.gen
		hit := x.seen != v.c.tick()
		x.seen = v.c.tick()
		v.mu.Unlock()

		if !missing {
			if hit {
				v.c.touch(v.id, e)
			}
			err = r.do(p, off)
		}

		v.mu.Lock()
		moved := x.gen != gen
		if !moved && !missing {
			v.judge(x, e, &r)
		}
		x.pins--
		gone := v.unref(of)
		v.mu.Unlock()
		closeLast(gone)
		switch {
		case missing:
			return ErrMissing
		case moved:
			continue
		case err != nil:
			v.c.warn("cached bytes cannot be read; they will be fetched again", "object", v.id.object, "err", err)
			return ErrMissing
		case !r.bad.empty():
			v.c.warn("cached bytes are not what was written; they will be fetched again", "object", v.id.object)
			return ErrMissing
		}
		return nil
	}
}

// judge makes known what reading showed. v.mu is held.
func (v *version) judge(x *extent, e uint32, r *reading) {
	if x.gone {
		return
	}
	var blocks int64
	for i := range x.verified {
		x.verified[i] |= r.good[i]
	}
	if r.bad.empty() {
		return
	}
	v.soil(x, e, r.bad)
	x.gen++
	for u := range x.sums {
		if r.bad.has(u) && x.sums[u] != 0 {
			x.sums[u] = 0
			x.verified.remove(u)
			blocks += v.lay.unitBlocks(e, u)
		}
	}
	v.c.charge(v.id, v.lay, e, -blocks, 0)
}

// wreck takes a version away whose file cannot be used.
func (v *version) wreck(err error) {
	v.c.warn("a file in the cache cannot be used; it is removed", "object", v.id.object, "err", err)
	v.c.discard(v, true)
}

// reading is the I/O of one read. It needs no lock.
type reading struct {
	lay       layout
	of        *openFile
	e         uint32
	first     int
	check     []uint32 // sums of the units from first on that must be verified; 0: need not
	good, bad unitSet
}

// take notes what has to be verified. It tells whether a unit is absent.
func (r *reading) take(x *extent, last int) (missing bool) {
	for u := r.first; u <= last; u++ {
		switch {
		case x.sums[u] == 0:
			return true
		case x.verified.has(u):
		default:
			if r.check == nil {
				r.check = make([]uint32, last-r.first+1)
			}
			r.check[u-r.first] = x.sums[u]
		}
	}
	return false
}

func (r *reading) do(p []byte, off int64) error {
	if err := readFull(r.of, p, off); err != nil {
		for u, s := range r.check {
			if s != 0 {
				r.bad.add(r.first + u)
			}
		}
		if r.check == nil { // it was all right once
			for at := off; at < off+int64(len(p)); at += Unit - at%Unit {
				r.bad.add(int(at % extentSize / Unit))
			}
		}
		return err
	}
	var buf []byte
	for i, s := range r.check {
		if s == 0 {
			continue
		}
		u := r.first + i
		at := int64(r.e)*extentSize + int64(u)*Unit
		n := r.lay.unitBytes(r.e, u)
		var unit []byte
		if at >= off && at+n <= off+int64(len(p)) {
			unit = p[at-off : at-off+n]
		} else {
			if buf == nil {
				buf = make([]byte, Unit)
			}
			unit = buf[:n]
			if err := readFull(r.of, unit, at); err != nil {
				r.bad.add(u)
				return err
			}
			// What was verified is what is given.
			if at < off {
				copy(p, unit[off-at:])
			} else {
				copy(p[at-off:], unit)
			}
		}
		if sumOf(unit) == s {
			r.good.add(u)
		} else {
			r.bad.add(u)
		}
	}
	return nil
}

// Have tells which parts of the n bytes at off are present, in order, merged,
// and rounded outwards to whole units (the last one ends where the file does).
// They may be gone by the time they are read.
func (f *File) Have(off, n int64) []Range {
	v := f.v
	off = max(off, 0)
	n = min(n, v.lay.size-off)
	if n <= 0 || f.enter() != nil {
		return nil
	}
	defer f.leave()
	v.mu.Lock()
	of, err := v.ensure(false)
	if err != nil {
		v.mu.Unlock()
		return nil
	}
	first, last := uint32(off/extentSize), uint32((off+n-1)/extentSize)
	known := knownSums{}
	if int(last-first) < len(v.exts) {
		for e := first; e <= last; e++ {
			known.add(e, v.exts[e])
		}
	} else {
		for e, x := range v.exts {
			if e >= first && e <= last {
				known.add(e, x)
			}
		}
	}
	v.mu.Unlock()
	if v.lay.big() {
		for _, e := range v.c.extentsOf(v.id, first, last) {
			if _, ok := known[e]; ok {
				continue
			}
			buf := make([]byte, 4*v.lay.extentUnits(e))
			if readFull(of, buf, v.lay.sumsAt+4*extentUnits*int64(e)) == nil {
				known[e] = make([]uint32, len(buf)/4)
				decodeSums(known[e], buf)
			}
		}
	}
	v.mu.Lock()
	gone := v.unref(of)
	v.mu.Unlock()
	closeLast(gone)
	return ranges(v.lay, known, off, off+n)
}

// knownSums are the sums of extents.
type knownSums map[uint32][]uint32

func (k knownSums) add(e uint32, x *extent) {
	if x != nil && !x.loading && !x.busy {
		k[e] = slices.Clone(x.sums)
	}
}

// ranges lists the units that touch the bytes from off to end.
func ranges(lay layout, sums knownSums, off, end int64) (l []Range) {
	for _, e := range slices.Sorted(maps.Keys(sums)) {
		for u, s := range sums[e] {
			at := int64(e)*extentSize + int64(u)*Unit
			n := lay.unitBytes(e, u)
			if s == 0 || at+n <= off || at >= end {
				continue
			}
			if len(l) > 0 && l[len(l)-1].Off+l[len(l)-1].N == at {
				l[len(l)-1].N += n
			} else {
				l = append(l, Range{at, n})
			}
		}
	}
	return l
}

// Span gives the operating system's file that has the n bytes at off, and their
// place in it, if all of them are present, read before, and in such a file. They
// stay there, and the file open, until f is closed: files that are kept open for
// long must not be read through Span.
func (f *File) Span(off, n int64) (file *os.File, at int64, ok bool) {
	v := f.v
	if off < 0 || n <= 0 || n > v.lay.size-off || f.enter() != nil {
		return nil, 0, false
	}
	defer f.leave()
	v.mu.Lock()
	of := v.file
	if v.phase != idle || of == nil || of.os == nil {
		v.mu.Unlock()
		return nil, 0, false
	}
	first, last := uint32(off/extentSize), uint32((off+n-1)/extentSize)
	for e := first; e <= last; e++ {
		x := v.exts[e]
		from, to := 0, extentUnits
		if e == first {
			from = int(off % extentSize / Unit)
		}
		if e == last {
			to = int((off+n-1)%extentSize/Unit) + 1
		}
		if x == nil || x.loading || x.busy || !x.ready(from, to) {
			v.mu.Unlock()
			return nil, 0, false
		}
	}
	v.touched.Store(true)
	tick := v.c.tick()
	var hits []uint32
	for e := first; e <= last; e++ {
		x := v.exts[e]
		if x.seen != tick {
			x.seen = tick
			hits = append(hits, e)
		}
		if s := (span{of, x}); !slices.Contains(f.spans, s) {
			x.pins++
			x.spans++
			of.refs++
			f.spans = append(f.spans, s)
		}
	}
	v.mu.Unlock()
	for _, e := range hits {
		v.c.touch(v.id, e)
	}
	return of.os, off, true
}

// ready tells whether the units can be read without verifying them.
func (x *extent) ready(from, to int) bool {
	for u := from; u < to; u++ {
		if x.sums[u] == 0 || !x.verified.has(u) {
			return false
		}
	}
	return true
}
