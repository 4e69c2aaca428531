package dirfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// decodeHost feeds the decoders of what the host says.
func decodeHost(t *testing.T, b []byte) {
	parseDirents(b, func(e *dirent) bool {
		name := string(e.name)
		if name == "" || strings.ContainsRune(name, 0) {
			t.Errorf("name %q", name)
		}
		return true
	})
}

// mount mounts, or skips where the process may not.
func mount(t *testing.T, source, target, typ string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(source, target, typ, flags, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestMountsInside(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"tmp", "bind", "loop", "proc"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "a"), "bound")
	mount(t, "none", filepath.Join(dir, "tmp"), "tmpfs", 0)
	mount(t, outside, filepath.Join(dir, "bind"), "", unix.MS_BIND)
	mount(t, dir, filepath.Join(dir, "loop"), "", unix.MS_BIND)
	mount(t, "none", filepath.Join(dir, "proc"), "proc", 0)
	writeFile(t, filepath.Join(dir, "tmp/a"), "on another volume")

	o := Options{StateDir: t.TempDir()}
	f := first(t, dir, o)
	tmp := lookup(t, f, f.Root(), "tmp/a")
	if got := read(t, f, tmp.ID); got != "on another volume" {
		t.Errorf("read %q", got)
	}
	bound := lookup(t, f, f.Root(), "bind/a")
	if got := read(t, f, bound.ID); got != "bound" {
		t.Errorf("read %q", got)
	}
	if up := lookup(t, f, lookup(t, f, f.Root(), "bind").ID, ".."); up.ID != f.Root() {
		t.Errorf("the parent of a mounted folder is %d", up.ID)
	}
	if loop := lookup(t, f, f.Root(), "loop"); loop.ID != f.Root() {
		t.Errorf("the folder mounted in itself has id %d", loop.ID)
	}
	_, _, err := f.Link(t.Context(), me(), tmp.ID, f.Root(), "link")
	wantErr(t, "link across volumes", err, nfs.ErrXDev)
	proc := lookup(t, f, f.Root(), "proc")
	_, err = f.Lookup(t.Context(), me(), proc.ID, "self")
	wantErr(t, "lookup in proc", err, nfs.ErrAccess)
	_, err = f.ReadDir(t.Context(), me(), proc.ID, 0, true, func(nfs.DirEntry) bool { return true })
	wantErr(t, "list proc", err, nfs.ErrAccess)
	if all := names(t, f, f.Root()); len(all) != 4 {
		t.Errorf("names %v", all)
	}
	a, err := f.GetAttr(t.Context(), me(), proc.ID)
	if err != nil || a.Type != nfs.TypeDirectory || a.Mode != 0 {
		t.Errorf("proc is shown as %+v, %v", a, err)
	}

	// Renamed beside us while closed: the search meets the mounts and ends.
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "tmp/a"), filepath.Join(dir, "tmp/d/b")); err != nil {
		t.Fatal(err)
	}
	g := open(t, dir, o)
	if got := read(t, g, tmp.ID); got != "on another volume" {
		t.Errorf("read %q", got)
	}
}

func TestSpecialNodes(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{})
	for typ, mode := range map[nfs.FileType]os.FileMode{nfs.TypeFIFO: os.ModeNamedPipe, nfs.TypeSocket: os.ModeSocket} {
		a, _, err := f.Mknod(t.Context(), me(), f.Root(), "n", typ, nfs.SetAttr{Valid: nfs.SetMode, Mode: 0o640}, 0, 0)
		if err != nil || a.Type != typ || a.Mode != 0o640 {
			t.Errorf("mknod: %+v, %v", a, err)
		}
		st, err := os.Lstat(filepath.Join(dir, "n"))
		if err != nil || st.Mode() != mode|0o640 {
			t.Errorf("on the host: %v, %v", st.Mode(), err)
		}
		// Opening a FIFO for its data would wait for the other side.
		_, _, err = f.Read(t.Context(), me(), a.ID, make([]byte, 1), 0)
		wantErr(t, "read", err, nfs.ErrInval)
		if _, err := f.Remove(t.Context(), me(), f.Root(), "n"); err != nil {
			t.Error(err)
		}
	}
	a, _, err := f.Mknod(t.Context(), &nfs.Caller{}, f.Root(), "null", nfs.TypeChar, nfs.SetAttr{}, 1, 3)
	if os.Geteuid() != 0 {
		wantErr(t, "mknod by an ordinary process", err, nfs.ErrPerm)
	} else if err != nil || a.Type != nfs.TypeChar || a.Major != 1 || a.Minor != 3 {
		t.Errorf("mknod: %+v, %v", a, err)
	}
}

func TestUmaskDoesNotMatter(t *testing.T) {
	f := open(t, t.TempDir(), Options{})
	old := unix.Umask(0o777)
	defer unix.Umask(old)
	a, _, err := f.Create(t.Context(), me(), f.Root(), "a", nfs.CreateHow{Set: nfs.SetAttr{Valid: nfs.SetMode, Mode: 0o666}})
	if err != nil || a.Mode != 0o666 {
		t.Errorf("mode %#o, %v", a.Mode, err)
	}
	d, _, err := f.Mkdir(t.Context(), me(), f.Root(), "d", nfs.SetAttr{Valid: nfs.SetMode, Mode: 0o777})
	if err != nil || d.Mode != 0o777 {
		t.Errorf("mode %#o, %v", d.Mode, err)
	}
}

// TestFullVolume: what nameless files hold is given to who needs it.
func TestFullVolume(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	f := open(t, dir, Options{})
	big := strings.Repeat("x", 700<<10)
	a := create(t, f, f.Root(), "a", big)
	if _, err := f.Remove(t.Context(), me(), f.Root(), "a"); err != nil {
		t.Fatal(err)
	}
	b := create(t, f, f.Root(), "b", big)
	if got := lookup(t, f, b.ID, ""); got.Size != uint64(len(big)) {
		t.Errorf("size %d", got.Size)
	}
	_, err := f.GetAttr(t.Context(), me(), a.ID)
	wantErr(t, "attributes of what made way", err, nfs.ErrStale)
	_, _, err = f.Write(t.Context(), me(), b.ID, []byte(big), 1<<20, nfs.Unstable)
	wantErr(t, "write to a full volume", err, nfs.ErrNoSpace)
}
