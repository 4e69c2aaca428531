package nodes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var update = flag.Bool("update", false, "write testdata of the current format, if there is none")

var discard = slog.New(slog.DiscardHandler)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, discard)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sample() Node {
	return Node{
		ID: 7, Parent: Root, Name: "häufig.txt", Kind: File, Exec: true, Size: 12345,
		Mtime: time.Unix(1_700_000_000, 123_456_789), Ctime: time.Unix(1_700_000_001, 1), RemoteTime: time.Unix(1_700_000_000, 123_456_788),
		Version: "v1",
	}
}

func sampleDir() Node {
	return Node{
		ID: Root, Parent: Root, Kind: Dir, Mtime: time.Unix(5, 6), Ctime: time.Unix(7, 8), Version: "tree",
		Complete: true, Missed: true, ListVersion: "tree", ListRev: 1 << 63, NextCookie: 99, Subdirs: 3, Hidden: 2,
	}
}

func same(a, b Node) bool {
	if !a.Mtime.Equal(b.Mtime) || !a.Ctime.Equal(b.Ctime) || !a.RemoteTime.Equal(b.RemoteTime) || !a.ListedAt.Equal(b.ListedAt) {
		return false
	}
	a.Mtime, a.Ctime, a.RemoteTime, a.ListedAt = b.Mtime, b.Ctime, b.RemoteTime, b.ListedAt
	return a == b
}

