package memfs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
)

var (
	ctx  = context.Background()
	root = &nfs.Caller{}
)

func create(t *testing.T, f *FS, dir nfs.ID, name string) nfs.ID {
	t.Helper()
	a, _, err := f.Create(ctx, root, dir, name, nfs.CreateHow{Mode: nfs.Guarded})
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func write(t *testing.T, f *FS, id nfs.ID, n int, off uint64) {
	t.Helper()
	if _, _, err := f.Write(ctx, root, id, make([]byte, n), off, nfs.FileSync); err != nil {
		t.Fatal(err)
	}
}

func free(t *testing.T, f *FS) nfs.FSStat {
	t.Helper()
	st, err := f.StatFS(ctx, root, f.Root())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestQuotaIsExact(t *testing.T) {
	f := New(Options{Quota: 1 << 20})
	id := create(t, f, f.Root(), "a")
	pages := int(free(t, f).FreeBytes / pageSize)
	write(t, f, id, pages*pageSize, 0)
	if _, w, err := f.Write(ctx, root, id, []byte("x"), uint64(pages)*pageSize, nfs.FileSync); !errors.Is(err, nfs.ErrNoSpace) || !w.HasBefore {
		t.Fatalf("a page too much: wcc %v, error %v; want wcc and ErrNoSpace", w.HasBefore, err)
	}
	write(t, f, id, 100, 50) // what is there can be overwritten
	if _, err := f.SetAttr(ctx, root, id, nfs.SetAttr{Valid: nfs.SetSize, Size: 1}, nil); err != nil {
		t.Fatal(err)
	}
	if got := free(t, f).FreeBytes / pageSize; got != uint64(pages-1) {
		t.Errorf("%d pages free after truncate to one byte, want %d", got, pages-1)
	}
	write(t, f, id, (pages-1)*pageSize, 1<<40)
	var err error
	for i := 0; err == nil; i++ { // names and objects count, too
		_, _, err = f.Mkdir(ctx, root, f.Root(), fmt.Sprint(i), nfs.SetAttr{})
	}
	if !errors.Is(err, nfs.ErrNoSpace) {
		t.Error(err)
	}
}

func TestFileQuota(t *testing.T) {
	f := New(Options{MaxFiles: 4})
	for i := range 3 {
		create(t, f, f.Root(), fmt.Sprint(i))
	}
	if _, _, err := f.Create(ctx, root, f.Root(), "x", nfs.CreateHow{}); !errors.Is(err, nfs.ErrNoSpace) {
		t.Errorf("a file too much: %v", err)
	}
	before := free(t, f)
	if _, err := f.Remove(ctx, root, f.Root(), "0"); err != nil {
		t.Fatal(err)
	}
	if after := free(t, f); before.FreeFiles != 0 || after.FreeFiles != 1 || after.FreeBytes <= before.FreeBytes {
		t.Errorf("before removal %+v, after %+v", before, after)
	}
	create(t, f, f.Root(), "x")
}

func TestEverythingIsGivenBack(t *testing.T) {
	f := New(Options{Quota: 8 << 20, Retain: time.Nanosecond})
	empty := free(t, f)
	for range 3 {
		d, _, err := f.Mkdir(ctx, root, f.Root(), "d", nfs.SetAttr{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			write(t, f, create(t, f, d.ID, fmt.Sprint("file", i)), 10000, uint64(i)<<30)
		}
		if _, _, err := f.Symlink(ctx, root, d.ID, "link", "target", nfs.SetAttr{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Rename(ctx, root, d.ID, "file1", d.ID, "file2"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Rename(ctx, root, d.ID, "link", d.ID, "a longer name"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Remove(ctx, root, d.ID, "a longer name"); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if i == 1 {
				continue
			}
			if _, err := f.Remove(ctx, root, d.ID, fmt.Sprint("file", i)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.Rmdir(ctx, root, f.Root(), "d"); err != nil {
			t.Fatal(err)
		}
	}
	if got := free(t, f); got != empty {
		t.Errorf("free after removing all %+v, at the start %+v", got, empty)
	}
	time.Sleep(time.Microsecond)
	f.expire()
	if b, n := f.bytes.Load(), f.files.Load(); b != nodeCost || n != 1 {
		t.Errorf("%d bytes and %d files are still held", b, n)
	}
}

func TestUnlinkedFilesMakeRoom(t *testing.T) {
	f := New(Options{Quota: 1 << 20})
	kept, lost := create(t, f, f.Root(), "kept"), create(t, f, f.Root(), "lost")
	write(t, f, kept, 100<<10, 0)
	write(t, f, lost, 500<<10, 0)
	for _, name := range []string{"kept", "lost"} {
		if _, err := f.Remove(ctx, root, f.Root(), name); err != nil {
			t.Fatal(err)
		}
	}
	write(t, f, kept, 10, 0) // used later than lost
	write(t, f, create(t, f, f.Root(), "new"), 700<<10, 0)
	if _, err := f.GetAttr(ctx, root, lost); !errors.Is(err, nfs.ErrStale) {
		t.Errorf("the unlinked file that was longest unused: %v, want ErrStale", err)
	}
	if a, err := f.GetAttr(ctx, root, kept); err != nil || a.Size != 100<<10 || a.Nlink != 0 {
		t.Errorf("the unlinked file in use: %+v, %v", a, err)
	}
}

func TestUnlinkedFilesExpire(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := New(Options{Retain: time.Minute, Clock: func() time.Time { return now }})
	a, b := create(t, f, f.Root(), "a"), create(t, f, f.Root(), "b")
	for _, name := range []string{"a", "b"} {
		if _, err := f.Remove(ctx, root, f.Root(), name); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(50 * time.Second)
	if _, err := f.GetAttr(ctx, root, b); err != nil {
		t.Fatal(err)
	}
	now = now.Add(50 * time.Second)
	free(t, f)
	if _, err := f.GetAttr(ctx, root, a); !errors.Is(err, nfs.ErrStale) {
		t.Errorf("unused for 100 s: %v, want ErrStale", err)
	}
	if _, err := f.GetAttr(ctx, root, b); err != nil {
		t.Errorf("unused for 50 s: %v", err)
	}
}

func TestTimesMoveWhileTheClockStands(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := New(Options{Clock: func() time.Time { return now }})
	id := create(t, f, f.Root(), "a")
	for i := range 3 {
		before, _ := f.GetAttr(ctx, root, id)
		write(t, f, id, 1, 0)
		if after, _ := f.GetAttr(ctx, root, id); !after.Ctime.After(before.Ctime) || !after.Mtime.After(before.Mtime) {
			t.Errorf("write %d: mtime %v then %v, ctime %v then %v", i, before.Mtime, after.Mtime, before.Ctime, after.Ctime)
		}
	}
}

func TestReadMovesAtime(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := New(Options{Clock: func() time.Time { return now }})
	id := create(t, f, f.Root(), "a")
	write(t, f, id, 1, 0)
	now = now.Add(time.Hour)
	if _, _, err := f.Read(ctx, root, id, make([]byte, 1), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadDir(ctx, root, f.Root(), 0, false, func(nfs.DirEntry) bool { return true }); err != nil {
		t.Fatal(err)
	}
	for _, id := range []nfs.ID{id, f.Root()} {
		if a, _ := f.GetAttr(ctx, root, id); !a.Atime.Equal(now) || a.Mtime.Equal(now) {
			t.Errorf("after reading: atime %v mtime %v", a.Atime, a.Mtime)
		}
	}
}

func TestLinkMax(t *testing.T) {
	f := New(Options{LinkMax: 3})
	id := create(t, f, f.Root(), "a")
	for i := range 2 {
		if _, _, err := f.Link(ctx, root, id, f.Root(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := f.Link(ctx, root, id, f.Root(), "x"); !errors.Is(err, nfs.ErrMLink) {
		t.Errorf("a name too many: %v, want ErrMLink", err)
	}
}

func TestIDsDifferBetweenRuns(t *testing.T) {
	a, b := New(Options{}), New(Options{})
	if x, y := create(t, a, a.Root(), "x"), create(t, b, b.Root(), "x"); x == y {
		t.Errorf("two file systems began with the same id %d", x)
	}
	if a.Root() != b.Root() {
		t.Errorf("the roots are %d and %d, want them equal", a.Root(), b.Root())
	}
}
