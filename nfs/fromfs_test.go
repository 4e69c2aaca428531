package nfs_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

func TestFromFS(t *testing.T) {
	files := noLinks(fromTree)
	conform := func(name string, tree []nfstest.Node, make func(t *testing.T) fs.FS) {
		t.Run(name, func(t *testing.T) {
			nfstest.TestFS(t, func(t *testing.T) nfs.FileSystem { return fromFS(t, make(t)) }, nfstest.Prepared(tree))
		})
	}
	conform("MapFS", fromTree, func(*testing.T) fs.FS { return mapOf(fromTree) })
	conform("zip.Reader", files, func(t *testing.T) fs.FS { return openZip(t, zipOf(t, files)) })
	conform("embed.FS", []nfstest.Node{
		{Path: "hello.txt", Type: nfs.TypeRegular, Mode: 0o444, Data: "hello, drive\n"},
		{Path: "dir", Type: nfs.TypeDirectory, Mode: 0o555},
		{Path: "dir/one", Type: nfs.TypeRegular, Mode: 0o444, Data: "1"},
		{Path: "dir/deep", Type: nfs.TypeDirectory, Mode: 0o555},
		{Path: "dir/deep/two", Type: nfs.TypeRegular, Mode: 0o444, Data: "22"},
	}, func(t *testing.T) fs.FS {
		sub, err := fs.Sub(embedded, "testdata/fromfs")
		if err != nil {
			t.Fatal(err)
		}
		return sub
	})
	folder := fromTree
	if runtime.GOOS == "windows" { // has other modes, and links for administrators only
		folder = nil
		for _, n := range files {
			n.Mode = 0
			folder = append(folder, n)
		}
	}
	conform("os.DirFS", folder, func(t *testing.T) fs.FS { return os.DirFS(folderOf(t, folder)) })
	conform("os.Root", folder, func(t *testing.T) fs.FS {
		r, err := os.OpenRoot(folderOf(t, folder))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r.FS()
	})
	conform("Plain", files, func(*testing.T) fs.FS { return &plainFS{fsys: mapOf(files)} })
	conform("Seek", files, func(*testing.T) fs.FS { return seekFS{mapOf(files)} })
}

var anyone = &nfs.Caller{UID: 4711, GID: 4711}

func find(t testing.TB, f nfs.FileSystem, path string) nfs.Attr {
	t.Helper()
	a, err := f.GetAttr(t.Context(), anyone, f.Root())
	for _, name := range strings.Split(path, "/") {
		if err == nil {
			a, err = f.Lookup(t.Context(), anyone, a.ID, name)
		}
	}
	if err != nil {
		t.Fatalf("find %s: %v", path, err)
	}
	return a
}

func content(t testing.TB, f nfs.FileSystem, id nfs.ID) string {
	t.Helper()
	p := make([]byte, 1<<20)
	n, eof, err := f.Read(t.Context(), anyone, id, p, 0)
	if err != nil || !eof {
		t.Fatalf("read: eof %v, %v", eof, err)
	}
	return string(p[:n])
}

func names(t testing.TB, f nfs.FileSystem, dir nfs.ID, page int) (all []nfs.DirEntry) {
	t.Helper()
	cookie := uint64(0)
	for {
		n := 0
		eof, err := f.ReadDir(t.Context(), anyone, dir, cookie, true, func(d nfs.DirEntry) bool {
			if n == page {
				return false
			}
			n, cookie, all = n+1, d.Cookie, append(all, d)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if eof {
			return all
		}
	}
}

// TestFromFSOrder: a file that can only be read from its beginning is read in
// any order, by many at a time, and opened seldom if it is read nearly in order.
func TestFromFSOrder(t *testing.T) {
	p := &plainFS{fsys: fstest.MapFS{"f": {Data: []byte(large)}}}
	f := fromFS(t, p)
	id := find(t, f, "f").ID
	const block = 64 << 10
	read := func(i int) {
		b := make([]byte, block)
		n, eof, err := f.Read(context.Background(), anyone, id, b, uint64(i)*block)
		if err != nil || string(b[:n]) != large[i*block:min((i+1)*block, len(large))] || eof != ((i+1)*block >= len(large)) {
			t.Errorf("block %d: %d bytes, eof %v, %v", i, n, eof, err)
		}
	}
	blocks := len(large) / block
	before := p.all
	for i := 0; i < blocks; i += 4 { // as read-ahead comes: 0, 2, 1, 3, 4, 6, …
		for _, k := range []int{0, 2, 1, 3} {
			read(i + k)
		}
	}
	// Each read asks for the attributes too, and an fs.FS without Stat opens for that.
	if opened := p.all - before - blocks; opened > blocks/2 {
		t.Errorf("the file was opened %d times for %d blocks", opened, blocks)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 8 {
				read((i*7 + w*11) % blocks)
			}
		})
	}
	wg.Wait()
	if err := f.(io.Closer).Close(); err != nil || p.open != 0 {
		t.Errorf("%d files are open after Close, %v", p.open, err)
	}
	read(3) // still works, and keeps nothing
	if p.open != 0 {
		t.Errorf("%d files are open after a read after Close", p.open)
	}
}

