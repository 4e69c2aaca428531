package nfs_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
)

// The objects of a fakeFS.
const (
	rootID nfs.ID = 1 + iota
	fileID
	dirID
	linkID
	newID
)

const fakeData = "0123456789"

// fakeTime is all times of a fakeFS before changes; changes move it by one
// second.
var fakeTime = time.Unix(1_700_000_000, 123_456_789)

// fakeFS is a file system that does as it is told: a root with "file" (ten
// bytes), "dir" and "link", which nothing changes. fail scripts a method's
// error, hook sees every call.
type fakeFS struct {
	mu     sync.Mutex
	errs   map[string]error
	calls  []string
	caller nfs.Caller
	hook   func(ctx context.Context, method string) error
	lost   atomic.Uint64 // what Losses tells

	// What the last call was given.
	set   nfs.SetAttr
	guard *time.Time
	how   nfs.CreateHow
	name  string
	data  []byte
	off   uint64
	count uint32
	want  nfs.Stable
	typ   nfs.FileType

	commit   nfs.Stable // what Write says it has done, if more than asked
	noWCC    bool
	noAttr   bool // ReadDir gives no attributes
	entries  []nfs.DirEntry
	moreRead int // added to the n of Read
}

func (f *fakeFS) fail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.errs == nil {
		f.errs = make(map[string]error)
	}
	f.errs[method] = err
}

func (f *fakeFS) on(hook func(ctx context.Context, method string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// called reports whether a method was called, and forgets all calls.
func (f *fakeFS) called(method string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	ok := slices.Contains(f.calls, method)
	f.calls = nil
	return ok
}

func (f *fakeFS) enter(ctx context.Context, c *nfs.Caller, method string, keep func()) error {
	f.mu.Lock()
	f.calls = append(f.calls, method)
	if method != "GetAttr" {
		f.caller = nfs.Caller{UID: c.UID, GID: c.GID, Groups: slices.Clone(c.Groups)}
	}
	if keep != nil {
		keep()
	}
	err, hook := f.errs[method], f.hook
	f.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, method); err != nil {
			return err
		}
	}
	return err
}

func fakeAttr(id nfs.ID) nfs.Attr {
	a := nfs.Attr{ID: id, Mode: 0o644, Nlink: 1, UID: 1000, GID: 100, Atime: fakeTime, Mtime: fakeTime, Ctime: fakeTime}
	switch id {
	case rootID, dirID:
		a.Type, a.Mode, a.Nlink, a.Size = nfs.TypeDirectory, 0o755, 2, 4096
	case linkID:
		a.Type, a.Mode, a.Size = nfs.TypeSymlink, 0o777, 6
	default:
		a.Type, a.Size, a.Used = nfs.TypeRegular, uint64(len(fakeData)), 4096
	}
	return a
}

func (f *fakeFS) wcc(id nfs.ID) nfs.WCC {
	if f.noWCC {
		return nfs.WCC{}
	}
	before := fakeAttr(id)
	after := before
	after.Mtime, after.Ctime = fakeTime.Add(time.Second), fakeTime.Add(time.Second)
	return nfs.WCC{HasBefore: true, Before: before.Pre(), After: after}
}

func (f *fakeFS) Root() nfs.ID { return rootID }

func (f *fakeFS) Lookup(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.Attr, error) {
	if err := f.enter(ctx, c, "Lookup", func() { f.name = name }); err != nil {
		return nfs.Attr{}, err
	}
	if dir != rootID && dir != dirID {
		return nfs.Attr{}, nfs.ErrNotDir
	}
	id, ok := map[string]nfs.ID{".": dir, "..": rootID, "file": fileID, "dir": dirID, "link": linkID}[name]
	if !ok {
		return nfs.Attr{}, nfs.ErrNoEnt
	}
	return fakeAttr(id), nil
}

func (f *fakeFS) GetAttr(ctx context.Context, c *nfs.Caller, id nfs.ID) (nfs.Attr, error) {
	if err := f.enter(ctx, c, "GetAttr", nil); err != nil {
		return nfs.Attr{}, err
	}
	return fakeAttr(id), nil
}

func (f *fakeFS) Read(ctx context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64) (int, bool, error) {
	if err := f.enter(ctx, c, "Read", func() { f.off, f.count = off, uint32(len(p)) }); err != nil {
		return 0, false, err
	}
	n := copy(p, fakeData[min(off, uint64(len(fakeData))):])
	return n + f.moreRead, off+uint64(n) >= uint64(len(fakeData)), nil
}

