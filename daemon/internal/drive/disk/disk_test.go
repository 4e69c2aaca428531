package disk_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// everyFS runs a test on the folder of this computer and on the one in memory.
func everyFS(t *testing.T, test func(t *testing.T, d disk.FS)) {
	t.Run("Dir", func(t *testing.T) {
		d, err := disk.Dir(filepath.Join(t.TempDir(), "a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, d)
	})
	t.Run("Memory", func(t *testing.T) { test(t, disktest.New(1)) })
}

func open(t *testing.T, d disk.FS, name string) disk.File {
	t.Helper()
	f, err := d.Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func put(t *testing.T, d disk.FS, name, s string) {
	t.Helper()
	f := open(t, d, name)
	if _, err := f.WriteAt([]byte(s), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, d disk.FS, name string) string {
	t.Helper()
	f, err := d.Open(name, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func names(t *testing.T, d disk.FS, dir string) []string {
	t.Helper()
	l, err := d.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, i := range l {
		s = append(s, i.Name)
	}
	slices.Sort(s)
	return s
}

func TestNames(t *testing.T) {
	everyFS(t, func(t *testing.T, d disk.FS) {
		if _, err := d.Open("no/such", false); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open of nothing: %v", err)
		}
		if l, err := d.List("no"); l != nil || err != nil {
			t.Errorf("listing of nothing: %v, %v", l, err)
		}
		put(t, d, "x/y/one", "1")
		put(t, d, "two", "22")
		if got := names(t, d, "."); !slices.Equal(got, []string{"two", "x"}) {
			t.Errorf("root is %q", got)
		}
		if err := d.Rename("two", "x/z/two"); err != nil {
			t.Fatal(err)
		}
		if err := d.Rename("x/z/two", "x/y/one"); err != nil {
			t.Fatal(err)
		}
		if got := get(t, d, "x/y/one"); got != "22" {
			t.Errorf("renamed over is %q", got)
		}
		if err := d.Rename("gone", "new/name"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("rename of nothing: %v", err)
		}
		if got := names(t, d, "."); !slices.Equal(got, []string{"x"}) {
			t.Errorf("root is %q", got)
		}
		if err := d.Remove("x"); err == nil {
			t.Error("a folder with something in it was removed")
		}
		if err := d.Remove("x/z"); err != nil {
			t.Errorf("remove an empty folder: %v", err)
		}
		if err := d.Remove("x/z"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("remove nothing: %v", err)
		}
		for _, dir := range []string{".", "x", "x/y"} {
			if err := d.SyncDir(dir); err != nil {
				t.Errorf("sync %s: %v", dir, err)
			}
		}
		if err := d.SyncDir("x/z"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("sync nothing: %v", err)
		}
		for _, bad := range []string{"", "/x", "../x", "x/../y", "x/"} {
			_, err := d.Open(bad, true)
			if err == nil || d.Remove(bad) == nil || d.Rename("x", bad) == nil || d.SyncDir(bad) == nil {
				t.Errorf("the name %q was taken", bad)
			}
		}
		if _, err := d.Open("x", false); err == nil {
			t.Error("a folder was opened as a file")
		}
		if err := d.Remove("."); err == nil {
			t.Error("the root was removed")
		}
		if free, total, err := d.Free(); err != nil || free <= 0 || total < free {
			t.Errorf("free is %d of %d, %v", free, total, err)
		}
	})
}

// A file can be used after its name went to another one or away.
func TestOpenFileOutlivesName(t *testing.T) {
	everyFS(t, func(t *testing.T, d disk.FS) {
		put(t, d, "a", "first")
		put(t, d, "b", "second")
		f := open(t, d, "a")
		if err := d.Rename("b", "a"); err != nil {
			t.Fatal(err)
		}
		g := open(t, d, "a")
		if err := d.Remove("a"); err != nil {
			t.Fatal(err)
		}
		put(t, d, "a", "third")
		for _, one := range []struct {
			f    disk.File
			want string
		}{{f, "first"}, {g, "second"}} {
			p := make([]byte, len(one.want))
			if _, err := one.f.ReadAt(p, 0); err != nil || string(p) != one.want {
				t.Errorf("read %q, %v, not %q", p, err, one.want)
			}
			if _, err := one.f.WriteAt([]byte("x"), 0); err != nil {
				t.Error(err)
			}
			if err := one.f.Sync(); err != nil {
				t.Error(err)
			}
		}
		if got := get(t, d, "a"); got != "third" {
			t.Errorf("a is %q", got)
		}
	})
}

func TestHoles(t *testing.T) {
	everyFS(t, func(t *testing.T, d disk.FS) {
		f := open(t, d, "sparse")
		const far = 5 << 40
		page := bytes.Repeat([]byte{7}, 4096)
		if _, err := f.WriteAt(page, far); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		i, err := f.Stat()
		if err != nil || i.Size != far+4096 || i.Used > 1<<20 || i.Used < 4096 {
			t.Errorf("one page far away: %+v, %v", i, err)
		}
		if l, err := d.List("."); err != nil || len(l) != 1 || l[0].Size != i.Size || l[0].Used != i.Used {
			t.Errorf("listed as %+v, %v", l, err)
		}
		p := make([]byte, 8192)
		if n, err := f.ReadAt(p, far-4096); n != 8192 || err != nil || !bytes.Equal(p[:4096], make([]byte, 4096)) || !bytes.Equal(p[4096:], page) {
			t.Errorf("read %d, %v", n, err)
		}
		if n, err := f.ReadAt(p, far+1); n != 4095 || err != io.EOF {
			t.Errorf("read over the end: %d, %v", n, err)
		}

		// What was cut off does not come back.
		if err := f.Truncate(far + 10); err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(far + 4096); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(p[:20], far); err != nil || !bytes.Equal(p[:20], append(bytes.Repeat([]byte{7}, 10), make([]byte, 10)...)) {
			t.Errorf("after truncating: %v, %v", p[:20], err)
		}
	})
}

func TestPunchHole(t *testing.T) {
	everyFS(t, func(t *testing.T, d disk.FS) {
		f := open(t, d, "f")
		const size = 1 << 20
		if _, err := f.WriteAt(bytes.Repeat([]byte{9}, size), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		p, ok := f.(disk.Puncher)
		if !ok {
			t.Fatal("no holes can be made")
		}
		err := p.PunchHole(128<<10, 512<<10)
		if errors.Is(err, disk.ErrUnsupported) && runtime.GOOS != "linux" {
			t.Skip("the file system of the temporary folder has no holes: ", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, size)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if want := slices.Concat(bytes.Repeat([]byte{9}, 128<<10), make([]byte, 512<<10), bytes.Repeat([]byte{9}, 384<<10)); !bytes.Equal(b, want) {
			t.Error("the hole is elsewhere")
		}
		if i, err := f.Stat(); err != nil || i.Size != size || i.Used > 600<<10 {
			t.Errorf("with a hole: %+v, %v", i, err)
		}
	})
}

func TestClosedFile(t *testing.T) {
	everyFS(t, func(t *testing.T, d disk.FS) {
		f := open(t, d, "f")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		_, readErr := f.ReadAt(make([]byte, 1), 0)
		_, writeErr := f.WriteAt(make([]byte, 1), 0)
		_, statErr := f.Stat()
		for _, err := range []error{readErr, writeErr, statErr, f.Sync(), f.Truncate(1), f.Close()} {
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	everyFS(t, func(t *testing.T, d disk.FS) {
		f := open(t, d, "dir/shared")
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				p := bytes.Repeat([]byte{byte(g + 1)}, 3000)
				for range 20 {
					if _, err := f.WriteAt(p, int64(g*3000)); err != nil {
						t.Error(err)
					}
					q := make([]byte, 3000)
					if _, err := f.ReadAt(q, int64(g*3000)); err != nil || !bytes.Equal(p, q) {
						t.Errorf("read back: %v", err)
					}
				}
				name := "new/" + string(rune('a'+g))
				put(t, d, name, "x")
				if err := d.Rename(name, name+"2"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := names(t, d, "new"); len(got) != 8 {
			t.Errorf("names are %q", got)
		}
	})
}

// A person may delete the folder of a cache at any time.
func TestDirDeleted(t *testing.T) {
	at := filepath.Join(t.TempDir(), "cache")
	d, err := disk.Dir(at)
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "x/a", "1")
	f := open(t, d, "x/a")
	if runtime.GOOS == "windows" {
		f.Close() // an open file keeps the folder's name
	}
	for range 2 {
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Open("x/a", false); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open what is gone: %v", err)
		}
		if l, err := d.List("x"); len(l) > 0 || err != nil {
			t.Errorf("list what is gone: %v, %v", l, err)
		}
		put(t, d, "x/a", "2")
		if b, err := os.ReadFile(filepath.Join(at, "x", "a")); err != nil || string(b) != "2" {
			t.Errorf("made again: %q, %v", b, err)
		}
		if err := d.SyncDir("x"); err != nil {
			t.Error(err)
		}
	}
	if runtime.GOOS != "windows" {
		if i, err := os.Stat(filepath.Join(at, "x", "a")); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("the file is %v, %v", i.Mode(), err)
		}
		if i, err := os.Stat(filepath.Join(at, "x")); err != nil || i.Mode().Perm() != 0o700 {
			t.Errorf("the folder is %v, %v", i.Mode(), err)
		}
	}
}

// Nothing outside is reached through a link that somebody put into the folder.
func TestDirIsClosed(t *testing.T) {
	at, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(at, "out")); err != nil {
		if runtime.GOOS == "windows" {
			t.Skip("links need a privilege here: ", err)
		}
		t.Fatal(err)
	}
	d, err := disk.Dir(at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open("out/x", true); err == nil {
		t.Error("a file was made outside")
	}
	if l, err := os.ReadDir(outside); err != nil || len(l) > 0 {
		t.Errorf("outside there are %v, %v", l, err)
	}
}

func TestOSFile(t *testing.T) {
	d, err := disk.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, d, "f")
	o, ok := f.(disk.OSFile)
	if !ok {
		t.Fatal("no file of the operating system")
	}
	if _, err := o.OS().WriteAt([]byte("direct"), 0); err != nil {
		t.Fatal(err)
	}
	if got := get(t, d, "f"); got != "direct" {
		t.Errorf("the file has %q", got)
	}
}
