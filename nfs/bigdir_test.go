package nfs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/dirfs"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

const (
	// fewEntries fill some first pages: the beginning of a larger directory
	// takes no longer. A person has typed ls, or opened a folder.
	fewEntries = 4000
	// pageNoise is how much longer it may take for other reasons.
	pageNoise = 2 * time.Millisecond
	// bigPage is the most that READDIRPLUS gives in one reply, in bytes.
	bigPage = 128 << 10
)

// bigDir is the root of a file system, filled with names.
type bigDir struct {
	fs           nfs.FileSystem
	make, remove func(name string) error
	perFile      int64 // bytes of memory that a file may cost which was listed
	whole        bool  // a first page takes reading the whole directory
}

func bigMemfs(t *testing.T, n int) bigDir {
	fs := memfs.New(memfs.Options{MaxFiles: int64(n) + 1000})
	c := &nfs.Caller{}
	return bigDir{
		fs: fs,
		make: func(name string) error {
			_, _, err := fs.Create(t.Context(), c, fs.Root(), name, nfs.CreateHow{Mode: nfs.Guarded})
			return err
		},
		remove: func(name string) error {
			_, err := fs.Remove(t.Context(), c, fs.Root(), name)
			return err
		},
	}
}

// bigDirfs is a folder where temporary files are.
func bigDirfs(t *testing.T, _ int) bigDir {
	dir := t.TempDir()
	d := bigFolder(t, dir)
	d.whole = !positionsStay(dir)
	return d
}