func (f *fakeFS) ReadDir(ctx context.Context, c *nfs.Caller, dir nfs.ID, cookie uint64, plus bool, fill func(nfs.DirEntry) bool) (bool, error) {
	if err := f.enter(ctx, c, "ReadDir", nil); err != nil {
		return false, err
	}
	entries := f.entries
	if entries == nil {
		entries = []nfs.DirEntry{{Name: "file", ID: fileID, Cookie: 3}, {Name: "dir", ID: dirID, Cookie: 4}, {Name: "link", ID: linkID, Cookie: 5}}
	}
	for _, e := range entries {
		if e.Cookie <= cookie {
			continue
		}
		if plus && !f.noAttr {
			e.Attr = fakeAttr(e.ID)
		}
		if !fill(e) {
			return false, nil
		}
	}
	return true, nil
}

func (f *fakeFS) StatFS(ctx context.Context, c *nfs.Caller, _ nfs.ID) (nfs.FSStat, error) {
	if err := f.enter(ctx, c, "StatFS", nil); err != nil {
		return nfs.FSStat{}, err
	}
	return nfs.FSStat{TotalBytes: 6, FreeBytes: 5, AvailBytes: 4, TotalFiles: 3, FreeFiles: 2, AvailFiles: 1}, nil
}

func (f *fakeFS) SetAttr(ctx context.Context, c *nfs.Caller, id nfs.ID, set nfs.SetAttr, guard *time.Time) (nfs.WCC, error) {
	if err := f.enter(ctx, c, "SetAttr", func() { f.set, f.guard = set, guard }); err != nil {
		return nfs.WCC{}, err
	}
	return f.wcc(id), nil
}

func (f *fakeFS) Write(ctx context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64, want nfs.Stable) (nfs.Stable, nfs.WCC, error) {
	err := f.enter(ctx, c, "Write", func() { f.data, f.off, f.want = slices.Clone(p), off, want })
	return max(want, f.commit), f.wcc(id), err
}

func (f *fakeFS) Commit(ctx context.Context, c *nfs.Caller, id nfs.ID, off uint64, count uint32) (nfs.WCC, error) {
	err := f.enter(ctx, c, "Commit", func() { f.off, f.count = off, count })
	return f.wcc(id), err
}

func (f *fakeFS) Create(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, how nfs.CreateHow) (nfs.Attr, nfs.WCC, error) {
	err := f.enter(ctx, c, "Create", func() { f.name, f.how = name, how })
	return fakeAttr(newID), f.wcc(dir), err
}

func (f *fakeFS) Mkdir(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	err := f.enter(ctx, c, "Mkdir", func() { f.name, f.set = name, set })
	return fakeAttr(newID), f.wcc(dir), err
}

func (f *fakeFS) Symlink(ctx context.Context, c *nfs.Caller, dir nfs.ID, name, target string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	err := f.enter(ctx, c, "Symlink", func() { f.name, f.data, f.set = name, []byte(target), set })
	return fakeAttr(newID), f.wcc(dir), err
}

func (f *fakeFS) Readlink(ctx context.Context, c *nfs.Caller, _ nfs.ID) (string, error) {
	return "target", f.enter(ctx, c, "Readlink", nil)
}

func (f *fakeFS) Mknod(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, typ nfs.FileType, set nfs.SetAttr, major, minor uint32) (nfs.Attr, nfs.WCC, error) {
	err := f.enter(ctx, c, "Mknod", func() { f.name, f.typ, f.set, f.off, f.count = name, typ, set, uint64(major), minor })
	return fakeAttr(newID), f.wcc(dir), err
}

func (f *fakeFS) Remove(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	err := f.enter(ctx, c, "Remove", func() { f.name = name })
	return f.wcc(dir), err
}

func (f *fakeFS) Rmdir(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	err := f.enter(ctx, c, "Rmdir", func() { f.name = name })
	return f.wcc(dir), err
}

func (f *fakeFS) Rename(ctx context.Context, c *nfs.Caller, fromDir nfs.ID, from string, toDir nfs.ID, to string) (nfs.WCC, nfs.WCC, error) {
	err := f.enter(ctx, c, "Rename", func() { f.name = from + ">" + to })
	return f.wcc(fromDir), f.wcc(toDir), err
}

func (f *fakeFS) Link(ctx context.Context, c *nfs.Caller, id, dir nfs.ID, name string) (nfs.Attr, nfs.WCC, error) {
	err := f.enter(ctx, c, "Link", func() { f.name = name })
	return fakeAttr(id), f.wcc(dir), err
}

// readOnlyFS has the required methods alone.
type readOnlyFS struct{ nfs.FileSystem }

var _ interface {
	nfs.FileSystem
	nfs.AttrSetter
	nfs.Writer
	nfs.Creator
	nfs.Symlinker
	nfs.NodeMaker
	nfs.Remover
	nfs.Renamer
	nfs.Linker
} = (*fakeFS)(nil)

// testTimeout bounds what a test waits for; nothing here takes a tenth of it.
const testTimeout = 20 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func (f *fakeFS) Losses() uint64 { return f.lost.Load() }
