package nodes

import (
	"path/filepath"
	"testing"
)

func TestGetEach(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "nodes"))
	defer s.Close()
	ids := fill(t, s)
	ask := []uint64{ids[2], 1 << 40, ids[0], ids[0], 0, ids[1]}
	got := map[int]uint64{}
	err := s.GetEach(ask, func(i int, n Node) {
		if want, err := s.Get(ask[i]); err != nil || n != want {
			t.Errorf("node %d: %+v, want %+v, %v", ask[i], n, want, err)
		}
		got[i] = n.ID
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || got[0] != ids[2] || got[2] != ids[0] || got[3] != ids[0] || got[5] != ids[1] {
		t.Errorf("of %v came %v", ask, got)
	}
}
