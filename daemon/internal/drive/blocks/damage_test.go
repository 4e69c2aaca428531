package blocks

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// A person deletes the cache while it is in use.
func TestFolderDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d, err := disk.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	tune := manual()
	tune.files = 3
	c := openCache(t, d, Options{}, tune)
	var files []*File
	for n := range uint64(10) {
		f := openFileOf(t, c, Key{n << 8, "v"}, extentSize+Unit)
		put(t, f, 0, 2)
		put(t, f, 256, 1)
		files = append(files, f)
	}
	for round := range 3 {
		if round > 0 {
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			get(t, f, 0, 2*Unit) // right, or missing
		}
		if err := c.flushAll(false); err != nil {
			t.Errorf("flush: %v", err)
		}
		for _, f := range files[:5] {
			put(t, f, 0, 1)
			if !get(t, f, 0, Unit) {
				t.Fatal("what is put after the folder was deleted is missing")
			}
		}
		c.checkMark()
		waitScan(t, c)
		if got := usedNow(c); got > 5*(2*Unit+2*page) {
			t.Errorf("it says it takes %d bytes", got)
		}
		for _, f := range files {
			if !get(t, f, 0, 2*Unit) {
				put(t, f, 0, 2)
			}
			if !get(t, f, 256*Unit, Unit) {
				put(t, f, 256, 1)
			}
			if !get(t, f, 0, 2*Unit) || !get(t, f, 256*Unit, Unit) {
				t.Fatal("what is put again is missing")
			}
		}
	}
	if err := errors.Join(c.Flush(), c.Close()); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, d, Options{}, manual())
	waitScan(t, c)
	for _, f := range files {
		if !get(t, openFileOf(t, c, f.v.key, f.v.lay.size), 0, 2*Unit) {
			t.Error("what was put again is missing after a restart")
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, d, Options{}, manual())
	waitScan(t, c)
	f := openFileOf(t, c, files[0].v.key, files[0].v.lay.size)
	if get(t, f, 0, Unit) || usedNow(c) != 0 {
		t.Error("something is there that was deleted before the start")
	}
	put(t, f, 0, 2)
	if !get(t, f, 0, 2*Unit) {
		t.Error("a new folder keeps nothing")
	}
}

// It is deleted again and again while many read and write.
func TestFolderDeletedWhileBusy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d, err := disk.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	tune := manual()
	tune.files, tune.flush = 3, time.Millisecond
	c := openCache(t, d, Options{Limit: 4 << 20}, tune)
	stop := make(chan struct{})
	var g sync.WaitGroup
	for i := range uint64(4) {
		g.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				f, err := c.File(Key{n % 7, "v"}, 5*Unit)
				if err != nil {
					t.Error(err)
					return
				}
				first := int64(n % 4)
				ok, err := tryGet(f, first*Unit, Unit)
				if err == nil && !ok {
					if err = tryPut(f, first, 2); errors.Is(err, ErrFull) {
						err = nil
					}
				}
				f.Close()
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 30 {
		time.Sleep(5 * time.Millisecond) // so that something is there to be deleted
		if err := os.RemoveAll(dir); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			t.Error(err)
		}
	}
	close(stop)
	g.Wait()
	c.checkMark()
	waitScan(t, c)
	f := openFileOf(t, c, Key{100, "v"}, Unit)
	put(t, f, 0, 1)
	if !get(t, f, 0, Unit) {
		t.Error("in the end nothing is kept")
	}
}

// whole writes a version of 5 units, closes the cache, and gives the path of its
// file.
func whole(t *testing.T, dir string, k Key) string {
	t.Helper()
	d, err := disk.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := openCache(t, d, Options{}, manual())
	put(t, openFileOf(t, c, k, 5*Unit-7), 0, 5)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, filepath.FromSlash(id{k.Object, hashVersion(k.Version)}.name()))
}

