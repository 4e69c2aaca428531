package blocks

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// adoptChunk is how many bytes are read at once to compute their sums.
const adoptChunk = 1 << 20

// errOccupied means that the version has a file already.
var errOccupied = errors.New("the version has a file")

// Adopt makes the file name of src, whose first size bytes are all of version
// k, part of the cache, and takes it away from src. It is renamed where src and
// the cache are on one file system, and copied elsewhere. Whatever tells that
// the file is needed at its old place must be gone before: when Adopt fails, or
// the computer does, it may be in neither.
//
// With ErrFull there is no room; the file stays where it was.
func (c *Cache) Adopt(k Key, src disk.FS, name string, size int64) error {
	if err := c.adopt(k, src, name, size); err != nil {
		return fmt.Errorf("adopt version: %w", err)
	}
	return nil
}

func (c *Cache) adopt(k Key, src disk.FS, name string, size int64) error {
	f, err := c.File(k, size)
	if err != nil {
		return err
	}
	defer f.Close()
	switch {
	case size == 0:
		return src.Remove(name)
	case f.v.void:
		return ErrFull
	}
	in, err := src.Open(name, false)
	if err != nil {
		return err
	}
	info, err := in.Stat()
	if err == nil && info.Size < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return errors.Join(err, in.Close())
	}
	if m, ok := c.fs.(disk.Mover); ok {
		err := f.v.take(in, func() error { return m.MoveFrom(src, name, f.v.id.name()) })
		if err == nil {
			return nil // in is the version's file now
		}
		if !errors.Is(err, disk.ErrUnsupported) && !errors.Is(err, errOccupied) {
			return errors.Join(err, in.Close())
		}
	}
	if err := errors.Join(f.copy(in), in.Close()); err != nil {
		return err
	}
	return src.Remove(name)
}

// copy puts the units that are absent.
func (f *File) copy(in disk.File) error {
	buf := make([]byte, min(adoptChunk, f.v.lay.size))
	for off := int64(0); off < f.v.lay.size; off += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), f.v.lay.size-off)]
		if err := readFull(in, p, off); err != nil {
			return err
		}
		if err := f.WriteAt(p, off); err != nil {
			return err
		}
	}
	return nil
}

// take makes in the version's file, once move has put it there, and computes its
// sums. If it fails with ErrFull, ErrUnsupported or errOccupied, it was not moved.
func (v *version) take(in disk.File, move func() error) error {
	v.mu.Lock()
	for v.phase != idle || v.file == nil && !v.absent {
		if v.phase != idle {
			v.cond.Wait()
		} else if err := v.open(false); err != nil {
			v.mu.Unlock()
			return err
		}
	}
	if v.file != nil {
		v.mu.Unlock()
		return errOccupied
	}
	v.phase = opening
	v.mu.Unlock()

	base := v.lay.baseBlocks()
	blocks := base
	for e := range v.lay.extents() {
		for u := range v.lay.extentUnits(e) {
			blocks += v.lay.unitBlocks(e, u)
		}
	}
	v.c.closeFiles()
	err := v.c.reserve(blocks)
	if err == nil {
		if err = v.trailer(in, move); err != nil {
			v.c.unreserve(blocks)
		}
	}
	v.mu.Lock()
	v.phase = idle
	v.cond.Broadcast()
	if err != nil {
		v.mu.Unlock()
		return err
	}
	v.absent = false
	v.c.newNode(v.id, v.lay)
	blocks -= base
	if !v.lay.big() {
		v.put(0, &extent{sums: make([]uint32, v.lay.units())})
	}
	v.attach(in)
	of := v.file
	of.refs++
	v.mu.Unlock()
	for e := range v.lay.extents() {
		n, err := v.sum(of, e)
		if blocks -= n; err != nil {
			v.c.warn("part of what was written here is not kept", "object", v.id.object, "err", err)
		}
	}
	v.c.unreserve(blocks)
	v.mu.Lock()
	last := v.unref(of)
	v.mu.Unlock()
	closeLast(last)
	return nil
}

// trailer moves the file and puts an empty trailer to it.
func (v *version) trailer(in disk.File, move func() error) error {
	if err := move(); err != nil {
		return err
	}
	err := in.Truncate(v.lay.size)
	if err == nil {
		err = in.Truncate(v.lay.total)
	}
	if err == nil {
		_, err = in.WriteAt(appendHeader(nil, v.key, v.lay.size), v.lay.headerAt)
	}
	if err != nil {
		return errors.Join(err, v.c.fs.Remove(v.id.name()))
	}
	return nil
}

// sum makes the units of an extent present that of, the version's file, has. It
// tells how many pages it counted.
func (v *version) sum(of *openFile, e uint32) (int64, error) {
	l, err := v.begin(e, 0, v.lay.extentUnits(e), nil)
	if err != nil {
		return 0, err
	}
	if l.of != of {
		err = errStale // the bytes went with the file
	}
	sums := make([]uint32, l.n)
	buf := make([]byte, min(adoptChunk, v.lay.size))
	for u := 0; u < l.n && err == nil; {
		off := int64(e)*extentSize + int64(u)*Unit
		p := buf[:min(int64(len(buf)), v.lay.size-off)]
		if err = readFull(of, p, off); err == nil {
			for unit := range slices.Chunk(p, Unit) {
				sums[u] = sumOf(unit)
				u++
			}
		}
	}
	if cerr := v.commit(l, sums, err == nil); cerr != nil || err != nil {
		return 0, errors.Join(err, cerr)
	}
	return l.blocks, nil
}