// fill makes a root with three entries and returns their ids.
func fill(t *testing.T, s *Store) []uint64 {
	t.Helper()
	var ids []uint64
	err := s.Update(func(tx *Tx) error {
		tx.Put(sampleDir())
		for i, name := range []string{"häufig.txt", "dir", "link"} {
			id, err := tx.NewID()
			if err != nil {
				return err
			}
			n := sample()
			n.ID, n.Name, n.Kind = id, name, Kind(i+1)
			tx.Put(n)
			tx.Link(Root, name, id, FirstCookie+uint64(i))
			ids = append(ids, id)
		}
		tx.SetMeta("rev", []byte("r1"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func children(t *testing.T, s *Store, dir, after uint64) []Entry {
	t.Helper()
	var out []Entry
	if err := s.Children(dir, after, func(e Entry) bool { out = append(out, e); return true }); err != nil {
		t.Fatal(err)
	}
	return out
}

// check finds what fill stored.
func check(t *testing.T, s *Store, ids []uint64) {
	t.Helper()
	for i, name := range []string{"häufig.txt", "dir", "link"} {
		id, cookie, err := s.Child(Root, name)
		if err != nil || id != ids[i] || cookie != FirstCookie+uint64(i) {
			t.Errorf("%s is id %d, cookie %d, %v, want id %d", name, id, cookie, err, ids[i])
		}
		want := sample()
		want.ID, want.Name, want.Kind = id, name, Kind(i+1)
		for range 2 { // from the map, then from the cache
			if n, err := s.Get(id); err != nil || !same(n, want) {
				t.Errorf("node %d is %+v, %v, want %+v", id, n, err, want)
			}
		}
	}
	if n, err := s.Get(Root); err != nil || !same(n, sampleDir()) {
		t.Errorf("the root is %+v, %v", n, err)
	}
	if got := children(t, s, Root, FirstCookie); len(got) != 2 || got[0].Name != "dir" || got[1].Name != "link" {
		t.Errorf("behind the first entry come %+v", got)
	}
	if rev, err := s.Meta("rev"); string(rev) != "r1" || err != nil {
		t.Errorf("rev is %q, %v", rev, err)
	}
}

func TestSurvivesReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nodes")
	s := open(t, dir)
	ids := fill(t, s)
	check(t, s, ids)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	check(t, s, ids)
	err := s.Update(func(tx *Tx) error {
		id, err := tx.NewID()
		if slices.Contains(ids, id) || id <= Root {
			t.Errorf("id %d is given out again", id)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nodes")
	defer open(t, dir).Close()
	if s, err := Open(dir, discard); err == nil {
		s.Close()
		t.Error("a store that is open was opened again")
	}
}

// What format 1 stored is read by every later version.
func TestFormat1(t *testing.T) {
	dir := filepath.Join("testdata", "format1")
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) && *update {
		s := open(t, dir)
		fill(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	work := filepath.Join(t.TempDir(), "nodes")
	if err := os.CopyFS(work, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s := open(t, work)
	defer s.Close()
	check(t, s, []uint64{2, 3, 4})
	if v, err := s.Meta("format"); err != nil || binary.BigEndian.Uint32(v) != formatVersion {
		t.Errorf("opened, it says format %x, %v: an older version would take it for its own", v, err)
	}
}

func TestNewerFormat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nodes")
	s := open(t, dir)
	if err := s.Update(func(tx *Tx) error {
		tx.SetMeta("format", binary.BigEndian.AppendUint32(nil, formatVersion+1))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, discard); !errors.Is(err, ErrFormat) {
		t.Errorf("a newer format: %v", err)
	}
}

// Damage is an error that says so, never a crash and never other nodes.
func TestDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nodes")
	s := open(t, dir)
	fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if err := os.WriteFile(name, []byte("this is no manifest at all"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := Open(dir, discard); err == nil {
		s.Close()
		t.Error("a damaged store was opened")
	}
}

func TestRemoveTakesAllBelow(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "nodes"))
	defer s.Close()
	var all []uint64
	err := s.Update(func(tx *Tx) error {
		tx.Put(sampleDir())
		parent := Root
		for depth := range 20 {
			var next uint64
			for i := range 50 {
				id, err := tx.NewID()
				if err != nil {
					return err
				}
				n := Node{ID: id, Parent: parent, Name: fmt.Sprint("n", i), Kind: File}
				if i == 0 {
					n.Kind, next = Dir, id
				}
				tx.Put(n)
				tx.Link(parent, n.Name, id, FirstCookie+uint64(i))
				if depth > 0 {
					all = append(all, id)
				}
			}
			parent = next
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	top := children(t, s, Root, 0)[0]
	if err := s.Update(func(tx *Tx) error { return tx.Remove(Root, top) }); err != nil {
		t.Fatal(err)
	}
	for _, id := range append(all, top.ID) {
		if _, err := s.Get(id); !errors.Is(err, ErrNotFound) {
			t.Fatalf("node %d: %v", id, err)
		}
	}
	if got := children(t, s, Root, 0); len(got) != 49 {
		t.Errorf("%d entries stay, want 49", len(got))
	}
	for _, prefix := range "DC" {
		err := s.kv.Scan([]byte{byte(prefix)}, []byte{byte(prefix) + 1}, func(k, _ []byte) bool {
			if binary.BigEndian.Uint64(k[1:]) != Root {
				t.Errorf("key %q stays", k)
			}
			return true
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestFailedUpdateChangesNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "nodes"))
	defer s.Close()
	ids := fill(t, s)
	fail := errors.New("no")
	err := s.Update(func(tx *Tx) error {
		n, err := tx.Get(ids[0])
		if err != nil {
			return err
		}
		n.Size = 1
		tx.Put(n)
		if n, err := tx.Get(ids[0]); err != nil || n.Size != 1 {
			t.Errorf("a transaction does not see its own change: %+v, %v", n, err)
		}
		return errors.Join(tx.Remove(Root, Entry{ID: ids[2], Cookie: 5, Name: "link"}), fail)
	})
	if !errors.Is(err, fail) {
		t.Fatal(err)
	}
	check(t, s, ids)
}

// A disk that is full is an error that passes, before anything is written.
func TestNoRoom(t *testing.T) {
	kv, err := openPebble(filepath.Join(t.TempDir(), "nodes"), vfs.Default, discard)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(kv)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ids := fill(t, s)
	put := func() error {
		return s.Update(func(tx *Tx) error {
			n := sample()
			n.ID = ids[0]
			tx.Put(n)
			return nil
		})
	}
	avail := kv.avail
	kv.avail = func() (uint64, error) { return reserve - 1, nil }
	if err := put(); !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %v", err)
	}
	check(t, s, ids)
	kv.avail = avail
	if err := put(); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

// brokenKV fails to write.
type brokenKV struct {
	KV
	err error
}

func (b *brokenKV) Apply(c []Change) (func() error, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.KV.Apply(c)
}

func TestFailedWrite(t *testing.T) {
	kv, err := openPebble(filepath.Join(t.TempDir(), "nodes"), vfs.Default, discard)
	if err != nil {
		t.Fatal(err)
	}
	b := &brokenKV{KV: kv}
	s, err := New(b)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ids := fill(t, s)
	b.err = ErrBroken
	err = s.Update(func(tx *Tx) error {
		n := sample()
		n.ID = ids[0]
		tx.Put(n)
		return nil
	})
	if !errors.Is(err, ErrBroken) {
		t.Errorf("a write that fails: %v", err)
	}
	check(t, s, ids)
}

func FuzzDecodeNode(f *testing.F) {
	n, d := sample(), sampleDir()
	f.Add(n.encode())
	f.Add(d.encode())
	zero := Node{Kind: Link, Size: -1}
	f.Add(zero.encode())
	d.ListedAt, d.RemoteID = time.Unix(9, 10), "id"
	f.Add(d.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNode(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if again := n.encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x encodes as %x", b, again)
		}
	})
}

func TestTimesThatDoNotFit(t *testing.T) {
	for _, c := range []struct{ in, want time.Time }{
		{time.Time{}, time.Time{}},
		{time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), minTime},
		{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, math.MaxInt64)},
	} {
		n := Node{Kind: File, Mtime: c.in, Name: strings.Repeat("n", 255)}
		got, err := decodeNode(n.encode())
		if err != nil || !got.Mtime.Equal(c.want) || got.Name != n.Name {
			t.Errorf("%v comes back as %v, %v", c.in, got.Mtime, err)
		}
	}
}
