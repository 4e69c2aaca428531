//go:build linux || darwin

package dirfs

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// volume is a file system of the host, mounted at or in the folder.
type volume struct {
	id       uint64 // in identities
	fsid     uint64 // as the host tells it, the same after a restart; 0 if it tells none
	dev      uint64
	mount    mountKey
	entered  bool // false: only shown
	remote   bool // asking for attributes can mean to ask a server
	handles  bool // inode handles tell the generation
	byName   bool // inode numbers do not last
	accuracy time.Duration
	memory   bool        // nothing outlives the power, and nothing is synced
	ordered  atomic.Bool // positions in directories serve as cookies

	properties nfs.Properties
}

// volumes knows the volumes that were met.
type volumes struct {
	mu  sync.RWMutex
	all map[mountKey]*volume
}

// of gives the volume that the object behind fd is on; root is set for the
// folder itself.
func (t *volumes) of(fd int, s *hostStat, root bool) (*volume, error) {
	t.mu.RLock()
	v := t.all[s.mount]
	t.mu.RUnlock()
	if v != nil {
		return v, nil
	}
	v, err := describeVolume(fd, s, root)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[mountKey]*volume)
	}
	if old := t.all[s.mount]; old != nil {
		return old, nil
	}
	v.id = v.fsid
	if v.fsid == 0 {
		v.id = mix(1, v.dev)
	}
	for _, other := range t.all {
		switch {
		case other.dev == v.dev && other.entered == v.entered && other.fsid == v.fsid:
			// The same volume, mounted once more.
			t.all[s.mount] = other
			return other, nil
		case other.id == v.id:
			// A copy of a volume, with its id. The one met first keeps it.
			v.id = mix(v.fsid, v.dev)
		}
	}
	v.mount = s.mount
	t.all[s.mount] = v
	return v, nil
}

func mix(a, b uint64) uint64 {
	var p [16]byte
	binary.LittleEndian.PutUint64(p[:], a)
	binary.LittleEndian.PutUint64(p[8:], b)
	sum := sha256.Sum256(p[:])
	return binary.LittleEndian.Uint64(sum[:])
}

func typeOf(mode uint32) nfs.FileType {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nfs.TypeRegular
	case unix.S_IFDIR:
		return nfs.TypeDirectory
	case unix.S_IFLNK:
		return nfs.TypeSymlink
	case unix.S_IFBLK:
		return nfs.TypeBlock
	case unix.S_IFCHR:
		return nfs.TypeChar
	case unix.S_IFIFO:
		return nfs.TypeFIFO
	case unix.S_IFSOCK:
		return nfs.TypeSocket
	}
	return 0
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func openat(dirfd int, name string, flags int) (fd int, err error) {
	err = ignoringEINTR(func() (err error) {
		fd, err = unix.Openat(dirfd, name, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		return err
	})
	return fd, err
}
