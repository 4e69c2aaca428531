package staging

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// State is what is recorded of a file as a whole.
type State struct {
	Size int64 // bytes
	Base int64 // how many bytes of the base version show where nothing was written; at most Size
}

// stateSize is the length of an encoded State: two big-endian integers.
const stateSize = 16

// Append adds the encoded State, 16 bytes, to b.
func (s State) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(s.Size))
	return binary.BigEndian.AppendUint64(b, uint64(s.Base))
}

// DecodeState takes what Append added, or gives ErrCorrupt.
func DecodeState(b []byte) (State, error) {
	if len(b) != stateSize {
		return State{}, fmt.Errorf("%w: a state of %d bytes", ErrCorrupt, len(b))
	}
	s := State{Size: int64(binary.BigEndian.Uint64(b)), Base: int64(binary.BigEndian.Uint64(b[8:]))}
	if !s.valid() {
		return State{}, fmt.Errorf("%w: size %d over a base of %d", ErrCorrupt, s.Size, s.Base)
	}
	return s, nil
}

func (s State) valid() bool { return 0 <= s.Base && s.Base <= s.Size && s.Base <= maxBase }

// maxBase is what regions can be counted for.
const maxBase = RegionSize << 32

// RegionSize is how many bytes of a file one [Region] tells of.
const RegionSize = 64 << 20

// Region is what is recorded of one part of a file below State.Base: what was
// written there.
type Region struct {
	Index  uint32 // the region begins at Index × RegionSize
	Record []byte // nil: nothing is written in it, a record has to be deleted
}

// appendExtents encodes extents as pairs of unsigned varints: how far one begins
// behind the end of the one before, how long it is.
func appendExtents(b []byte, l []extent) []byte {
	b = slices.Grow(b, 5*len(l)) // most take four or five
	var at uint32
	for _, e := range l {
		b = binary.AppendUvarint(b, uint64(e.from-at))
		b = binary.AppendUvarint(b, uint64(e.to-e.from))
		at = e.to
	}
	return b
}

// decodeExtents takes exactly what appendExtents makes of a list that is not
// empty. It allocates at most four times the length of the record.
func decodeExtents(rec []byte) ([]extent, error) {
	// A pair takes two bytes at least. Most take four.
	l := make([]extent, 0, len(rec)/4+1)
	var at uint64
	for b := rec; len(b) > 0; {
		gap, n := uvarint(b)
		if n == 0 {
			return nil, fmt.Errorf("%w: region of %d bytes is cut off", ErrCorrupt, len(rec))
		}
		size, m := uvarint(b[n:])
		if m == 0 {
			return nil, fmt.Errorf("%w: region of %d bytes is cut off", ErrCorrupt, len(rec))
		}
		b = b[n+m:]
		if size == 0 || gap == 0 && len(l) > 0 || gap > RegionSize || size > RegionSize || at+gap+size > RegionSize {
			return nil, fmt.Errorf("%w: extent of %d bytes %d behind %d", ErrCorrupt, size, gap, at)
		}
		l = append(l, extent{uint32(at + gap), uint32(at + gap + size)})
		at += gap + size
	}
	if len(l) == 0 {
		return nil, fmt.Errorf("%w: a region without extents", ErrCorrupt)
	}
	return l, nil
}

// uvarint is binary.Uvarint for the shortest encoding of a number only. n is 0
// if there is none.
func uvarint(b []byte) (v uint64, n int) {
	v, n = binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, 0
	}
	return v, n
}