// TestFromFSOpenFiles: not more than 64 files are kept open.
func TestFromFSOpenFiles(t *testing.T) {
	m := fstest.MapFS{}
	for i := range 200 {
		m[fmt.Sprint("f", i)] = &fstest.MapFile{Data: []byte("data")}
	}
	p := &plainFS{fsys: m}
	f := fromFS(t, p)
	for i := range 200 {
		if got := content(t, f, find(t, f, fmt.Sprint("f", i)).ID); got != "data" {
			t.Errorf("read %q", got)
		}
	}
	if p.most > 66 || p.open > 64 {
		t.Errorf("%d files were open at a time, %d still are", p.most, p.open)
	}
}

// TestFromFSContext: a reader that waits for its turn, or skips, gives up with
// its context.
func TestFromFSContext(t *testing.T) {
	f := fromFS(t, &plainFS{fsys: fstest.MapFS{"f": {Data: []byte(large)}}})
	id := find(t, f, "f").ID
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.Read(ctx, anyone, id, make([]byte, 1), uint64(len(large)-1)); !errors.Is(err, context.Canceled) {
		t.Errorf("read with a context that has ended: %v", err)
	}
}

// TestFromFSDamaged: an archive's checksum is looked at.
func TestFromFSDamaged(t *testing.T) {
	tree := []nfstest.Node{{Path: "f", Type: nfs.TypeRegular, Data: "some data that is stored"}}
	b := zipOf(t, tree)
	b[bytes.Index(b, []byte("stored"))] ^= 1
	f := fromFS(t, openZip(t, b))
	_, _, err := f.Read(t.Context(), anyone, find(t, f, "f").ID, make([]byte, 100), 0)
	if nfs.StatusOf(err) != nfs.ErrIO || !errors.Is(err, zip.ErrChecksum) {
		t.Errorf("read of a damaged file: %v", err)
	}
}

// TestFromFSChanges: a folder that changes is served as it is now.
func TestFromFSChanges(t *testing.T) {
	dir := folderOf(t, []nfstest.Node{{Path: "f", Type: nfs.TypeRegular, Data: "old"}, {Path: "d", Type: nfs.TypeDirectory}})
	at := func(name string) string { return filepath.Join(dir, name) }
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f := fromFS(t, os.DirFS(dir))
	file, sub := find(t, f, "f"), find(t, f, "d")
	if got := content(t, f, file.ID); got != "old" {
		t.Fatalf("read %q", got)
	}
	// Longer in place, while the file is kept open.
	do(os.WriteFile(at("f"), []byte("old and more"), 0o644))
	if got := content(t, f, file.ID); got != "old and more" {
		t.Errorf("after it has grown: %q", got)
	}
	if runtime.GOOS != "windows" { // which does not let go of a name with an open file
		// Another file takes the name: same path, same id, other data.
		do(os.WriteFile(at("g"), []byte("NEW AND MORE"), 0o644))
		info, err := os.Stat(at("f"))
		do(err)
		do(os.Chtimes(at("g"), time.Time{}, info.ModTime()))
		do(os.Rename(at("g"), at("f")))
		if got := content(t, f, file.ID); got != "NEW AND MORE" {
			t.Errorf("after a rename over it: %q", got)
		}
		// A directory takes the name: another object.
		do(os.Remove(at("f")))
		do(os.Mkdir(at("f"), 0o755))
		if _, err := f.GetAttr(t.Context(), anyone, file.ID); nfs.StatusOf(err) != nfs.ErrStale {
			t.Errorf("a file whose name a directory took: %v", err)
		}
		if a := find(t, f, "f"); a.ID == file.ID || a.Type != nfs.TypeDirectory {
			t.Errorf("the directory is %+v, the file was %d", a, file.ID)
		}
		do(os.Remove(at("f")))
		do(os.WriteFile(at("f"), nil, 0o644))
		if a := find(t, f, "f"); a.ID != file.ID {
			t.Errorf("the name came back with id %d, had %d", a.ID, file.ID)
		}
	}
	do(os.WriteFile(at("d/inside"), []byte("x"), 0o644))
	inside := find(t, f, "d/inside")
	do(os.RemoveAll(at("d")))
	for _, id := range []nfs.ID{sub.ID, inside.ID} {
		if _, err := f.GetAttr(t.Context(), anyone, id); nfs.StatusOf(err) != nfs.ErrStale {
			t.Errorf("getattr of what is gone: %v", err)
		}
	}
	if _, _, err := f.Read(t.Context(), anyone, inside.ID, make([]byte, 1), 0); nfs.StatusOf(err) != nfs.ErrStale {
		t.Errorf("read of what is gone: %v", err)
	}
	// A parent that is a file now.
	do(os.WriteFile(at("d"), nil, 0o644))
	if _, err := f.GetAttr(t.Context(), anyone, inside.ID); nfs.StatusOf(err) != nfs.ErrStale {
		t.Errorf("getattr below what is a file now: %v", err)
	}
}

