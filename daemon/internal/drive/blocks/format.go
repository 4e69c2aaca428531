package blocks

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"strings"
)

// A file holds the version's bytes at their offsets, then, from the next 4 KiB
// on, its trailer: the sums of all units, and a header at the very end. The sums
// come first so that those of one extent never lie across two pages; the header
// ends with its own length so that a file tells what it is without its key. All
// numbers are little-endian.
//
//	sums     4 bytes for each unit: CRC-32C of its bytes, 0 if it is absent
//	magic    8 bytes
//	format   4 bytes
//	unit     4 bytes: Unit
//	object   8 bytes
//	size     8 bytes: of the version
//	version  as many bytes as the next field says
//	length   4 bytes
//	check    4 bytes: CRC-32C of magic to length
//
// A sum is written after the bytes it is of are on stable storage. A sum that is
// there without them, which the order of writing excludes but a disk may not, is
// found when the unit is read first.
const (
	magic       = "moorblks"
	format      = 1
	headerFixed = 8 + 4 + 4 + 8 + 8
	headerTail  = 4 + 4
	// maxVersion bounds Key.Version. Longer ones are not kept.
	maxVersion = 32 << 10
	// maxSize keeps all offsets in an int64, and extents in an uint32.
	maxSize = 1 << 55

	page        = 4 << 10
	extentUnits = 256 // what is evicted together of large files
	extentSize  = extentUnits * Unit
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errHeader  = errors.New("not a header of a cached version")
)

// sumOf is the sum of a unit's bytes. It is never 0.
func sumOf(p []byte) uint32 {
	return max(crc32.Checksum(p, castagnoli), 1)
}

// layout tells where things are in a version's file.
type layout struct {
	size     int64 // of the version
	sumsAt   int64
	headerAt int64
	total    int64 // size of the file
}

func layoutOf(k Key, size int64) layout {
	l := layout{size: size, sumsAt: (size + page - 1) &^ (page - 1)}
	l.headerAt = l.sumsAt + 4*l.units()
	l.total = l.headerAt + int64(headerFixed+len(k.Version)+headerTail)
	return l
}

func (l layout) units() int64 { return (l.size + Unit - 1) / Unit }

// big tells whether the version is evicted by extents.
func (l layout) big() bool { return l.size > extentSize }

func (l layout) extents() uint32 { return uint32((l.size + extentSize - 1) / extentSize) }

// extentUnits is how many units an extent has.
func (l layout) extentUnits(e uint32) int {
	return int(min(extentUnits, l.units()-int64(e)*extentUnits))
}

// unitBytes is how many bytes a unit of an extent has.
func (l layout) unitBytes(e uint32, unit int) int64 {
	return min(Unit, l.size-int64(e)*extentSize-int64(unit)*Unit)
}

// unitBlocks is how many pages of the disk a unit takes.
func (l layout) unitBlocks(e uint32, unit int) int64 {
	return (l.unitBytes(e, unit) + page - 1) / page
}

// baseBlocks is how many pages the trailer takes at least.
func (l layout) baseBlocks() int64 {
	if l.big() {
		return 1 // the rest of it are holes, or counts with its extents
	}
	return (l.total - l.sumsAt + page - 1) / page
}

// appendHeader appends the header of a version.
func appendHeader(b []byte, k Key, size int64) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, format)
	b = binary.LittleEndian.AppendUint32(b, Unit)
	b = binary.LittleEndian.AppendUint64(b, k.Object)
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	b = append(b, k.Version...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(k.Version)))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// headerLen tells from the end of a file how long its header is.
func headerLen(tail []byte) (int, error) {
	if len(tail) < headerTail {
		return 0, errHeader
	}
	n := binary.LittleEndian.Uint32(tail[len(tail)-headerTail:])
	if n > maxVersion {
		return 0, errHeader
	}
	return headerFixed + int(n) + headerTail, nil
}

// decodeHeader reads a header that is all of b.
func decodeHeader(b []byte) (k Key, size int64, err error) {
	n, err := headerLen(b)
	if err != nil || n != len(b) {
		return Key{}, 0, errHeader
	}
	check := binary.LittleEndian.Uint32(b[n-4:])
	if crc32.Checksum(b[:n-4], castagnoli) != check || string(b[:8]) != magic ||
		binary.LittleEndian.Uint32(b[8:]) != format || binary.LittleEndian.Uint32(b[12:]) != Unit {
		return Key{}, 0, errHeader
	}
	u := binary.LittleEndian.Uint64(b[24:])
	if u == 0 || u > maxSize {
		return Key{}, 0, errHeader
	}
	return Key{Object: binary.LittleEndian.Uint64(b[16:]), Version: string(b[headerFixed : n-headerTail])}, int64(u), nil
}

// decodeSums reads as many sums as dst has room for.
func decodeSums(dst []uint32, b []byte) {
	for i := range dst {
		dst[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
}

func appendSums(b []byte, sums []uint32) []byte {
	for _, s := range sums {
		b = binary.LittleEndian.AppendUint32(b, s)
	}
	return b
}

// id is what a file's name tells of its key. Different versions may share one;
// the header tells them apart.
type id struct{ object, version uint64 }

func hashVersion(v string) uint64 {
	h := sha256.Sum256([]byte(v))
	return binary.BigEndian.Uint64(h[:])
}

// folder is where all versions of an object are. Objects that were numbered
// together lie together, so that putting a folder's names on stable storage
// serves many.
func folder(object uint64) string {
	return hex.EncodeToString([]byte{byte(object >> 16)}) + "/" + hex.EncodeToString([]byte{byte(object >> 8)})
}

func (i id) name() string { return folder(i.object) + "/" + i.base() }

func (i id) base() string {
	b := make([]byte, 0, 33)
	b = hex.AppendEncode(b, binary.BigEndian.AppendUint64(nil, i.object))
	b = append(b, '-')
	return string(hex.AppendEncode(b, binary.BigEndian.AppendUint64(nil, i.version)))
}

// parseBase is the reverse of base.
func parseBase(s string) (id, bool) {
	a, b, ok := strings.Cut(s, "-")
	if !ok || len(a) != 16 || len(b) != 16 {
		return id{}, false
	}
	var raw [16]byte
	if _, err := hex.Decode(raw[:], []byte(a+b)); err != nil {
		return id{}, false
	}
	i := id{binary.BigEndian.Uint64(raw[:]), binary.BigEndian.Uint64(raw[8:])}
	return i, i.base() == s
}
