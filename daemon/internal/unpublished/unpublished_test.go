package unpublished_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/unpublished"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers/mem"
)

func read(t *testing.T, dir string) (out []string) {
	t.Helper()
	l, err := unpublished.Read(dir, 100, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range l.Changes {
		s := fmt.Sprintf("%s %d", c.Path, c.Size)
		if c.Removed {
			s = "-" + c.Path
		}
		out = append(out, s)
	}
	if l.Count != len(l.Changes) {
		t.Errorf("%d changes are counted, %d listed", l.Count, len(l.Changes))
	}
	if l.Count > 0 && l.Bytes == 0 {
		t.Error("no bytes are kept")
	}
	slices.Sort(out)
	return out
}

// What an engine leaves when it ends before it has published is told, and nothing
// once it has.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	if got := read(t, filepath.Join(dir, "none")); got != nil {
		t.Errorf("of a drive that was never open: %q", got)
	}
	remote := mem.New(mem.Options{})
	open := func(quiet time.Duration) *drive.Drive {
		d, err := drive.Open(t.Context(), drive.Options{Provider: remote, StateDir: dir, Quiet: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	shut := func(d *drive.Drive) {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c := &nfs.Caller{}
	put := func(d *drive.Drive, dir nfs.ID, name, content string) {
		t.Helper()
		a, _, err := d.Create(t.Context(), c, dir, name, nfs.CreateHow{})
		if err == nil {
			_, _, err = d.Write(t.Context(), c, a.ID, []byte(content), 0, nfs.FileSync)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d := open(time.Millisecond)
	put(d, d.Root(), "old", "old")
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	shut(d)
	if got := read(t, dir); got != nil {
		t.Errorf("when all is published: %q", got)
	}

	d = open(time.Hour)
	f, _, err := d.Mkdir(t.Context(), c, d.Root(), "folder", nfs.SetAttr{})
	if err != nil {
		t.Fatal(err)
	}
	put(d, f.ID, "new", "12345")
	put(d, d.Root(), "x", "")
	if _, err := d.Remove(t.Context(), c, d.Root(), "old"); err != nil {
		t.Fatal(err)
	}
	shut(d)
	want := []string{"-old", "folder 0", "folder/new 5", "x 0"}
	for range 2 { // looking changes nothing
		if got := read(t, dir); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	d = open(time.Millisecond)
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	shut(d)
	if got := read(t, dir); got != nil {
		t.Errorf("after Sync: %q", got)
	}
}

// Of very many changes the oldest are listed, and all are counted.
func TestReadSome(t *testing.T) {
	dir := t.TempDir()
	d, err := drive.Open(t.Context(), drive.Options{Provider: mem.New(mem.Options{}), StateDir: dir, Quiet: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	const n = 1200
	for i := range n {
		if _, _, err := d.Mkdir(t.Context(), &nfs.Caller{}, d.Root(), fmt.Sprintf("%04d", (i+n/2)%n), nfs.SetAttr{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := unpublished.Read(dir, 3, slog.New(slog.DiscardHandler))
	if err != nil || l.Count != n || len(l.Changes) != 3 || l.Changes[0].Path != "0600" || l.Changes[2].Path != "0602" {
		t.Errorf("%d changes, the first of them %v, %v", l.Count, l.Changes, err)
	}
}
