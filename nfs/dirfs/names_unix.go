//go:build linux || darwin

package dirfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// change opens dir for a change of the name in it.
func (f *FS) change(ctx context.Context, dir nfs.ID, name string) (*desc, nfs.Attr, error) {
	if f.readOnly {
		return nil, nfs.Attr{}, nfs.ErrROFS
	}
	d, da, err := f.dir(ctx, dir)
	if err != nil {
		return nil, da, err
	}
	if err = checkName(name); err != nil {
		f.fds.release(d)
		return nil, da, err
	}
	return d, da, nil
}

// Create implements nfs.Creator.
func (f *FS) Create(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, how nfs.CreateHow) (nfs.Attr, nfs.WCC, error) {
	d, da, err := f.change(ctx, dir, name)
	if err != nil {
		return nfs.Attr{}, nfs.WCC{}, err
	}
	defer f.fds.release(d)
	defer f.index.flush()
	a, err := f.create(c, dir, d, &da, name, &how)
	if err != nil {
		return nfs.Attr{}, f.wcc(dir, d), fmt.Errorf("create file: %w", err)
	}
	return a, f.wcc(dir, d), nil
}

func (f *FS) create(c *nfs.Caller, dir nfs.ID, d *desc, da *nfs.Attr, name string, how *nfs.CreateHow) (nfs.Attr, error) {
	if !nfs.Permits(c, da, nfs.MayExec) {
		return nfs.Attr{}, nfs.ErrAccess
	}
	for range 8 {
		f.unborn.wait(dir, name)
		_, ok, err := f.identifyName(d, name)
		var cd *desc
		var o object
		if !ok || err != unix.ENOENT {
			cd, o, err = f.childNow(dir, d, name)
		}
		if err == nil {
			if in, ok := f.replies.unfinished(c.Call); ok && in.made(&o, nfs.TypeRegular, d.vol) {
				return f.createAgain(c, dir, d, da, name, how, cd)
			}
			return f.createExisting(c, dir, d, name, how, cd, &o)
		}
		if err != unix.ENOENT {
			return nfs.Attr{}, err
		}
		a, err := f.createNew(c, dir, d, da, name, how)
		if err != unix.EEXIST {
			return a, err
		}
		// Made beside us a moment ago.
	}
	return nfs.Attr{}, nfs.ErrJukebox
}

// createExisting answers a create whose name is there, as cd.
func (f *FS) createExisting(c *nfs.Caller, dir nfs.ID, d *desc, name string, how *nfs.CreateHow, cd *desc, o *object) (nfs.Attr, error) {
	a := o.attr
	regular := a.Type == nfs.TypeRegular && cd.vol.entered
	ok := regular && how.Mode == nfs.Unchecked
	if regular && how.Mode == nfs.Exclusive {
		at, mt := verifierTimes(how.Verifier)
		ok = a.Size == 0 && a.Atime.Equal(at) && a.Mtime.Equal(mt)
	}
	if !ok {
		unix.Close(cd.fd)
		return nfs.Attr{}, nfs.ErrExist
	}
	f.keep(dir, name, cd, o)
	if how.Mode == nfs.Exclusive {
		// The first try may have died before this.
		return a, f.syncObject(dir, d)
	}
	if how.Set.Valid&nfs.SetSize == 0 {
		return a, nil
	}
	td, _ := f.fds.pin(a.ID)
	if td == nil {
		return nfs.Attr{}, nfs.ErrJukebox
	}
	defer f.fds.release(td)
	unlock := f.locks.lock(a.ID)
	defer unlock()
	if err := f.setAttr(c, a.ID, td, &a, &nfs.SetAttr{Valid: nfs.SetSize, Size: how.Set.Size}); err != nil {
		return nfs.Attr{}, err
	}
	return f.attr(a.ID, td)
}

