package dirfs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// plusOf is what a listing with attributes says of name.
func plusOf(t *testing.T, f *FS, name string) (a nfs.Attr) {
	t.Helper()
	_, err := f.ReadDir(t.Context(), me(), f.Root(), 0, true, func(e nfs.DirEntry) bool {
		if e.Name == name {
			a = e.Attr
		}
		return true
	})
	if err != nil || a.ID == 0 {
		t.Fatalf("%s: %+v, %v", name, a, err)
	}
	return a
}

// TestListingsShowChangesAtOnce: attributes are remembered, and yet a listing
// has those of now, whoever changed them and however.
func TestListingsShowChangesAtOnce(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for i := range attrCacheLeast + 20 {
		writeFile(t, path(fmt.Sprintf("f%03d", i)), "x")
	}
	if err := os.Mkdir(path("sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	f := open(t, dir, Options{Clock: func() time.Time { return now }})
	// The listing is not remembered before the folder has been left alone for a tick.
	time.Sleep(3 * coarseTime)
	held, err := os.OpenFile(path("f007"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	id := lookup(t, f, f.Root(), "f009").ID
	for name, change := range map[string]func() error{
		"f001": func() error { return os.WriteFile(path("f001"), []byte("longer"), 0o644) },
		"f002": func() error { return os.Chmod(path("f002"), 0o600) },
		"f003": func() error { return os.Truncate(path("f003"), 100) },
		"f004": func() error { return os.Chtimes(path("f004"), now, now.Add(-time.Hour)) },
		"f007": func() error { _, err := held.WriteAt([]byte("more"), 10); return err },
		"f008": func() error { return unix.Setxattr(path("f008"), "user.x", []byte("y"), 0) },
		"f009": func() error {
			_, _, err := f.Write(t.Context(), me(), id, []byte("by a client"), 0, nfs.FileSync)
			return err
		},
		"sub": func() error { return os.WriteFile(path("sub/new"), nil, 0o644) },
	} {
		for range 3 { // not remembered, remembered, from memory
			plusOf(t, f, name)
		}
		before := plusOf(t, f, name)
		if err := change(); err == unix.ENOTSUP {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		after := plusOf(t, f, name)
		want, err := f.GetAttr(t.Context(), me(), after.ID)
		if err != nil || after != want {
			t.Errorf("%s: listed as %+v, is %+v, %v", name, after, want, err)
		}
		if after == before {
			t.Errorf("%s has not changed", name)
		}
	}

	// More changes than are kept apart.
	for i := range dirtyLimit + 10 {
		name := fmt.Sprintf("f%03d", 20+i)
		plusOf(t, f, name)
		writeFile(t, path(name), "two")
		if a := plusOf(t, f, name); a.Size != 3 {
			t.Errorf("%s: %d bytes", name, a.Size)
		}
	}

	// What happens by a name elsewhere is seen when the time is over, and at
	// once if the name came by us.
	for range 3 {
		plusOf(t, f, "f010")
	}
	if err := os.Link(path("f010"), filepath.Join(elsewhere, "link")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(elsewhere, "link"), "changed elsewhere")
	now = now.Add(attrCacheTime)
	if a := plusOf(t, f, "f010"); a.Size != 17 || a.Nlink != 2 {
		t.Errorf("%+v", a)
	}
}

// TestWatchesAreBounded: no more directories are watched than the limit says,
// and closing gives the descriptor back.
func TestWatchesAreBounded(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{})
	var w watches
	for i := range watchLimit + 5 {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o755); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Open(filepath.Join(dir, fmt.Sprint(i)), unix.O_PATH, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if w.view(nfs.ID(i+1), &desc{fd: fd, vol: f.rootDesc.vol}, time.Now()) == nil {
			t.Fatal("not watched")
		}
	}
	if len(w.byDir) != watchLimit || len(w.byWD) != watchLimit {
		t.Errorf("%d and %d watched", len(w.byDir), len(w.byWD))
	}
	w.close()
	if w.view(1, nil, time.Now()) != nil {
		t.Error("watched after close")
	}
}

func FuzzReports(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00abc\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		left := len(b)
		parseReports(b, func(_ int32, _ uint32, name string) {
			if left -= unix.SizeofInotifyEvent + len(name); left < 0 {
				t.Error("more names than bytes")
			}
		})
	})
}
