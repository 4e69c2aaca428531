package staging_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/moorage/moorage/daemon/internal/drive/staging"
)

// The property tests run a few thousand seeds. MOORAGE_TEST_LONG=1 runs thirty
// times as many, and MOORAGE_STAGING_SEED=n only that one.

// record is what a caller has on stable storage of a file.
type record struct {
	state   []byte
	regions map[uint32][]byte
}

func (r *record) apply(st staging.State, regions []staging.Region) {
	r.state = st.Append(nil)
	for _, g := range regions {
		if g.Record == nil {
			delete(r.regions, g.Index)
		} else {
			r.regions[g.Index] = g.Record
		}
	}
}

func (r *record) load(s *staging.Store, id uint64) (*staging.File, error) {
	st, err := staging.DecodeState(r.state)
	if err != nil {
		return nil, err
	}
	return s.Load(id, st, func(yield func(uint32, []byte) bool) error {
		for i, rec := range r.regions {
			if !yield(i, rec) {
				break
			}
		}
		return nil
	})
}

// content reads a whole file through its pieces. Bytes of the base are those of
// baseByte.
func content(t *testing.T, pieces []staging.Piece, size int64, readAt func([]byte, int64) (int, error), off int64) []byte {
	t.Helper()
	all := make([]byte, size-off)
	at := off
	for _, p := range pieces {
		if p.Off != at || p.N <= 0 {
			t.Fatalf("pieces %v: a gap at %d", pieces, at)
		}
		part := all[p.Off-off:][:p.N]
		switch p.Kind {
		case staging.Local:
			if n, err := readAt(part, p.Off); err != nil || n != len(part) {
				t.Fatalf("read %v: %d, %v", p, n, err)
			}
		case staging.Base:
			for i := range part {
				part[i] = baseByte(p.Off + int64(i))
			}
		case staging.Zero:
		default:
			t.Fatalf("piece %v", p)
		}
		at += p.N
	}
	if at != size {
		t.Fatalf("pieces %v end at %d of %d", pieces, at, size)
	}
	return all
}

// baseByte is odd, what is written is even and not 0.
func baseByte(off int64) byte { return byte(off>>3)<<1 | 1 }

func seeds(t *testing.T, n int, run func(t *testing.T, seed uint64)) {
	if s := os.Getenv("MOORAGE_STAGING_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		run(t, seed)
		return
	}
	if os.Getenv("MOORAGE_TEST_LONG") == "1" {
		n *= 30
	}
	var seed uint64
	defer func() {
		if t.Failed() {
			t.Logf("MOORAGE_STAGING_SEED=%d", seed)
		}
	}()
	for ; seed < uint64(n) && !t.Failed(); seed++ {
		run(t, seed)
	}
}
