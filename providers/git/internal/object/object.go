// Package object knows the objects of git: their ids, and how commits, trees
// and tags are written (gitformat-pack(5), "git help cat-file"). It does no
// I/O, and every parser is bounded by the bytes it is given.
package object

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
)

// ErrMalformed is wrapped by every error of a parser.
var ErrMalformed = errors.New("malformed object")

// Format is the hash function that names the objects of a repository.
type Format uint8

// The object formats of git. The zero Format is SHA1.
const (
	SHA1   Format = iota // 20 bytes
	SHA256               // 32 bytes
)

// Size is the length of an id in bytes.
func (f Format) Size() int {
	if f == SHA256 {
		return sha256.Size
	}
	return sha1.Size
}

// New returns the hash function.
func (f Format) New() hash.Hash {
	if f == SHA256 {
		return sha256.New()
	}
	return sha1.New()
}

// String is the name that the object-format capability uses.
func (f Format) String() string {
	if f == SHA256 {
		return "sha256"
	}
	return "sha1"
}

// ParseFormat reads the value of an object-format capability.
func ParseFormat(s string) (Format, error) {
	switch s {
	case "sha1":
		return SHA1, nil
	case "sha256":
		return SHA256, nil
	}
	return 0, fmt.Errorf("object format %.20q is not known", s)
}

// ID names an object. It is comparable; the zero ID names none.
type ID struct {
	n byte
	b [sha256.Size]byte
}

// IDFromBytes makes an ID of 20 or 32 raw bytes.
func IDFromBytes(b []byte) (ID, error) {
	var id ID
	if len(b) != sha1.Size && len(b) != sha256.Size {
		return id, fmt.Errorf("%w: an id of %d bytes", ErrMalformed, len(b))
	}
	id.n = byte(copy(id.b[:], b))
	return id, nil
}

// ParseID reads 40 or 64 lower-case hexadecimal digits.
func ParseID(s string) (ID, error) {
	if len(s) != 2*sha1.Size && len(s) != 2*sha256.Size {
		return ID{}, fmt.Errorf("%w: an id of %d digits", ErrMalformed, len(s))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ID{}, fmt.Errorf("%w: id %.64q", ErrMalformed, s)
		}
	}
	var id ID
	n, err := hex.Decode(id.b[:], []byte(s))
	id.n = byte(n)
	return id, err
}

// IsZero tells whether id names no object.
func (id ID) IsZero() bool { return id.n == 0 }

// Bytes are the raw bytes of id, a copy.
func (id ID) Bytes() []byte { return append([]byte(nil), id.b[:id.n]...) }

// AppendTo appends the raw bytes of id to b.
func (id ID) AppendTo(b []byte) []byte { return append(b, id.b[:id.n]...) }

// Format is the object format that ids of this length have.
func (id ID) Format() Format {
	if id.n == sha256.Size {
		return SHA256
	}
	return SHA1
}

// String is id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id.b[:id.n]) }

// Type is the kind of an object, numbered as in a pack.
type Type uint8

// The object types of gitformat-pack(5).
const (
	TypeCommit Type = 1
	TypeTree   Type = 2
	TypeBlob   Type = 3
	TypeTag    Type = 4
)

// String is the name of the type in an object's header.
func (t Type) String() string {
	switch t {
	case TypeCommit:
		return "commit"
	case TypeTree:
		return "tree"
	case TypeBlob:
		return "blob"
	case TypeTag:
		return "tag"
	}
	return "type " + strconv.Itoa(int(t))
}

// NewHash starts the computation of the id of an object of t with size bytes
// of content: write the content, then call [SumID].
func NewHash(f Format, t Type, size int64) hash.Hash {
	h := f.New()
	fmt.Fprintf(h, "%s %d\x00", t, size)
	return h
}

// SumID is the id that h has arrived at.
func SumID(h hash.Hash) ID {
	var id ID
	id.n = byte(h.Size())
	h.Sum(id.b[:0])
	return id
}

// HashOf is the id of an object with that content.
func HashOf(f Format, t Type, content []byte) ID {
	h := NewHash(f, t, int64(len(content)))
	h.Write(content)
	return SumID(h)
}
