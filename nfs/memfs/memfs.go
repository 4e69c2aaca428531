// Package memfs is a complete writable file system in memory. It is the
// reference for the contract of [nfs.FileSystem]: it implements every optional
// interface of package nfs and follows POSIX as Linux's own file systems do.
//
// Memory is bounded: data, names, directories and nodes all count against
// [Options.Quota]. Files are sparse, in pages of 4 KiB.
//
// # Locks
//
// FS.tree guards which names lead where: the tables of all directories and
// their parents. node.mu guards the attributes and the data of one object. The
// order is tree, then node.mu, then orphans.mu. Who holds more than one node.mu
// holds tree exclusively, so that no order among nodes is needed. Reading and
// writing data take node.mu alone.
package memfs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/nfs"
)

// What Options means where it says nothing.
const (
	DefaultQuota    = 1 << 30
	DefaultMaxFiles = 1 << 20
	DefaultLinkMax  = 65000
	// DefaultRetain is that of package dirfs: kernels keep a name for what they
	// have open, so that only other clients need what has none, and nobody
	// expects that what was removed takes memory for long.
	DefaultRetain = time.Minute
)

// What an object and a name cost beside their bytes: about the memory they take.
const (
	nodeCost = 512
	nameCost = 128
)

const (
	maxFileSize  = math.MaxInt64
	maxName      = 255
	maxOrphans   = 4096
	firstCookie  = 3
	rootID       = nfs.ID(1)
	permBits     = 0o7777
	setuid       = 0o4000
	setgid       = 0o2000
	sticky       = 0o1000
	groupExecute = 0o010
)

// Options describe a file system. The zero value is usable: an empty root that
// belongs to uid 0, with the defaults above.
type Options struct {
	UID, GID uint32 // owner of the root directory
	Mode     uint32 // of the root directory; 0 means 0755

	// Quota is how many bytes data, names and objects may take together; 0
	// means DefaultQuota. What does not fit fails with nfs.ErrNoSpace.
	Quota int64
	// MaxFiles is how many objects there may be; 0 means DefaultMaxFiles.
	MaxFiles int64
	// LinkMax is how many names a file may have; 0 means DefaultLinkMax.
	LinkMax uint32
	// Retain is for how long after its last use an object without a name
	// stays usable by its id; 0 means DefaultRetain. It goes earlier when its
	// space is needed. Such objects do not count as used space in StatFS.
	Retain time.Duration
	// Clock tells the time of changes; nil means time.Now.
	Clock func() time.Time
}

// FS is a file system in memory. Create one with [New].
type FS struct {
	clock    func() time.Time
	quota    int64
	maxFiles int64
	linkMax  uint32
	retain   time.Duration

	lastID atomic.Uint64
	nodes  sync.Map // nfs.ID → *node, every object that can be reached by id
	root   *node

	tree sync.RWMutex // see the package comment

	bytes, files             atomic.Int64 // charged, unlinked objects included
	orphanBytes, orphanFiles atomic.Int64 // the part of unlinked objects
	orphans                  orphans
}

var (
	_ nfs.FileSystem    = (*FS)(nil)
	_ nfs.AttrSetter    = (*FS)(nil)
	_ nfs.Writer        = (*FS)(nil)
	_ nfs.Creator       = (*FS)(nil)
	_ nfs.Symlinker     = (*FS)(nil)
	_ nfs.NodeMaker     = (*FS)(nil)
	_ nfs.Remover       = (*FS)(nil)
	_ nfs.Renamer       = (*FS)(nil)
	_ nfs.Linker        = (*FS)(nil)
	_ nfs.AccessChecker = (*FS)(nil)
	_ nfs.Describer     = (*FS)(nil)
)

