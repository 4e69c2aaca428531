package staging

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// File is the unpublished content of one node. Its methods may be called
// concurrently, but see Sync.
type File struct {
	s  *Store
	id uint64
	f  disk.File

	gen atomic.Uint64 // set with mu held

	// syncing is held during a Sync. It comes before order.
	syncing sync.Mutex
	// order is held shared while bytes are written, and alone to take bytes away
	// or to see that none are being written. It comes before mu.
	order sync.RWMutex

	mu      sync.Mutex
	st      State
	regions map[uint32]*region
	dirty   map[uint32]*region // those of regions that are
	end     int64              // nothing that counts is in the staging file from here on
	cut     int64              // where the staging file has to be cut off before it grows; -1: nowhere
	cuts    uint64             // moves with every Truncate
	written bool               // something is not on stable storage
	named   bool               // the file's name is
	asked   []asked            // what the last Sync gave
	synced  State              // likewise
	used    int64              // this file's part of Store.used
	gone    bool               // the file was removed and is no part of Store.used
	failed  error
}

// asked is a region that was given to be recorded.
type asked struct {
	index uint32
	stamp uint64
}

// blockSize is the largest page of an operating system, and what file systems
// write as a whole at most.
const blockSize = 64 << 10

func (s *Store) newFile(id uint64) *File {
	return &File{s: s, id: id, regions: map[uint32]*region{}, dirty: map[uint32]*region{}, cut: -1}
}

func (f *File) create(base int64) error {
	d, err := f.s.fs.Open(name(f.id), true)
	if err != nil {
		return err
	}
	i, err := d.Stat()
	if err == nil && i.Size > 0 {
		err = d.Truncate(0)
	}
	if err != nil {
		return errors.Join(err, d.Close())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.s.used.Add(-i.Used)
	f.f, f.st, f.written = d, State{Size: base, Base: base}, i.Size > 0
	f.move()
	return nil
}

func (f *File) load(st State, regions func(yield func(region uint32, rec []byte) bool) error) error {
	if !st.valid() {
		return fmt.Errorf("%w: size %d over a base of %d", ErrCorrupt, st.Size, st.Base)
	}
	f.st, f.named = st, true
	f.move()
	if regions != nil {
		var bad error
		err := regions(func(index uint32, rec []byte) bool {
			bad = f.loadRegion(index, rec)
			return bad == nil
		})
		if err := errors.Join(err, bad); err != nil {
			return err
		}
	}
	d, err := f.s.fs.Open(name(f.id), false)
	if err != nil {
		return err
	}
	i, err := d.Stat()
	end, longer := min(i.Size, st.Size), i.Size > st.Size // written, but not recorded
	if rest := -end & (blockSize - 1); err == nil && f.s.isSuspect(f.id) && rest > 0 {
		// The zeros of a truncation may be among what got lost, and would not be
		// written by a later Sync: a page that failed counts as written.
		_, err = d.WriteAt(make([]byte, rest), end)
		longer = true
	}
	if err == nil && longer {
		err = d.Truncate(end)
	}
	if err != nil {
		return errors.Join(err, d.Close())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// A truncation that was not recorded may have taken away what extents are of.
	for index, r := range f.regions {
		if n := len(r.exts); n > 0 {
			end = max(end, int64(index)*RegionSize+int64(r.exts[n-1].to))
		}
	}
	f.f, f.end, f.used = d, end, i.Used
	f.written = true // by a process, perhaps, that did not get to sync it
	f.measure()
	return nil
}

func (f *File) loadRegion(index uint32, rec []byte) error {
	exts, err := decodeExtents(rec)
	if err != nil {
		return fmt.Errorf("region %d: %w", index, err)
	}
	if f.regions[index] != nil {
		return fmt.Errorf("%w: region %d is there twice", ErrCorrupt, index)
	}
	f.regions[index] = &region{exts: exts, given: true}
	if at := int64(index) * RegionSize; f.st.Base < at+RegionSize {
		f.cutRegion(index, max(f.st.Base-at, 0)) // a truncation was recorded without this
	}
	return nil
}

// State is what the file is like now.
func (f *File) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.st
}

// Generation moves with every Truncate and when a WriteAt begins and ends, also
// one that fails. No other file of the Store has had the same.
func (f *File) Generation() uint64 { return f.gen.Load() }

func (f *File) move() { f.gen.Store(f.s.gens.Add(1)) }

// WriteAt writes p, which may make the file longer. It is all written, or with
// an error the file's State and Pieces stay as they are and n is 0; what p was
// to replace in local pieces may be replaced in part.
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("write staging file %x at %d: %w", f.id, off, fs.ErrInvalid)
	}
	if int64(len(p)) > math.MaxInt64-off {
		return 0, fmt.Errorf("write staging file %x at %d: %w", f.id, off, syscall.EFBIG)
	}
	if len(p) == 0 {
		return 0, nil
	}
	to := off + int64(len(p))
	if err := f.begin(to); err != nil {
		return 0, fmt.Errorf("write staging file %x: %w", f.id, err)
	}
	defer f.order.RUnlock()
	_, err = f.f.WriteAt(p, off)

	f.mu.Lock()
	defer f.mu.Unlock()
	f.move()
	f.written = true
	if err != nil {
		// Some of it may be there.
		if to > f.end && f.cut < 0 {
			f.cut = f.end
		}
		return 0, fmt.Errorf("write staging file %x: %w", f.id, err)
	}
	fresh := max(to-max(off, f.end, f.st.Base), 0)
	for at := off; at < min(to, f.st.Base); {
		i := at / RegionSize
		until := min(to, f.st.Base, (i+1)*RegionSize)
		fresh += f.addExtent(uint32(i), uint32(at-i*RegionSize), uint32(until-i*RegionSize))
		at = until
	}
	f.st.Size = max(f.st.Size, to)
	f.end = max(f.end, to)
	if f.cut >= 0 {
		f.cut = max(f.cut, f.end) // another write failed while this one was on its way
	}
	f.account(fresh)
	return len(p), nil
}

