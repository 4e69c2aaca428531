package blocks

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// half is one of two folders on one disk.
type half struct {
	*disktest.Disk
	dir string
}

func (h half) Open(name string, create bool) (disk.File, error) {
	return h.Disk.Open(path.Join(h.dir, name), create)
}
func (h half) Remove(name string) error              { return h.Disk.Remove(path.Join(h.dir, name)) }
func (h half) List(name string) ([]disk.Info, error) { return h.Disk.List(path.Join(h.dir, name)) }
func (h half) SyncDir(name string) error             { return h.Disk.SyncDir(path.Join(h.dir, name)) }
func (h half) MoveFrom(src disk.FS, from, to string) error {
	s, ok := src.(half)
	if !ok || s.Disk != h.Disk {
		return disk.ErrUnsupported
	}
	return h.Rename(path.Join(s.dir, from), path.Join(h.dir, to))
}

func halves(t testing.TB, d *disktest.Disk) (cache, staging half) {
	t.Helper()
	for _, dir := range []string{"c", "s"} {
		f, err := d.Open(dir+"/there", true)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Close(), d.SyncDir(".")); err != nil {
			t.Fatal(err)
		}
	}
	return half{d, "c"}, half{d, "s"}
}

// stage writes a complete file, and more behind it, as a staged file may have.
func stage(t testing.TB, d disk.FS, name string, k Key, size int64) {
	t.Helper()
	f, err := d.Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.WriteAt(append(content(k, 0, size), "more"...), 0)
	if err := errors.Join(err, f.Sync()); err != nil {
		t.Fatal(err)
	}
}

func there(d disk.FS, name string) bool {
	f, err := d.Open(name, false)
	if err == nil {
		f.Close()
	}
	return err == nil
}

func TestAdopt(t *testing.T) {
	dir := func() (cache, staging disk.FS) {
		root := t.TempDir()
		a, err := disk.Dir(filepath.Join(root, "cache"))
		b, err2 := disk.Dir(filepath.Join(root, "staging"))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return a, b
	}
	for name, places := range map[string]func() (cache, staging disk.FS){
		"one real file system": dir,
		"one disk": func() (disk.FS, disk.FS) {
			c, s := halves(t, disktest.New(1))
			return c, s
		},
		"two disks": func() (disk.FS, disk.FS) { return disktest.New(1), disktest.New(2) },
		"to a real file system": func() (disk.FS, disk.FS) {
			c, _ := dir()
			return c, disktest.New(2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache, staging := places()
			c := openCache(t, cache, Options{}, manual())
			sizes := []int64{0, 1, 4096, Unit, 3*Unit + 1, extentSize + 5*Unit + 3}
			for n, size := range sizes {
				k := Key{uint64(n), "v"}
				stage(t, staging, "f", k, size)
				if err := c.Adopt(k, staging, "f", size); err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if there(staging, "f") {
					t.Errorf("%d bytes: the file is still staged", size)
				}
				if size == 0 {
					continue
				}
				f := openFileOf(t, c, k, size)
				if !get(t, f, 0, size) {
					t.Errorf("%d bytes are not there", size)
				}
				f.Close()
			}
			before := usedNow(c)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			c = openCache(t, cache, Options{}, manual())
			waitScan(t, c)
			if after := usedNow(c); after < before-64<<10 || after > before+64<<10 {
				t.Errorf("it says it takes %d bytes, and after a restart %d", before, after)
			}
			c.mu.Lock()
			if c.reserved != 0 {
				t.Errorf("%d pages are reserved", c.reserved)
			}
			c.mu.Unlock()
			for n, size := range sizes[1:] {
				if !get(t, openFileOf(t, c, Key{uint64(n + 1), "v"}, size), 0, size) {
					t.Errorf("%d bytes are not there after a restart", size)
				}
			}
		})
	}
}

