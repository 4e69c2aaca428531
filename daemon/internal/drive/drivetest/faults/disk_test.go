package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// inStore reports whether a file is of the node store.
func inStore(name string) bool { return strings.HasPrefix(name, "state/nodes") }

// diskFaults are what a disk can do to files, by operations and whose files.
func diskFaults() map[string]func(op, name string) error {
	on := func(err error, store bool, ops ...string) func(op, name string) error {
		return func(op, name string) error {
			for _, o := range ops {
				if o == op && inStore(name) == store {
					return err
				}
			}
			return nil
		}
	}
	return map[string]func(op, name string) error{
		"EIO on pwrite":              on(syscall.EIO, false, "write"),
		"EIO on fsync":               on(syscall.EIO, false, "sync"),
		"EIO on fsync of a folder":   on(syscall.EIO, false, "syncdir"),
		"EIO on truncate":            on(syscall.EIO, false, "truncate"),
		"EIO on pwrite of the store": on(syscall.EIO, true, "write"),
		"EIO on fsync of the store":  on(syscall.EIO, true, "sync"),
		"ENOSPC on pwrite":           on(syscall.ENOSPC, false, "write", "truncate", "create"),
		"ENOSPC in the store":        on(syscall.ENOSPC, true, "write", "create"),
		"ENOSPC on all that is new": func(op, _ string) error {
			return map[string]error{"create": syscall.ENOSPC, "write": syscall.ENOSPC}[op]
		},
		"a disk that fails altogether": func(op, _ string) error { return syscall.EIO },
	}
}

// TestDiskFails has the disk fail while a client works, and work again later. What
// was acknowledged before is there; what was not is an error, never success; and the
// client that writes again is right in the end.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	long := noise(1, 100<<10)
	for what, fault := range diskFaults() {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, rough.Options{})
				w.has(tree{"r": long, "f": before})
				w.o.Quiet = time.Hour
				w.open()
				w.verify()
				w.write("f", "acknowledged", 0)
				w.save("new", long)
				w.torn = true
				w.disk.Fail(fault)
				tried := tree{"f": "never acknowledged", "new": noise(2, 50<<10), "r": "other"}
				told := map[string]bool{}
				for p, data := range tried {
					err := once(func(ctx context.Context) error {
						a, err := w.find(ctx, p)
						if err != nil {
							return err
						}
						return w.writeAt(ctx, a.ID, data, 0)
					})
					switch s := nfs.StatusOf(err); {
					case err == nil: // it was where the disk works
						told[p] = true
						w.acked[p] = laid(w.acked[p], data, 0)
						w.know(w.acked)
					case s != nfs.ErrIO && s != nfs.ErrNoSpace && s != nfs.ErrJukebox:
						t.Errorf("write %s: %v", p, err)
					}
				}
				err := once(func(ctx context.Context) error {
					_, _, err := w.d.Mkdir(ctx, owner, w.d.Root(), "dir", nfs.SetAttr{})
					return err
				})
				switch s := nfs.StatusOf(err); {
				case err == nil, s == nfs.ErrExist: // one that was not answered was done
					w.acked["dir/"] = ""
				case s != nfs.ErrIO && s != nfs.ErrNoSpace && s != nfs.ErrJukebox:
					t.Errorf("mkdir: %v", err)
				}
				w.disk.Fail(nil)
				w.torn = true
				for p, data := range tried { // the client has it still
					if !told[p] {
						w.eventually("write "+p+" again", func(ctx context.Context) error {
							a, err := w.find(ctx, p)
							if err != nil {
								return err
							}
							return w.writeAt(ctx, a.ID, data, 0)
						})
						w.acked[p] = laid(w.acked[p], data, 0)
					}
				}
				w.know(w.acked)
				if _, ok := w.acked["dir/"]; !ok {
					w.eventually("mkdir again", func(ctx context.Context) error {
						_, _, err := w.d.Mkdir(ctx, owner, w.d.Root(), "dir", nfs.SetAttr{})
						if nfs.StatusOf(err) == nfs.ErrExist {
							err = nil
						}
						return err
					})
					w.acked["dir/"] = ""
				}
				w.verify()
				time.Sleep(5 * time.Second) // the drive looks what is in its store by itself
				w.ends()
				w.power = true
				w.kill()
				w.restart()
				w.ends()
			})
		})
	}
}

// once makes a call until it is answered, for less long than a disk may fail.
func once(call func(context.Context) error) error {
	var err error
	for range 5 {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		err = call(ctx)
		cancel()
		if nfs.StatusOf(err) != nfs.ErrJukebox {
			break
		}
		time.Sleep(time.Second)
	}
	return err
}

