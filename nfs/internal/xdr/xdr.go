// Package xdr reads and writes XDR (RFC 4506), the encoding of ONC RPC and NFS.
//
// A [Decoder] works on one message that is wholly in memory. It checks every
// length against what is left before it touches or allocates anything, hands
// out slices of the message instead of copies, and keeps its first error, so
// that a caller checks once, at the end. The Append functions are its inverse.
package xdr

import (
	"encoding/binary"
	"errors"
)

var (
	// ErrShort means that the message ends inside a value.
	ErrShort = errors.New("xdr: message too short")
	// ErrLimit means that a variable-length value is longer than its type allows.
	ErrLimit = errors.New("xdr: value longer than its limit")
	// ErrValue means that a boolean or a discriminant has no such value.
	ErrValue = errors.New("xdr: no such value")
	// ErrTrailing means that bytes follow the last value.
	ErrTrailing = errors.New("xdr: bytes after the end")
)

// Decoder reads values off the front of a message. After an error all further
// values are zero. It is not for concurrent use.
type Decoder struct {
	b     []byte
	err   error
	loose bool
}

// NewDecoder reads b, which the decoded values share.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Fail records err unless an earlier error is there.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

// Err is the first error.
func (d *Decoder) Err() error { return d.err }

// Rest is what has not been read yet.
func (d *Decoder) Rest() []byte { return d.b }

// Done is nil if all went well and nothing is left.
func (d *Decoder) Done() error {
	if d.err == nil && len(d.b) != 0 {
		d.err = ErrTrailing
	}
	return d.err
}

// Canonical reports whether all padding was zero, as RFC 4506 §3 has it. Other
// padding is accepted, because the kernels that clients talk to accept it too.
func (d *Decoder) Canonical() bool { return !d.loose }

// Uint32 reads an unsigned integer or an enumeration.
func (d *Decoder) Uint32() uint32 {
	if len(d.b) < 4 {
		d.Fail(ErrShort)
		return 0
	}
	v := binary.BigEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

// Uint64 reads an unsigned hyper integer.
func (d *Decoder) Uint64() uint64 {
	if len(d.b) < 8 {
		d.Fail(ErrShort)
		return 0
	}
	v := binary.BigEndian.Uint64(d.b)
	d.b = d.b[8:]
	return v
}

// Bool reads a boolean; anything but 0 and 1 is ErrValue.
func (d *Decoder) Bool() bool {
	v := d.Uint32()
	if v > 1 {
		d.Fail(ErrValue)
		return false
	}
	return v == 1
}

// Enum reads an enumeration whose values are 0 to last.
func (d *Decoder) Enum(last uint32) uint32 {
	v := d.Uint32()
	if v > last {
		d.Fail(ErrValue)
		return 0
	}
	return v
}

// Fixed reads n bytes of fixed-length opaque data; the result shares the message.
func (d *Decoder) Fixed(n int) []byte {
	pad := -n & 3
	if n < 0 || len(d.b) < n || len(d.b)-n < pad {
		d.Fail(ErrShort)
		return nil
	}
	v := d.b[:n:n]
	for _, x := range d.b[n : n+pad] {
		if x != 0 {
			d.loose = true
		}
	}
	d.b = d.b[n+pad:]
	return v
}

// Opaque reads variable-length opaque data of at most limit bytes; the result
// shares the message.
func (d *Decoder) Opaque(limit int) []byte {
	n := d.Uint32()
	if d.err != nil {
		return nil
	}
	if uint64(n) > uint64(limit) {
		d.Fail(ErrLimit)
		return nil
	}
	return d.Fixed(int(n))
}

// Left bounds a variable-length value by the message alone: the limit for
// types that the protocol leaves unbounded.
func (d *Decoder) Left() int { return len(d.b) }

// AppendUint32 is the inverse of [Decoder.Uint32].
func AppendUint32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

// AppendUint64 is the inverse of [Decoder.Uint64].
func AppendUint64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

// AppendBool is the inverse of [Decoder.Bool].
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0, 0, 0, 1)
	}
	return append(b, 0, 0, 0, 0)
}

var zeros [3]byte

// AppendFixed is the inverse of [Decoder.Fixed].
func AppendFixed[T ~string | ~[]byte](b []byte, v T) []byte {
	b = append(b, v...)
	return append(b, zeros[:-len(v)&3]...)
}

// AppendOpaque is the inverse of [Decoder.Opaque].
func AppendOpaque[T ~string | ~[]byte](b []byte, v T) []byte {
	return AppendFixed(AppendUint32(b, uint32(len(v))), v)
}

// Padded is n rounded up to a multiple of four: the bytes that n bytes of
// opaque data take.
func Padded(n int) int { return (n + 3) &^ 3 }
