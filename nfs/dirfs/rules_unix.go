//go:build linux || darwin

package dirfs

import (
	"math"

	"github.com/moorage/moorage/nfs"
)

const (
	modeSetuid uint32 = 0o4000
	modeSetgid uint32 = 0o2000
	modeSticky uint32 = 0o1000
	modePerm   uint32 = 0o7777
)

// mayRead and mayWrite include the owner's right to the data of an open file,
// and the right to read what may be executed: a client that runs a program
// pages it in with READ.
func mayRead(c *nfs.Caller, a *nfs.Attr) bool {
	return c.UID == a.UID || nfs.Permits(c, a, nfs.MayRead) || nfs.Permits(c, a, nfs.MayExec)
}

func mayWrite(c *nfs.Caller, a *nfs.Attr) bool {
	return c.UID == a.UID || nfs.Permits(c, a, nfs.MayWrite)
}

// mayDelete checks the sticky bit of dir, which is about who may remove or
// rename an entry; write permission on dir is another matter.
func mayDelete(c *nfs.Caller, dir, entry *nfs.Attr) error {
	if dir.Mode&modeSticky != 0 && c.UID != 0 && c.UID != entry.UID && c.UID != dir.UID {
		return nfs.ErrPerm
	}
	return nil
}

// mayChange checks that names of dir may be made and taken away.
func mayChange(c *nfs.Caller, dir *nfs.Attr) error {
	if !nfs.Permits(c, dir, nfs.MayWrite|nfs.MayExec) {
		return nfs.ErrAccess
	}
	return nil
}

// dataMode is the mode after c changed the data of a: an ordinary caller ends
// setuid, and setgid unless that is a lock mark which c could have set.
func dataMode(c *nfs.Caller, a *nfs.Attr) uint32 {
	mode := a.Mode
	if c.UID == 0 {
		return mode
	}
	mode &^= modeSetuid
	if mode&0o010 != 0 || !c.In(a.GID) {
		mode &^= modeSetgid
	}
	return mode
}

// checkSet decides whether c may apply set to an object with attributes a
// (chmod, chown, truncate and utimensat of POSIX), and gives the mode that is
// to be stored in place of set.Mode.
func checkSet(c *nfs.Caller, a *nfs.Attr, set *nfs.SetAttr) (mode uint32, err error) {
	owner := c.UID == 0 || c.UID == a.UID
	gid := a.GID
	if set.Valid&nfs.SetUID != 0 && c.UID != 0 && (!owner || set.UID != a.UID) {
		return 0, nfs.ErrPerm
	}
	if set.Valid&nfs.SetGID != 0 {
		if c.UID != 0 && (!owner || set.GID != a.GID && !c.In(set.GID)) {
			return 0, nfs.ErrPerm
		}
		gid = set.GID
	}
	if set.Valid&nfs.SetMode != 0 {
		if !owner {
			return 0, nfs.ErrPerm
		}
		mode = set.Mode & modePerm
		if c.UID != 0 && !c.In(gid) {
			mode &^= modeSetgid
		}
	}
	if set.Valid&nfs.SetSize != 0 {
		switch {
		case a.Type == nfs.TypeDirectory:
			return 0, nfs.ErrIsDir
		case a.Type != nfs.TypeRegular:
			return 0, nfs.ErrInval
		case !mayWrite(c, a):
			return 0, nfs.ErrAccess
		case set.Size > math.MaxInt64:
			return 0, nfs.ErrFBig
		}
	}
	if set.Valid&(nfs.SetAtime|nfs.SetMtime) != 0 && !owner {
		return 0, nfs.ErrPerm
	}
	if set.Valid&(nfs.SetAtimeNow|nfs.SetMtimeNow) != 0 && !owner && !nfs.Permits(c, a, nfs.MayWrite) {
		return 0, nfs.ErrAccess
	}
	return mode, nil
}

// birth says what a new object has to look like.
type birth struct {
	uid, gid, mode uint32
}

// newborn decides the owner and the mode of an object that c makes in dir.
func newborn(c *nfs.Caller, dir *nfs.Attr, typ nfs.FileType, set *nfs.SetAttr, mode uint32) (birth, error) {
	b := birth{uid: c.UID, gid: c.GID, mode: mode}
	if set.Valid&nfs.SetMode != 0 {
		b.mode = set.Mode & modePerm
	}
	if dir.Mode&modeSetgid != 0 {
		b.gid = dir.GID
	}
	if set.Valid&nfs.SetUID != 0 {
		if c.UID != 0 && set.UID != c.UID {
			return b, nfs.ErrPerm
		}
		b.uid = set.UID
	}
	if set.Valid&nfs.SetGID != 0 {
		if c.UID != 0 && set.GID != b.gid && !c.In(set.GID) {
			return b, nfs.ErrPerm
		}
		b.gid = set.GID
	}
	if c.UID != 0 && b.mode&0o010 != 0 && !c.In(b.gid) {
		b.mode &^= modeSetgid
	}
	if typ == nfs.TypeDirectory && dir.Mode&modeSetgid != 0 {
		b.mode |= modeSetgid
	}
	return b, nil
}
