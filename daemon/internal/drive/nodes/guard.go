package nodes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard is the folder of one pebble store, which meets no error of the disk that
// it would end the process for: with the first write that fails the folder is cut
// off, and stays as it is. From then on everything is written in memory, so
// that what is open can be read until it is closed; nothing of it counts.
type guard struct {
	vfs.FS
	locker func(name string) (io.Closer, error)
	failed func() // is told once, and must not wait
	off    atomic.Bool

	mu      sync.Mutex
	cause   error
	mem     *vfs.MemFS // what was written since
	holds   bool       // nothing is removed: somebody may read it
	removed []string   // meanwhile
}

var _ vfs.FS = (*guard)(nil)

// errCut is what files of tables get from a folder that is cut off. Pebble tries
// again, or gives up what only makes it faster.
var errCut = errors.New("nothing is written any more")

// fail cuts the folder off.
func (g *guard) fail(err error) {
	g.mu.Lock()
	first := g.cause == nil
	if first {
		g.cause, g.mem = err, vfs.NewMem()
		g.off.Store(true)
	}
	g.mu.Unlock()
	if first {
		g.failed()
	}
}

// err is why the folder is cut off, or nil.
func (g *guard) err() error {
	if !g.off.Load() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cause
}

// memory is what is in place of the disk; nil: nothing is.
func (g *guard) memory() *vfs.MemFS {
	if !g.off.Load() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mem
}

// table reports whether a failure to write a file is none that pebble ends the
// process for.
func table(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// flushes is the category of tables without which writers would wait for ever.
const flushes vfs.DiskWriteCategory = "pebble-memtable-flush"

func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.create(name, category, func() (vfs.File, error) { return g.FS.Create(name, category) })
}

func (g *guard) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.create(to, category, func() (vfs.File, error) { return g.FS.ReuseForWrite(from, to, category) })
}

func (g *guard) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.create(name, category, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, category, opts...) })
}

func (g *guard) create(name string, category vfs.DiskWriteCategory, do func() (vfs.File, error)) (vfs.File, error) {
	if g.memory() == nil {
		g.keep(name)
		f, err := do()
		if err == nil {
			return &guardedFile{File: f, g: g, table: table(name)}, nil
		}
		g.fail(fmt.Errorf("create %s: %w", name, err))
		if table(name) {
			return nil, err
		}
	}
	if table(name) && category != flushes {
		return nil, errCut // it would take memory, and is only a tidier copy
	}
	mem := g.memory()
	if err := mem.MkdirAll(g.PathDir(name), 0o700); err != nil {
		return nil, err
	}
	return mem.Create(name, category)
}

func (g *guard) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if mem := g.memory(); mem != nil {
		if f, err := mem.Open(name, opts...); err == nil {
			return f, nil
		}
	}
	return g.FS.Open(name, opts...)
}

func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{File: f, g: g}, nil
}

func (g *guard) Stat(name string) (vfs.FileInfo, error) {
	if mem := g.memory(); mem != nil {
		if i, err := mem.Stat(name); err == nil {
			return i, nil
		}
	}
	return g.FS.Stat(name)
}

// change does what changes names.
func (g *guard) change(what string, do func() error) error {
	if g.off.Load() {
		return nil
	}
	if err := do(); err != nil {
		g.fail(fmt.Errorf("%s: %w", what, err))
	}
	return nil
}

func (g *guard) Link(from, to string) error {
	g.keep(to)
	return g.change("link "+from, func() error { return g.FS.Link(from, to) })
}

func (g *guard) Rename(from, to string) error {
	g.keep(to)
	if mem := g.memory(); mem != nil {
		if err := mem.Rename(from, to); err == nil {
			return nil
		}
	}
	return g.change("rename "+from, func() error { return g.FS.Rename(from, to) })
}

func (g *guard) MkdirAll(dir string, perm os.FileMode) error {
	return g.change("make "+dir, func() error { return g.FS.MkdirAll(dir, perm) })
}

// Remove and RemoveAll may fail: what is left over is found at the next start.
func (g *guard) Remove(name string) error { return g.remove(name, g.FS.Remove) }

func (g *guard) RemoveAll(name string) error { return g.remove(name, g.FS.RemoveAll) }

func (g *guard) remove(name string, do func(string) error) error {
	g.mu.Lock()
	mem, holds := g.mem, g.holds
	if holds && mem == nil {
		g.removed = append(g.removed, name)
	}
	g.mu.Unlock()
	switch {
	case mem != nil:
		_ = mem.Remove(name)
		return nil
	case holds:
		return nil
	}
	return do(name)
}

// keep makes sure that a file that is made again is not removed later.
func (g *guard) keep(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.removed = slices.DeleteFunc(g.removed, func(r string) bool { return path.Clean(r) == path.Clean(name) })
}

// release removes what was to be removed while others could have read it.
func (g *guard) release() {
	g.mu.Lock()
	names := g.removed
	g.removed, g.holds = nil, false
	g.mu.Unlock()
	for _, name := range names {
		if !g.off.Load() {
			_ = g.FS.Remove(name) // see Remove
		}
	}
}

func (g *guard) Lock(name string) (io.Closer, error) { return g.locker(name) }

func (g *guard) Unwrap() vfs.FS { return g.FS }

// guardedFile is a file that is written, or a directory.
type guardedFile struct {
	vfs.File
	g     *guard
	table bool
}

// do makes a call that changes the disk. The error is nil for all but tables.
func (f *guardedFile) do(what string, call func() error) error {
	if f.g.off.Load() {
		if f.table {
			return errCut
		}
		return nil
	}
	err := call()
	if err == nil {
		return nil
	}
	f.g.fail(fmt.Errorf("%s: %w", what, err))
	if f.table {
		return err
	}
	return nil
}

func (f *guardedFile) Write(p []byte) (n int, err error) {
	err = f.do("write", func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *guardedFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.do("write", func() (err error) {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *guardedFile) Sync() error { return f.do("sync", f.File.Sync) }

func (f *guardedFile) SyncData() error { return f.do("sync", f.File.SyncData) }

func (f *guardedFile) SyncTo(length int64) (full bool, err error) {
	err = f.do("sync", func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Preallocate only makes later writes faster.
func (f *guardedFile) Preallocate(off, length int64) error {
	if f.g.off.Load() {
		return nil
	}
	return f.File.Preallocate(off, length)
}

func (f *guardedFile) Close() error {
	err := f.File.Close()
	if f.g.off.Load() {
		return nil
	}
	return f.do("close", func() error { return err })
}
