package nodes

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// grow makes a tree below dir: folders in folders, with files in each. It gives
// all ids.
func grow(t *testing.T, s *Store, dir uint64, depth, folders, files int) (ids []uint64) {
	t.Helper()
	var level func(tx *Tx, dir uint64, depth int) error
	level = func(tx *Tx, dir uint64, depth int) error {
		n, err := tx.Get(dir)
		if err != nil {
			return err
		}
		for i := range folders + files {
			id, err := tx.NewID()
			if err != nil {
				return err
			}
			c := Node{ID: id, Parent: dir, Name: fmt.Sprint("n", i), Kind: File}
			if i < folders {
				c.Kind, c.NextCookie, c.Complete = Dir, FirstCookie, true
			}
			ids = append(ids, id)
			tx.Put(c)
			tx.Link(dir, c.Name, id, n.NextCookie)
			n.NextCookie++
			if i < folders && depth > 1 {
				if err := level(tx, id, depth-1); err != nil {
					return err
				}
			}
		}
		tx.Put(n)
		return nil
	}
	if err := s.Update(func(tx *Tx) error { return level(tx, dir, depth) }); err != nil {
		t.Fatal(err)
	}
	return ids
}

// whole checks that no name leads nowhere, and no directory lacks one.
func whole(t *testing.T, s *Store, dir uint64) (found int) {
	t.Helper()
	n, err := s.Get(dir)
	if err != nil {
		t.Fatalf("a name leads to node %d: %v", dir, err)
	}
	found = 1
	all := children(t, s, dir, 0)
	if n.Kind == Dir && len(all) != int(n.NextCookie-FirstCookie) && dir != Root {
		t.Fatalf("directory %d has %d names of %d", dir, len(all), n.NextCookie-FirstCookie)
	}
	for _, e := range all {
		found += whole(t, s, e.ID)
	}
	return found
}

// A large tree is gone with one transaction, for all who go by names, and what was
// in it goes piece by piece, with restarts in between.
func TestRemoveLarge(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nodes")
	s := open(t, dir)
	defer func() { s.Close() }()
	var top, stays Entry
	err := s.Update(func(tx *Tx) error {
		root := Node{ID: Root, Parent: Root, Kind: Dir, NextCookie: FirstCookie + 2}
		for i, e := range []*Entry{&top, &stays} {
			id, err := tx.NewID()
			if err != nil {
				return err
			}
			*e = Entry{ID: id, Cookie: FirstCookie + uint64(i), Name: fmt.Sprint("top", i)}
			tx.Put(Node{ID: id, Parent: Root, Name: e.Name, Kind: Dir, NextCookie: FirstCookie, Complete: true, Hidden: 3})
			tx.Link(Root, e.Name, id, e.Cookie)
		}
		tx.Put(root)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	gone := grow(t, s, top.ID, 3, 10, 20)
	gone = append(gone, grow(t, s, gone[0], 1, 0, 3*removeAtOnce)...)
	kept := len(grow(t, s, stays.ID, 2, 3, 3))
	told := map[uint64]int{}
	note := func(n Node) { told[n.ID]++ }
	hidden := int64(0)
	err = s.Update(func(tx *Tx) error {
		tx.OnRemove(note)
		err := tx.Remove(Root, top)
		hidden += tx.HiddenGone()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(told) > removeAtOnce+8 {
		t.Errorf("one transaction has removed %d nodes", len(told))
	}
	rounds := 0
	for more := true; more; rounds++ {
		if n := whole(t, s, Root); n != kept+2 {
			t.Fatalf("names lead to %d nodes, not %d", n, kept+2)
		}
		if _, err := s.Get(top.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("the directory that was removed: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir)
		select {
		case <-s.Garbage():
		default:
			t.Error("after a restart nobody is told that there is something to take away")
		}
		before := len(told)
		err := s.Update(func(tx *Tx) (err error) {
			tx.OnRemove(note)
			more, err = tx.Collect()
			hidden += tx.HiddenGone()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(told) - before; n > removeAtOnce+8 {
			t.Errorf("one transaction has removed %d nodes", n)
		}
	}
	if rounds < 4 {
		t.Errorf("all went in %d transactions", rounds)
	}
	for _, id := range append(gone, top.ID) {
		if _, err := s.Get(id); !errors.Is(err, ErrNotFound) || told[id] != 1 {
			t.Fatalf("node %d of the tree: %v, told %d times", id, err, told[id])
		}
	}
	if hidden != 3 {
		t.Errorf("%d hidden names are gone, not 3", hidden)
	}
	for _, prefix := range []byte("CDG") {
		var left []string
		err := s.kv.Scan([]byte{prefix}, []byte{prefix + 1}, func(k, _ []byte) bool {
			left = append(left, string(k))
			return true
		})
		want := kept + 1
		if prefix == 'G' {
			want = 0
		}
		if err != nil || len(left) != want {
			t.Errorf("%d keys of kind %c are left, want %d: %v", len(left), prefix, want, err)
		}
	}
	if all := slices.Sorted(slices.Values(gone)); len(slices.Compact(all)) != len(gone) {
		t.Error("ids were given out twice")
	}
}

// Whether something waits in a directory is told for as many as are asked about,
// with one look at what waits.
func TestPendingBelow(t *testing.T) {
	kv, err := openPebble(filepath.Join(t.TempDir(), "nodes"), vfs.Default, discard)
	if err != nil {
		t.Fatal(err)
	}
	counted := &countedKV{KV: kv}
	s, err := New(counted)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Update(func(tx *Tx) error {
		tx.Put(Node{ID: Root, Parent: Root, Kind: Dir, NextCookie: FirstCookie})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ids := grow(t, s, Root, 3, 5, 5)
	want := map[uint64]bool{}
	if err := s.Update(func(tx *Tx) error {
		for i := 0; i < len(ids); i += 40 {
			tx.PutPending(ids[i], Pending{})
			for id := ids[i]; id != Root; {
				n, err := tx.Get(id)
				if err != nil {
					return err
				}
				id = n.Parent
				want[id] = true
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	counted.scans = 0
	if err := s.Update(func(tx *Tx) error {
		for _, id := range append(ids, Root) {
			if got, err := tx.PendingBelow(id); got != want[id] || err != nil {
				t.Errorf("node %d: %v, %v, want %v", id, got, err, want[id])
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if counted.scans != 1 {
		t.Errorf("%d looks at what waits", counted.scans)
	}
}

// countedKV counts scans.
type countedKV struct {
	KV
	scans int
}

func (c *countedKV) Scan(from, to []byte, fn func(k, v []byte) bool) error {
	c.scans++
	return c.KV.Scan(from, to, fn)
}
