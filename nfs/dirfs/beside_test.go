//go:build linux || darwin

package dirfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
)

func TestChangesBesideUsAreSeenAtOnce(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{})
	name := filepath.Join(dir, "a")
	writeFile(t, name, "one")
	a := lookup(t, f, f.Root(), "a")
	if got := read(t, f, a.ID); got != "one" {
		t.Errorf("read %q", got)
	}
	writeFile(t, name, "longer")
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(t, f, a.ID); got != "longer" {
		t.Errorf("read %q after a write beside us", got)
	}
	if got := lookup(t, f, a.ID, ""); got.Mode != 0o600 || got.Size != 6 {
		t.Errorf("mode %#o, size %d", got.Mode, got.Size)
	}
	for i := range 200 {
		n := "n" + strconv.Itoa(i)
		writeFile(t, filepath.Join(dir, n), "")
		if got := names(t, f, f.Root()); !slices.Contains(got, n) {
			t.Fatalf("%s is missing in %v", n, got)
		}
		if err := os.Remove(filepath.Join(dir, n)); err != nil {
			t.Fatal(err)
		}
		if got := names(t, f, f.Root()); slices.Contains(got, n) {
			t.Fatalf("%s is still in %v", n, got)
		}
		_, err := f.Lookup(t.Context(), me(), f.Root(), n)
		wantErr(t, "lookup of a removed name", err, nfs.ErrNoEnt)
	}
	writeFile(t, filepath.Join(dir, "new"), "replaced")
	if err := os.Rename(filepath.Join(dir, "new"), name); err != nil {
		t.Fatal(err)
	}
	b := lookup(t, f, f.Root(), "a")
	if b.ID == a.ID {
		t.Error("another file has the same id")
	}
	if got := read(t, f, b.ID); got != "replaced" {
		t.Errorf("read %q after a rename over", got)
	}
}

func TestRenamedBesideUs(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{MaxOpen: 16})
	if err := os.MkdirAll(filepath.Join(dir, "p/q"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "p/q/a"), "data")
	q := lookup(t, f, f.Root(), "p/q")
	a := lookup(t, f, q.ID, "a")
	if err := os.Rename(filepath.Join(dir, "p"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	f.fds.close() // as if much else had been used since
	if got := read(t, f, a.ID); got != "data" {
		t.Errorf("read %q", got)
	}
	if got := names(t, f, q.ID); !slices.Equal(got, []string{"a"}) {
		t.Errorf("names %v", got)
	}
	// Two directories exchange their places: chains of parents turn around.
	if err := os.Rename(filepath.Join(dir, "moved/q"), filepath.Join(dir, "q")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "moved"), filepath.Join(dir, "q/p")); err != nil {
		t.Fatal(err)
	}
	f.fds.close()
	p := lookup(t, f, f.Root(), "q/p")
	if up := lookup(t, f, p.ID, ".."); up.ID != q.ID {
		t.Errorf("parent is %d, want %d", up.ID, q.ID)
	}
	if got := read(t, f, a.ID); got != "data" {
		t.Errorf("read %q", got)
	}
}

// TestRestlessFileIsFound: a file that is moved to and fro beside us is never
// declared gone.
func TestRestlessFileIsFound(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{})
	f.search.useless = true // as for an ordinary user: the host tells nothing
	places := []string{"a/f", "m/n/f", "z/f", "a/g"}
	for i := range 200 {
		if err := os.MkdirAll(filepath.Join(dir, []string{"a", "m/n", "z", "c"}[i%4], strconv.Itoa(i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, places[0]), "restless")
	a := lookup(t, f, f.Root(), places[0])
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
			}
			_ = os.Rename(filepath.Join(dir, places[i%4]), filepath.Join(dir, places[(i+1)%4]))
		}
	}()
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		f.fds.close()
		if _, err := f.GetAttr(t.Context(), me(), a.ID); err != nil && nfs.StatusOf(err) != nfs.ErrJukebox {
			t.Errorf("attributes of a restless file: %v", err)
			break
		}
	}
	close(stop)
	<-done
	for _, p := range places {
		_ = os.Remove(filepath.Join(dir, p))
	}
	f.fds.close()
	_, err := f.GetAttr(t.Context(), me(), a.ID)
	wantErr(t, "attributes when it is gone", err, nfs.ErrStale)
}

