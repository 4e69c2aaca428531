package handle

import (
	"bytes"
	"errors"
	"testing"
)

func newSealer(t testing.TB, fill byte, export uint64) *Sealer {
	t.Helper()
	s, err := NewSealer(bytes.Repeat([]byte{fill}, KeySize), export)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRule05EveryBitIsSealed(t *testing.T) {
	s := newSealer(t, 1, 0xff00000000000005)
	h := s.Append(nil, 42)
	if len(h) != Size {
		t.Fatalf("%d bytes", len(h))
	}
	if id, err := s.Open(h, new(Scratch)); err != nil || id != 42 {
		t.Fatal(id, err)
	}
	if tag, err := PeekTag(h); err != nil || tag != Tag(0xff00000000000005) {
		t.Fatal(tag, err)
	}
	for bit := range Size * 8 {
		flipped := bytes.Clone(h)
		flipped[bit/8] ^= 1 << (bit % 8)
		if _, err := s.Open(flipped, new(Scratch)); !errors.Is(err, ErrBad) {
			t.Errorf("bit %d flipped: %v", bit, err)
		}
	}
	for n := range 65 {
		if n != Size {
			if _, err := s.Open(make([]byte, n), new(Scratch)); !errors.Is(err, ErrBad) {
				t.Errorf("%d bytes: %v", n, err)
			}
			if _, err := PeekTag(make([]byte, n)); !errors.Is(err, ErrBad) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	}
}

func TestRule05KeysAndExportsAreApart(t *testing.T) {
	h := newSealer(t, 1, 5).Append(nil, 42)
	if _, err := newSealer(t, 2, 5).Open(h, new(Scratch)); !errors.Is(err, ErrBad) {
		t.Error("another key opens it:", err)
	}
	if _, err := newSealer(t, 1, 6).Open(h, new(Scratch)); !errors.Is(err, ErrBad) {
		t.Error("another export opens it:", err)
	}
	if id, err := newSealer(t, 1, 5).Open(h, new(Scratch)); err != nil || id != 42 {
		t.Error("the same key after a restart does not:", id, err)
	}
	if _, err := NewSealer(make([]byte, 16), 1); err == nil {
		t.Error("a short key is taken")
	}
}

// TestFormat pins the format: mounted clients carry handles over an update.
func TestFormat(t *testing.T) {
	h := newSealer(t, 7, 0x0102030405060708).Append(nil, 0x1122334455667788)
	want := []byte{1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
		0x8b, 0xb9, 0x19, 0xa0, 0x49, 0xd9, 0x34, 0x9d, 0x81, 0xa4, 0xf0, 0x64, 0xb5, 0x34, 0xee, 0xf7}
	if !bytes.Equal(h, want) {
		t.Errorf("%#v", h)
	}
}

func FuzzOpen(f *testing.F) {
	s := newSealer(f, 3, 9)
	f.Add(s.Append(nil, 1))
	f.Add(make([]byte, Size))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, h []byte) {
		id, err := s.Open(h, new(Scratch))
		if err != nil {
			return
		}
		if got := s.Append(nil, id); !bytes.Equal(got, h) {
			t.Errorf("%x opens but is not the handle of %d: %x", h, id, got)
		}
	})
}