// begin takes f.order shared for a write that ends at to.
func (f *File) begin(to int64) error {
	for {
		f.order.RLock()
		f.mu.Lock()
		if f.failed != nil {
			f.mu.Unlock()
			f.order.RUnlock()
			return f.failed
		}
		if f.cut < 0 || to <= f.cut {
			f.move()
			f.mu.Unlock()
			return nil
		}
		f.mu.Unlock()
		f.order.RUnlock()

		f.order.Lock()
		err := f.cutFile(to)
		f.order.Unlock()
		if err != nil {
			return err
		}
	}
}

// cutFile makes the staging file ready to grow up to to. f.order is held alone.
func (f *File) cutFile(to int64) error {
	f.mu.Lock()
	at := f.cut
	f.mu.Unlock()
	if at < 0 || to <= at {
		return nil
	}
	if err := f.f.Truncate(at); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = -1
	f.written = true
	f.measure()
	return nil
}

func (f *File) addExtent(index, from, to uint32) int64 {
	r := f.regions[index]
	if r == nil {
		r = &region{}
		f.regions[index] = r
	}
	stamp := r.stamp
	fresh := r.add(from, to)
	if r.stamp != stamp {
		r.dirty = true
		f.dirty[index] = r
	}
	return int64(fresh)
}

// Truncate sets the size. Bytes that it adds are zeros; bytes that it takes away
// never come back, those of the base neither.
func (f *File) Truncate(size int64) error {
	if size < 0 {
		return fmt.Errorf("truncate staging file %x to %d: %w", f.id, size, fs.ErrInvalid)
	}
	f.order.Lock()
	defer f.order.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return fmt.Errorf("truncate staging file %x: %w", f.id, f.failed)
	}
	f.move()
	f.cuts++
	// The bytes stay in the staging file until something is written behind them or
	// the truncation is recorded: they may be needed if the power fails before.
	if f.end > size {
		f.end = size
		if f.cut < 0 || f.cut > size {
			f.cut = size
		}
	}
	if f.st.Base > size {
		f.st.Base = size
		for index := range f.regions {
			if at := int64(index) * RegionSize; at+RegionSize > size {
				f.cutRegion(index, max(size-at, 0))
			}
		}
	}
	f.st.Size = size
	return nil
}