func TestMovedOutIsOutOfReach(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "export")
	if err := os.MkdirAll(filepath.Join(dir, "sub/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "sub/deep/a"), "secret")
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	f := open(t, dir, Options{Clock: clock})
	deep := lookup(t, f, f.Root(), "sub/deep")
	if err := os.Rename(filepath.Join(dir, "sub"), filepath.Join(top, "sub")); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	now = now.Add(insideLimit)
	mu.Unlock()
	_, err := f.Lookup(t.Context(), me(), deep.ID, "a")
	wantErr(t, "lookup in a directory that left the folder", err, nfs.ErrStale)
	_, _, err = f.Create(t.Context(), me(), deep.ID, "b", nfs.CreateHow{})
	wantErr(t, "create in a directory that left the folder", err, nfs.ErrStale)
}

func TestFilesWithoutANameStayUsable(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{StateDir: t.TempDir()})
	ctx := t.Context()
	for what, lose := range map[string]func(a, b string) error{
		"our remove":  func(a, _ string) error { _, err := f.Remove(ctx, me(), f.Root(), a); return err },
		"our rename":  func(a, b string) error { _, _, err := f.Rename(ctx, me(), f.Root(), b, f.Root(), a); return err },
		"a remove":    func(a, _ string) error { return os.Remove(filepath.Join(dir, a)) },
		"a rename":    func(a, b string) error { return os.Rename(filepath.Join(dir, b), filepath.Join(dir, a)) },
		"a new inode": func(a, _ string) error { return replace(filepath.Join(dir, a)) },
	} {
		t.Run(what, func(t *testing.T) {
			create(t, f, f.Root(), "b", "other")
			writeFile(t, filepath.Join(dir, "a"), "data")
			id := lookup(t, f, f.Root(), "a").ID // only seen: never read
			if err := lose("a", "b"); err != nil {
				t.Fatal(err)
			}
			if got := read(t, f, id); got != "data" {
				t.Errorf("read %q", got)
			}
			if _, _, err := f.Write(ctx, me(), id, []byte("DATA+"), 0, nfs.FileSync); err != nil {
				t.Errorf("write: %v", err)
			}
			if got := read(t, f, id); got != "DATA+" {
				t.Errorf("read %q", got)
			}
			if _, err := f.SetAttr(ctx, me(), id, nfs.SetAttr{Valid: nfs.SetSize, Size: 1}, nil); err != nil {
				t.Errorf("truncate: %v", err)
			}
			f.fds.drop(id)
			_, err := f.GetAttr(ctx, me(), id)
			wantErr(t, "attributes after the last descriptor is gone", err, nfs.ErrStale)
			os.Remove(filepath.Join(dir, "a"))
			os.Remove(filepath.Join(dir, "b"))
		})
	}
}

func replace(name string) error {
	return errors.Join(os.Remove(name), os.WriteFile(name, []byte("another"), 0o644))
}

