package disktest_test

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// quiet says nothing, but counts errors. Fatalf must not be called.
type quiet struct {
	t    *testing.T
	errs *atomic.Int64
}

func (quiet) Infof(string, ...any)                {}
func (q quiet) Errorf(string, ...any)             { q.errs.Add(1) }
func (q quiet) Fatalf(format string, args ...any) { q.t.Errorf(format, args...) }

func openStore(t *testing.T, d *disktest.Disk) (*pebbledb.DB, *atomic.Int64, error) {
	errs := &atomic.Int64{}
	db, err := pebbledb.Open("state/nodes", &pebbledb.Options{
		FS:                 d.Pebble(),
		Logger:             quiet{t, errs},
		FormatMajorVersion: pebbledb.FormatNewest,
		MemTableSize:       32 << 10, // much tidying up
	})
	return db, errs, err
}

// A store and a file lose power at one moment, wherever that is: a record is
// there if it was told to be durable, and what it is about is there with it.
func TestStoreAndFilesTogether(t *testing.T) {
	const writers = 3
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d := disktest.New(seed)
		var after *disktest.Disk
		d.CrashAt(1+rng.Uint64N(2500), func() {
			if rng.IntN(3) == 0 {
				after = d.Kill()
			} else {
				after = d.Crash(rng)
			}
		})
		var acked [writers]uint64
		f, err := d.Open("state/data", true)
		if err == nil {
			err = errors.Join(d.SyncDir("state"), d.SyncDir("."))
		}
		var db *pebbledb.DB
		var count *atomic.Int64
		if err == nil {
			db, count, err = openStore(t, d)
		}
		if err == nil {
			var wg sync.WaitGroup
			for w := range uint64(writers) {
				wg.Go(func() {
					value := make([]byte, 500)
					for i := uint64(1); i < 800; i++ {
						off := int64(w<<20 + i*8)
						if _, err := f.WriteAt(binary.BigEndian.AppendUint64(nil, i), off); err != nil {
							return
						}
						if f.Sync() != nil {
							return
						}
						if err := db.Set(key(w, i), value, pebbledb.Sync); err != nil {
							return
						}
						if _, err := d.Pebble().GetDiskUsage("state"); err != nil {
							return // nobody was told
						}
						acked[w] = i
					}
				})
			}
			wg.Wait()
		}
		if after == nil {
			after = d.Crash(rng)
		}
		if db != nil {
			db.Close() // it must not hang
			if n := count.Load(); n > 20 {
				t.Errorf("seed %d: a store without power told of %d errors", seed, n)
			}
		}
		if _, _, err := openStore(t, d); err == nil {
			t.Errorf("seed %d: a store was opened without power", seed)
		}

		db, _, err = openStore(t, after)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for w := range uint64(writers) {
			for i := uint64(1); i <= acked[w]+1; i++ {
				_, closer, err := db.Get(key(w, i))
				if i > acked[w] && errors.Is(err, pebbledb.ErrNotFound) {
					continue
				}
				if err != nil {
					t.Fatalf("seed %d: record %d of %d: %v", seed, i, acked[w], err)
				}
				closer.Close()
				f, err := after.Open("state/data", false)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				var p [8]byte
				if _, err := f.ReadAt(p[:], int64(w<<20+i*8)); err != nil || binary.BigEndian.Uint64(p[:]) != i {
					t.Fatalf("seed %d: what record %d is about: %x, %v", seed, i, p, err)
				}
				f.Close()
			}
		}
		must(t, db.Close())
	}
}

func key(w, i uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, w), i)
}

func TestPebbleFiles(t *testing.T) {
	d := disktest.New(1)
	p := d.Pebble()
	must(t, p.MkdirAll("/a/b", 0o700))
	create := func(name, s string) {
		t.Helper()
		f, err := p.Create(name, vfs.WriteCategoryUnspecified)
		must(t, err)
		for _, part := range []string{s[:1], s[1:]} {
			_, err := f.Write([]byte(part))
			must(t, err)
		}
		must(t, f.Close())
	}
	create("/a/b/f", "first")
	old, err := p.Open("a/b/f")
	must(t, err)
	create("/a/b/f", "second") // a new file, not the old one
	for f, want := range map[vfs.File]string{old: "first"} {
		if got, err := io.ReadAll(f); err != nil || string(got) != want {
			t.Errorf("read %q, %v", got, err)
		}
	}
	must(t, p.Link("a/b/f", "a/b/g"))
	if err := p.Link("a/b/f", "a/b/g"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("linked over: %v", err)
	}
	must(t, p.Remove("a/b/f"))
	if got := string(read(t, d, "a/b/g")); got != "second" {
		t.Errorf("by its other name it is %q", got)
	}
	f, err := p.ReuseForWrite("a/b/g", "a/b/h", vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write([]byte("SE"))
	must(t, err)
	if got := string(read(t, d, "a/b/h")); got != "SEcond" {
		t.Errorf("written over it is %q", got)
	}
	if i, err := p.Stat("a/b/h"); err != nil || i.Name() != "h" || i.Size() != 6 || i.IsDir() {
		t.Errorf("stat: %+v, %v", i, err)
	}
	lock, err := p.Lock("a/LOCK")
	must(t, err)
	if _, err := p.Lock("a/LOCK"); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("locked twice: %v", err)
	}
	must(t, lock.Close())
	if l, err := p.List("a"); err != nil || !slices.Equal(l, []string{"LOCK", "b"}) {
		t.Errorf("list: %q, %v", l, err)
	}
	if _, err := p.List("no"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list of nothing: %v", err)
	}
	if _, err := p.Create("no/f", vfs.WriteCategoryUnspecified); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create in nothing: %v", err)
	}
	must(t, p.RemoveAll("a"))
	must(t, p.RemoveAll("a"))
	if l, err := d.List("."); err != nil || len(l) != 0 {
		t.Errorf("in the end there are %+v, %v", l, err)
	}
}
