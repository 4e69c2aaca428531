package drive

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers/mem"
)

// Files that stay on this computer do not count as waiting, and do not keep it
// busy: time could not pass in the bubble if they woke each other.
func TestSideFilesRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := disktest.New(1)
		remote := mem.New(mem.Options{})
		d, err := Open(t.Context(), Options{Provider: remote, StateDir: "state", UID: uid, GID: gid, Disk: disk, Nodes: disk.Pebble()})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		dir, _, err := d.Mkdir(t.Context(), owner, d.Root(), "._d", nfs.SetAttr{})
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []nfs.ID{d.Root(), dir.ID} {
			for _, name := range []string{".DS_Store", "._f"} {
				if _, _, err := d.Create(t.Context(), owner, at, name, nfs.CreateHow{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(time.Hour)
		if s := d.Status(); s.Pending != 0 {
			t.Errorf("%d changes wait", s.Pending)
		}
		if err := d.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		// What is in a folder that is none of this computer's any more goes.
		if _, _, err := d.Create(t.Context(), owner, dir.ID, "real", nfs.CreateHow{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, _, err := d.Rename(t.Context(), owner, d.Root(), "._d", d.Root(), "d"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := remote.Stat(t.Context(), "d/real"); err != nil {
			t.Error(err)
		}
	})
}
