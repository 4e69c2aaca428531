package staging

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func FuzzState(f *testing.F) {
	f.Add(State{}.Append(nil))
	f.Add(State{Size: 5 << 40, Base: 1 << 30}.Append(nil))
	f.Add(State{Size: 1, Base: 2}.Append(nil))
	f.Add(bytes.Repeat([]byte{0xff}, stateSize))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeState(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if s.Base < 0 || s.Size < s.Base {
			t.Fatalf("%+v", s)
		}
		if again := s.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x is encoded as %x", b, again)
		}
	})
}

func FuzzRegion(f *testing.F) {
	f.Add(appendExtents(nil, []extent{{0, RegionSize}}))
	f.Add(appendExtents(nil, []extent{{0, 1}, {2, 3}, {4096, 8192}, {RegionSize - 1, RegionSize}}))
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add([]byte{0, 0})
	f.Add([]byte{0x80, 0, 1}) // a longer encoding of the same
	f.Add([]byte{0, 1, 0, 1}) // two that touch
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1})
	f.Add(bytes.Repeat([]byte{1}, 1<<12))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeExtents(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		at := int64(-1)
		for _, e := range l {
			if int64(e.from) <= at || e.from >= e.to || e.to > RegionSize {
				t.Fatalf("%v behind %d", e, at)
			}
			at = int64(e.to)
		}
		if again := appendExtents(nil, l); !bytes.Equal(again, b) {
			t.Fatalf("%x is encoded as %x", b, again)
		}
	})
}

// The extents of a region are compared with a list of all its bytes.
func TestExtents(t *testing.T) {
	const size = 400
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		r := &region{}
		var have [size]bool
		var before []extent
		var kept []extent
		for range 60 {
			stamp := r.stamp
			if rng.IntN(5) == 0 {
				kept = r.share()
				before = slices.Clone(kept)
			}
			changed := false
			if rng.IntN(8) == 0 {
				at := rng.IntN(size)
				r.cut(uint32(at))
				for i := at; i < size; i++ {
					changed = changed || have[i]
					have[i] = false
				}
			} else {
				from := rng.IntN(size)
				to := from + 1 + rng.IntN(min(40, size-from))
				fresh := uint32(0)
				for i := from; i < to; i++ {
					if !have[i] {
						fresh++
					}
					have[i] = true
				}
				if got := r.add(uint32(from), uint32(to)); got != fresh {
					t.Fatalf("seed %d: %d new bytes in [%d, %d), not %d", seed, got, from, to, fresh)
				}
				changed = fresh > 0
			}
			if changed != (r.stamp != stamp) {
				t.Fatalf("seed %d: changed: %v, stamp %d after %d", seed, changed, r.stamp, stamp)
			}
			if !slices.Equal(kept, before) {
				t.Fatalf("seed %d: a shared list was changed", seed)
			}
			var want []extent
			for i := range uint32(size) {
				switch n := len(want); {
				case !have[i]:
				case n > 0 && want[n-1].to == i:
					want[n-1].to++
				default:
					want = append(want, extent{i, i + 1})
				}
			}
			if !slices.Equal(r.exts, want) {
				t.Fatalf("seed %d: extents %v, not %v", seed, r.exts, want)
			}
			if len(want) > 0 {
				if got, err := decodeExtents(appendExtents(nil, r.exts)); err != nil || !slices.Equal(got, want) {
					t.Fatalf("seed %d: decoded %v, %v", seed, got, err)
				}
			}
			from := rng.IntN(size)
			to := from + rng.IntN(size-from)
			var seen, all int
			walk(r.exts, uint32(from), uint32(to), func(a, b uint32) { seen += int(b - a) })
			for i := from; i < to; i++ {
				if have[i] {
					all++
				}
			}
			if seen != all {
				t.Fatalf("seed %d: %d bytes of [%d, %d), not %d", seed, seen, from, to, all)
			}
		}
	}
}