// New makes an empty file system. Its root always has the same id, so that a
// mount goes on over a restart; other ids begin at a random place, so that a
// handle from before a restart never names another object.
func New(o Options) *FS {
	f := &FS{clock: o.Clock, quota: o.Quota, maxFiles: o.MaxFiles, linkMax: o.LinkMax, retain: o.Retain}
	if f.clock == nil {
		f.clock = time.Now
	}
	if f.quota <= 0 {
		f.quota = DefaultQuota
	}
	if f.maxFiles <= 0 {
		f.maxFiles = DefaultMaxFiles
	}
	if f.linkMax == 0 {
		f.linkMax = DefaultLinkMax
	}
	if f.retain <= 0 {
		f.retain = DefaultRetain
	}
	var seed [8]byte
	rand.Read(seed[:]) // never fails (crypto/rand)
	f.lastID.Store(binary.BigEndian.Uint64(seed[:])>>2 | 1<<32)
	mode := o.Mode & permBits
	if mode == 0 {
		mode = 0o755
	}
	f.root = &node{id: rootID, typ: nfs.TypeDirectory, mode: mode, uid: o.UID, gid: o.GID, nlink: 2, charged: nodeCost}
	f.root.dir = newDirectory(f.root)
	f.root.born(f.clock())
	f.bytes.Store(nodeCost)
	f.files.Store(1)
	f.nodes.Store(rootID, f.root)
	return f
}

// Root implements [nfs.FileSystem].
func (f *FS) Root() nfs.ID { return rootID }

// Properties implements [nfs.Describer].
func (f *FS) Properties() nfs.Properties {
	return nfs.Properties{
		MaxFileSize: maxFileSize, TimeDelta: time.Nanosecond, LinkMax: f.linkMax, NameMax: maxName,
		CasePreserving: true, ChownRestricted: true, HardLinks: true, Symlinks: true,
	}
}

// StatFS implements [nfs.FileSystem]. Space of unlinked objects counts as free,
// because it is given up when it is needed.
func (f *FS) StatFS(_ context.Context, _ *nfs.Caller, id nfs.ID) (nfs.FSStat, error) {
	if _, err := f.node(id); err != nil {
		return nfs.FSStat{}, err
	}
	f.expire()
	free := max(f.quota-(f.bytes.Load()-f.orphanBytes.Load()), 0)
	files := max(f.maxFiles-(f.files.Load()-f.orphanFiles.Load()), 0)
	return nfs.FSStat{
		TotalBytes: uint64(f.quota), FreeBytes: uint64(free), AvailBytes: uint64(free),
		TotalFiles: uint64(f.maxFiles), FreeFiles: uint64(files), AvailFiles: uint64(files),
	}, nil
}

// node finds an object by id and notes that it is in use.
func (f *FS) node(id nfs.ID) (*node, error) {
	v, ok := f.nodes.Load(id)
	if !ok {
		return nil, nfs.ErrStale
	}
	n := v.(*node)
	if n.unlinked.Load() {
		f.orphans.use(n, f.clock())
	}
	return n, nil
}

// reserve charges bytes and files, or fails with ErrNoSpace and charges
// nothing. Unlinked objects that nobody is using right now make room.
func (f *FS) reserve(bytes, files int64) error {
	for {
		if grow(&f.bytes, bytes, f.quota) {
			if grow(&f.files, files, f.maxFiles) {
				return nil
			}
			f.bytes.Add(-bytes)
		}
		if !f.evict() {
			return nfs.ErrNoSpace
		}
	}
}

// grow adds n to sum unless that exceeds limit.
func grow(sum *atomic.Int64, n, limit int64) bool {
	for {
		old := sum.Load()
		if n > 0 && old+n > limit {
			return false
		}
		if sum.CompareAndSwap(old, old+n) {
			return true
		}
	}
}

// charge books bytes on n, which is locked. The caller has reserved them;
// negative bytes are given back.
func (f *FS) charge(n *node, bytes int64) {
	n.charged += bytes
	if n.unlinked.Load() {
		f.orphanBytes.Add(bytes)
	}
	if bytes < 0 {
		f.bytes.Add(bytes)
	}
}
