// The tests run against a folder in memory that loses power, and where the
// operating system matters against a real one. With MOORAGE_TEST_LONG=1 those
// that are random go on for longer.
package blocks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

func long() bool { return os.Getenv("MOORAGE_TEST_LONG") == "1" }

// manual is a tuning with which nothing happens by itself.
func manual() tuning {
	return tuning{files: 256, extents: 8 << 10, flush: time.Hour, unflush: 1 << 60, hash: hashVersion,
		together: 1, backlog: 32 << 10}
}

func openCache(t testing.TB, d disk.FS, o Options, tune tuning) *Cache {
	t.Helper()
	if o.Floor == 0 {
		o.Floor = -1
	}
	c, err := open(d, o, tune)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, disktest.ErrPower) {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// waitScan returns when all that was there at the start is known.
func waitScan(t testing.TB, c *Cache) {
	t.Helper()
	wait(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.scanned
	})
}

// wait returns when something that goes on in the background is done.
func wait(t testing.TB, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not end")
		}
	}
}

func openFileOf(t testing.TB, c *Cache, k Key, size int64) *File {
	t.Helper()
	f, err := c.File(k, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// content is what a version has at off. No two versions or places have the same.
func content(k Key, off, n int64) []byte {
	seed := mix(k.Object ^ mix(hashVersion(k.Version)))
	b := make([]byte, 0, n+16)
	for at := off &^ 7; at < off+n; at += 8 {
		b = binary.LittleEndian.AppendUint64(b, mix(seed+uint64(at)))
	}
	return b[off&7 : off&7+n]
}

// same tells whether p is what a version has at off.
func same(p []byte, k Key, off int64) bool {
	seed := mix(k.Object ^ mix(hashVersion(k.Version)))
	for len(p) > 0 {
		if n := off & 7; n == 0 && len(p) >= 8 {
			if binary.LittleEndian.Uint64(p) != mix(seed+uint64(off)) {
				return false
			}
			p, off = p[8:], off+8
		} else {
			if p[0] != byte(mix(seed+uint64(off-n))>>(8*n)) {
				return false
			}
			p, off = p[1:], off+1
		}
	}
	return true
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// put puts the units from first on, n of them, or as many as there are.
func put(t testing.TB, f *File, first, n int64) {
	t.Helper()
	if err := tryPut(f, first, n); err != nil {
		t.Fatal(err)
	}
}

func tryPut(f *File, first, n int64) error {
	off := first * Unit
	return f.WriteAt(content(f.v.key, off, min(n*Unit, f.v.lay.size-off)), off)
}

// get reads and compares. It tells whether the bytes were there.
func get(t testing.TB, f *File, off, n int64) bool {
	t.Helper()
	ok, err := tryGet(f, off, n)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func tryGet(f *File, off, n int64) (bool, error) {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	if int64(len(*b)) < n {
		*b = make([]byte, n)
	}
	p := (*b)[:n]
	got, err := f.ReadAt(p, off)
	if errors.Is(err, ErrMissing) && got == 0 {
		return false, nil
	}
	want := max(min(n, f.v.lay.size-off), 0)
	if int64(got) != want || (err == io.EOF) != (want < n) || err != nil && err != io.EOF {
		return false, fmt.Errorf("read %d at %d of %d: %d, %w", n, off, f.v.lay.size, got, err)
	}
	if !same(p[:got], f.v.key, off) {
		return false, fmt.Errorf("read %d at %d of %v: other bytes than were put", n, off, f.v.key)
	}
	return true, nil
}

// sum adds up ranges.
func total(l []Range) (n int64) {
	for _, r := range l {
		n += r.N
	}
	return n
}

// atOnce is a disk that can put all that is in it on stable storage at once.
type atOnce struct{ *disktest.Disk }

func (d atOnce) SyncAll() error { return d.syncAll(".") }

func (d atOnce) syncAll(dir string) error {
	l, err := d.List(dir)
	if err != nil {
		return err
	}
	for _, i := range l {
		name := path.Join(dir, i.Name)
		if i.Dir {
			err = errors.Join(err, d.syncAll(name))
			continue
		}
		f, oerr := d.Open(name, false)
		if errors.Is(oerr, fs.ErrNotExist) {
			continue // it was removed meanwhile
		}
		if oerr != nil {
			return errors.Join(err, oerr)
		}
		err = errors.Join(err, f.Sync(), f.Close())
	}
	return errors.Join(err, d.SyncDir(dir))
}
