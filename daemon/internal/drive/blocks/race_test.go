package blocks

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// What is put while a flush waits for the disk has its sum written by the next.
func TestPutWhileFlushing(t *testing.T) {
	d := disktest.New(1)
	t.Run("each", func(t *testing.T) { putWhileFlushing(t, d, d) })
	d = disktest.New(1)
	t.Run("at once", func(t *testing.T) { putWhileFlushing(t, d, atOnce{d}) })
}

func putWhileFlushing(t *testing.T, d *disktest.Disk, fs disk.FS) {
	c := openCache(t, fs, Options{}, manual())
	k := Key{1, "v"}
	f := openFileOf(t, c, k, 3*Unit)
	put(t, f, 0, 1)
	d.Fail(func(op, name string) error {
		if op == "sync" {
			return tryPut(f, 1, 1)
		}
		return nil
	})
	if err := c.flushAll(false); err != nil {
		t.Fatal(err)
	}
	d.Fail(nil)
	sums := func() []uint32 {
		file, err := d.Open(id{1, hashVersion("v")}.name(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		b, sums := make([]byte, 12), make([]uint32, 3)
		if _, err := file.ReadAt(b, layoutOf(k, 3*Unit).sumsAt); err != nil {
			t.Fatal(err)
		}
		decodeSums(sums, b)
		return sums
	}
	if s := sums(); s[0] == 0 || s[1] != 0 || s[2] != 0 {
		t.Errorf("the file's sums are %x", s)
	}
	if err := c.flushAll(false); err != nil {
		t.Fatal(err)
	}
	if s := sums(); s[0] == 0 || s[1] == 0 || s[2] != 0 {
		t.Errorf("after another flush the file's sums are %x", s)
	}
}

// Two who fetched the same put it once.
func TestPutTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		c := openCache(t, d, Options{}, manual())
		f := openFileOf(t, c, Key{1, "v"}, 2*Unit)
		put(t, f, 1, 1)
		gate := make(chan struct{})
		var writes atomic.Int64
		d.Fail(func(op, name string) error {
			if op == "write" && writes.Add(1) == 1 {
				<-gate
			}
			return nil
		})
		var g sync.WaitGroup
		for n := range int64(2) {
			g.Go(func() {
				if err := tryPut(f, 0, n+1); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		g.Wait()
		if n := writes.Load(); n != 1 {
			t.Errorf("it was written %d times", n)
		}
		if got := usedNow(c); got != 2*Unit+page {
			t.Errorf("it says it takes %d bytes", got)
		}
	})
}

// slow is a disk whose reads stop half way.
type slow struct {
	disk.FS
	mu   sync.Mutex
	half func()
}

type slowFile struct {
	disk.File
	d *slow
}

func (d *slow) Open(name string, create bool) (disk.File, error) {
	f, err := d.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	return slowFile{f, d}, nil
}

func (f slowFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	half := f.d.half
	f.d.half = nil
	f.d.mu.Unlock()
	if half == nil {
		return f.File.ReadAt(p, off)
	}
	n, err := f.File.ReadAt(p[:len(p)/2], off)
	if err != nil {
		return n, err
	}
	half()
	m, err := f.File.ReadAt(p[n:], off+int64(n))
	return n + m, err
}

// Bytes that are replaced by others while they are read are not mixed.
func TestOtherBytesWhileReading(t *testing.T) {
	d := &slow{FS: disktest.New(1)}
	c := openCache(t, d, Options{}, manual())
	f := openFileOf(t, c, Key{1, "v"}, Unit)
	put(t, f, 0, 1)
	other := content(Key{2, "v"}, 0, Unit)
	d.mu.Lock()
	d.half = func() {
		if err := f.WriteAt(other, 0); err != nil {
			t.Error(err)
		}
	}
	d.mu.Unlock()
	p := make([]byte, Unit)
	_, err := f.ReadAt(p, 0)
	if err != nil && !errors.Is(err, ErrMissing) {
		t.Fatal(err)
	}
	if err == nil && !same(p, f.v.key, 0) && !bytes.Equal(p, other) {
		t.Error("a mixture was read")
	}
}

// Bytes whose sums are not written yet are verified when their file was closed
// meanwhile.
func TestChangedBeforeFlush(t *testing.T) {
	d := disktest.New(1)
	c := openCache(t, d, Options{}, manual())
	f := openFileOf(t, c, Key{1, "v"}, 2*Unit)
	put(t, f, 0, 2)
	closeFiles(c)
	file, err := d.Open(id{1, hashVersion("v")}.name(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte("other"), 100); err != nil {
		t.Fatal(err)
	}
	if get(t, f, 0, 10) || !get(t, f, Unit, Unit) {
		t.Error("a unit that was changed is there, or one that was not is missing")
	}
}

// A large file under a name that is not its own is removed when the folder is
// looked through.
func TestLargeFileMisnamed(t *testing.T) {
	d := disktest.New(1)
	c := openCache(t, d, Options{}, manual())
	for n := range uint64(3) {
		f := openFileOf(t, c, Key{n, "v"}, 2*extentSize)
		put(t, f, 0, 4)
		f.Close()
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	name := func(o uint64, v string) string { return id{o, hashVersion(v)}.name() }
	if err := errors.Join(d.Rename(name(0, "v"), name(9, "v")), d.Rename(name(1, "v"), name(1, "w"))); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, d, Options{}, manual())
	waitScan(t, c)
	if there(d, name(9, "v")) || there(d, name(1, "w")) || !there(d, name(2, "v")) {
		t.Error("what is there is not what belongs there")
	}
	if got := usedNow(c); got > 5*Unit {
		t.Errorf("it says it takes %d bytes", got)
	}
}

// The folder is deleted while a file is being taken over.
func TestFolderDeletedWhileAdopting(t *testing.T) {
	d := disktest.New(1)
	cache, staging := halves(t, d)
	c := openCache(t, cache, Options{}, manual())
	k := Key{1, "v"}
	const size = extentSize + 5*Unit
	stage(t, staging, "f", k, size)
	name := id{1, hashVersion("v")}.name()
	once := true
	d.Fail(func(op, _ string) error {
		if op == "read" && once {
			once = false
			if err := errors.Join(cache.Remove(name), cache.Remove(markName)); err != nil {
				t.Error(err)
			}
			c.checkMark()
		}
		return nil
	})
	if err := c.Adopt(k, staging, "f", size); err != nil {
		t.Logf("adopt: %v", err)
	}
	d.Fail(nil)
	f := openFileOf(t, c, k, size)
	for u := range int64(extentUnits + 5) {
		get(t, f, u*Unit, Unit) // right, or missing
	}
	put(t, f, 0, 4)
	if !get(t, f, 0, 4*Unit) {
		t.Error("what is put then is missing")
	}
	if c.reserved != 0 {
		t.Errorf("%d pages are reserved", c.reserved)
	}
}

// What is put after the folder was deleted goes to the new one, also if the old
// file is still open.
func TestFolderDeletedWhileOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	d, err := disk.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	k := Key{1, "v"}
	c := openCache(t, d, Options{}, manual())
	f := openFileOf(t, c, k, 5*Unit)
	put(t, f, 0, 5)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	c.checkMark()
	for u := range int64(5) {
		if !get(t, f, u*Unit, Unit) {
			put(t, f, u, 1)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, d, Options{}, manual())
	if !get(t, openFileOf(t, c, k, 5*Unit), 0, 5*Unit) {
		t.Error("it is missing after a restart")
	}
}

// Bytes that could not be put on stable storage are not believed any more: what
// is read of them may soon be something else.
func TestFailedSync(t *testing.T) {
	d := disktest.New(1)
	c := openCache(t, d, Options{}, manual())
	f := openFileOf(t, c, Key{1, "v"}, 5*Unit)
	put(t, f, 0, 1)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	put(t, f, 1, 2)
	d.Fail(func(op, name string) error {
		if op == "sync" {
			return syscall.EIO
		}
		return nil
	})
	if err := c.Flush(); !errors.Is(err, syscall.EIO) {
		t.Errorf("flush: %v", err)
	}
	d.Fail(nil)
	if !get(t, f, 0, Unit) || get(t, f, Unit, Unit) || get(t, f, 2*Unit, Unit) {
		t.Error(fmt.Sprint("it has ", f.Have(0, 5*Unit)))
	}
	put(t, f, 1, 2)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := usedNow(c); got != 3*Unit+page {
		t.Errorf("it says it takes %d bytes", got)
	}
	next := d.Crash(nil)
	c2 := openCache(t, next, Options{}, manual())
	if !get(t, openFileOf(t, c2, Key{1, "v"}, 5*Unit), 0, 3*Unit) {
		t.Error("what was flushed is missing after a crash")
	}
}

// What is put into an extent that is being evicted is put when that is over.
func TestPutWhileEvicting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1)
		c := openCache(t, d, Options{}, manual())
		f := openFileOf(t, c, Key{1, "v"}, 2*extentSize)
		put(t, f, 0, 1)
		var g sync.WaitGroup
		d.Fail(func(op, name string) error {
			if op == "punch" {
				if get(t, f, 0, Unit) {
					t.Error("what is being evicted is there")
				}
				g.Go(func() {
					if err := tryPut(f, 0, 2); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			return nil
		})
		if !c.evict() {
			t.Error("nothing is evicted")
		}
		g.Wait()
		if !get(t, f, 0, 2*Unit) {
			t.Error("what was put is missing")
		}
		if got := usedNow(c); got != 2*Unit+page {
			t.Errorf("it says it takes %d bytes", got)
		}
	})
}

// When the disk is too slow, what cannot wait for it is not kept.
func TestBacklog(t *testing.T) {
	d := disktest.New(1)
	tune := manual()
	tune.backlog = 3
	c := openCache(t, d, Options{}, tune)
	one := func(n uint64) error {
		f := openFileOf(t, c, Key{n, "v"}, 2*Unit)
		defer f.Close()
		return tryPut(f, 0, 1)
	}
	for n := range uint64(3) {
		if err := one(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := one(3); !errors.Is(err, ErrFull) {
		t.Errorf("a fourth: %v", err)
	}
	put(t, openFileOf(t, c, Key{0, "v"}, 2*Unit), 1, 1) // one that waits can get more
	if err := c.flushAll(false); err != nil {
		t.Fatal(err)
	}
	if err := one(3); err != nil {
		t.Errorf("after a flush: %v", err)
	}
}
