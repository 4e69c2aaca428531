package nodes

import (
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// identified makes a directory with nodes that have ids of the remote.
func identified(t *testing.T, s *Store, remoteIDs ...string) []uint64 {
	t.Helper()
	var ids []uint64
	err := s.Update(func(tx *Tx) error {
		tx.Put(sampleDir())
		for i, r := range remoteIDs {
			id, err := tx.NewID()
			if err != nil {
				return err
			}
			n := Node{ID: id, Parent: Root, Name: string(rune('a' + i)), Kind: File}
			if err := tx.Identify(&n, r); err != nil {
				return err
			}
			tx.Put(n)
			tx.Link(Root, n.Name, id, FirstCookie+uint64(i))
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func byRemoteID(t *testing.T, s *Store, remoteID string) uint64 {
	t.Helper()
	var found Node
	err := s.Update(func(tx *Tx) (err error) {
		found, err = tx.ByRemoteID(remoteID)
		return err
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	return found.ID
}

func TestByRemoteID(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nodes")
	s := open(t, dir)
	ids := identified(t, s, "x", "y", "x") // the third has taken the id over
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	for remoteID, want := range map[string]uint64{"x": ids[2], "y": ids[1], "z": 0} {
		if got := byRemoteID(t, s, remoteID); got != want {
			t.Errorf("%q finds %d, want %d", remoteID, got, want)
		}
	}
	// The first one, which is not found by x any more, does not hide the third when it goes.
	var gone []string
	err := s.Update(func(tx *Tx) error {
		tx.OnRemove(func(n Node) { gone = append(gone, n.Name+"="+n.RemoteID) })
		for _, e := range children(t, s, Root, 0)[:2] {
			if err := tx.Remove(Root, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(gone) != 2 || gone[0] != "a=x" || gone[1] != "b=y" {
		t.Errorf("told to be gone: %q", gone)
	}
	for remoteID, want := range map[string]uint64{"x": ids[2], "y": 0} {
		if got := byRemoteID(t, s, remoteID); got != want {
			t.Errorf("after two are gone %q finds %d, want %d", remoteID, got, want)
		}
	}
}

func TestIdentifyAnew(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "nodes"))
	defer s.Close()
	id := identified(t, s, "old")[0]
	err := s.Update(func(tx *Tx) error {
		n, err := tx.Get(id)
		if err == nil {
			err = tx.Identify(&n, "new")
		}
		n.ListedAt = time.Unix(1, 2)
		tx.Put(n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if byRemoteID(t, s, "old") != 0 || byRemoteID(t, s, "new") != id {
		t.Error("the node is found by the id that it had, or not by the one that it has")
	}
	if n, err := s.Get(id); err != nil || n.RemoteID != "new" || !n.ListedAt.Equal(time.Unix(1, 2)) {
		t.Errorf("stored: %+v, %v", n, err)
	}
}

func TestUnlinkLeavesTheNode(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "nodes"))
	defer s.Close()
	id := identified(t, s, "x")[0]
	err := s.Update(func(tx *Tx) error {
		tx.Unlink(Root, Entry{ID: id, Cookie: FirstCookie, Name: "a"})
		tx.Link(Root, "b", id, FirstCookie+1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := children(t, s, Root, 0); len(got) != 1 || got[0] != (Entry{ID: id, Cookie: FirstCookie + 1, Name: "b"}) {
		t.Errorf("after a rename the directory has %+v", got)
	}
	if _, _, err := s.Child(Root, "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the name that it had: %v", err)
	}
	if _, err := s.Get(id); err != nil {
		t.Error(err)
	}
}
