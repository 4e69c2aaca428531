package memfs

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/nfs"
)

// node is one object.
type node struct {
	id           nfs.ID
	typ          nfs.FileType
	major, minor uint32
	target       string // of a symbolic link

	atime    atomic.Int64 // unix nanoseconds; apart from mu, so that reads share it
	unlinked atomic.Bool  // no name leads here; set once, under tree and mu

	dir *directory // guarded by FS.tree

	orphan orphanEntry // guarded by FS.orphans.mu

	mu           sync.RWMutex
	mode         uint32
	nlink        uint32
	uid, gid     uint32
	size         uint64
	data         pages
	charged      int64 // bytes of the quota
	mtime, ctime time.Time
	verifier     *[8]byte // of an exclusive create that no SetAttr has followed
	gone         bool     // evicted: the id is stale
}

// attr needs mu.
func (n *node) attr() nfs.Attr {
	a := nfs.Attr{
		ID: n.id, Type: n.typ, Mode: n.mode, Nlink: n.nlink, UID: n.uid, GID: n.gid,
		Size: n.size, Used: n.size, Major: n.major, Minor: n.minor,
		Atime: time.Unix(0, n.atime.Load()), Mtime: n.mtime, Ctime: n.ctime,
	}
	if n.typ == nfs.TypeRegular {
		a.Used = uint64(n.data.count) * pageSize
	}
	return a
}

// lockedAttr takes mu.
func (n *node) lockedAttr() nfs.Attr {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.attr()
}

// born sets all times.
func (n *node) born(now time.Time) {
	n.atime.Store(now.UnixNano())
	n.mtime, n.ctime = now, now
}

// changed moves ctime, also where the clock stands still: caches compare it. A
// clock that was set back counts. It needs mu.
func (n *node) changed(now time.Time) {
	if ahead := n.ctime.Sub(now); ahead >= 0 && ahead < time.Second {
		now = n.ctime.Add(1)
	}
	n.ctime = now
}

// modified moves mtime and ctime. It needs mu.
func (n *node) modified(now time.Time) {
	n.changed(now)
	n.mtime = n.ctime
}

func (n *node) accessed(now time.Time) { n.atime.Store(now.UnixNano()) }

// dropPrivileges clears the set-id bits that a change by c ends. A setgid bit
// without group execution means mandatory locking and stays, where c could have
// set it. It needs mu.
func (n *node) dropPrivileges(c *nfs.Caller) {
	n.mode &^= setuid
	if n.mode&groupExecute != 0 || c.UID != 0 && !c.In(n.gid) {
		n.mode &^= setgid
	}
}

// regular checks that the data of n can be used at all.
func (n *node) regular() error {
	switch n.typ {
	case nfs.TypeRegular:
		return nil
	case nfs.TypeDirectory:
		return nfs.ErrIsDir
	}
	return nfs.ErrInval
}

// owner reports whether c may do what only the owner may.
func owner(c *nfs.Caller, a *nfs.Attr) bool { return c.UID == 0 || c.UID == a.UID }

// mayEnter checks that c may look for names in the directory a.
func mayEnter(c *nfs.Caller, a *nfs.Attr) error {
	if a.Type != nfs.TypeDirectory {
		return nfs.ErrNotDir
	}
	if !nfs.Permits(c, a, nfs.MayExec) {
		return nfs.ErrAccess
	}
	return nil
}

// mayAdd checks that c may make names in the directory a.
func mayAdd(c *nfs.Caller, a *nfs.Attr) error {
	if !nfs.Permits(c, a, nfs.MayWrite|nfs.MayExec) {
		return nfs.ErrAccess
	}
	return nil
}

// mayDelete checks that c may take the name of child away from the directory a.
func mayDelete(c *nfs.Caller, a, child *nfs.Attr) error {
	if err := mayAdd(c, a); err != nil {
		return err
	}
	if a.Mode&sticky != 0 && !owner(c, a) && c.UID != child.UID {
		return nfs.ErrPerm
	}
	return nil
}

// checkName refuses what the server refuses already, for other callers.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return nfs.ErrInval
	case len(name) > maxName:
		return nfs.ErrNameTooLong
	}
	for i := range len(name) {
		if name[i] == '/' || name[i] == 0 {
			return nfs.ErrInval
		}
	}
	return nil
}
