package blocks

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
)

// WriteAt puts units: off is a multiple of Unit, and so is len(p) unless p ends
// where the file does. They are present when it returns. If it fails, with
// ErrFull, some of them may be.
func (f *File) WriteAt(p []byte, off int64) error {
	if err := f.enter(); err != nil {
		return err
	}
	defer f.leave()
	size := f.v.lay.size
	if off < 0 || off%Unit != 0 || int64(len(p)) > size-off || len(p)%Unit != 0 && off+int64(len(p)) != size {
		return fmt.Errorf("write %d bytes at %d of a cached version of %d: %w", len(p), off, size, fs.ErrInvalid)
	}
	for len(p) > 0 {
		n := min(int64(len(p)), extentSize-off%extentSize)
		if err := f.v.write(p[:n], off); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// write puts units of one extent.
func (v *version) write(p []byte, off int64) error {
	sums := make([]uint32, 0, (len(p)+Unit-1)/Unit)
	for unit := range slices.Chunk(p, Unit) {
		sums = append(sums, sumOf(unit))
	}
	l, err := v.begin(uint32(off/extentSize), int(off%extentSize/Unit), len(sums), sums)
	if err != nil {
		return err
	}
	if err := v.c.reserve(l.blocks); err != nil {
		_ = v.commit(l, sums, false)
		return err
	}
	err = l.write(p, off)
	if cerr := v.commit(l, sums, err == nil); err == nil {
		err = cerr
	}
	if err != nil {
		v.c.unreserve(l.blocks)
	}
	return err
}

// fill is the putting of units of an extent: those in units, of the n from first.
type fill struct {
	v        *version
	of       *openFile
	x        *extent
	e        uint32
	first, n int
	units    unitSet
	blocks   int64 // pages that they will take more than now
}

// begin makes absent what is going to be put and holds it for the caller, who
// reserves the blocks, puts the bytes, and calls commit. Units that are present
// and verified with these sums are left out; sums nil: all that are present.
func (v *version) begin(e uint32, first, n int, sums []uint32) (*fill, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for {
		if v.dirty == 0 && v.c.tooMuch() {
			return nil, fmt.Errorf("%w: the disk is too slow", ErrFull)
		}
		of, err := v.ensure(true)
		if err != nil {
			return nil, err
		}
		x, err := v.pin(of, e, true)
		if err == nil {
			l := &fill{v: v, of: of, x: x, e: e, first: first, n: n}
			for l.others() && !x.gone {
				v.cond.Wait()
			}
			if !x.gone {
				l.choose(sums)
				return l, nil
			}
			x.pins--
			err = errStale
		}
		gone := v.unref(of)
		v.mu.Unlock()
		closeLast(gone)
		if !errors.Is(err, errStale) {
			v.wreck(err)
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		v.mu.Lock()
		if !errors.Is(err, errStale) {
			return nil, err
		}
	}
}

// others tells whether somebody else is putting one of the units.
func (l *fill) others() bool {
	for u := l.first; u < l.first+l.n; u++ {
		if l.x.writing.has(u) {
			return true
		}
	}
	return false
}

func (l *fill) choose(sums []uint32) {
	x := l.x
	var replaced unitSet
	var freed int64
	for u := l.first; u < l.first+l.n; u++ {
		have := x.sums[u]
		if have != 0 {
			same := sums == nil || have == sums[u-l.first]
			if !same && x.verified.has(u) {
				l.v.c.warn("a remote gave other bytes for the same version", "object", l.v.id.object)
			}
			// Bytes that a Span was given for must stay what they are.
			if x.verified.has(u) && (same || x.spans > 0) || sums == nil {
				// It counts as put by this process.
				l.v.c.unsettle(l.v.id)
				continue
			}
			replaced.add(u)
			freed += l.v.lay.unitBlocks(l.e, u)
		}
		l.blocks += l.v.lay.unitBlocks(l.e, u)
		l.units.add(u)
		x.writing.add(u)
	}
	if !replaced.empty() {
		x.gen++ // who is reading them has to read again
		l.v.soil(x, l.e, replaced)
		l.v.c.charge(l.v.id, l.v.lay, l.e, -freed, 0)
		for u := range x.sums {
			if replaced.has(u) {
				x.sums[u] = 0
				x.verified.remove(u)
			}
		}
	}
}

// write writes the chosen units of p, which begins at off with unit first.
func (l *fill) write(p []byte, off int64) error {
	for u := l.first; u < l.first+l.n; u++ {
		if !l.units.has(u) {
			continue
		}
		from := u
		for u+1 < l.first+l.n && l.units.has(u+1) {
			u++
		}
		b := p[(from-l.first)*Unit : min((u-l.first+1)*Unit, len(p))]
		at := off + int64(from-l.first)*Unit
		for try := 0; ; try++ {
			_, err := l.of.WriteAt(b, at)
			if err == nil {
				break
			}
			if !errors.Is(err, syscall.ENOSPC) || try == 3 || !l.v.c.noSpace(int64(len(b))) {
				l.v.c.warn("bytes cannot be kept in the cache", "object", l.v.id.object, "err", err)
				return fmt.Errorf("%w: %w", ErrFull, err)
			}
		}
	}
	return nil
}

// commit makes the units present, with the pages that were reserved for them, or
// leaves them absent, which is all that it does when it fails. sums are those of
// all units from first.
func (v *version) commit(l *fill, sums []uint32, ok bool) error {
	v.mu.Lock()
	x := l.x
	for i := range x.writing {
		x.writing[i] &^= l.units[i]
	}
	lost := ok && x.gone && !l.units.empty()
	if ok && !x.gone {
		for u := l.first; u < l.first+l.n; u++ {
			if l.units.has(u) {
				x.sums[u] = sums[u-l.first]
				x.verified.add(u)
			}
		}
		v.soil(x, l.e, l.units)
		x.seen = v.c.tick()
		v.c.charge(v.id, v.lay, l.e, l.blocks, l.blocks)
	}
	v.cond.Broadcast()
	x.pins--
	gone := v.unref(l.of)
	v.mu.Unlock()
	closeLast(gone)
	if lost {
		return fmt.Errorf("%w: the version was taken away meanwhile", ErrFull)
	}
	return nil
}