func TestAdoptFails(t *testing.T) {
	cache, staging := halves(t, disktest.New(1))
	c := openCache(t, cache, Options{Limit: 20 * Unit}, manual())
	k := Key{1, "v"}
	if err := c.Adopt(k, staging, "none", Unit); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	stage(t, staging, "f", k, Unit)
	if err := c.Adopt(k, staging, "f", Unit+100); !errors.Is(err, io.ErrUnexpectedEOF) || !there(staging, "f") {
		t.Errorf("a file that is too short: %v", err)
	}
	stage(t, staging, "f", k, 21*Unit)
	if err := c.Adopt(k, staging, "f", 21*Unit); !errors.Is(err, ErrFull) || !there(staging, "f") {
		t.Errorf("a file that is too large: %v", err)
	}
	other := disktest.New(2)
	stage(t, other, "f", k, 21*Unit)
	if err := c.Adopt(k, other, "f", 21*Unit); !errors.Is(err, ErrFull) || !there(other, "f") {
		t.Errorf("a file that is too large, on another disk: %v", err)
	}
	if usedNow(c) > 21*Unit {
		t.Errorf("it takes %d bytes", usedNow(c))
	}
}

// A version of which something is cached, and is being read, is completed.
func TestAdoptOccupied(t *testing.T) {
	cache, staging := halves(t, disktest.New(1))
	c := openCache(t, cache, Options{}, manual())
	k := Key{1, "v"}
	f := openFileOf(t, c, k, 3*extentSize)
	put(t, f, 1, 2)
	stage(t, staging, "f", k, 3*extentSize)
	if err := c.Adopt(k, staging, "f", 3*extentSize); err != nil {
		t.Fatal(err)
	}
	if there(staging, "f") || !get(t, f, 0, 3*extentSize) {
		t.Error("it was not taken over")
	}
	if got := usedNow(c); got > 3*extentSize+3*page {
		t.Errorf("it takes %d bytes", got)
	}
}

// Reads fail while sums are computed: what was read is kept, the rest is absent.
func TestAdoptUnreadable(t *testing.T) {
	d := disktest.New(1)
	cache, staging := halves(t, d)
	c := openCache(t, cache, Options{}, manual())
	k := Key{1, "v"}
	stage(t, staging, "f", k, extentSize+8*Unit)
	n := 0
	d.Fail(func(op, name string) error {
		if op == "read" {
			if n++; n > extentSize/adoptChunk {
				return syscall.EIO
			}
		}
		return nil
	})
	if err := c.Adopt(k, staging, "f", extentSize+8*Unit); err != nil {
		t.Fatal(err)
	}
	d.Fail(nil)
	f := openFileOf(t, c, k, extentSize+8*Unit)
	if have := f.Have(0, extentSize+8*Unit); total(have) == 0 || total(have) == extentSize+8*Unit {
		t.Errorf("it has %v", have)
	}
	for off := int64(0); off < extentSize; off += extentSize / 2 {
		if !get(t, f, off, extentSize/2) {
			put(t, f, off/Unit, extentUnits/2)
		}
	}
	put(t, f, extentUnits, 8)
	if !get(t, f, 0, extentSize+8*Unit) {
		t.Error("it cannot be completed")
	}
	if c.reserved != 0 {
		t.Errorf("%d pages are reserved", c.reserved)
	}
}

// A cut of power at any moment of taking a file over: the version is there, in
// part, or not at all, and never has other bytes.
func TestAdoptCrash(t *testing.T) {
	runs := uint64(25)
	if long() {
		runs = 3000
	}
	for seed := range runs {
		rng := rand.New(rand.NewPCG(seed, 3))
		d := disktest.New(seed)
		cache, staging := halves(t, d)
		if rng.IntN(3) == 0 {
			staging = half{disktest.New(seed), "."} // to be copied
		}
		k, size := Key{1, "v"}, 1+rng.Int64N(8*Unit)
		if rng.IntN(4) == 0 {
			size += extentSize
		}
		c := openCache(t, cache, Options{}, manual())
		waitScan(t, c)
		stage(t, staging, "f", k, size)
		var next *disktest.Disk
		d.CrashAt(d.Ops()+1+rng.Uint64N(12), func() { next = d.Crash(rng) })
		err := c.Adopt(k, staging, "f", size)
		if err == nil {
			err = c.flushAll(rng.IntN(2) == 0)
		}
		if err != nil && next == nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		flushed := false
		if next == nil {
			flushed = c.Flush() == nil && next == nil
		}
		if next == nil {
			next = d.Crash(rng)
		}
		cache, _ = halves(t, next)
		c = openCache(t, cache, Options{}, manual())
		f := openFileOf(t, c, k, size)
		for off := int64(0); off < size; off += Unit {
			if ok, err := tryGet(f, off, Unit); err != nil || flushed && !ok {
				t.Fatal(fmt.Sprint("seed ", seed, ": ", ok, " ", err))
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
