package staging

import "slices"

// extent is a part of a region, from included, to not.
type extent struct{ from, to uint32 }

// region is what was written in one region below the base. Its fields are
// guarded by File.mu; exts may be read without it once shared is set.
type region struct {
	exts   []extent // in order; they neither overlap nor touch
	shared bool     // exts is read elsewhere and has to be copied before it is changed
	stamp  uint64   // moves with every change
	given  bool     // a record of extents may be on stable storage
	dirty  bool     // the record on stable storage may be another one
}

// add puts [from, to) in and tells how many bytes of it are new. The stamp moves
// if there are any.
func (r *region) add(from, to uint32) (fresh uint32) {
	// The extents from i up to j touch the new one.
	i, _ := slices.BinarySearchFunc(r.exts, from, func(e extent, at uint32) int {
		if e.to < at {
			return -1
		}
		return 1
	})
	j := i
	var had uint32
	for j < len(r.exts) && r.exts[j].from <= to {
		e := r.exts[j]
		if e.from <= from && to <= e.to {
			return 0
		}
		had += max(min(e.to, to), from) - min(max(e.from, from), to)
		j++
	}
	all := extent{from, to}
	if i < j {
		all.from = min(all.from, r.exts[i].from)
		all.to = max(all.to, r.exts[j-1].to)
	}
	r.own()
	r.exts = slices.Replace(r.exts, i, j, all)
	r.stamp++
	return to - from - had
}

// cut takes away what lies at or behind at.
func (r *region) cut(at uint32) {
	i, _ := slices.BinarySearchFunc(r.exts, at, func(e extent, at uint32) int {
		if e.to <= at {
			return -1
		}
		return 1
	})
	if i == len(r.exts) {
		return
	}
	r.own()
	if r.exts[i].from < at {
		r.exts[i].to = at
		i++
	}
	r.exts = r.exts[:i]
	r.stamp++
}

func (r *region) own() {
	if r.shared {
		r.exts = slices.Clone(r.exts)
		r.shared = false
	}
}

// share gives the extents to a reader that does not hold File.mu.
func (r *region) share() []extent {
	r.shared = true
	return r.exts
}

// walk calls fn for the extents of [from, to), cut to that, in order.
func walk(exts []extent, from, to uint32, fn func(from, to uint32)) {
	i, _ := slices.BinarySearchFunc(exts, from, func(e extent, at uint32) int {
		if e.to <= at {
			return -1
		}
		return 1
	})
	for ; i < len(exts) && exts[i].from < to; i++ {
		fn(max(exts[i].from, from), min(exts[i].to, to))
	}
}

// Kind is where the bytes of a Piece are.
type Kind uint8

const (
	Local Kind = iota + 1 // in the staging file
	Base                  // in the base version, at the same place
	Zero                  // nowhere: they are zeros
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Local:
		return "local"
	case Base:
		return "base"
	case Zero:
		return "zero"
	}
	return "none"
}

// Piece is a part of a file whose bytes are all in one place.
type Piece struct {
	Off, N int64 // bytes
	Kind   Kind
}

// layout is where the bytes of a file are.
type layout struct {
	size, base int64
	end        int64 // the staging file holds nothing that counts from here on
	regions    func(index uint32) []extent
}

// pieces are those of [off, off+n), cut to the file.
func (l layout) pieces(off, n int64) []Piece {
	if off < 0 || n <= 0 || off >= l.size {
		return nil
	}
	to := l.size
	if n < to-off {
		to = off + n
	}
	var p []Piece
	put := func(until int64, k Kind) {
		if until <= off {
			return
		}
		if i := len(p) - 1; i >= 0 && p[i].Kind == k {
			p[i].N += until - off
		} else {
			p = append(p, Piece{off, until - off, k})
		}
		off = until
	}
	for below := min(l.base, to); off < below; {
		i := off / RegionSize
		at := i * RegionSize
		until := min(at+RegionSize, below)
		walk(l.regions(uint32(i)), uint32(off-at), uint32(until-at), func(from, to uint32) {
			put(at+int64(from), Base)
			put(at+int64(to), Local)
		})
		put(until, Base)
	}
	put(min(l.end, to), Local)
	put(to, Zero)
	return p
}
