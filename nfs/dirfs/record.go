package dirfs

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/moorage/moorage/nfs"
)

// The log of places is a header followed by records, little-endian:
//
//	header:  magic[8] version:u32 key[16] crc32c:u32
//	record:  length:u16 crc32c:u32 body[length]
//	body:    1 id:u64 parent:u64 ino:u64 check:u32 handle:u8+bytes name…   seen there
//	         2 id:u64                                                      gone
//
// A record replaces earlier ones of the same id. The checksum of a record
// covers its body, that of the header everything before it.
const (
	logMagic   = "moorids\n"
	logVersion = 1
	keySize    = 16
	headerSize = 8 + 4 + keySize + 4
	frameSize  = 2 + 4

	kindSeen byte = 1
	kindGone byte = 2

	maxHandle = 64   // bytes; the kernel's limit is 128, what we use has 8 to 28
	maxName   = 1024 // bytes; Darwin's 255 UTF-16 units need up to 765
	seenSize  = 1 + 8 + 8 + 8 + 4 + 1
	goneSize  = 1 + 8
	maxBody   = seenSize + maxHandle + maxName
)

var (
	errShort   = errors.New("record is cut short")
	errCorrupt = errors.New("record is damaged")
	errFormat  = errors.New("not a log of this version")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// place is where an object was seen last.
type place struct {
	parent nfs.ID
	name   string
	ino    uint64
	check  uint32 // a second hash of the identity: tells two objects with one id apart
	handle string // the kernel's handle of the inode, or ""
}

type record struct {
	kind byte
	id   nfs.ID
	place
}

func appendHeader(b []byte, key [keySize]byte) []byte {
	n := len(b)
	b = append(b, logMagic...)
	b = binary.LittleEndian.AppendUint32(b, logVersion)
	b = append(b, key[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[n:], castagnoli))
}

func decodeHeader(b []byte) (key [keySize]byte, err error) {
	if len(b) < headerSize || string(b[:8]) != logMagic || binary.LittleEndian.Uint32(b[8:]) != logVersion ||
		binary.LittleEndian.Uint32(b[headerSize-4:]) != crc32.Checksum(b[:headerSize-4], castagnoli) {
		return key, errFormat
	}
	copy(key[:], b[12:])
	return key, nil
}

// appendRecord encodes r, whose handle and name must be within the limits.
func appendRecord(b []byte, r *record) []byte {
	n := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, r.kind)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.id))
	if r.kind == kindSeen {
		b = binary.LittleEndian.AppendUint64(b, uint64(r.parent))
		b = binary.LittleEndian.AppendUint64(b, r.ino)
		b = binary.LittleEndian.AppendUint32(b, r.check)
		b = append(b, byte(len(r.handle)))
		b = append(b, r.handle...)
		b = append(b, r.name...)
	}
	body := b[n+frameSize:]
	binary.LittleEndian.PutUint16(b[n:], uint16(len(body)))
	binary.LittleEndian.PutUint32(b[n+2:], crc32.Checksum(body, castagnoli))
	return b
}

// decodeRecord reads the record at the start of b and tells its size.
func decodeRecord(b []byte) (r record, size int, err error) {
	if len(b) < frameSize {
		return r, 0, errShort
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n < goneSize || n > maxBody {
		return r, 0, errCorrupt
	}
	if len(b) < frameSize+n {
		return r, 0, errShort
	}
	body := b[frameSize : frameSize+n]
	if binary.LittleEndian.Uint32(b[2:]) != crc32.Checksum(body, castagnoli) {
		return r, 0, errCorrupt
	}
	r.kind, r.id = body[0], nfs.ID(binary.LittleEndian.Uint64(body[1:]))
	switch {
	case r.id == 0:
		return record{}, 0, errCorrupt
	case r.kind == kindGone && n == goneSize:
	case r.kind == kindSeen && n >= seenSize:
		r.parent = nfs.ID(binary.LittleEndian.Uint64(body[9:]))
		r.ino = binary.LittleEndian.Uint64(body[17:])
		r.check = binary.LittleEndian.Uint32(body[25:])
		h := int(body[29])
		if h > maxHandle || h > n-seenSize || n-seenSize-h > maxName {
			return record{}, 0, errCorrupt
		}
		r.handle = string(body[seenSize : seenSize+h])
		r.name = string(body[seenSize+h:])
	default:
		return record{}, 0, errCorrupt
	}
	return r, frameSize + n, nil
}
