package blocks

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// listed is a folder in which many small versions are said to lie.
type listed struct {
	*disktest.Disk
	objects uint64 // with ids from 0
}

func (l listed) List(dir string) (all []disk.Info, err error) {
	var a, b uint8
	switch n, _ := fmt.Sscanf(dir, "%02x/%02x", &a, &b); {
	case dir == ".":
		for i := range min(256, (l.objects+1<<16-1)>>16) {
			all = append(all, disk.Info{Name: fmt.Sprintf("%02x", i), Dir: true})
		}
	case n == 1:
		for i := range 256 {
			all = append(all, disk.Info{Name: fmt.Sprintf("%02x", i), Dir: true})
		}
	case n == 2:
		for i := range uint64(256) {
			if o := uint64(a)<<16 | uint64(b)<<8 | i; o < l.objects {
				all = append(all, disk.Info{Name: id{o, mix(o)}.base(), Size: 10000, Used: 12288})
			}
		}
	}
	return all, nil
}

func (l listed) Remove(name string) error { return fs.ErrNotExist }

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What a million small versions take in memory when nobody uses them.
func TestMemory(t *testing.T) {
	objects := uint64(200_000)
	if long() {
		objects = 1_000_000
	}
	d := listed{disktest.New(1), objects}
	before := heap()
	start := time.Now()
	c := openCache(t, d, Options{}, manual())
	waitScan(t, c)
	took := time.Since(start)
	each := float64(heap()-before) / float64(objects)
	t.Logf("%d versions take %.1f bytes of memory each, and were found in %v", objects, each, took.Round(time.Millisecond))
	if c.index.heads != int(objects) {
		t.Errorf("%d versions were found", c.index.heads)
	}
	if each > 64 {
		t.Errorf("a version takes %.1f bytes of memory", each)
	}
	// All of them are evicted.
	start = time.Now()
	c.SetLimit(1)
	wait(t, func() bool { return usedNow(c) == 0 })
	t.Logf("they were evicted in %v", time.Since(start).Round(time.Millisecond))
	runtime.KeepAlive(c)
}

// What many versions cost that are put, in a real folder: time, memory, and no
// file that stays open.
func TestManySmallVersions(t *testing.T) {
	objects := uint64(2_000)
	if long() {
		objects = 200_000
	}
	d, err := disk.Dir(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	tune := manual()
	tune.files, tune.unflush, tune.together, tune.backlog = 64, 16<<20, 64, 1<<30
	c := openCache(t, d, Options{}, tune)
	before := heap()
	start := time.Now()
	for o := range objects {
		f, err := c.File(Key{o, "v"}, 5000)
		if err != nil {
			t.Fatal(err)
		}
		put(t, f, 0, 1)
		f.Close()
	}
	putIn := time.Since(start)
	start = time.Now()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d versions were put in %v and flushed in %v", objects, putIn.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	if long() {
		t.Logf("each takes %.1f bytes of memory", float64(heap()-before)/float64(objects))
	}
	c.mu.Lock()
	open, files := len(c.open), len(c.files)
	c.mu.Unlock()
	if open > 64+flushers || files > 64+flushers { // each may open one at the same moment
		t.Errorf("%d versions are open, and %d files", open, files)
	}
	if n := openDescriptors(t); n > 200 {
		t.Errorf("%d files are open in the process", n)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	c = openCache(t, d, Options{}, manual())
	opened := time.Since(start)
	waitScan(t, c)
	t.Logf("opened in %v, looked through in %v", opened.Round(time.Microsecond), time.Since(start).Round(time.Millisecond))
	for o := range min(objects, 500) {
		f := openFileOf(t, c, Key{o, "v"}, 5000)
		if !get(t, f, 0, 5000) {
			t.Fatalf("version %d is missing", o)
		}
		f.Close()
	}
}

// openDescriptors is how many files this process has open, where that is known.
func openDescriptors(t *testing.T) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(l)
}