// Whatever is done to the files of a cache that is closed, reads give what was
// put, or nothing, and what is put afterwards is kept.
func TestDamagedFiles(t *testing.T) {
	k, other := Key{1, "v"}, Key{1, "other"}
	flip := func(at int64) func(t *testing.T, name, dir string) {
		return func(t *testing.T, name, _ string) {
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if at < 0 {
				i, err := f.Stat()
				if err != nil {
					t.Fatal(err)
				}
				at += i.Size()
			}
			var b [1]byte
			if _, err := f.ReadAt(b[:], at); err != nil {
				t.Fatal(err)
			}
			b[0] ^= 0x10
			if _, err := f.WriteAt(b[:], at); err != nil {
				t.Fatal(err)
			}
		}
	}
	resize := func(by int64) func(t *testing.T, name, dir string) {
		return func(t *testing.T, name, _ string) {
			i, err := os.Stat(name)
			if err == nil {
				err = os.Truncate(name, max(i.Size()+by, 0))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	sumsAt := layoutOf(k, 5*Unit-7).sumsAt
	for _, tt := range []struct {
		name  string
		do    func(t *testing.T, name, dir string)
		units int // that must be there
	}{
		{"first byte", flip(0), 4},
		{"byte of unit 2", flip(2*Unit + 5), 4},
		{"last byte", flip(5*Unit - 8), 4},
		{"byte behind the data", flip(5*Unit - 7), 5},
		{"sum", flip(sumsAt + 4), 4},
		{"magic", flip(-41), 0},
		{"version", flip(-9), 0},
		{"length", flip(-6), 0},
		{"check", flip(-1), 0},
		{"shorter", resize(-1), 0},
		{"longer", resize(1), 0},
		{"much longer", resize(1 << 30), 0},
		{"empty", resize(-1 << 30), 0},
		{"gone", func(t *testing.T, name, _ string) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}, 0},
		{"another version", func(t *testing.T, name, dir string) {
			if err := os.Rename(whole(t, dir, other), name); err != nil {
				t.Fatal(err)
			}
		}, 0},
		{"a folder", func(t *testing.T, name, _ string) {
			if err := errors.Join(os.Remove(name), os.Mkdir(name, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			name := whole(t, dir, k)
			tt.do(t, name, dir)
			d, err := disk.Dir(dir)
			if err != nil {
				t.Fatal(err)
			}
			c := openCache(t, d, Options{}, manual())
			f := openFileOf(t, c, k, 5*Unit-7)
			there := 0
			for u := range int64(5) {
				if get(t, f, u*Unit+1, 10) && get(t, f, u*Unit, Unit) {
					there++
				}
			}
			if there != tt.units {
				t.Errorf("%d units are there, not %d", there, tt.units)
			}
			if total(f.Have(0, 5*Unit)) > int64(tt.units)*Unit {
				t.Errorf("it says it has %v", f.Have(0, 5*Unit))
			}
			if err := tryPut(f, 0, 5); err != nil && tt.name != "a folder" {
				t.Fatal(err)
			} else if err != nil {
				return
			}
			if !get(t, f, 0, 5*Unit) {
				t.Error("what was put again is missing")
			}
			if got, want := usedNow(c), int64(5*Unit+page); got != want {
				t.Errorf("it says it takes %d bytes, not %d", got, want)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			c = openCache(t, d, Options{}, manual())
			if !get(t, openFileOf(t, c, k, 5*Unit-7), 0, 5*Unit) {
				t.Error("what was put again is missing after a restart")
			}
		})
	}
}

// closeFiles has all files opened again when they are read.
func closeFiles(c *Cache) {
	for _, v := range c.allOpen() {
		v.closeFile()
		c.release(v)
	}
}

// Files are replaced while the cache is in use.
func TestReplacedWhileOpen(t *testing.T) {
	dir := t.TempDir()
	d, err := disk.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	tune := manual()
	tune.files = 1
	c := openCache(t, d, Options{}, tune)
	name := func(k Key) string {
		return filepath.Join(dir, filepath.FromSlash(id{k.Object, hashVersion(k.Version)}.name()))
	}
	a, b, big := Key{1, "a"}, Key{1, "b"}, Key{1, "big"}
	fa, fb := openFileOf(t, c, a, 2*Unit), openFileOf(t, c, b, 2*Unit)
	fbig := openFileOf(t, c, big, 4*extentSize)
	put(t, fa, 0, 2)
	put(t, fb, 0, 2)
	put(t, fbig, 0, 1)
	put(t, fbig, 512, 1)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	closeFiles(c)
	if err := os.Rename(name(b), name(a)); err != nil {
		t.Fatal(err)
	}
	if get(t, fa, 0, 1) {
		t.Error("another version's file is believed")
	}
	put(t, fa, 0, 2)
	closeFiles(c)
	// Cut off behind the first unit: its trailer is gone.
	if err := os.Truncate(name(big), 2*Unit); err != nil {
		t.Fatal(err)
	}
	if get(t, fbig, 0, 1) || get(t, fbig, 2*extentSize, 1) {
		t.Error("a file without a trailer is believed")
	}
	put(t, fbig, 0, 1)
	if !get(t, fbig, 0, Unit) || !get(t, fa, 0, 2*Unit) {
		t.Error("what was put again is missing")
	}
	// Cut off while its file is open.
	if err := os.Truncate(name(big), 10); err != nil {
		t.Fatal(err)
	}
	get(t, fbig, 0, Unit)
	get(t, fbig, extentSize, 5)
	for u := range int64(600) {
		if err := tryPut(fbig, u, 1); err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	if err := c.flushAll(false); err != nil {
		t.Errorf("flush: %v", err)
	}
	for u := range int64(600) {
		get(t, fbig, u*Unit, Unit)
	}
}

// A disk that fails: reads are missing, not errors, and Flush says so.
func TestFailingDisk(t *testing.T) {
	for _, op := range []string{"read", "write", "create", "truncate", "sync", "open", "remove", "list", "punch", "stat"} {
		t.Run(op, func(t *testing.T) {
			d := disktest.New(1)
			tune := manual()
			tune.files = 1
			c := openCache(t, d, Options{}, tune)
			var files []*File
			for n := range uint64(4) {
				f := openFileOf(t, c, Key{n, "v"}, 2*extentSize)
				put(t, f, 0, 1)
				put(t, f, 256, 1)
				files = append(files, f)
			}
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				put(t, f, 1, 1)
			}
			d.Fail(func(o, name string) error {
				if o == op && name != markName {
					return syscall.EIO
				}
				return nil
			})
			for _, f := range files {
				get(t, f, 0, Unit)
				get(t, f, Unit, Unit)
				if err := tryPut(f, 2, 1); err != nil && !errors.Is(err, ErrFull) {
					t.Errorf("put: %v", err)
				}
				get(t, f, 2*Unit, Unit)
				f.Have(0, 2*extentSize)
			}
			err := c.Flush()
			fails := op == "sync" || op == "write" || op == "open"
			if fails != errors.Is(err, syscall.EIO) && (fails || op != "read" && op != "stat") {
				t.Errorf("flush: %v", err)
			}
			c.evict()
			c.Drop(3)
			d.Fail(nil)
			for _, f := range files[:3] {
				for u := range int64(3) {
					if !get(t, f, u*Unit, Unit) {
						put(t, f, u, 1)
					}
				}
				if !get(t, f, 0, 3*Unit) {
					t.Error("when the disk works again, nothing is kept")
				}
			}
			if err := c.Flush(); err != nil {
				t.Errorf("flush: %v", err)
			}
			for c.evict() {
			}
			for _, f := range files {
				f.Close()
			}
			if got := usedNow(c); got > page {
				t.Errorf("when everything was evicted it takes %d bytes", got)
			}
		})
	}
}
