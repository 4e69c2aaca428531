package diskfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteReplacesAndFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	link := filepath.Join(dir, "link")
	if err := Write(real, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	if err := Write(link, []byte("two")); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", st, err)
	}
	if b, err := Read(real, 10); err != nil || string(b) != "two" {
		t.Errorf("real = %q, %v", b, err)
	}
	l, err := os.ReadDir(dir)
	if err != nil || len(l) != 2 {
		t.Errorf("left behind: %v, %v", l, err)
	}
	if _, err := Read(real, 2); err == nil {
		t.Error("Read took a file longer than its limit")
	}
}

func TestWriteFailsWhole(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(p, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(p, []byte("x")); err == nil {
		t.Fatal("replaced a folder")
	}
	if l, err := os.ReadDir(dir); err != nil || len(l) != 1 {
		t.Errorf("left behind: %v, %v", l, err)
	}
}
