package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

func TestMoveFrom(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	src, err := disk.Dir(a)
	if err != nil {
		t.Fatal(err)
	}
	dst, err := disk.Dir(b)
	if err != nil {
		t.Fatal(err)
	}
	m := dst.(disk.Mover)
	if err := m.MoveFrom(src, "none", "x/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("moving what is not there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(b, "x")); err == nil {
		t.Error("a folder was made for it")
	}
	if err := m.MoveFrom(disktest.New(1), "f", "f"); !errors.Is(err, disk.ErrUnsupported) {
		t.Errorf("moving from another kind of folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(a, "f"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := src.Open("f", false) // what is open can be moved
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := m.MoveFrom(src, "f", "x/y/g"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(b, "x", "y", "g")); string(got) != "text" || err != nil {
		t.Errorf("moved file: %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(a, "f")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still where it was: %v", err)
	}
	// What it is called by now can be written.
	if _, err := in.WriteAt([]byte("T"), 0); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(b, "x", "y", "g")); string(got) != "Text" {
		t.Errorf("moved file after writing to it: %q", got)
	}
}

// A folder that was deleted is made again, also for what lies in it directly.
func TestFolderMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d, err := disk.Dir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f", "x/f", "x/y/f"} {
		if err := os.RemoveAll(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Open(name, false); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %s in a folder that was deleted: %v", name, err)
		}
		f, err := d.Open(name, true)
		if err != nil {
			t.Fatalf("make %s in a folder that was deleted: %v", name, err)
		}
		f.Close()
		if _, err := os.Stat(filepath.Join(path, filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
}
