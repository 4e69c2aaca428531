//go:build linux || darwin

package dirfs

import (
	"context"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// wcc tells the attributes after a change. There are no attributes before: see
// the package comment.
func (f *FS) wcc(id nfs.ID, d *desc) nfs.WCC {
	if d == nil {
		return nfs.WCC{}
	}
	a, err := f.attr(id, d)
	if err != nil {
		return nfs.WCC{}
	}
	return nfs.WCC{After: a}
}

// syncObject puts an object and its attributes on stable storage.
func (f *FS) syncObject(id nfs.ID, d *desc) error {
	if d.vol.memory {
		return nil
	}
	return f.syncs.do(syncKey{id: id}, func() error {
		if d.can != 0 {
			return tolerant(fsync(d.fd))
		}
		s, err := statFD(d.fd, false)
		if err == nil && (s.attr.Type == nfs.TypeRegular || s.attr.Type == nfs.TypeDirectory) {
			if r, err := f.open(id, d, canRead); err == nil {
				defer f.fds.release(r)
				return tolerant(fsync(r.fd))
			}
		}
		// Not to be opened: a symbolic link, a special node, a mode without read.
		return tolerant(syncVolume(f.rootDesc.fd, d.vol == f.rootDesc.vol))
	})
}

// tolerant takes the word of a file system that has nothing to sync.
func tolerant(err error) error {
	if err == unix.EINVAL || err == unix.EROFS || err == unix.ENOTSUP {
		return nil
	}
	return err
}

// Write implements nfs.Writer.
func (f *FS) Write(ctx context.Context, c *nfs.Caller, id nfs.ID, p []byte, off uint64, want nfs.Stable) (nfs.Stable, nfs.WCC, error) {
	if f.readOnly {
		return 0, nfs.WCC{}, nfs.ErrROFS
	}
	d, a, err := f.regular(ctx, id)
	if err != nil {
		return 0, nfs.WCC{}, err
	}
	defer f.fds.release(d)
	if err := f.write(c, id, d, &a, p, off, want); err != nil {
		return 0, f.wcc(id, d), fmt.Errorf("write: %w", err)
	}
	return want, f.wcc(id, d), nil
}

func (f *FS) write(c *nfs.Caller, id nfs.ID, d *desc, a *nfs.Attr, p []byte, off uint64, want nfs.Stable) error {
	if !mayWrite(c, a) {
		return nfs.ErrAccess
	}
	if off > math.MaxInt64 || uint64(len(p)) > math.MaxInt64-off {
		return nfs.ErrFBig
	}
	w, err := f.openData(id, d, canWrite, false)
	if err != nil {
		return err
	}
	defer f.fds.release(w)
	if mode := dataMode(c, a); mode != a.Mode && len(p) > 0 {
		if err := chmodFD(w, mode); err != nil {
			return err
		}
	}
	for done := 0; done < len(p); {
		n := 0
		err := f.withSpace(func() (err error) {
			n, err = unix.Pwrite(w.fd, p[done:], int64(off)+int64(done))
			return err
		})
		if err != nil {
			return err
		}
		done += n
	}
	switch want {
	case nfs.Unstable:
		return nil
	case nfs.DataSync:
		if w.vol.memory {
			return nil
		}
		return f.syncs.do(syncKey{id, true}, func() error { return fdatasync(w.fd) })
	}
	return f.syncObject(id, w)
}

// withSpace makes a call again when there is no space, but some that files
// without a name hold.
func (f *FS) withSpace(call func() error) error {
	err := ignoringEINTR(call)
	if (err == unix.ENOSPC || err == unix.EDQUOT) && f.fds.dropOrphans() {
		err = ignoringEINTR(call)
	}
	return err
}

// Commit implements nfs.Writer.
func (f *FS) Commit(ctx context.Context, c *nfs.Caller, id nfs.ID, _ uint64, _ uint32) (nfs.WCC, error) {
	d, a, err := f.regular(ctx, id)
	if err != nil {
		return nfs.WCC{}, err
	}
	defer f.fds.release(d)
	if !mayWrite(c, &a) {
		return f.wcc(id, d), nfs.ErrAccess
	}
	if err := f.syncObject(id, d); err != nil {
		return f.wcc(id, d), fmt.Errorf("commit: %w", err)
	}
	return f.wcc(id, d), nil
}

// SetAttr implements nfs.AttrSetter.
func (f *FS) SetAttr(ctx context.Context, c *nfs.Caller, id nfs.ID, set nfs.SetAttr, guard *time.Time) (nfs.WCC, error) {
	if f.readOnly {
		return nfs.WCC{}, nfs.ErrROFS
	}
	d, _, err := f.object(ctx, id)
	if err != nil {
		return nfs.WCC{}, err
	}
	defer f.fds.release(d)
	unlock := f.locks.lock(id)
	defer unlock()
	a, err := f.attr(id, d) // again: under the lock it is what guard is compared with
	if err != nil {
		return nfs.WCC{}, err
	}
	if guard != nil {
		// An earlier process that began this has moved ctime itself.
		if _, ok := f.replies.unfinished(c.Call); !ok && !guard.Equal(a.Ctime) {
			return f.wcc(id, d), nfs.ErrNotSync
		}
	}
	if set.Valid == 0 {
		return f.wcc(id, d), nil
	}
	end := func(error) {}
	if guard != nil {
		end = f.replies.begin(c.Call, id, f.now())
	}
	err = f.setAttr(c, id, d, &a, &set)
	end(err)
	if err != nil {
		return f.wcc(id, d), fmt.Errorf("set attributes: %w", err)
	}
	return f.wcc(id, d), nil
}

func (f *FS) setAttr(c *nfs.Caller, id nfs.ID, d *desc, a *nfs.Attr, set *nfs.SetAttr) error {
	mode, err := checkSet(c, a, set)
	if err != nil {
		return err
	}
	const byOwner = nfs.SetMode | nfs.SetUID | nfs.SetGID | nfs.SetAtime | nfs.SetMtime
	if set.Valid&byOwner != 0 && f.host.UID != 0 && f.host.UID != a.UID {
		return unix.EPERM // the host would say so, halfway
	}
	if f.virgins.lost(id) {
		// The verifier goes: its times are nobody's.
		if set.Valid&nfs.SetAtime == 0 {
			set.Valid |= nfs.SetAtimeNow
		}
		if set.Valid&nfs.SetMtime == 0 {
			set.Valid |= nfs.SetMtimeNow
		}
	}
	back := func() {}
	if set.Valid&(nfs.SetUID|nfs.SetGID) != 0 {
		uid, gid := a.UID, a.GID
		if set.Valid&nfs.SetUID != 0 {
			uid = set.UID
		}
		if set.Valid&nfs.SetGID != 0 {
			gid = set.GID
		}
		if err := chownFD(d, int(uid), int(gid)); err != nil {
			return err
		}
		back = func() {
			_ = chownFD(d, int(a.UID), int(a.GID))
			_ = chmodFD(d, a.Mode)
		}
	}
	if set.Valid&nfs.SetSize != 0 {
		if err := f.truncate(c, id, d, a, set.Size); err != nil {
			back()
			return err
		}
	}
	if set.Valid&nfs.SetMode != 0 && a.Type != nfs.TypeSymlink {
		if err := chmodFD(d, mode); err != nil {
			back()
			return err
		}
	}
	if ts, any := timesOf(set); any {
		if err := utimesFD(d, ts); err != nil {
			back()
			return err
		}
	}
	return f.syncObject(id, d)
}

func (f *FS) truncate(c *nfs.Caller, id nfs.ID, d *desc, a *nfs.Attr, size uint64) error {
	w, err := f.openData(id, d, canWrite, true)
	if err != nil {
		return err
	}
	defer f.fds.release(w)
	if mode := dataMode(c, a); mode != a.Mode {
		if err := chmodFD(w, mode); err != nil {
			return err
		}
	}
	return f.withSpace(func() error { return unix.Ftruncate(w.fd, int64(size)) })
}

// timesOf gives what utimensat wants.
func timesOf(set *nfs.SetAttr) (ts [2]unix.Timespec, any bool) {
	one := func(at, now nfs.SetMask, t time.Time) unix.Timespec {
		switch {
		case set.Valid&at != 0:
			any = true
			ts, err := unix.TimeToTimespec(t)
			if err != nil {
				return unix.Timespec{Nsec: utimeOmit}
			}
			return ts
		case set.Valid&now != 0:
			any = true
			return unix.Timespec{Nsec: utimeNow}
		}
		return unix.Timespec{Nsec: utimeOmit}
	}
	ts[0] = one(nfs.SetAtime, nfs.SetAtimeNow, set.Atime)
	ts[1] = one(nfs.SetMtime, nfs.SetMtimeNow, set.Mtime)
	return ts, any
}