// createNew makes a regular file; unix.EEXIST says that the name is there.
func (f *FS) createNew(c *nfs.Caller, dir nfs.ID, d *desc, da *nfs.Attr, name string, how *nfs.CreateHow) (a nfs.Attr, err error) {
	if err := mayChange(c, da); err != nil {
		return nfs.Attr{}, err
	}
	n, err := newFile(c, da, how)
	if err != nil {
		return nfs.Attr{}, err
	}
	born := f.unborn.begin(dir, name)
	defer born()
	end := f.replies.begin(c.Call, 0, f.now())
	defer func() { end(err) }()
	// Without a mode, nobody can open it until it has its owner.
	var fd int
	for {
		err = f.withSpace(func() (err error) {
			fd, err = unix.Openat(d.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			return err
		})
		if (err != unix.EMFILE && err != unix.ENFILE) || !f.fds.shrink() {
			break
		}
	}
	if err != nil {
		return nfs.Attr{}, err
	}
	return f.settleFile(dir, d, name, fd, n, 0, born)
}

// freshFile says what a new regular file has to look like.
type freshFile struct {
	birth
	set       nfs.SetAttr
	exclusive bool
}

func newFile(c *nfs.Caller, da *nfs.Attr, how *nfs.CreateHow) (n freshFile, err error) {
	mode := uint32(0o644)
	n.set, n.exclusive = how.Set, how.Mode == nfs.Exclusive
	if n.exclusive {
		n.set, mode = nfs.SetAttr{Valid: nfs.SetAtime | nfs.SetMtime}, 0o600
		n.set.Atime, n.set.Mtime = verifierTimes(how.Verifier)
	}
	if n.set.Valid&nfs.SetSize != 0 && n.set.Size > math.MaxInt64 {
		return n, nfs.ErrFBig
	}
	n.birth, err = newborn(c, da, nfs.TypeRegular, &n.set, mode)
	return n, err
}

// settleFile is settle for a regular file that is open as fd.
func (f *FS) settleFile(dir nfs.ID, d *desc, name string, fd int, n freshFile, rmflag int, born func()) (nfs.Attr, error) {
	size := func() error {
		if n.set.Valid&nfs.SetSize == 0 || n.set.Size == 0 {
			return nil
		}
		return f.withSpace(func() error { return unix.Ftruncate(fd, int64(n.set.Size)) })
	}
	a, err := f.settle(dir, d, name, &desc{fd: fd, can: canRead | canWrite}, &n.birth, &n.set, size, rmflag, born)
	if err == nil && n.exclusive {
		f.virgins.born(a.ID)
	}
	return a, err
}

// settle gives a new object, open as cd, its owner, mode and times, and puts it
// on stable storage; or takes it away again. more is done between the owner and
// the mode; born shows it to other calls.
func (f *FS) settle(dir nfs.ID, d *desc, name string, cd *desc, b *birth, set *nfs.SetAttr, more func() error, rmflag int, born func()) (nfs.Attr, error) {
	o, err := f.examineIn(dir, name, cd)
	if err == nil && (o.attr.UID != b.uid || o.attr.GID != b.gid) {
		err = chownFD(cd, int(b.uid), int(b.gid))
	}
	if err == nil && more != nil {
		err = more()
	}
	if err == nil && o.attr.Type != nfs.TypeSymlink {
		err = chmodFD(cd, b.mode)
	}
	if ts, any := timesOf(set); err == nil && any {
		err = utimesFD(cd, ts)
	}
	if err != nil {
		unix.Close(cd.fd)
		if rmflag >= 0 {
			_ = unix.Unlinkat(d.fd, name, rmflag)
		}
		return nfs.Attr{}, err
	}
	born()
	f.note(dir, name, &o)
	id := o.attr.ID
	cd = f.fds.add(id, cd, o.attr.Type == nfs.TypeRegular)
	defer f.fds.release(cd)
	if err := f.syncName(id, cd, o.attr.Type, dir, d); err != nil {
		return nfs.Attr{}, err
	}
	return f.attr(id, cd)
}

// syncName syncs an object that got a name, and the directory with the name. At
// the same time, because file systems with a journal commit both in one go. A
// symbolic link or a special node is on stable storage with its directory.
func (f *FS) syncName(id nfs.ID, d *desc, typ nfs.FileType, dir nfs.ID, dd *desc) error {
	if dd.vol.memory {
		return nil
	}
	if typ != nfs.TypeRegular && typ != nfs.TypeDirectory {
		return f.syncObject(dir, dd)
	}
	object := make(chan error, 1)
	go func() { object <- f.syncObject(id, d) }()
	err := f.syncObject(dir, dd)
	return errors.Join(err, <-object)
}

// Mkdir implements nfs.Creator.
func (f *FS) Mkdir(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	return f.make(ctx, c, dir, name, nfs.TypeDirectory, &set, 0o755, func(dirfd int) error {
		return unix.Mkdirat(dirfd, name, 0o700)
	})
}

// Symlink implements nfs.Symlinker.
func (f *FS) Symlink(ctx context.Context, c *nfs.Caller, dir nfs.ID, name, target string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	switch {
	case target == "":
		return nfs.Attr{}, nfs.WCC{}, nfs.ErrInval
	case len(target) > nfs.MaxTarget:
		return nfs.Attr{}, nfs.WCC{}, nfs.ErrNameTooLong
	}
	return f.make(ctx, c, dir, name, nfs.TypeSymlink, &set, 0o777, func(dirfd int) error {
		return unix.Symlinkat(target, dirfd, name)
	})
}

// Mknod implements nfs.NodeMaker.
func (f *FS) Mknod(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, typ nfs.FileType, set nfs.SetAttr, major, minor uint32) (nfs.Attr, nfs.WCC, error) {
	mode, ok := map[nfs.FileType]uint32{
		nfs.TypeBlock: unix.S_IFBLK, nfs.TypeChar: unix.S_IFCHR, nfs.TypeSocket: unix.S_IFSOCK, nfs.TypeFIFO: unix.S_IFIFO,
	}[typ]
	switch {
	case !ok:
		return nfs.Attr{}, nfs.WCC{}, nfs.ErrBadType
	case (typ == nfs.TypeBlock || typ == nfs.TypeChar) && c.UID != 0:
		return nfs.Attr{}, nfs.WCC{}, nfs.ErrPerm
	}
	return f.make(ctx, c, dir, name, typ, &set, 0o644, func(dirfd int) error {
		return mknodAt(dirfd, name, mode, major, minor)
	})
}

// make makes an object that is no regular file.
func (f *FS) make(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, typ nfs.FileType, set *nfs.SetAttr, mode uint32, call func(dirfd int) error) (nfs.Attr, nfs.WCC, error) {
	d, da, err := f.change(ctx, dir, name)
	if err != nil {
		return nfs.Attr{}, nfs.WCC{}, err
	}
	defer f.fds.release(d)
	defer f.index.flush()
	a, err := f.makeIn(c, dir, d, &da, name, typ, set, mode, call)
	if err != nil {
		return nfs.Attr{}, f.wcc(dir, d), fmt.Errorf("create: %w", err)
	}
	return a, f.wcc(dir, d), nil
}

func (f *FS) makeIn(c *nfs.Caller, dir nfs.ID, d *desc, da *nfs.Attr, name string, typ nfs.FileType, set *nfs.SetAttr, mode uint32, call func(dirfd int) error) (a nfs.Attr, err error) {
	rmflag := 0
	if typ == nfs.TypeDirectory {
		rmflag = unix.AT_REMOVEDIR
	}
	b, err := newborn(c, da, typ, set, mode)
	if err != nil {
		return nfs.Attr{}, err
	}
	if in, ok := f.replies.unfinished(c.Call); ok {
		cd, o, err := f.child(dir, d, name)
		if err == nil && in.made(&o, typ, d.vol) {
			return f.settle(dir, d, name, cd, &b, set, nil, notOurs, func() {})
		}
		if err == nil {
			unix.Close(cd.fd)
		}
	}
	if err := f.mayMake(c, d, da, name); err != nil {
		return nfs.Attr{}, err
	}
	born := f.unborn.begin(dir, name)
	defer born()
	end := f.replies.begin(c.Call, 0, f.now())
	defer func() { end(err) }()
	begin := time.Now()
	if err = f.withSpace(func() error { return call(d.fd) }); err != nil {
		return nfs.Attr{}, err
	}
	cd, o, err := f.childNow(dir, d, name)
	if err != nil {
		return nfs.Attr{}, err
	}
	// Something beside us may have put another object in the place of ours,
	// which must not be given to the caller.
	young := o.birth == 0 || o.birth > begin.Add(-2*coarseTimeFAT).UnixNano()
	if o.attr.Type != typ || o.attr.UID != f.host.UID || !young {
		unix.Close(cd.fd)
		return nfs.Attr{}, nfs.ErrJukebox
	}
	return f.settle(dir, d, name, cd, &b, set, nil, rmflag, born)
}

// mayMake checks that c may make name in d. As in the kernel, what a name that
// is there means comes before the permission to write.
func (f *FS) mayMake(c *nfs.Caller, d *desc, da *nfs.Attr, name string) error {
	if !nfs.Permits(c, da, nfs.MayExec) {
		return nfs.ErrAccess
	}
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		return nfs.ErrExist
	}
	return mayChange(c, da)
}