// cutRegion takes the extents of a region away from at on.
func (f *File) cutRegion(index uint32, at int64) {
	r := f.regions[index]
	stamp := r.stamp
	r.cut(uint32(min(at, RegionSize)))
	switch {
	case len(r.exts) == 0 && !r.given:
		delete(f.regions, index)
		delete(f.dirty, index)
	case r.stamp != stamp:
		r.dirty = true
		f.dirty[index] = r
	}
}

// Pieces tells where the bytes of [off, off+n) are, in order, without what lies
// behind the size.
func (f *File) Pieces(off, n int64) []Piece {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.layout().pieces(off, n)
}

func (f *File) layout() layout {
	return layout{f.st.Size, f.st.Base, f.end, func(i uint32) []extent {
		if r := f.regions[i]; r != nil {
			return r.exts
		}
		return nil
	}}
}

// local tells whether all of [off, off+n) is in the staging file.
func (l layout) local(off, n int64) bool {
	p := l.pieces(off, n)
	return len(p) == 1 && p[0].Kind == Local && p[0].N == n
}

// ReadAt reads bytes of local pieces; ErrNotLocal if any of them is in none. The
// bytes of writes that are going on may be old or new.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		f.mu.Lock()
		local, cuts := f.layout().local(off, int64(len(p))), f.cuts
		f.mu.Unlock()
		if !local {
			return 0, fmt.Errorf("read staging file %x at %d: %w", f.id, off, ErrNotLocal)
		}
		if err := f.read(p, off); err != nil {
			return 0, err
		}
		f.mu.Lock()
		same := cuts == f.cuts
		f.mu.Unlock()
		if same {
			return len(p), nil
		}
	}
}

// Span gives the operating system's file that has all of [off, off+n), at the
// same place; ok is false if there is none, or they are not all in it. The file
// is valid until the File is closed. What is truncated away meanwhile may be gone
// from it.
func (f *File) Span(off, n int64) (file *os.File, ok bool) {
	o, ok := f.f.(disk.OSFile)
	if !ok || n <= 0 {
		return nil, false
	}
	f.mu.Lock()
	local := f.layout().local(off, n)
	f.mu.Unlock()
	if !local {
		return nil, false
	}
	// Of what was truncated away before a power failure the end may be missing.
	if i, err := f.f.Stat(); err != nil || i.Size < off+n {
		return nil, false
	}
	return o.OS(), true
}

// read reads the staging file, behind whose end there are zeros.
func (f *File) read(p []byte, off int64) error {
	n, err := f.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		clear(p[n:])
		err = nil
	}
	if err != nil {
		return fmt.Errorf("read staging file %x at %d: %w", f.id, off, err)
	}
	return nil
}

