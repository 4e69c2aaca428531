package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

func TestSyncAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	d, err := disk.Dir(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.Open("x/f", true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("text"), 0); err != nil {
		t.Fatal(err)
	}
	if err := d.(disk.SyncAller).SyncAll(); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := d.(disk.SyncAller).SyncAll(); err != nil {
		t.Errorf("of a folder that was deleted: %v", err)
	}
}
