//go:build linux || darwin

package dirfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moorage/moorage/nfs"
)

// testContext is for calls that cannot outlive their test.
var testContext = context.Background()

// me is the user that runs the test.
func me() *nfs.Caller {
	return &nfs.Caller{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
}

func open(t *testing.T, dir string, o Options) *FS {
	t.Helper()
	f, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if f != nil {
			f.Close()
		}
	})
	return f
}

func lookup(t *testing.T, f *FS, dir nfs.ID, path string) nfs.Attr {
	t.Helper()
	a, err := f.GetAttr(t.Context(), me(), dir)
	for _, name := range strings.Split(path, "/") {
		if err == nil && path != "" {
			a, err = f.Lookup(t.Context(), me(), a.ID, name)
		}
	}
	if err != nil {
		t.Fatalf("lookup %s: %v", path, err)
	}
	return a
}

func create(t *testing.T, f *FS, dir nfs.ID, name, data string) nfs.Attr {
	t.Helper()
	a, _, err := f.Create(t.Context(), me(), dir, name, nfs.CreateHow{Mode: nfs.Guarded})
	if err == nil && data != "" {
		_, _, err = f.Write(t.Context(), me(), a.ID, []byte(data), 0, nfs.Unstable)
	}
	if err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	return a
}

func read(t *testing.T, f *FS, id nfs.ID) string {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, eof, err := f.Read(t.Context(), me(), id, buf, 0)
	if err != nil || !eof {
		t.Fatalf("read: eof %v, %v", eof, err)
	}
	return string(buf[:n])
}

func names(t *testing.T, f *FS, dir nfs.ID) []string {
	t.Helper()
	var all []string
	eof, err := f.ReadDir(t.Context(), me(), dir, 0, true, func(e nfs.DirEntry) bool {
		if e.Attr.ID != e.ID || e.ID == 0 {
			t.Errorf("%s: id %d, attributes of %d", e.Name, e.ID, e.Attr.ID)
		}
		all = append(all, e.Name)
		return true
	})
	if err != nil || !eof {
		t.Fatalf("list: eof %v, %v", eof, err)
	}
	slices.Sort(all)
	return all
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if nfs.StatusOf(err) != nfs.StatusOf(want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func writeFile(t *testing.T, name, data string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEverydayOperations(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{})
	ctx := context.Background()
	a := create(t, f, f.Root(), "a", "hello")
	if got := read(t, f, a.ID); got != "hello" {
		t.Errorf("read back %q", got)
	}
	sub, _, err := f.Mkdir(ctx, me(), f.Root(), "sub", nfs.SetAttr{Valid: nfs.SetMode, Mode: 0o750})
	if err != nil || sub.Mode != 0o750 || sub.Type != nfs.TypeDirectory {
		t.Fatalf("mkdir: %+v, %v", sub, err)
	}
	if _, _, err := f.Rename(ctx, me(), f.Root(), "a", sub.ID, "b"); err != nil {
		t.Fatal(err)
	}
	if b := lookup(t, f, f.Root(), "sub/b"); b.ID != a.ID {
		t.Errorf("id %d became %d by a rename", a.ID, b.ID)
	}
	if l, _, err := f.Link(ctx, me(), a.ID, f.Root(), "c"); err != nil || l.Nlink != 2 || l.ID != a.ID {
		t.Errorf("link: %+v, %v", l, err)
	}
	s, _, err := f.Symlink(ctx, me(), f.Root(), "link", "sub/b", nfs.SetAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if target, err := f.Readlink(ctx, me(), s.ID); err != nil || target != "sub/b" {
		t.Errorf("readlink: %q, %v", target, err)
	}
	if got := names(t, f, f.Root()); !slices.Equal(got, []string{"c", "link", "sub"}) {
		t.Errorf("names %v", got)
	}
	if up := lookup(t, f, sub.ID, ".."); up.ID != f.Root() {
		t.Errorf("parent is %d", up.ID)
	}
	_, err = f.Rmdir(ctx, me(), f.Root(), "sub")
	wantErr(t, "rmdir of a full directory", err, nfs.ErrNotEmpty)
	_, err = f.Remove(ctx, me(), f.Root(), "sub")
	wantErr(t, "remove of a directory", err, nfs.ErrIsDir)
	_, err = f.Rmdir(ctx, me(), f.Root(), "c")
	wantErr(t, "rmdir of a file", err, nfs.ErrNotDir)
	if _, err := f.Remove(ctx, me(), sub.ID, "b"); err != nil {
		t.Error(err)
	}
	if _, err := f.Rmdir(ctx, me(), f.Root(), "sub"); err != nil {
		t.Error(err)
	}
	_, err = f.GetAttr(ctx, me(), sub.ID)
	wantErr(t, "attributes of a removed directory", err, nfs.ErrStale)
	if data, err := os.ReadFile(filepath.Join(dir, "c")); err != nil || string(data) != "hello" {
		t.Errorf("on the host: %q, %v", data, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "sub")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