// Link implements nfs.Linker.
func (f *FS) Link(ctx context.Context, c *nfs.Caller, id nfs.ID, dir nfs.ID, name string) (nfs.Attr, nfs.WCC, error) {
	d, da, err := f.change(ctx, dir, name)
	if err != nil {
		return nfs.Attr{}, nfs.WCC{}, err
	}
	defer f.fds.release(d)
	defer f.index.flush()
	a, err := f.link(ctx, c, id, dir, d, &da, name)
	if err != nil {
		return a, f.wcc(dir, d), fmt.Errorf("link: %w", err)
	}
	return a, f.wcc(dir, d), nil
}

func (f *FS) link(ctx context.Context, c *nfs.Caller, id nfs.ID, dir nfs.ID, d *desc, da *nfs.Attr, name string) (nfs.Attr, error) {
	od, a, err := f.object(ctx, id)
	if err != nil {
		return a, err
	}
	defer f.fds.release(od)
	if _, ok := f.replies.unfinished(c.Call); ok {
		if done, err := f.means(dir, d, name, id); err == nil && done {
			if err := f.syncName(id, od, a.Type, dir, d); err != nil {
				return a, err
			}
			return f.attr(id, od)
		}
	}
	if err := f.mayMake(c, d, da, name); err != nil {
		return a, err
	}
	if a.Type == nfs.TypeDirectory {
		return a, nfs.ErrIsDir
	}
	end := f.replies.begin(c.Call, id, f.now())
	err = f.withSpace(func() error { return linkFD(od, d.fd, name) })
	end(err)
	f.watches.forget()
	if err != nil {
		return a, err
	}
	cd, o, err := f.child(dir, d, name)
	if err == nil {
		f.keep(dir, name, cd, &o)
	}
	if err := f.syncName(id, od, a.Type, dir, d); err != nil {
		return a, err
	}
	return f.attr(id, od)
}