// eventually makes a call that works once the drive is itself again.
func (w *world) eventually(what string, call func(context.Context) error) {
	w.t.Helper()
	var err error
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Second) {
		if err = once(call); err == nil {
			return
		}
	}
	w.t.Errorf("%s: %v", what, err)
}

// TestDiskFailsAndPowerIsLost is TestDiskFails with a power failure instead of a disk
// that works again.
func TestDiskFailsAndPowerIsLost(t *testing.T) {
	t.Parallel()
	long := noise(1, 100<<10)
	for what, fault := range diskFaults() {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, rough.Options{})
				w.has(tree{"f": before})
				w.o.Quiet = time.Hour
				w.open()
				w.verify()
				w.write("f", "acknowledged", 0)
				w.save("new", long)
				w.disk.Fail(fault)
				w.torn = true
				for range 3 {
					w.maybe = w.acked.clone()
					w.maybe["f"] = laid(w.acked["f"], "never acknowledged", 0)
					err := once(func(ctx context.Context) error {
						a, err := w.find(ctx, "f")
						if err != nil {
							return err
						}
						return w.writeAt(ctx, a.ID, "never acknowledged", 0)
					})
					if err == nil {
						w.acked, w.maybe = w.maybe, nil
						w.know(w.acked)
					}
				}
				w.power = true
				w.disk.Fail(nil)
				w.kill()
				w.restart()
				w.ends()
			})
		})
	}
}

// TestNoSpace fills the disk for real: what does not fit is refused before it is
// acknowledged, and what waits can still be published.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rough.Options{})
		w.has(tree{"f": before})
		w.o.Quiet = time.Hour
		w.open()
		w.verify()
		w.save("new", noise(1, 100<<10))
		w.disk.SetFree(200 << 20) // which is kept for what waits
		err := once(func(ctx context.Context) error {
			a, err := w.find(ctx, "f")
			if err == nil {
				err = w.writeAt(ctx, a.ID, noise(2, 1<<20), 0)
			}
			return err
		})
		if nfs.StatusOf(err) != nfs.ErrNoSpace {
			t.Errorf("a write to a disk that is full gives %v", err)
		}
		w.ends()
		w.disk.SetFree(1 << 40)
		w.write("f", "there is room", 0)
		w.ends()
	})
}

// TestCacheFails has the disk that the cache is on fail in all ways: what is read is
// right all the same.
func TestCacheFails(t *testing.T) {
	t.Parallel()
	files := tree{"a": noise(1, 300<<10), "b": noise(2, 300<<10), "c": noise(3, 300<<10)}
	for _, op := range []string{"open", "create", "read", "write", "truncate", "punch", "sync", "stat", "remove", "rename", "list", "syncdir", "free"} {
		for _, err := range []error{syscall.EIO, syscall.ENOSPC} {
			t.Run(op+" "+err.Error(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, rough.Options{})
					w.has(files)
					w.open()
					w.holds("a", files["a"])
					w.cache.Fail(func(o, _ string) error {
						if o == op {
							return err
						}
						return nil
					})
					w.verify()
					w.verify()
					w.write("a", "other", 0)
					w.ends()
					w.cache.Fail(nil)
					w.reopen()
					w.verify()
				})
			})
		}
	}
}

// TestBitsFlip changes single bits of what the cache keeps, its tables included, while
// nobody looks. What is read is what the remote has.
func TestBitsFlip(t *testing.T) {
	t.Parallel()
	files := tree{"a": noise(1, 300<<10), "b": noise(2, 5000)}
	damage := func(t *testing.T, what string, change func(f disk.File, size int64, n int) error) {
		for n := range 12 {
			t.Run(fmt.Sprint(what, " ", n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, rough.Options{})
					w.has(files)
					w.open()
					w.verify()
					w.close()
					changed := 0
					each(t, w.cache, "", func(name string, size int64) {
						f, err := w.cache.Open(name, false)
						if err == nil && size > 0 {
							err = errors.Join(change(f, size, n), f.Close())
							changed++
						}
						if err != nil {
							t.Fatal(err)
						}
					})
					if changed == 0 {
						t.Fatal("the cache has nothing")
					}
					w.open()
					w.verify()
					w.restartsAgain()
				})
			})
		}
	}
	damage(t, "a bit", func(f disk.File, size int64, n int) error {
		at := (size - 1) * int64(n) / 11
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil && err != io.EOF {
			return err
		}
		b[0] ^= 1 << (n % 8)
		_, err := f.WriteAt(b[:], at)
		return err
	})
	damage(t, "a torn end", func(f disk.File, size int64, n int) error { return f.Truncate(size * int64(n) / 12) })
	damage(t, "a lost sector", func(f disk.File, size int64, n int) error {
		_, err := f.WriteAt(make([]byte, 512), (size*int64(n)/12)&^511)
		return err
	})
}