// TestFromFSListing: names that stay are listed once, in pages, with the same
// cookies, while others come and go.
func TestFromFSListing(t *testing.T) {
	var tree []nfstest.Node
	for i := range 500 {
		tree = append(tree, nfstest.Node{Path: fmt.Sprintf("stay%03d", i), Type: nfs.TypeRegular})
	}
	dir := folderOf(t, tree)
	f := fromFS(t, os.DirFS(dir))
	cookies := map[string]uint64{}
	for _, d := range names(t, f, f.Root(), 1000) {
		cookies[d.Name] = d.Cookie
	}
	for round := range 5 {
		count, cookie := map[string]int{}, uint64(0)
		for eof, k := false, 0; !eof; k++ {
			if k%3 == 0 {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("more%d-%d", round, k)), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			n := 0
			var err error
			eof, err = f.ReadDir(t.Context(), anyone, f.Root(), cookie, k%2 == 0, func(d nfs.DirEntry) bool {
				if n == 7 {
					return false
				}
				n, cookie = n+1, d.Cookie
				if count[d.Name]++; cookies[d.Name] != 0 && cookies[d.Name] != d.Cookie {
					t.Errorf("%s had cookie %d and has %d", d.Name, cookies[d.Name], d.Cookie)
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range tree {
			if count[n.Path] != 1 {
				t.Errorf("%s was listed %d times", n.Path, count[n.Path])
			}
		}
	}
}

// readDirs counts how often a directory is read.
type readDirs struct {
	fs.FS
	n int
}

func (r *readDirs) ReadDir(name string) ([]fs.DirEntry, error) { r.n++; return fs.ReadDir(r.FS, name) }

// TestFromFSPages: a directory is read once for all its pages.
func TestFromFSPages(t *testing.T) {
	m := fstest.MapFS{}
	for i := range 1000 {
		m[fmt.Sprint("f", i)] = &fstest.MapFile{}
	}
	r := &readDirs{FS: m}
	f := fromFS(t, r)
	if all := names(t, f, f.Root(), 10); len(all) != 1000 || r.n != 1 {
		t.Errorf("%d names, in %d reads of the directory", len(all), r.n)
	}
}

// odd has names and objects that a drive cannot have.
type odd struct{ fstest.MapFS }

func (o odd) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := o.MapFS.ReadDir(name)
	for _, n := range []string{"..", ".", "", "a/b", "nul\x00", "bad\xff", strings.Repeat("x", 256), "ok", "ok"} {
		entries = append(entries, oddEntry{n, 0})
	}
	return append(entries, oddEntry{"strange", fs.ModeIrregular}), err
}

type oddEntry struct {
	name string
	mode fs.FileMode
}

func (e oddEntry) Name() string               { return e.name }
func (e oddEntry) IsDir() bool                { return false }
func (e oddEntry) Type() fs.FileMode          { return e.mode }
func (e oddEntry) Info() (fs.FileInfo, error) { return nil, errors.New("no info") }

func TestFromFSOddNames(t *testing.T) {
	f := fromFS(t, odd{fstest.MapFS{"good": {}}})
	var got []string
	for _, d := range names(t, f, f.Root(), 100) {
		got = append(got, d.Name)
		if (d.Attr.ID != 0) != (d.Name == "good") {
			t.Errorf("%s has attributes %+v", d.Name, d.Attr)
		}
	}
	if len(got) != 2 || !strings.Contains(strings.Join(got, " "), "ok") || !strings.Contains(strings.Join(got, " "), "good") {
		t.Errorf("listed %q", got)
	}
	for _, name := range []string{"a/b", "bad\xff", "", "nul\x00"} {
		if _, err := f.Lookup(t.Context(), anyone, f.Root(), name); nfs.StatusOf(err) != nfs.ErrNoEnt {
			t.Errorf("lookup of %q: %v", name, err)
		}
	}
}

// TestFromFSModes: modes count where there are any; files without a time have
// one that is not always the same.
func TestFromFSModes(t *testing.T) {
	when := time.Unix(1e9, 5)
	f := fromFS(t, fstest.MapFS{
		"none": {}, "own": {Mode: 0o600, Data: []byte("x")}, "all": {Mode: 0o644 | fs.ModeSetuid, Data: []byte("x"), ModTime: when},
		"x": {Mode: 0o701, Data: []byte("x")}, "shut/in": {}, "shut": {Mode: fs.ModeDir | 0o700},
	})
	for name, want := range map[string]uint32{"none": 0o444, "own": 0o600, "all": 0o4644, "shut": 0o700} {
		if a := find(t, f, name); a.Mode != want {
			t.Errorf("%s has mode %o, want %o", name, a.Mode, want)
		}
	}
	for name, want := range map[string]nfs.Status{"own": nfs.ErrAccess, "all": nfs.OK, "x": nfs.OK} {
		if _, _, err := f.Read(t.Context(), anyone, find(t, f, name).ID, make([]byte, 1), 0); nfs.StatusOf(err) != want {
			t.Errorf("read of %s by another: %v", name, err)
		}
	}
	shut := find(t, f, "shut").ID
	if _, err := f.Lookup(t.Context(), anyone, shut, "in"); nfs.StatusOf(err) != nfs.ErrAccess {
		t.Errorf("lookup in a directory of another: %v", err)
	}
	if _, err := f.ReadDir(t.Context(), anyone, shut, 0, false, func(nfs.DirEntry) bool { return true }); nfs.StatusOf(err) != nfs.ErrAccess {
		t.Errorf("listing of a directory of another: %v", err)
	}
	if a := find(t, f, "all"); !a.Mtime.Equal(when) {
		t.Errorf("mtime %v, want %v", a.Mtime, when)
	}
	if a := find(t, f, "none"); time.Since(a.Mtime) > time.Hour {
		t.Errorf("a file without a time is from %v", a.Mtime)
	}
	// The same paths have the same ids in the next process.
	g := fromFS(t, fstest.MapFS{"all": {Mode: 0o644}})
	if find(t, f, "all").ID != find(t, g, "all").ID || f.Root() != g.Root() {
		t.Error("ids differ between two values")
	}
}

// TestFromFSServed: a client reads an archive over the wire and cannot change it.
func TestFromFSServed(t *testing.T) {
	e := start(t, fromFS(t, openZip(t, zipOf(t, noLinks(fromTree)))))
	l := must(e.c.Readdirplus(e.ctx, e.root, 0, [8]byte{}, 4096, 4096))(t)
	if len(l.Entries) != 2+4 || !l.EOF {
		t.Errorf("%d entries, eof %v", len(l.Entries), l.EOF)
	}
	r := must(e.c.Read(e.ctx, e.handle("large"), 100, 1000))(t)
	if string(r.Data) != large[100:1100] {
		t.Errorf("read %d bytes, status %d", len(r.Data), r.Status)
	}
	n := must(e.c.Create(e.ctx, e.root, "new", nfs.Guarded, nfstest.Sattr{}, [8]byte{}))(t)
	want(t, "CREATE", n.Status, nfs.ErrROFS)
	a := must(e.c.Access(e.ctx, e.root, 0x3f))(t)
	if a.Access != nfs.AccessRead|nfs.AccessLookup {
		t.Errorf("access to the root: %#x", a.Access)
	}
}