// Remove implements nfs.Remover.
func (f *FS) Remove(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	return f.remove(ctx, c, dir, name, 0)
}

// Rmdir implements nfs.Remover.
func (f *FS) Rmdir(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string) (nfs.WCC, error) {
	return f.remove(ctx, c, dir, name, unix.AT_REMOVEDIR)
}

func (f *FS) remove(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, flag int) (nfs.WCC, error) {
	d, da, err := f.change(ctx, dir, name)
	if err != nil {
		return nfs.WCC{}, err
	}
	defer f.fds.release(d)
	defer f.index.flush()
	if err := f.removeIn(c, dir, d, &da, name, flag); err != nil {
		return f.wcc(dir, d), fmt.Errorf("remove: %w", err)
	}
	return f.wcc(dir, d), nil
}

func (f *FS) removeIn(c *nfs.Caller, dir nfs.ID, d *desc, da *nfs.Attr, name string, flag int) error {
	if !nfs.Permits(c, da, nfs.MayExec) {
		return nfs.ErrAccess
	}
	if in, ok := f.replies.unfinished(c.Call); ok {
		if there, err := f.means(dir, d, name, in.id); err != nil {
			return err
		} else if !there {
			return f.syncObject(dir, d)
		}
	}
	v, err := f.victim(dir, d, name)
	if err != nil {
		return err
	}
	defer f.fds.release(v.desc)
	if err := mayChange(c, da); err != nil {
		return err
	}
	if err := mayDelete(c, da, &v.attr); err != nil {
		return err
	}
	switch isDir := v.attr.Type == nfs.TypeDirectory; {
	case isDir && flag == 0:
		return nfs.ErrIsDir
	case !isDir && flag != 0:
		return nfs.ErrNotDir
	}
	end := f.replies.begin(c.Call, v.id, f.now())
	err = ignoringEINTR(func() error { return unix.Unlinkat(d.fd, name, flag) })
	end(err)
	if err != nil {
		return notEmpty(err)
	}
	f.unnamed(v)
	return f.syncObject(dir, d)
}

// notEmpty is for the systems that say EEXIST of a directory that has entries.
func notEmpty(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return nfs.ErrNotEmpty
	}
	return err
}