// bigTmpfs is a folder in memory, where Linux has one for everybody.
func bigTmpfs(t *testing.T, _ int) bigDir {
	dir, err := os.MkdirTemp("/dev/shm", "nfs-bigdir-")
	if err != nil {
		t.Skipf("no folder in memory here: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := bigFolder(t, dir)
	d.whole = true // positions in it do not stay with the names
	return d
}

// bigFolder is a folder of the host. What changes in it changes beside the
// server.
func bigFolder(t *testing.T, dir string) bigDir {
	fs, err := dirfs.Open(dir, dirfs.Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	})
	return bigDir{
		fs:      fs,
		make:    func(name string) error { return os.WriteFile(filepath.Join(dir, name), nil, 0o644) },
		remove:  func(name string) error { return os.Remove(filepath.Join(dir, name)) },
		perFile: 64, // as package dirfs documents it
	}
}

// TestManyEntries lists 100,000 entries, and 1,000,000 with
// MOORAGE_TEST_LONG=1 in the environment, which takes a minute. With the race
// detector there are 20,000.
func TestManyEntries(t *testing.T) {
	n := 100_000
	switch {
	case long():
		n = 1_000_000
	case raceSlow > 1:
		n = 20_000
	}
	for name, open := range map[string]func(*testing.T, int) bigDir{"memfs": bigMemfs, "dirfs": bigDirfs, "dirfs in memory": bigTmpfs} {
		t.Run(name, func(t *testing.T) {
			d := open(t, n)
			e := start(t, d.fs, func(c *config) { c.auth = nfstest.Auth{} })
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			e.ctx = ctx
			var few map[string]time.Duration
			for i := range n {
				if i == fewEntries {
					few = e.firstPages(d)
				}
				if err := d.make(fmt.Sprintf("file-%07d", i)); err != nil {
					t.Fatal(err)
				}
			}
			for what, took := range e.firstPages(d) {
				t.Logf("first page by %s: %v, with %d entries %v", what, took, fewEntries, few[what])
				if most := 3*few[what] + pageNoise*raceSlow; took > most && !d.whole {
					t.Errorf("the first page by %s of %d entries takes %v, %v allowed", what, n, took, most)
				}
			}
			before := heapInUse()
			e.walkBig(d, n)
			once := heapInUse()
			e.walkBig(d, n)
			twice := heapInUse()
			t.Logf("memory: %d KiB before, %d after a walk, %d after two", before>>10, once>>10, twice>>10)
			if grown, most := once-before, int64(8<<20)+d.perFile*int64(n); grown > most {
				t.Errorf("%d KiB more in use after a walk of %d files, %d allowed", grown>>10, n, most>>10)
			}
			if grown := twice - once; grown > 4<<20 {
				t.Errorf("a second walk takes %d KiB", grown>>10)
			}
			runtime.KeepAlive(d)
		})
	}
}

// heapInUse is what the heap holds, with the room around it.
func heapInUse() int64 {
	runtime.GC() // finalizers may free more
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// firstPages takes the time of the first page, in a directory that has just
// changed. The best of some counts: what else the computer does is not ours.
func (e *env) firstPages(d bigDir) map[string]time.Duration {
	t := e.t
	t.Helper()
	all := map[string]time.Duration{}
	c := &nfs.Caller{}
	for what, page := range map[string]func() (int, error){
		"ReadDir": func() (n int, err error) {
			size := 0
			_, err = d.fs.ReadDir(e.ctx, c, d.fs.Root(), 0, true, func(en nfs.DirEntry) bool {
				n++
				size += len(en.Name) + 150
				return size < bigPage
			})
			return n, err
		},
		"READDIR": func() (int, error) {
			r, err := e.c.Readdir(e.ctx, e.root, 0, [8]byte{}, 32<<10)
			return len(r.Entries), err
		},
		"READDIRPLUS": func() (int, error) {
			r, err := e.c.Readdirplus(e.ctx, e.root, 0, [8]byte{}, bigPage, bigPage)
			return len(r.Entries), err
		},
	} {
		best := time.Hour
		for range 7 {
			if err := d.make("change"); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			n, err := page()
			best = min(best, time.Since(began))
			if err != nil || n < 100 {
				t.Fatalf("%s: %d entries, %v", what, n, err)
			}
			if err := d.remove("change"); err != nil {
				t.Fatal(err)
			}
		}
		all[what] = best
	}
	return all
}

// walkBig lists the directory while names come and go beside: what is there all
// the time is listed once, what comes or goes once at most.
func (e *env) walkBig(d bigDir, n int) {
	t := e.t
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		// Some names live for a moment, some for a while.
		const lives = 50
		for i := 0; ; i++ {
			select {
			case <-stop:
				for j := max(0, i-lives); j < i; j++ {
					if err := d.remove(fmt.Sprintf("churn-%d", j)); err != nil {
						t.Error(err)
					}
				}
				return
			case <-time.After(50 * time.Microsecond):
			}
			err := d.make(fmt.Sprintf("churn-%d", i))
			if err == nil && i >= lives {
				err = d.remove(fmt.Sprintf("churn-%d", i-lives))
			}
			if err != nil {
				t.Error(err)
				<-stop
				return
			}
		}
	})
	seen := make([]uint8, n)
	churn := map[string]bool{}
	began := time.Now()
	var cookie uint64
	for pages := 0; ; pages++ {
		r, err := e.c.Readdirplus(e.ctx, e.root, cookie, [8]byte{}, bigPage, bigPage)
		if err != nil || r.Status != 0 || len(r.Entries) == 0 && !r.EOF {
			t.Errorf("page %d: %v, %v, %d entries", pages, err, nfs.Status(r.Status), len(r.Entries))
			break
		}
		for _, en := range r.Entries {
			cookie = en.Cookie
			name := string(en.Name)
			if num, ok := strings.CutPrefix(name, "file-"); ok {
				if i, err := strconv.Atoi(num); err == nil && i < n {
					seen[i]++
				}
			} else if strings.HasPrefix(name, "churn-") {
				if churn[name] {
					t.Errorf("%s is listed twice", name)
				}
				churn[name] = true
			} else if name != "." && name != ".." {
				t.Errorf("%q is listed", name)
			}
		}
		if r.EOF {
			break
		}
	}
	t.Logf("a walk takes %v; %d names that came and went were met", time.Since(began).Round(time.Millisecond), len(churn))
	close(stop)
	wg.Wait()
	bad := 0
	for i, times := range seen {
		if times != 1 {
			if bad++; bad <= 5 {
				t.Errorf("file-%07d is listed %d times", i, times)
			}
		}
	}
	if bad > 5 {
		t.Errorf("%d files are not listed once", bad)
	}
}