func TestDescriptorsAreBounded(t *testing.T) {
	const files, limit = 10000, 64
	n := files
	if testing.Short() {
		n = 1000
	}
	dir := t.TempDir()
	for i := range n {
		sub := filepath.Join(dir, strconv.Itoa(i%100))
		if i < 100 {
			if err := os.Mkdir(sub, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		writeFile(t, filepath.Join(sub, strconv.Itoa(i)), strconv.Itoa(i))
	}
	f := open(t, dir, Options{MaxOpen: limit})
	before := openDescriptors(t)
	var ids []nfs.ID
	for i := range n {
		ids = append(ids, lookup(t, f, f.Root(), fmt.Sprintf("%d/%d", i%100, i)).ID)
	}
	var most int
	for i, id := range ids {
		if got := read(t, f, id); got != strconv.Itoa(i) {
			t.Fatalf("file %d reads %q", i, got)
		}
		if _, _, err := f.Write(t.Context(), me(), id, []byte("x"), 9, nfs.Unstable); err != nil {
			t.Fatal(err)
		}
		if i%500 == 0 {
			most = max(most, openDescriptors(t)-before)
		}
	}
	if most > limit {
		t.Errorf("%d descriptors open, limit %d", most, limit)
	}
	if _, err := f.Remove(t.Context(), me(), lookup(t, f, f.Root(), "1").ID, "1"); err != nil {
		t.Error(err)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skipf("cannot count descriptors: %v", err)
	}
	return len(all)
}

// TestNoEscape: a client never sees anything outside the folder, whatever it
// names and however somebody swaps directories and links meanwhile.
func TestNoEscape(t *testing.T) {
	top := t.TempDir()
	outside, dir := filepath.Join(top, "outside"), filepath.Join(top, "export")
	for _, d := range []string{outside, filepath.Join(dir, "real")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(outside, "a"), "secret")
	writeFile(t, filepath.Join(dir, "real/a"), "public")
	f := open(t, dir, Options{MaxOpen: 16})
	ctx := t.Context()

	for _, name := range []string{"real/..", "real/../..", "../outside", "/etc/passwd", "..", "a\x00b", "", "./real"} {
		a, err := f.Lookup(ctx, me(), f.Root(), name)
		if name == ".." {
			if err != nil || a.ID != f.Root() {
				t.Errorf("the root's parent is %d, %v", a.ID, err)
			}
			continue
		}
		wantErr(t, "lookup of "+strconv.Quote(name), err, nfs.ErrInval)
		_, _, err = f.Create(ctx, me(), f.Root(), name, nfs.CreateHow{})
		wantErr(t, "create of "+strconv.Quote(name), err, nfs.ErrInval)
		_, err = f.Remove(ctx, me(), f.Root(), name)
		wantErr(t, "remove of "+strconv.Quote(name), err, nfs.ErrInval)
		_, _, err = f.Rename(ctx, me(), f.Root(), "real", f.Root(), name)
		wantErr(t, "rename to "+strconv.Quote(name), err, nfs.ErrInval)
	}
	for name, target := range map[string]string{"abs": outside, "rel": "../outside", "file": "../outside/a", "proc": "/proc/self/root"} {
		s, _, err := f.Symlink(ctx, me(), f.Root(), name, target, nfs.SetAttr{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Lookup(ctx, me(), s.ID, "a")
		wantErr(t, "lookup through a link", err, nfs.ErrNotDir)
		_, _, err = f.Read(ctx, me(), s.ID, make([]byte, 8), 0)
		wantErr(t, "read of a link", err, nfs.ErrInval)
		_, _, _, err = writeTo(f, s.ID, "x")
		wantErr(t, "write to a link", err, nfs.ErrInval)
		_, err = f.SetAttr(ctx, me(), s.ID, nfs.SetAttr{Valid: nfs.SetSize}, nil)
		wantErr(t, "truncate a link", err, nfs.ErrInval)
		_, _, err = f.Create(ctx, me(), f.Root(), name, nfs.CreateHow{Mode: nfs.Unchecked, Set: nfs.SetAttr{Valid: nfs.SetSize}})
		wantErr(t, "create over a link", err, nfs.ErrExist)
	}

	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		swap, real := filepath.Join(dir, "swap"), filepath.Join(dir, "real")
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(real, swap)
			_ = os.Remove(swap + ".l")
			_ = os.Symlink("../outside", swap+".l")
			_ = os.Rename(swap+".l", real)
			_ = os.Remove(real)
			_ = os.Rename(swap, real)
		}
	}()
	seen := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		for _, name := range []string{"real", "swap"} {
			d, err := f.Lookup(ctx, me(), f.Root(), name)
			if err != nil {
				continue
			}
			if _, _, err := f.Create(ctx, me(), d.ID, "made", nfs.CreateHow{Mode: nfs.Unchecked}); err == nil {
				seen++
			}
			a, err := f.Lookup(ctx, me(), d.ID, "a")
			if err != nil {
				continue
			}
			f.fds.close()
			buf := make([]byte, 16)
			if n, _, err := f.Read(ctx, me(), a.ID, buf, 0); err == nil {
				seen++
				if string(buf[:n]) != "public" {
					t.Fatalf("read %q", buf[:n])
				}
			}
		}
	}
	close(stop)
	<-done
	if _, err := os.Lstat(filepath.Join(outside, "made")); err == nil {
		t.Error("a file was made outside the folder")
	}
	if seen == 0 {
		t.Error("nothing was reached at all")
	}
}

func writeTo(f *FS, id nfs.ID, data string) (nfs.Stable, nfs.WCC, int, error) {
	s, w, err := f.Write(testContext, me(), id, []byte(data), 0, nfs.Unstable)
	return s, w, len(data), err
}

func TestSparseFileStaysSparse(t *testing.T) {
	f := open(t, t.TempDir(), Options{})
	a := create(t, f, f.Root(), "a", "")
	if _, _, err := f.Write(t.Context(), me(), a.ID, []byte("end"), 1<<30, nfs.Unstable); err != nil {
		t.Fatal(err)
	}
	got := lookup(t, f, a.ID, "")
	if got.Size != 1<<30+3 || got.Used > 1<<20 {
		t.Errorf("size %d uses %d", got.Size, got.Used)
	}
	buf := bytes.Repeat([]byte{1}, 4096)
	if n, eof, err := f.Read(t.Context(), me(), a.ID, buf, 1<<20); n != 4096 || eof || err != nil || bytes.ContainsAny(buf, "\x01") {
		t.Errorf("read of a hole: %d, %v, %v", n, eof, err)
	}
}

func TestExclusiveCreateSurvivesRestart(t *testing.T) {
	dir, o := t.TempDir(), Options{StateDir: t.TempDir()}
	f := first(t, dir, o)
	how := nfs.CreateHow{Mode: nfs.Exclusive, Verifier: [8]byte{0xf1, 2, 3, 4, 0x85, 6, 7, 8}}
	a, _, err := f.Create(t.Context(), me(), f.Root(), "a", how)
	if err != nil {
		t.Fatal(err)
	}
	g := f.again(t, dir, o)
	b, _, err := g.Create(t.Context(), me(), g.Root(), "a", how)
	if err != nil || b.ID != a.ID {
		t.Errorf("the same create again: id %d, want %d, %v", b.ID, a.ID, err)
	}
	other := how
	other.Verifier[0]++
	_, _, err = g.Create(t.Context(), me(), g.Root(), "a", other)
	wantErr(t, "another verifier", err, nfs.ErrExist)
	if _, err := g.SetAttr(t.Context(), me(), a.ID, nfs.SetAttr{Valid: nfs.SetMode | nfs.SetAtimeNow | nfs.SetMtimeNow, Mode: 0o644}, nil); err != nil {
		t.Fatal(err)
	}
	_, _, err = g.Create(t.Context(), me(), g.Root(), "a", how)
	wantErr(t, "after the first SetAttr", err, nfs.ErrExist)
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a"), "data")
	f := open(t, dir, Options{ReadOnly: true})
	a := lookup(t, f, f.Root(), "a")
	if got := read(t, f, a.ID); got != "data" {
		t.Errorf("read %q", got)
	}
	_, _, _, err := writeTo(f, a.ID, "x")
	wantErr(t, "write", err, nfs.ErrROFS)
	_, _, err = f.Create(t.Context(), me(), f.Root(), "b", nfs.CreateHow{})
	wantErr(t, "create", err, nfs.ErrROFS)
	_, err = f.SetAttr(t.Context(), me(), a.ID, nfs.SetAttr{Valid: nfs.SetMode}, nil)
	wantErr(t, "chmod", err, nfs.ErrROFS)
	if granted, _, err := f.Access(t.Context(), me(), a.ID, 0x3f); err != nil || granted&nfs.AccessModify != 0 {
		t.Errorf("access %#x, %v", granted, err)
	}
	if strings.Join(names(t, f, f.Root()), " ") != "a" {
		t.Error("listing differs")
	}
}
