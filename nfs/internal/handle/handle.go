// Package handle seals NFS file handles: 32 bytes that only the holder of the
// export's key can make, and that stay valid as long as the key and the
// export's number do.
//
//	byte  0      version, 1
//	bytes 1-7    the low 56 bits of the export's number
//	bytes 8-15   the object's id
//	bytes 16-31  seal
//
// The seal is AES-256 under the export's key of the first half, which is
// exactly one block. A block cipher is a pseudorandom function on single
// blocks, so forging a seal means guessing 128 bits; and it costs some
// nanoseconds, which matters where every name of a directory listing carries a
// handle.
package handle

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// Size is the length of a handle in bytes.
	Size = 32
	// KeySize is the length of a key in bytes.
	KeySize = 32

	version = 1
	half    = Size / 2
	tagBits = 56
)

// ErrBad means that these bytes are no handle, or none of this key.
var ErrBad = errors.New("handle: not a handle of this server")

// Tag is the part of an export's number that its handles carry. It says which
// key to try, before anything is verified.
func Tag(export uint64) uint64 { return export & (1<<tagBits - 1) }

// PeekTag reads the tag of h without verifying it.
func PeekTag(h []byte) (uint64, error) {
	if len(h) != Size || h[0] != version {
		return 0, ErrBad
	}
	return Tag(binary.BigEndian.Uint64(h)), nil
}

// Sealer makes and opens the handles of one export. It may be used concurrently.
type Sealer struct {
	block cipher.Block
	head  uint64
}

// NewSealer seals with key (32 bytes) for the export of this number.
func NewSealer(key []byte, export uint64) (*Sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("handle: a key of %d bytes, not %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("handle: %w", err)
	}
	return &Sealer{block: block, head: version<<tagBits | Tag(export)}, nil
}

// Append appends the handle of id to b.
func (s *Sealer) Append(b []byte, id uint64) []byte {
	b = binary.BigEndian.AppendUint64(b, s.head)
	b = binary.BigEndian.AppendUint64(b, id)
	b = append(b, zero[:]...)
	h := b[len(b)-Size:]
	s.block.Encrypt(h[half:], h[:half])
	return b
}

var zero [half]byte

// Scratch is memory for Open to work in, which would allocate it otherwise.
type Scratch [half]byte

// Open verifies h and returns its id; ErrBad if this key did not seal it.
func (s *Sealer) Open(h []byte, want *Scratch) (id uint64, err error) {
	if len(h) != Size || binary.BigEndian.Uint64(h) != s.head {
		return 0, ErrBad
	}
	s.block.Encrypt(want[:], h[:half])
	if subtle.ConstantTimeCompare(want[:], h[half:]) != 1 {
		return 0, ErrBad
	}
	return binary.BigEndian.Uint64(h[8:]), nil
}
