package blocks

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

func TestPutAndGet(t *testing.T) {
	d := disktest.New(1)
	sizes := []int64{1, 4095, 4096, 4097, Unit - 1, Unit, Unit + 1, 3*Unit + 5, extentSize, extentSize + 3*Unit + 7}
	key := func(size int64) Key { return Key{Object: uint64(size), Version: "\x00/\xff version"} }
	for restart := range 2 {
		c := openCache(t, d, Options{}, manual())
		for _, size := range sizes {
			f := openFileOf(t, c, key(size), size)
			units := (size + Unit - 1) / Unit
			if restart == 0 {
				if get(t, f, 0, size) || f.Have(0, size) != nil {
					t.Fatalf("%d bytes: there is something before it was put", size)
				}
				for u := int64(0); u < units; u += 64 {
					put(t, f, u, min(64, units-u))
				}
			}
			for range 2 { // verifying, and not
				for _, off := range []int64{0, 1, 4095, Unit - 1, Unit, Unit + 1, extentSize - 5, size / 2, size - 1, size, size + 1} {
					for _, n := range []int64{1, 100, Unit, 2*Unit + 3, size} {
						if n > 4*Unit && off != 1 {
							continue
						}
						if off == size-1 || off < size {
							if !get(t, f, off, n) {
								t.Fatalf("%d bytes: %d at %d are missing", size, n, off)
							}
						} else if got, err := f.ReadAt(make([]byte, n), off); got != 0 || err != io.EOF {
							t.Fatalf("%d bytes: read at %d: %d, %v", size, off, got, err)
						}
					}
				}
			}
			if got := f.Have(0, size); !slices.Equal(got, []Range{{0, size}}) {
				t.Fatalf("%d bytes: Have gives %v", size, got)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEmptyVersion(t *testing.T) {
	c := openCache(t, disktest.New(1), Options{}, manual())
	f := openFileOf(t, c, Key{1, "v"}, 0)
	if n, err := f.ReadAt(make([]byte, 5), 0); n != 0 || err != io.EOF {
		t.Errorf("read: %d, %v", n, err)
	}
	if err := f.WriteAt(nil, 0); err != nil {
		t.Errorf("write nothing: %v", err)
	}
	if l := f.Have(0, 10); l != nil {
		t.Errorf("it has %v", l)
	}
}

func TestBadArguments(t *testing.T) {
	c := openCache(t, disktest.New(1), Options{}, manual())
	if _, err := c.File(Key{1, "v"}, -1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("size -1: %v", err)
	}
	f := openFileOf(t, c, Key{1, "v"}, 3*Unit+9)
	for _, w := range []struct{ off, n int64 }{
		{-Unit, Unit}, {1, Unit}, {0, 5}, {0, Unit + 5}, {3 * Unit, 8}, {3 * Unit, 10}, {3 * Unit, Unit}, {4 * Unit, Unit}, {1 << 62, 1 << 16},
	} {
		if err := f.WriteAt(make([]byte, w.n), w.off); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("write %d at %d: %v", w.n, w.off, err)
		}
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("read at -1: %v", err)
	}
	put(t, f, 3, 1)
	if f.Have(-5, 10) != nil || f.Have(4*Unit, 1) != nil || f.Have(0, 3*Unit) != nil || f.Have(5, 0) != nil {
		t.Error("something is there that nobody put")
	}
	if got := f.Have(3*Unit+8, 1<<62); !slices.Equal(got, []Range{{3 * Unit, 9}}) {
		t.Errorf("the last unit: %v", got)
	}
	if err := errors.Join(f.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second close of a file: %v", err)
	}
	if err := c.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

func TestAfterClose(t *testing.T) {
	c := openCache(t, disktest.New(1), Options{}, manual())
	f := openFileOf(t, c, Key{1, "v"}, Unit)
	put(t, f, 0, 1)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if err := tryPut(f, 0, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if _, err := c.File(Key{1, "v"}, Unit); !errors.Is(err, ErrClosed) {
		t.Errorf("open: %v", err)
	}
	if err := c.Flush(); !errors.Is(err, ErrClosed) {
		t.Errorf("flush: %v", err)
	}
	if f.Have(0, Unit) != nil {
		t.Error("it still has something")
	}
	if err := f.Close(); err != nil {
		t.Errorf("close of the file: %v", err)
	}
}

// Calls that are going on when a File is closed end as they would have.
func TestCloseWhileReading(t *testing.T) {
	d := disktest.New(1)
	c := openCache(t, d, Options{}, manual())
	f := openFileOf(t, c, Key{1, "v"}, Unit)
	put(t, f, 0, 1)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	closeFiles(c)
	entered, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.Fail(func(op, name string) error {
		if op == "read" {
			once.Do(func() { close(entered); <-gate })
		}
		return nil
	})
	ok := make(chan error)
	go func() {
		there, err := tryGet(f, 0, Unit)
		if err == nil && !there {
			err = ErrMissing
		}
		ok <- err
	}()
	<-entered
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a read after Close: %v", err)
	}
	if err := tryPut(f, 0, 1); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
	close(gate)
	if err := <-ok; err != nil {
		t.Errorf("the read that was going on: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) != 1 || c.open[1][0].handles != 0 { // its file is kept open
		t.Errorf("versions in memory: %v", c.open)
	}
}

// A file of 1 TB of which little is there costs little.
func TestSparse(t *testing.T) {
	d := disktest.New(1)
	const size = 1 << 40
	k := Key{7, "big"}
	units := []int64{0, 1, 255, 256, 257, 1 << 20, size/Unit - 1}
	want := []Range{{0, 2 * Unit}, {255 * Unit, 3 * Unit}, {Unit << 20, Unit}, {size - Unit, Unit}}
	for restart := range 2 {
		c := openCache(t, d, Options{}, manual())
		f := openFileOf(t, c, k, size)
		if restart == 0 {
			for _, u := range units {
				put(t, f, u, 1)
			}
		} else {
			waitScan(t, c)
		}
		if got := f.Have(0, size); !slices.Equal(got, want) {
			t.Errorf("it has %v, not %v", got, want)
		}
		if got := f.Have(Unit, 255*Unit); !slices.Equal(got, []Range{{Unit, Unit}, {255 * Unit, Unit}}) {
			t.Errorf("in the beginning it has %v", got)
		}
		for _, u := range units {
			if !get(t, f, u*Unit, Unit) {
				t.Errorf("unit %d is missing", u)
			}
			if u > 2 && get(t, f, (u-3)*Unit, Unit) {
				t.Errorf("unit %d was never put", u-3)
			}
		}
		if used, _ := c.Usage(); used < int64(len(units))*Unit || used > int64(len(units))*Unit+64<<10 {
			t.Errorf("%d units take %d bytes", len(units), used)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUsage(t *testing.T) {
	d := disktest.New(1)
	c := openCache(t, d, Options{Limit: 1 << 30}, manual())
	var before int64
	for n := range uint64(50) {
		f := openFileOf(t, c, Key{n, "v"}, 100+int64(n)*3000)
		put(t, f, 0, 3)
		put(t, f, 0, 3) // again, which is nothing new
		f.Close()
	}
	big := openFileOf(t, c, Key{99, "v"}, 10*extentSize)
	put(t, big, 0, 10)
	put(t, big, 700, 3)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		closeFiles(c)
		get(t, big, 0, Unit)
		get(t, openFileOf(t, c, Key{49, "v"}, 100+49*3000), 0, 1)
	}
	before, limit := c.Usage()
	if limit != 1<<30 {
		t.Errorf("limit %d", limit)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	real := used(t, d)
	if before < real-1<<16 || before > real+1<<16 {
		t.Errorf("it says it takes %d bytes, and takes %d", before, real)
	}
	c = openCache(t, d, Options{}, manual())
	waitScan(t, c)
	if after, _ := c.Usage(); after < real-1<<16 || after > real+1<<16 {
		t.Errorf("after a restart it says it takes %d bytes, and takes %d", after, real)
	}
}

// used is what the files of a disk take.
func used(t *testing.T, d *disktest.Disk) int64 {
	free, total, err := d.Free()
	if err != nil {
		t.Fatal(err)
	}
	return total - free
}

func TestDropAndPrune(t *testing.T) {
	d := disktest.New(1)
	c := openCache(t, d, Options{}, manual())
	for _, k := range []Key{{1, "a"}, {1, "b"}, {1, "c"}, {2, "a"}, {257, "a"}} {
		f := openFileOf(t, c, k, Unit)
		put(t, f, 0, 1)
		f.Close()
	}
	has := func(c *Cache, k Key) bool {
		f := openFileOf(t, c, k, Unit)
		defer f.Close()
		return get(t, f, 0, Unit)
	}
	c.Prune(Key{1, "b"})
	if has(c, Key{1, "a"}) || !has(c, Key{1, "b"}) || has(c, Key{1, "c"}) || !has(c, Key{2, "a"}) {
		t.Error("pruning left the wrong versions")
	}
	f := openFileOf(t, c, Key{2, "a"}, Unit)
	c.Drop(2)
	if !get(t, f, 0, Unit) {
		t.Error("what is being read went away")
	}
	f.Close()
	if has(c, Key{2, "a"}) {
		t.Error("a dropped version is there after its last user went")
	}
	f = openFileOf(t, c, Key{1, "b"}, Unit)
	c.Drop(1)
	g := openFileOf(t, c, Key{1, "b"}, Unit) // it is wanted again
	f.Close()
	g.Close()
	if !has(c, Key{1, "b"}) {
		t.Error("a version that is in use again went away")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	// Before the folder is looked through, what is to be dropped is found there.
	gate := make(chan struct{})
	d.Fail(func(op, name string) error {
		if op == "list" && name == "." {
			<-gate
		}
		return nil
	})
	c = openCache(t, d, Options{}, manual())
	c.Drop(257)
	c.Drop(1)
	close(gate)
	waitScan(t, c)
	if has(c, Key{257, "a"}) || has(c, Key{1, "b"}) {
		t.Error("dropped versions are there")
	}
	if used, _ := c.Usage(); used > 0 {
		t.Errorf("nothing takes %d bytes", used)
	}
}

// Reads do not wait for the folder to be looked through.
func TestReadBeforeScan(t *testing.T) {
	d := disktest.New(1)
	c := openCache(t, d, Options{}, manual())
	put(t, openFileOf(t, c, Key{1, "v"}, Unit), 0, 1)
	put(t, openFileOf(t, c, Key{2, "v"}, 3*extentSize), 256, 1)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	d.Fail(func(op, name string) error {
		if op == "list" {
			<-gate
		}
		return nil
	})
	c = openCache(t, d, Options{}, manual())
	if !get(t, openFileOf(t, c, Key{1, "v"}, Unit), 0, Unit) || !get(t, openFileOf(t, c, Key{2, "v"}, 3*extentSize), extentSize, Unit) {
		t.Error("what is there cannot be read yet")
	}
	if get(t, openFileOf(t, c, Key{3, "v"}, Unit), 0, Unit) {
		t.Error("what is not there can be read")
	}
	open3 := openFileOf(t, c, Key{3, "v"}, Unit)
	put(t, open3, 0, 1)
	before, _ := c.Usage()
	close(gate)
	waitScan(t, c)
	if after, _ := c.Usage(); after != before {
		t.Errorf("everything was known, %d bytes, but then it was %d", before, after)
	}
	if !get(t, open3, 0, Unit) {
		t.Error("what was put meanwhile is gone")
	}
}

// Versions whose names hash to the same, or that are said to have another size,
// are never taken for each other.
func TestConfusedVersions(t *testing.T) {
	d := disktest.New(1)
	tune := manual()
	tune.hash = func(string) uint64 { return 5 }
	c := openCache(t, d, Options{}, tune)
	a := openFileOf(t, c, Key{1, "a"}, Unit)
	put(t, a, 0, 1)
	for _, k := range []struct {
		Key
		size int64
	}{{Key{1, "b"}, Unit}, {Key{1, "a"}, Unit + 1}, {Key{1, "a"}, extentSize * 2}, {Key{1, strings.Repeat("v", maxVersion+1)}, 10}, {Key{1, "c"}, 1 << 62}} {
		f := openFileOf(t, c, k.Key, k.size)
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrMissing) {
			t.Errorf("%d bytes of it can be read: %v", k.size, err)
		}
		if err := f.WriteAt(make([]byte, min(Unit, k.size)), 0); !errors.Is(err, ErrFull) {
			t.Errorf("it can be put: %v", err)
		}
		if _, _, ok := f.Span(0, 1); ok || f.Have(0, Unit) != nil {
			t.Error("it has something")
		}
		f.Close()
	}
	if !get(t, a, 0, Unit) {
		t.Error("the first one is gone")
	}
	a.Close()
	// Once it is not in use, another takes its place.
	for i := range 3 {
		b := openFileOf(t, c, Key{1, fmt.Sprint("b", i)}, Unit+int64(i))
		if get(t, b, 0, Unit) {
			t.Error("bytes of another version")
		}
		put(t, b, 0, 2)
		if !get(t, b, 0, Unit) {
			t.Error("it was not kept")
		}
		b.Close()
	}
	if got := openFileOf(t, c, Key{1, "a"}, Unit).Have(0, Unit); got != nil {
		t.Errorf("the first one is still there: %v", got)
	}
	put(t, openFileOf(t, c, Key{2, "a"}, Unit), 0, 1)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, d, Options{}, tune)
	if get(t, openFileOf(t, c, Key{2, "b"}, Unit), 0, Unit) {
		t.Error("bytes of another version after a restart")
	}
}

// A version with the longest name that is kept.
func TestLongVersion(t *testing.T) {
	d := disktest.New(1)
	k := Key{1, strings.Repeat("v", maxVersion)}
	for restart := range 2 {
		c := openCache(t, d, Options{}, manual())
		f := openFileOf(t, c, k, 5*Unit)
		if restart == 0 {
			put(t, f, 0, 5)
		}
		if !get(t, f, 0, 5*Unit) {
			t.Error("it is not there")
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A remote that gives other bytes for the same version: either are given, but
// no mixture, and what a Span was given for stays.
func TestOtherBytes(t *testing.T) {
	c := openCache(t, disktest.New(1), Options{}, manual())
	f := openFileOf(t, c, Key{1, "v"}, 2*Unit)
	put(t, f, 0, 2)
	other := content(Key{2, "v"}, 0, Unit)
	if err := f.WriteAt(other, 0); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, Unit)
	if _, err := f.ReadAt(p, 0); err != nil || !reflect.DeepEqual(p, other) {
		t.Errorf("read after putting other bytes: %v", err)
	}
	if !get(t, f, Unit, Unit) {
		t.Error("the unit beside it is gone")
	}
	if used, _ := c.Usage(); used != 2*Unit+page {
		t.Errorf("it takes %d bytes", used)
	}
}

func TestFewOpenFiles(t *testing.T) {
	d := disktest.New(1)
	tune := manual()
	tune.files, tune.extents = 4, 20
	c := openCache(t, d, Options{}, tune)
	var files []*File
	for n := range uint64(40) {
		f := openFileOf(t, c, Key{n, "v"}, 40*extentSize)
		put(t, f, 0, 1)
		put(t, f, int64(n)*256, 2)
		files = append(files, f)
	}
	for range 2 {
		for n, f := range files {
			if !get(t, f, 0, Unit) || !get(t, f, int64(n)*256*Unit, 2*Unit) {
				t.Fatalf("file %d cannot be read when others were", n)
			}
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	c.mu.Lock()
	if len(c.files) > 4 {
		t.Errorf("%d files are open", len(c.files))
	}
	c.mu.Unlock()
	f := openFileOf(t, c, Key{100, "v"}, 40*extentSize)
	for e := range int64(40) {
		put(t, f, e*256, 1)
		if e%10 == 9 {
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for e := range int64(40) {
		if !get(t, f, e*extentSize, Unit) {
			t.Errorf("extent %d is gone", e)
		}
	}
	if n := c.extents.Load(); n > 20+16*4 {
		t.Errorf("%d extents are in memory", n)
	}
	for _, f := range append(files, f) {
		f.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) > 4 {
		t.Errorf("%d versions are in memory that nobody uses", len(c.open))
	}
}
