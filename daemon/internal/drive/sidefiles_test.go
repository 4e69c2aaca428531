package drive

import (
	"errors"
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
		d, err := Open(t.Context(), Options{Provider: remote, StateDir: "state", UID: uid, GID: gid, Disk: disk, Cache: disktest.New(1), Nodes: disk.Pebble()})
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

// A database is not published in the middle of a transaction, and what asks for
// everything to be published is told so. What a program that has ended left behind
// is published in the end.
func TestTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := disktest.New(1)
		remote := mem.New(mem.Options{})
		d, err := Open(t.Context(), Options{Provider: remote, StateDir: "state", UID: uid, GID: gid, Disk: disk, Cache: disktest.New(1), Nodes: disk.Pebble()})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		write := func(name string) {
			a, _, err := d.Create(t.Context(), owner, d.Root(), name, nfs.CreateHow{})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := d.Write(t.Context(), owner, a.ID, []byte("data"), 0, nfs.FileSync); err != nil {
				t.Fatal(err)
			}
		}
		there := func(name string) bool {
			_, err := remote.Stat(t.Context(), name)
			return err == nil
		}
		write("db-journal")
		write("db")
		time.Sleep(time.Minute)
		if err := d.Sync(t.Context()); !errors.Is(err, errTransaction) {
			t.Errorf("sync in a transaction: %v", err)
		}
		if there("db") {
			t.Error("a database was published in the middle of a transaction")
		}
		if _, err := d.Remove(t.Context(), owner, d.Root(), "db-journal"); err != nil {
			t.Fatal(err)
		}
		if err := d.Sync(t.Context()); err != nil || !there("db") {
			t.Errorf("sync after the transaction: %v", err)
		}
		write("left-wal")
		write("left")
		time.Sleep(hotTime + time.Minute)
		if !there("left") {
			t.Error("a database whose program has ended is not published")
		}
	})
}