// Sync puts everything written before it began on stable storage, the file's
// name too, and gives what has to be recorded, durably and all or nothing, so
// that Load gives this: the State, and the Regions that changed since the last
// call of Recorded. Whoever calls it must have recorded that before the next
// Sync of this file begins. After an error the file takes no more changes, see
// ErrSync.
func (f *File) Sync() (State, []Region, error) {
	f.syncing.Lock()
	defer f.syncing.Unlock()
	if err := f.clean(); err != nil {
		return State{}, nil, fmt.Errorf("sync staging file %x: %w", f.id, err)
	}

	f.mu.Lock()
	if f.failed != nil {
		defer f.mu.Unlock()
		return State{}, nil, fmt.Errorf("sync staging file %x: %w", f.id, f.failed)
	}
	st, named, written := f.st, f.named, f.written
	f.written = false
	f.asked = f.asked[:0]
	exts := make([][]extent, 0, len(f.dirty))
	for index := range f.dirty {
		f.asked = append(f.asked, asked{index: index})
	}
	slices.SortFunc(f.asked, func(a, b asked) int { return int(int64(a.index) - int64(b.index)) })
	for i, a := range f.asked {
		r := f.dirty[a.index]
		f.asked[i].stamp = r.stamp
		exts = append(exts, r.share())
		r.given = true
	}
	f.synced = st
	asked := slices.Clone(f.asked)
	f.mu.Unlock()

	if err := f.sync(written, named); err != nil {
		return State{}, nil, fmt.Errorf("sync staging file %x: %w", f.id, err)
	}
	regions := make([]Region, len(asked))
	for i, a := range asked {
		regions[i].Index = a.index
		if len(exts[i]) > 0 {
			regions[i].Record = appendExtents(nil, exts[i])
		}
	}
	return st, regions, nil
}

// clean takes away what a truncation or a failed write left where zeros are to be
// seen. Load could not tell it from what was written.
func (f *File) clean() error {
	f.mu.Lock()
	dirty := f.failed == nil && f.cut >= 0 && f.cut < f.st.Size
	f.mu.Unlock()
	if !dirty {
		return nil
	}
	f.order.Lock()
	defer f.order.Unlock()
	return f.cutFile(f.State().Size)
}

func (f *File) sync(written, named bool) error {
	var err error
	if written {
		err = f.f.Sync()
	}
	if err == nil && !named {
		err = f.s.names.run()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		// The operating system tells once, and then takes the bytes for written.
		f.failed = fmt.Errorf("%w: %w", ErrSync, err)
		f.s.setSuspect(f.id, true)
		return f.failed
	}
	f.s.setSuspect(f.id, false)
	f.named = true
	f.measure()
	return nil
}

// Recorded tells that what the last Sync gave is on stable storage: regions that
// did not change since are not given again, and bytes that were truncated away
// are freed. Without this call both wait until the file is loaded again, or
// grows.
func (f *File) Recorded() {
	f.mu.Lock()
	for _, a := range f.asked {
		r := f.regions[a.index]
		if r == nil || r.stamp != a.stamp {
			continue
		}
		r.dirty = false
		delete(f.dirty, a.index)
		if len(r.exts) == 0 {
			delete(f.regions, a.index)
		}
	}
	f.asked = f.asked[:0]
	free := f.cut >= 0 && f.synced.Size <= f.cut
	f.mu.Unlock()
	if free {
		f.order.Lock()
		defer f.order.Unlock()
		_ = f.cutFile(math.MaxInt64) // it is tried again when the file grows
	}
}

// Snapshot gives the file as it is now, as soon as no write is going on.
func (f *File) Snapshot() *Snapshot {
	f.order.Lock()
	defer f.order.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &Snapshot{f: f, gen: f.gen.Load(), st: f.st, end: f.end, exts: make(map[uint32][]extent, len(f.regions))}
	for i, r := range f.regions {
		s.exts[i] = r.share()
	}
	return s
}

// Close closes the file. What was not synced and recorded may be lost.
func (f *File) Close() error {
	f.s.release(f)
	f.mu.Lock()
	f.measure()
	f.mu.Unlock()
	if err := f.f.Close(); err != nil {
		return fmt.Errorf("close staging file %x: %w", f.id, err)
	}
	return nil
}

// account adds to the bytes that the file takes. f.mu is held.
func (f *File) account(n int64) {
	if f.gone {
		return
	}
	f.used += n
	f.s.used.Add(n)
}

// measure sets the account right. It asks the operating system, which answers
// from memory. f.mu is held.
func (f *File) measure() {
	if i, err := f.f.Stat(); err == nil {
		f.account(i.Used - f.used)
	}
}

// detach takes the file out of the account and tells what it had there.
func (f *File) detach() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = true
	return f.used
}

// Used is how many bytes of the disk the file takes.
func (f *File) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used
}
