package blocks

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// benchFile gives a version of that size in a real folder, all of which is
// there.
func benchFile(b *testing.B, size int64) (*Cache, *File) {
	b.Helper()
	d, err := disk.Dir(filepath.Join(b.TempDir(), "cache"))
	if err != nil {
		b.Fatal(err)
	}
	c := openCache(b, d, Options{}, manual())
	f := openFileOf(b, c, Key{1, "v"}, size)
	for u := int64(0); u < size/Unit; u += 16 {
		put(b, f, u, 16)
	}
	if err := c.Flush(); err != nil {
		b.Fatal(err)
	}
	return c, f
}

// BenchmarkReadAt reads what is in the system's memory and verified, at random
// places, beside a plain read of the same file.
func BenchmarkReadAt(b *testing.B) {
	const size = 256 << 20
	_, f := benchFile(b, size)
	span, _, ok := f.Span(0, Unit)
	if !ok {
		b.Fatal("no file of the system")
	}
	for _, n := range []int64{4 << 10, 1 << 20} {
		for _, r := range []struct {
			name string
			read func(p []byte, off int64) (int, error)
		}{{"cache", f.ReadAt}, {"file", span.ReadAt}} {
			b.Run(fmt.Sprintf("%dKiB/%s", n>>10, r.name), func(b *testing.B) {
				b.SetBytes(n)
				p := make([]byte, n)
				rng := rand.New(rand.NewPCG(1, 1))
				for b.Loop() {
					if _, err := r.read(p, rng.Int64N(size/n)*n); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("%dKiB/parallel", n>>10), func(b *testing.B) {
			b.SetBytes(n)
			b.RunParallel(func(pb *testing.PB) {
				p := make([]byte, n)
				rng := rand.New(rand.NewPCG(1, 1))
				for pb.Next() {
					if _, err := f.ReadAt(p, rng.Int64N(size/n)*n); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkOpenRead opens a version for one read, as for each READ of a client.
func BenchmarkOpenRead(b *testing.B) {
	c, _ := benchFile(b, 1<<20)
	p := make([]byte, 4096)
	for b.Loop() {
		f, err := c.File(Key{1, "v"}, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.ReadAt(p, 0); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

// BenchmarkFirstRead reads 1 MiB that has to be verified.
func BenchmarkFirstRead(b *testing.B) {
	const size = 64 << 20
	c, f := benchFile(b, size)
	p := make([]byte, 1<<20)
	b.SetBytes(int64(len(p)))
	var off int64
	for b.Loop() {
		if off == size {
			b.StopTimer()
			closeFiles(c)
			off = 0
			b.StartTimer()
		}
		if _, err := f.ReadAt(p, off); err != nil {
			b.Fatal(err)
		}
		off += int64(len(p))
	}
}

// BenchmarkWriteAt puts 1 MiB at a time of a large version, as fast as the
// system takes it, without waiting for the disk.
func BenchmarkWriteAt(b *testing.B) {
	d, err := disk.Dir(filepath.Join(b.TempDir(), "cache"))
	if err != nil {
		b.Fatal(err)
	}
	c := openCache(b, d, Options{Limit: 256 << 20}, manual())
	f := openFileOf(b, c, Key{1, "v"}, 1<<40)
	p := content(Key{1, "v"}, 0, 1<<20)
	b.SetBytes(int64(len(p)))
	var off int64
	for b.Loop() {
		if err := f.WriteAt(p, off); err != nil {
			b.Fatal(err)
		}
		off += int64(len(p))
	}
}

// BenchmarkFileOpen opens a version without I/O.
func BenchmarkFileOpen(b *testing.B) {
	c, f := benchFile(b, 1<<20)
	for b.Loop() {
		g, err := c.File(f.v.key, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		g.Close()
	}
}