// each calls f with all files below a folder.
func each(t *testing.T, d *disktest.Disk, dir string, f func(name string, size int64)) {
	t.Helper()
	in := dir
	if in == "" {
		in = "."
	}
	infos, err := d.List(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if name := path.Join(dir, i.Name); i.Dir {
			each(t, d, name, f)
		} else {
			f(name, i.Size)
		}
	}
}

// fat is a volume as FAT is: files end at 4 GiB, and have no holes.
type fat struct{ disk.FS }

type fatFile struct{ disk.File }

const fatLimit = 4<<30 - 1

func (d fat) Open(name string, create bool) (disk.File, error) {
	f, err := d.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	return fatFile{f}, nil
}

func (f fatFile) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > fatLimit {
		return 0, syscall.EFBIG
	}
	return f.File.WriteAt(p, off)
}

func (f fatFile) Truncate(size int64) error {
	if size > fatLimit {
		return syscall.EFBIG
	}
	return f.File.Truncate(size)
}

// pattern is a remote with one large file, each byte of which tells where it is.
type pattern struct {
	*rough.Session
	size int64
}

func (p pattern) entry() providers.Entry {
	return providers.Entry{Name: "large", Mode: 0o644, Size: p.size, Version: "p", ModTime: time.Unix(1e9, 0)}
}

func (p pattern) Stat(ctx context.Context, at string) (providers.Entry, error) {
	if at == "large" {
		return p.entry(), nil
	}
	return p.Session.Stat(ctx, at)
}

func (p pattern) ReadDir(ctx context.Context, dir, cursor string) (providers.Page, error) {
	page, err := p.Session.ReadDir(ctx, dir, cursor)
	if dir == "" && cursor == "" {
		page.Entries = append(page.Entries, p.entry())
	}
	return page, err
}

func (p pattern) Open(ctx context.Context, at string, v providers.Version) (providers.Object, error) {
	if at == "large" {
		return patternObject{p.entry()}, nil
	}
	return p.Session.Open(ctx, at, v)
}

type patternObject struct{ e providers.Entry }

func (o patternObject) Entry() providers.Entry { return o.e }
func (o patternObject) Close() error           { return nil }

func (o patternObject) ReadRange(_ context.Context, off, n int64) (io.ReadCloser, error) {
	b := make([]byte, max(0, min(n, o.e.Size-off)))
	for i := range b {
		b[i] = patternAt(off + int64(i))
	}
	return io.NopCloser(strings.NewReader(string(b))), nil
}

func patternAt(off int64) byte { return byte(off>>20) ^ byte(off>>9) ^ byte(off) }

// TestFATVolume has all of a drive on a volume where files have no holes and end at
// 4 GiB: larger files can be read, and are refused to whom makes them.
func TestFATVolume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rough.Options{})
		w.has(tree{"f": before})
		w.provide = func(s *rough.Session) providers.Provider { return pattern{s, 6 << 30} }
		w.onto = func(d disk.FS) disk.FS { return fat{d} }
		w.o.CacheLimit = 64 << 20
		w.open()
		id := w.attr("large").ID
		for range 2 {
			for _, off := range []uint64{0, 4<<30 - 1000, 5<<30 + 7, 6<<30 - 2000} {
				b := make([]byte, 2000)
				var n int
				w.must(patient(func(ctx context.Context) (err error) {
					n, _, err = w.d.Read(ctx, owner, id, b, off)
					return err
				}))
				for i := range b {
					if n != len(b) || b[i] != patternAt(int64(off)+int64(i)) {
						t.Fatalf("%d bytes at %d are wrong from %d on", n, off, i)
					}
				}
			}
		}
		w.save("new", noise(1, 100<<10))
		w.rename("new", "newer")
		w.write("f", "changed", 0)
		err := once(func(ctx context.Context) error {
			a, err := w.find(ctx, "newer")
			if err == nil {
				_, _, err = w.d.Write(ctx, owner, a.ID, []byte("x"), 5<<30, nfs.FileSync)
			}
			return err
		})
		if nfs.StatusOf(err) != nfs.ErrFBig {
			t.Errorf("a file that is too large for the volume gives %v", err)
		}
		w.must(w.settle())
		if got := w.remoteTree(); differ(got, w.acked) != "" {
			t.Errorf("the remote: %s", differ(got, w.acked))
		}
		w.reopen()
		w.holds("f", w.acked["f"])
		w.holds("newer", w.acked["newer"])
	})
}
