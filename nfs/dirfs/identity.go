package dirfs

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/moorage/moorage/nfs"
)

// identity is what the host tells about an object that stays the same as long
// as the object lives, and that differs for another object.
type identity struct {
	volume uint64 // the same after a restart, different for two mounted volumes
	ino    uint64
	birth  int64  // ns since 1970, 0 if the host does not know
	gen    uint32 // hash of the inode's generation, 0 if the host does not tell
	typ    nfs.FileType
}

// hash gives the id of k and a second hash of it. salt is 0, unless the id
// that this gives belongs to another object already.
func (k *identity) hash(salt byte) (nfs.ID, uint32) {
	var b [8 + 8 + 8 + 4 + 1 + 1]byte
	binary.LittleEndian.PutUint64(b[0:], k.volume)
	binary.LittleEndian.PutUint64(b[8:], k.ino)
	binary.LittleEndian.PutUint64(b[16:], uint64(k.birth))
	binary.LittleEndian.PutUint32(b[24:], k.gen)
	b[28], b[29] = byte(k.typ), salt
	sum := sha256.Sum256(b[:])
	// 63 bits, because some programs take an inode number for a signed one. A
	// million objects share an id with a probability of 5e-8, and then salt
	// keeps them apart.
	id := nfs.ID(binary.LittleEndian.Uint64(sum[:]) >> 1)
	if id == 0 {
		id = 1
	}
	return id, binary.LittleEndian.Uint32(sum[8:])
}

// idOf gives k's id and its check for the index.
func (x *index) idOf(k *identity) (nfs.ID, uint32) {
	id, first := k.hash(0)
	for salt := byte(1); ; salt++ {
		if check, ok := x.known(id); !ok || check == first || salt == 0 {
			return id, first
		}
		id, _ = k.hash(salt)
	}
}

// cookieOf is where name stands in listings: a hash, so that a place in a
// listing outlives restarts and does not move when other names come and go.
// The key keeps people from making names that collide.
func cookieOf(key *[keySize]byte, name string) uint64 {
	var b [keySize + 255]byte
	copy(b[:], key[:])
	n := keySize + copy(b[keySize:], name)
	sum := sha256.Sum256(b[:n])
	// 63 bits: clients keep cookies in an off_t. Greater than 2 by contract.
	return max(binary.LittleEndian.Uint64(sum[:])>>1, 3)
}
