package model

import (
	"fmt"
	"hash/maphash"
	"slices"
)

// file is what is known of a file's bytes: what was acknowledged as being on
// stable storage, and what may or may not be of what came after that.
type file struct {
	acked []byte
	later []edit
	fuzzy bool // a crash came since: no later state need be whole
}

// edit is a write, or with data nil a change of the size.
type edit struct {
	off  int64
	data []byte
	size int64
}

func (e edit) apply(b []byte) []byte {
	if e.data == nil {
		if int64(len(b)) > e.size {
			return b[:e.size:e.size]
		}
		return append(slices.Clip(b), make([]byte, e.size-int64(len(b)))...)
	}
	end := e.off + int64(len(e.data))
	out := make([]byte, max(end, int64(len(b))))
	copy(out, b)
	copy(out[e.off:], e.data)
	return out
}

// now is the content as a client sees it that nothing happened to.
func (f *file) now() []byte {
	b := f.acked
	for _, e := range f.later {
		b = e.apply(b)
	}
	return b
}

// commit is what a Commit acknowledges.
func (f *file) commit() { f.acked, f.later, f.fuzzy = f.now(), nil, false }

func (f *file) clone() *file {
	return &file{f.acked, slices.Clone(f.later), f.fuzzy}
}

// check tells why got can not be the content after a crash; "" if it can.
func (f *file) check(got []byte) string {
	size := int64(len(f.acked))
	sized := size == int64(len(got))
	for _, e := range f.later {
		if e.data == nil {
			size = e.size
		} else {
			size = max(size, e.off+int64(len(e.data)))
		}
		sized = sized || size == int64(len(got))
	}
	if !sized {
		return fmt.Sprintf("%d bytes, of %d that were acknowledged and %d later changes", len(got), len(f.acked), len(f.later))
	}
	ok := make([]bool, len(got))
	for i := range got {
		ok[i] = i < len(f.acked) && got[i] == f.acked[i] || i >= len(f.acked) && got[i] == 0
	}
	for _, e := range f.later {
		if e.data == nil {
			for i := e.size; i < int64(len(got)); i++ {
				ok[i] = ok[i] || got[i] == 0
			}
			continue
		}
		for i, c := range e.data {
			if at := e.off + int64(i); at < int64(len(got)) && got[at] == c {
				ok[at] = true
			}
		}
	}
	if i := slices.Index(ok, false); i >= 0 {
		n := 0
		for _, o := range ok {
			if !o {
				n++
			}
		}
		return fmt.Sprintf("%d of %d bytes were never written there, the first at %d: %x", n, len(got), i, got[i:min(len(got), i+8)])
	}
	return ""
}

var hashSeed = maphash.MakeSeed()

func hash(b []byte) uint64 { return maphash.Bytes(hashSeed, b) }