// victim is an object that is about to lose a name.
type victim struct {
	id   nfs.ID
	attr nfs.Attr
	desc *desc
}

// victim opens what name means, so that it stays usable without the name.
func (f *FS) victim(dir nfs.ID, d *desc, name string) (v victim, err error) {
	cd, o, err := f.child(dir, d, name)
	if err != nil {
		return v, err
	}
	v.id, v.attr = o.attr.ID, o.attr
	if v.id == f.root {
		unix.Close(cd.fd)
		return v, unix.EBUSY
	}
	if _, ok := f.index.known(v.id); !ok {
		// Otherwise the place on record may be a name that stays.
		f.note(dir, name, &o)
	}
	v.desc = f.fds.add(v.id, cd, false)
	openBeforeUnlink(f, &v)
	return v, nil
}

// unnamed takes note that v lost the name.
func (f *FS) unnamed(v victim) {
	a, err := f.attr(v.id, v.desc)
	switch {
	case err != nil:
	case a.Type == nfs.TypeDirectory:
		f.fds.lostName(v.id)
		f.index.drop(v.id)
	case a.Nlink == 0:
		f.fds.orphan(v.id)
		f.index.drop(v.id)
	}
}

// Rename implements nfs.Renamer.
func (f *FS) Rename(ctx context.Context, c *nfs.Caller, fromDir nfs.ID, from string, toDir nfs.ID, to string) (fromWCC, toWCC nfs.WCC, err error) {
	fd, fa, err := f.change(ctx, fromDir, from)
	if err != nil {
		return fromWCC, toWCC, err
	}
	defer f.fds.release(fd)
	td, ta, err := f.change(ctx, toDir, to)
	if err != nil {
		return f.wcc(fromDir, fd), toWCC, err
	}
	defer f.fds.release(td)
	defer f.index.flush()
	if err = f.rename(c, fromDir, fd, &fa, from, toDir, td, &ta, to); err != nil {
		err = fmt.Errorf("rename: %w", err)
	}
	return f.wcc(fromDir, fd), f.wcc(toDir, td), err
}

func (f *FS) rename(c *nfs.Caller, fromDir nfs.ID, fd *desc, fa *nfs.Attr, from string, toDir nfs.ID, td *desc, ta *nfs.Attr, to string) error {
	if !nfs.Permits(c, fa, nfs.MayExec) || !nfs.Permits(c, ta, nfs.MayExec) {
		return nfs.ErrAccess
	}
	if in, ok := f.replies.unfinished(c.Call); ok {
		before, err := f.means(fromDir, fd, from, in.id)
		if err != nil {
			return err
		}
		after, err := f.means(toDir, td, to, in.id)
		if err != nil {
			return err
		}
		if after && !before {
			return errors.Join(f.syncObject(toDir, td), f.syncObject(fromDir, fd))
		}
	}
	src, err := f.victim(fromDir, fd, from)
	if err != nil {
		return err
	}
	defer f.fds.release(src.desc)
	if err := errors.Join(mayChange(c, fa), mayChange(c, ta)); err != nil {
		return nfs.ErrAccess
	}
	if err := mayDelete(c, fa, &src.attr); err != nil {
		return err
	}
	if src.attr.Type == nfs.TypeDirectory && fromDir != toDir && !nfs.Permits(c, &src.attr, nfs.MayWrite) {
		return nfs.ErrAccess // its ".." changes
	}
	dst, err := f.victim(toDir, td, to)
	switch {
	case err == unix.ENOENT:
	case err != nil:
		return err
	default:
		defer f.fds.release(dst.desc)
		if dst.id == src.id {
			return nil
		}
		if err := mayDelete(c, ta, &dst.attr); err != nil {
			return err
		}
	}
	end := f.replies.begin(c.Call, src.id, f.now())
	err = f.withSpace(func() error { return unix.Renameat(fd.fd, from, td.fd, to) })
	end(err)
	if err != nil {
		return notEmpty(err)
	}
	cd, o, err := f.child(toDir, td, to)
	if err == nil {
		f.keep(toDir, to, cd, &o)
	}
	if dst.desc != nil {
		f.unnamed(dst)
	}
	if fromDir == toDir {
		return f.syncObject(toDir, td)
	}
	err = f.syncName(src.id, src.desc, src.attr.Type, toDir, td)
	return errors.Join(err, f.syncObject(fromDir, fd))
}
