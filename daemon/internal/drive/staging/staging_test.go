package staging_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
)

// TestModel runs a few hundred seeds. MOORAGE_TEST_LONG=1 runs two hundred times
// as many, and MOORAGE_STAGING_SEED=n only that one.

// record is what a caller has on stable storage of a file.
type record struct {
	state   []byte
	regions map[uint32][]byte
}

func (r *record) apply(st staging.State, regions []staging.Region) {
	r.state = st.Append(nil)
	for _, g := range regions {
		if g.Record == nil {
			delete(r.regions, g.Index)
		} else {
			r.regions[g.Index] = g.Record
		}
	}
}

func (r *record) load(s *staging.Store, id uint64) (*staging.File, error) {
	st, err := staging.DecodeState(r.state)
	if err != nil {
		return nil, err
	}
	return s.Load(id, st, func(yield func(uint32, []byte) bool) error {
		for i, rec := range r.regions {
			if !yield(i, rec) {
				break
			}
		}
		return nil
	})
}

// content reads a whole file through its pieces. Bytes of the base are those of
// baseByte.
func content(t *testing.T, pieces []staging.Piece, size int64, readAt func([]byte, int64) (int, error), off int64) []byte {
	t.Helper()
	all := make([]byte, size-off)
	at := off
	for _, p := range pieces {
		if p.Off != at || p.N <= 0 {
			t.Fatalf("pieces %v: a gap at %d", pieces, at)
		}
		part := all[p.Off-off:][:p.N]
		switch p.Kind {
		case staging.Local:
			if n, err := readAt(part, p.Off); err != nil || n != len(part) {
				t.Fatalf("read %v: %d, %v", p, n, err)
			}
		case staging.Base:
			for i := range part {
				part[i] = baseByte(p.Off + int64(i))
			}
		case staging.Zero:
		default:
			t.Fatalf("piece %v", p)
		}
		at += p.N
	}
	if at != size {
		t.Fatalf("pieces %v end at %d of %d", pieces, at, size)
	}
	return all
}

// baseByte is odd, what is written is even and not 0.
func baseByte(off int64) byte { return byte(off>>3)<<1 | 1 }

func seeds(t *testing.T, n int, run func(t *testing.T, seed uint64)) {
	if s := os.Getenv("MOORAGE_STAGING_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		run(t, seed)
		return
	}
	if os.Getenv("MOORAGE_TEST_LONG") == "1" {
		n *= 200
	}
	var seed uint64
	defer func() {
		if t.Failed() {
			t.Logf("MOORAGE_STAGING_SEED=%d", seed)
		}
	}()
	for ; seed < uint64(n) && !t.Failed(); seed++ {
		run(t, seed)
	}
}

