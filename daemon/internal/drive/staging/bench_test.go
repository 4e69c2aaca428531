package staging_test

import (
	"math/rand/v2"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
)

const gib = 1 << 30

func dir(b *testing.B) disk.FS {
	d, err := disk.Dir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// nowhere is a file that takes everything and keeps nothing: what is measured
// with it is this package.
type nowhere struct{ disk.FS }

type nowhereFile struct{ disk.File }

func (n nowhere) Open(name string, create bool) (disk.File, error) {
	f, err := n.FS.Open(name, create)
	return nowhereFile{f}, err
}

func (nowhereFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// One operation is 100,000 writes of 4 KiB at random into a base of 1 GiB.
func BenchmarkRandomWrites(b *testing.B) {
	for _, where := range []struct {
		name string
		fs   func(b *testing.B) disk.FS
	}{
		{"Dir", dir},
		{"Nowhere", func(*testing.B) disk.FS { return nowhere{disktest.New(1)} }},
	} {
		b.Run(where.name, func(b *testing.B) {
			s := newStore(b, where.fs(b))
			p := make([]byte, 4096)
			for i := 0; b.Loop(); i++ {
				f := create(b, s, uint64(i), gib)
				rng := rand.New(rand.NewPCG(1, uint64(i)))
				for range 100_000 {
					if _, err := f.WriteAt(p, rng.Int64N(gib/4096)*4096); err != nil {
						b.Fatal(err)
					}
				}
				if err := s.Remove(uint64(i)); err != nil {
					b.Fatal(err)
				}
				if err := f.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/write")
		})
	}
}

// A database commits after each page: the cost of that without a disk, with
// 50,000 pages written before.
func BenchmarkWriteAndSync(b *testing.B) {
	s := newStore(b, nowhere{disktest.New(1)})
	f := create(b, s, 1, gib)
	rng := rand.New(rand.NewPCG(1, 1))
	p := make([]byte, 4096)
	for range 50_000 {
		if _, err := f.WriteAt(p, rng.Int64N(gib/4096)*4096); err != nil {
			b.Fatal(err)
		}
	}
	var recorded int
	for b.Loop() {
		if _, err := f.WriteAt(p, rng.Int64N(gib/4096)*4096); err != nil {
			b.Fatal(err)
		}
		_, regions, err := f.Sync()
		if err != nil {
			b.Fatal(err)
		}
		f.Recorded()
		for _, r := range regions {
			recorded += len(r.Record)
		}
	}
	b.ReportMetric(float64(recorded)/float64(b.N), "B-recorded/op")
}

func BenchmarkSequentialWrites(b *testing.B) {
	s := newStore(b, dir(b))
	p := make([]byte, 1<<20)
	f := create(b, s, 1, 0)
	b.SetBytes(int64(len(p)))
	var off int64
	for b.Loop() {
		if off >= gib/2 {
			off = 0
		}
		if _, err := f.WriteAt(p, off); err != nil {
			b.Fatal(err)
		}
		off += int64(len(p))
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPieces(b *testing.B) {
	s := newStore(b, nowhere{disktest.New(1)})
	f := create(b, s, 1, gib)
	rng := rand.New(rand.NewPCG(1, 1))
	p := make([]byte, 4096)
	for range 50_000 {
		if _, err := f.WriteAt(p, rng.Int64N(gib/4096)*4096); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for b.Loop() {
		n += len(f.Pieces(rng.Int64N(gib), 128<<10))
	}
	if n == 0 {
		b.Fatal(staging.ErrNotLocal)
	}
}
