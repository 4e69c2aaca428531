package xdr

import (
	"bytes"
	"errors"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	b := AppendUint32(nil, 7)
	b = AppendUint64(b, 1<<40)
	b = AppendBool(b, true)
	b = AppendOpaque(b, "abcde")
	b = AppendFixed(b, []byte{1, 2, 3, 4})
	b = AppendUint32(b, 2)
	if len(b)%4 != 0 {
		t.Fatalf("%d bytes: not whole words", len(b))
	}
	d := NewDecoder(b)
	if v := d.Uint32(); v != 7 {
		t.Error("Uint32", v)
	}
	if v := d.Uint64(); v != 1<<40 {
		t.Error("Uint64", v)
	}
	if !d.Bool() {
		t.Error("Bool")
	}
	if v := d.Opaque(5); string(v) != "abcde" || cap(v) != 5 {
		t.Errorf("Opaque %q, capacity %d", v, cap(v))
	}
	if v := d.Fixed(4); !bytes.Equal(v, []byte{1, 2, 3, 4}) {
		t.Error("Fixed", v)
	}
	if v := d.Enum(2); v != 2 {
		t.Error("Enum", v)
	}
	if err := d.Done(); err != nil || !d.Canonical() {
		t.Error(err, d.Canonical())
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []byte
		read func(*Decoder)
		want error
	}{
		{"empty word", nil, func(d *Decoder) { d.Uint32() }, ErrShort},
		{"half a hyper", make([]byte, 7), func(d *Decoder) { d.Uint64() }, ErrShort},
		{"boolean 2", []byte{0, 0, 0, 2}, func(d *Decoder) { d.Bool() }, ErrValue},
		{"enumeration", []byte{0, 0, 0, 3}, func(d *Decoder) { d.Enum(2) }, ErrValue},
		{"length over its limit", []byte{0, 0, 0, 9}, func(d *Decoder) { d.Opaque(8) }, ErrLimit},
		{"length 2^32-1", []byte{255, 255, 255, 255}, func(d *Decoder) { d.Opaque(d.Left()) }, ErrLimit},
		{"length over the message", []byte{0, 0, 0, 8, 1}, func(d *Decoder) { d.Opaque(8) }, ErrShort},
		{"no padding", []byte{0, 0, 0, 1, 1}, func(d *Decoder) { d.Opaque(8) }, ErrShort},
		{"negative size", make([]byte, 8), func(d *Decoder) { d.Fixed(-1) }, ErrShort},
		{"trailing", make([]byte, 8), func(d *Decoder) { d.Uint32() }, ErrTrailing},
	} {
		d := NewDecoder(tc.in)
		tc.read(&d)
		if err := d.Done(); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if v := d.Uint32(); v != 0 {
			t.Errorf("%s: a value after the error", tc.name)
		}
	}
}

func TestPaddingIsNotLookedAt(t *testing.T) {
	d := NewDecoder([]byte{0, 0, 0, 1, 'x', 1, 2, 3})
	if v := d.Opaque(1); string(v) != "x" || d.Done() != nil {
		t.Error(v, d.Done())
	}
	if d.Canonical() {
		t.Error("odd padding passes as canonical")
	}
}