func newStore(t testing.TB, d disk.FS) *staging.Store {
	t.Helper()
	s, err := staging.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t testing.TB, s *staging.Store, id uint64, base int64) *staging.File {
	t.Helper()
	f, err := s.Create(id, base)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestIDsAndRemove(t *testing.T) {
	d := disktest.New(1)
	s := newStore(t, d)
	if ids, err := s.IDs(); err != nil || len(ids) > 0 {
		t.Errorf("at first there are %x, %v", ids, err)
	}
	for _, id := range []uint64{1, 0xdeadbeef, math.MaxUint64} {
		f := create(t, s, id, 0)
		if _, err := f.WriteAt(make([]byte, 5000), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"x", "00000000000000AB", "1", "00000000000000001", "0000000000000000.tmp"} {
		f, err := d.Open("staging/"+name, true)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	ids, err := s.IDs()
	slices.Sort(ids)
	if err != nil || !slices.Equal(ids, []uint64{1, 0xdeadbeef, math.MaxUint64}) {
		t.Errorf("there are %x, %v", ids, err)
	}
	if got := newStore(t, d).Used(); got != 3*8192 || s.Used() != got {
		t.Errorf("%d bytes are used, at first %d", got, s.Used())
	}
	for range 2 { // a crash may repeat it
		if err := s.Remove(1); err != nil {
			t.Error(err)
		}
	}
	if ids, err := s.IDs(); err != nil || len(ids) != 2 || s.Used() != 2*8192 {
		t.Errorf("after a removal there are %x, %v, %d bytes", ids, err, s.Used())
	}
}

// The publisher can read to the end what it publishes, though the node is
// written anew meanwhile.
func TestRemoveWhileOpen(t *testing.T) {
	s := newStore(t, disktest.New(1))
	f := create(t, s, 7, 0)
	if _, err := f.WriteAt([]byte("published"), 0); err != nil {
		t.Fatal(err)
	}
	snap := f.Snapshot()
	if _, err := s.Create(7, 0); !errors.Is(err, staging.ErrOpen) {
		t.Errorf("created twice: %v", err)
	}
	if _, err := s.Load(7, staging.State{}, nil); !errors.Is(err, staging.ErrOpen) {
		t.Errorf("loaded while open: %v", err)
	}
	if err := s.Remove(7); err != nil {
		t.Fatal(err)
	}
	g := create(t, s, 7, 0)
	if _, err := g.WriteAt([]byte("newer"), 0); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 9)
	if _, err := snap.ReadAt(p, 0); err != nil || string(p) != "published" {
		t.Errorf("read %q, %v", p, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.ReadAt(p[:5], 0); err != nil || string(p[:5]) != "newer" {
		t.Errorf("read %q, %v", p[:5], err)
	}
	if _, err := s.Create(7, 0); !errors.Is(err, staging.ErrOpen) {
		t.Errorf("created twice: %v", err)
	}
	if _, _, err := g.Sync(); err != nil || s.Used() != 4096 {
		t.Errorf("%d bytes are used, %v", s.Used(), err)
	}
}

func TestLoadRefuses(t *testing.T) {
	s := newStore(t, disktest.New(1))
	region := func(index uint32, recs ...[]byte) func(func(uint32, []byte) bool) error {
		return func(yield func(uint32, []byte) bool) error {
			for _, rec := range recs {
				if !yield(index, rec) {
					return nil
				}
			}
			return nil
		}
	}
	if _, err := s.Load(1, staging.State{Size: 5}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("loaded without a file: %v", err)
	}
	create(t, s, 1, 0).Close()
	sad := errors.New("sad")
	for name, one := range map[string]struct {
		st      staging.State
		regions func(func(uint32, []byte) bool) error
		want    error
	}{
		"base behind size": {staging.State{Size: 1, Base: 2}, nil, staging.ErrCorrupt},
		"negative":         {staging.State{Size: -1, Base: -1}, nil, staging.ErrCorrupt},
		"bad extents":      {staging.State{Size: 9, Base: 9}, region(0, []byte{1}), staging.ErrCorrupt},
		"twice":            {staging.State{Size: 9, Base: 9}, region(0, []byte{1, 1}, []byte{1, 1}), staging.ErrCorrupt},
		"no record":        {staging.State{Size: 9, Base: 9}, region(0, nil), staging.ErrCorrupt},
		"no records":       {staging.State{}, func(func(uint32, []byte) bool) error { return sad }, sad},
	} {
		if _, err := s.Load(1, one.st, one.regions); !errors.Is(err, one.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Extents behind the base are left from before a truncation.
	f, err := s.Load(1, staging.State{Size: 100, Base: 100}, region(0, []byte{50, 100}))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Pieces(0, 1000); !slices.Equal(got, []staging.Piece{{Off: 0, N: 50, Kind: staging.Base}, {Off: 50, N: 50, Kind: staging.Local}}) {
		t.Errorf("pieces %v", got)
	}
	if _, regions, err := f.Sync(); err != nil || len(regions) != 1 || !bytes.Equal(regions[0].Record, []byte{50, 50}) {
		t.Errorf("to be recorded: %v, %v", regions, err)
	}
}

func TestWriteLimits(t *testing.T) {
	s := newStore(t, disktest.New(1))
	f := create(t, s, 1, 10)
	was := f.State()
	for _, one := range []struct {
		off  int64
		want error
	}{{-1, fs.ErrInvalid}, {math.MaxInt64, syscall.EFBIG}, {1 << 60, syscall.EFBIG}} {
		if _, err := f.WriteAt([]byte("xy"), one.off); !errors.Is(err, one.want) {
			t.Errorf("write at %d: %v", one.off, err)
		}
	}
	if n, err := f.WriteAt(nil, 1<<40); n != 0 || err != nil {
		t.Errorf("write of nothing: %d, %v", n, err)
	}
	if err := f.Truncate(-1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("truncate to -1: %v", err)
	}
	if f.State() != was {
		t.Errorf("now %+v", f.State())
	}
	if _, err := s.Create(2, -1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("over a base of -1: %v", err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, staging.ErrNotLocal) {
		t.Errorf("read of the base: %v", err)
	}
}

// A file of 5 TB takes the room of what was written, and the time.
func TestHugeSparse(t *testing.T) {
	s := newStore(t, disktest.New(1))
	const size = 5 << 40
	f := create(t, s, 1, size)
	page := bytes.Repeat([]byte{2}, 4096)
	for i := range int64(500) {
		if _, err := f.WriteAt(page, i*(size/500)&^4095); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteAt(page, size+(1<<30)); err != nil {
		t.Fatal(err)
	}
	st, regions, err := f.Sync()
	if err != nil || len(regions) != 500 || st.Size != size+(1<<30)+4096 || st.Base != size {
		t.Fatalf("%+v, %d regions, %v", st, len(regions), err)
	}
	f.Recorded()
	if _, regions, err := f.Sync(); err != nil || len(regions) != 0 {
		t.Errorf("%d regions again, %v", len(regions), err)
	}
	if s.Used() != 501*4096 {
		t.Errorf("%d bytes are used", s.Used())
	}
	if n := len(f.Pieces(0, math.MaxInt64)); n != 1000+1 {
		t.Errorf("%d pieces", n)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	st, regions, err = f.Sync()
	if err != nil || st != (staging.State{}) || len(regions) != 500 || regions[17].Record != nil {
		t.Fatalf("%+v, %d regions, %v", st, len(regions), err)
	}
	if f.Recorded(); s.Used() != 0 {
		t.Errorf("%d bytes are used by nothing", s.Used())
	}
}

// Files that become durable at one time wait for their names together.
func TestSyncTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		var n atomic.Int64
		d.Fail(func(op, name string) error {
			if op == "syncdir" {
				n.Add(1)
				time.Sleep(time.Second)
			}
			return nil
		})
		s := newStore(t, d)
		var wg sync.WaitGroup
		for id := range uint64(20) {
			wg.Go(func() {
				f := create(t, s, id, 0)
				if _, err := f.WriteAt([]byte("x"), 0); err != nil {
					t.Error(err)
				}
				if _, _, err := f.Sync(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n.Load() > 3 { // one of the root, one for who was first, one for all others
			t.Errorf("folders were synced %d times", n.Load())
		}
		after := newStore(t, d.Crash(rand.New(rand.NewPCG(1, 1))))
		if ids, err := after.IDs(); err != nil || len(ids) != 20 {
			t.Errorf("after a crash there are %x, %v", ids, err)
		}
	})
}

// Snapshots are read while others write: each read gives one generation or
// ErrMoved.
func TestSnapshotIsOneGeneration(t *testing.T) {
	s := newStore(t, disktest.New(1))
	const pages, size = 16, 4096
	f := create(t, s, 1, pages*size/2)
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 3 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range 1000 {
				p := bytes.Repeat([]byte{byte(rng.IntN(256))}, size*(1+rng.IntN(3)))
				if _, err := f.WriteAt(p, rng.Int64N(pages*size)); err != nil {
					t.Error(err)
				}
				if rng.IntN(50) == 0 {
					if err := f.Truncate(rng.Int64N(pages * size)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, _, err := f.Sync(); err != nil {
				t.Error(err)
			}
			f.Recorded()
		}
	})
	var whole, moved atomic.Int64
	read := func(snap *staging.Snapshot) ([]byte, bool) {
		all := make([]byte, snap.Size())
		for _, p := range snap.Pieces(0, snap.Size()) {
			if p.Kind == staging.Base {
				continue
			}
			_, err := snap.ReadAt(all[p.Off:][:p.N], p.Off)
			if errors.Is(err, staging.ErrMoved) {
				moved.Add(1)
				return nil, false
			}
			if err != nil {
				t.Error(err)
				return nil, false
			}
		}
		return all, true
	}
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				snap := f.Snapshot()
				a, ok := read(snap)
				if !ok {
					continue
				}
				if b, ok := read(snap); ok {
					whole.Add(1)
					if !bytes.Equal(a, b) {
						t.Error("one generation has two contents")
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	t.Logf("%d snapshots were read whole, %d moved", whole.Load(), moved.Load())
	if a, ok := read(f.Snapshot()); !ok {
		t.Error("nobody writes, but the snapshot moved")
	} else if live := content(t, f.Pieces(0, f.State().Size), f.State().Size, f.ReadAt, 0); len(live) != len(a) {
		t.Errorf("%d bytes, not %d", len(a), len(live))
	}
}

// Regions come again until they were recorded as they are.
func TestRecorded(t *testing.T) {
	f := create(t, newStore(t, disktest.New(1)), 1, gib)
	write(t, f, 0, 10, 2)
	write(t, f, 5*staging.RegionSize, 10, 2)
	indexes := func() (l []uint32) {
		_, regions, err := f.Sync()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range regions {
			l = append(l, r.Index)
		}
		return l
	}
	for range 2 {
		if got := indexes(); !slices.Equal(got, []uint32{0, 5}) {
			t.Fatalf("regions %v", got)
		}
	}
	write(t, f, 5*staging.RegionSize+100, 10, 2)
	f.Recorded()
	if got := indexes(); !slices.Equal(got, []uint32{5}) {
		t.Fatalf("after a write in one of them: regions %v", got)
	}
	f.Recorded()
	write(t, f, 5*staging.RegionSize+100, 10, 4)
	if got := indexes(); got != nil {
		t.Fatalf("after writing over it: regions %v", got)
	}
}
