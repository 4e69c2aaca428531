package blocks

import (
	"sync"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// watched is a disk that tells of each write where it is, and whether the file
// has bytes that are not on stable storage.
type watched struct {
	disk.FS
	mu    sync.Mutex
	dirty map[string]bool
	write func(name string, off int64, dirty bool)
}

type watchedFile struct {
	disk.File
	d    *watched
	name string
}

func (d *watched) Open(name string, create bool) (disk.File, error) {
	f, err := d.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	return &watchedFile{f, d, name}, nil
}

func (f *watchedFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	f.d.write(f.name, off, f.d.dirty[f.name])
	f.d.mu.Unlock()
	n, err := f.File.WriteAt(p, off)
	f.d.mu.Lock()
	f.d.dirty[f.name] = true
	f.d.mu.Unlock()
	return n, err
}

func (f *watchedFile) Sync() error {
	err := f.File.Sync()
	f.d.mu.Lock()
	delete(f.d.dirty, f.name)
	f.d.mu.Unlock()
	return err
}

// watchedAtOnce is a watched disk that does what atOnce does.
type watchedAtOnce struct{ *watched }

func (d watchedAtOnce) SyncAll() error {
	err := atOnce{d.FS.(*disktest.Disk)}.SyncAll()
	d.mu.Lock()
	clear(d.dirty)
	d.mu.Unlock()
	return err
}

// Sums are written when the bytes that they are of are on stable storage.
func TestSumsFollowBytes(t *testing.T) {
	for name, fs := range map[string]func(*watched) disk.FS{
		"each":    func(d *watched) disk.FS { return d },
		"at once": func(d *watched) disk.FS { return watchedAtOnce{d} },
	} {
		t.Run(name, func(t *testing.T) { sumsFollowBytes(t, fs) })
	}
}

func sumsFollowBytes(t *testing.T, fs func(*watched) disk.FS) {
	const size = 3*extentSize + 5
	k := Key{1, "v"}
	lay := layoutOf(k, size)
	sums := 0
	d := &watched{FS: disktest.New(1), dirty: map[string]bool{}}
	d.write = func(name string, off int64, dirty bool) {
		if name == (id{k.Object, hashVersion(k.Version)}).name() && off >= lay.sumsAt && off < lay.headerAt {
			// Of more than one extent, only the first finds nothing before it.
			if sums++; dirty && sums%2 == 1 {
				t.Error("sums are written before the bytes are on stable storage")
			}
		}
	}
	c := openCache(t, fs(d), Options{}, manual())
	f := openFileOf(t, c, k, size)
	for u := range int64(3) {
		put(t, f, u, 1)
		put(t, f, 300+u, 1)
		if err := c.flushAll(u == 1); err != nil {
			t.Fatal(err)
		}
	}
	if sums != 6 {
		t.Errorf("sums were written %d times", sums)
	}
	put(t, f, 4, 1)
	put(t, f, 310, 1)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if sums != 8 {
		t.Errorf("sums were written %d times", sums)
	}
}
