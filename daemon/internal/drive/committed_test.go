package drive

import (
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers/mem"
)

func TestZZ(t *testing.T) {
	m := mem.New(mem.Options{})
	disk := disktest.New(1)
	var ticks, syncs int
	var armed bool
	var d *Drive
	var id nfs.ID
	c := &nfs.Caller{UID: uid, GID: gid}
	opts := Options{Provider: m, StateDir: t.TempDir(), UID: uid, GID: gid, Quiet: time.Hour, Disk: disk, Nodes: disk.Pebble()}
	opts.Clock = func() time.Time {
		if armed {
			ticks++
			t.Log("tick", ticks)
			if ticks == 3 {
				t.Log("commit")
				if _, err := d.Commit(t.Context(), c, id, 0, 0); err != nil {
					t.Error(err)
				}
			}
		}
		return time.Now()
	}
	opts.Step = func(s string) {
		if armed && s == "sync" {
			syncs++
			t.Log("sync", syncs)
			if syncs == 2 {
				armed = false
				t.Log("write")
				if _, _, err := d.Write(t.Context(), c, id, []byte("NEW"), 10, nfs.Unstable); err != nil {
					t.Error(err)
				}
			}
		}
	}
	b := newBench(t, m)
	b.put("f", strings.Repeat("b", 100))
	var err error
	d, err = Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	a, err := walk(t.Context(), d, "f")
	if err != nil {
		t.Fatal(err)
	}
	id = nfs.ID(a.ID)
	if _, _, err := d.Write(t.Context(), c, id, []byte("X"), 0, nfs.FileSync); err != nil {
		t.Fatal(err)
	}
	armed = true
	if _, err := d.SetAttr(t.Context(), c, id, nfs.SetAttr{Valid: nfs.SetMode, Mode: 0o640}, nil); err != nil {
		t.Fatal(err)
	}
	if armed {
		t.Fatal("not there")
	}
	if _, err := d.Commit(t.Context(), c, id, 0, 0); err != nil {
		t.Fatal(err)
	}
	after := disk.Kill()
	opts.Disk, opts.Nodes = after, after.Pebble()
	d2, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 20)
	n, _, err := d2.Read(t.Context(), c, id, p, 0)
	t.Logf("%q %v", p[:n], err)
	if !strings.HasPrefix(string(p[:n]), "XbbbbbbbbbNEW") {
		t.Error("a committed write is gone")
	}
}
