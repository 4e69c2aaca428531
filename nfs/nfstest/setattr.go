package nfstest

import (
	"fmt"
	"time"

	"github.com/moorage/moorage/nfs"
)

var setAttrChecks = []check{
	{"Chmod", (*env).testChmod},
	{"ChmodSetgid", (*env).testChmodSetgid},
	{"Chown", (*env).testChown},
	{"ChownSetID", (*env).testChownSetID},
	{"Times", (*env).testSetTimes},
	{"TimesPermission", (*env).testSetTimesPermission},
	{"TruncatePermission", (*env).testTruncatePermission},
	{"Guard", (*env).testGuard},
	{"AllOrNothing", (*env).testAllOrNothing},
	{"Errors", (*env).testSetAttrErrors},
}

func (e *env) testChmod() {
	need[nfs.AttrSetter](e)
	a := e.file(e.owner, e.base, "f", 0o644)
	d := e.mkdir(e.owner, e.base, "d", 0o755)
	for _, m := range []uint32{0, 0o400, 0o777, 0o4755, 0o1644, 0o644} {
		e.chmod(e.owner, a.ID, m)
		if got := e.attr(a.ID).Mode; got != m {
			e.Errorf("mode of a file %o after chmod %o", got, m)
		}
	}
	for _, m := range []uint32{0, 0o1777, 0o2755, 0o700} {
		e.chmod(e.owner, d.ID, m)
		if got := e.attr(d.ID).Mode; got != m {
			e.Errorf("mode of a directory %o after chmod %o", got, m)
		}
	}
	for _, c := range []*nfs.Caller{e.group, e.extra, e.other} {
		e.want("chmod by somebody else", e.trySet(c, a.ID, mode(0o777)), nfs.ErrPerm)
	}
	if got := e.attr(a.ID).Mode; got != 0o644 {
		e.Errorf("a chmod that failed left mode %o", got)
	}
}

func (e *env) testChmodSetgid() {
	e.needPrivilege()
	need[nfs.AttrSetter](e)
	a := e.file(e.owner, e.base, "f", 0o755)
	e.set(e.super, a.ID, nfs.SetAttr{Valid: nfs.SetGID, GID: 4242})
	e.chmod(e.owner, a.ID, 0o2755)
	if got := e.attr(a.ID).Mode; got != 0o755 {
		e.Errorf("mode %o after chmod 2755 by an owner outside the group, want 0755", got)
	}
	member := &nfs.Caller{UID: e.owner.UID, GID: e.owner.GID, Groups: []uint32{4242}}
	e.chmod(member, a.ID, 0o2755)
	if got := e.attr(a.ID).Mode; got != 0o2755 {
		e.Errorf("mode %o after chmod 2755 by an owner inside the group", got)
	}
	e.chmod(e.super, a.ID, 0o6755)
	if got := e.attr(a.ID).Mode; got != 0o6755 {
		e.Errorf("mode %o after chmod 6755 by the superuser", got)
	}
}

func (e *env) testChown() {
	need[nfs.AttrSetter](e)
	uid := func(u uint32) nfs.SetAttr { return nfs.SetAttr{Valid: nfs.SetUID, UID: u} }
	gid := func(g uint32) nfs.SetAttr { return nfs.SetAttr{Valid: nfs.SetGID, GID: g} }
	a := e.file(e.owner, e.base, "f", 0o644)
	if e.owner.UID != 0 {
		e.want("giving a file away", e.trySet(e.owner, a.ID, uid(e.other.UID)), nfs.ErrPerm)
		e.want("giving a file to a foreign group", e.trySet(e.owner, a.ID, gid(e.owner.GID+4321)), nfs.ErrPerm)
	}
	e.want("taking a file", e.trySet(e.other, a.ID, uid(e.other.UID)), nfs.ErrPerm)
	e.want("taking a file to one's own group", e.trySet(e.other, a.ID, gid(e.other.GID)), nfs.ErrPerm)
	e.must("chown to the owner it has", e.trySet(e.owner, a.ID, uid(e.owner.UID)))
	e.must("chgrp to the group it has", e.trySet(e.owner, a.ID, gid(e.owner.GID)))
	if got := e.attr(a.ID); got.UID != e.owner.UID || got.GID != e.owner.GID {
		e.Errorf("chowns that failed left %d:%d", got.UID, got.GID)
	}
	if !e.privileged() {
		return
	}
	member := &nfs.Caller{UID: e.owner.UID, GID: e.owner.GID, Groups: []uint32{4242}}
	e.must("chgrp by the owner to one of its groups", e.trySet(member, a.ID, gid(4242)))
	if got := e.attr(a.ID).GID; got != 4242 {
		e.Errorf("gid %d after chgrp", got)
	}
	for _, to := range []uint32{0, 70000, 1<<32 - 2} {
		e.must("chown by the superuser", e.trySet(e.super, a.ID, nfs.SetAttr{Valid: nfs.SetUID | nfs.SetGID, UID: to, GID: to}))
		if got := e.attr(a.ID); got.UID != to || got.GID != to {
			e.Errorf("%d:%d after chown to %d", got.UID, got.GID, to)
		}
	}
	e.want("chmod by the former owner", e.trySet(e.owner, a.ID, mode(0o777)), nfs.ErrPerm)
	if _, ok := e.fs.(nfs.Symlinker); ok {
		l, err := e.symlink(e.owner, e.base, "l", "f")
		e.must("symlink", err)
		e.must("chown of a symbolic link", e.trySet(e.super, l.ID, uid(77)))
		if got, file := e.attr(l.ID).UID, e.attr(a.ID).UID; got != 77 || file == 77 {
			e.Errorf("chown of a symbolic link: link %d, its file %d", got, file)
		}
	}
}

// testChownSetID: a program that changes owner or group loses its set-id bits,
// a directory keeps its setgid bit.
func (e *env) testChownSetID() {
	e.needPrivilege()
	need[nfs.AttrSetter](e)
	a := e.file(e.owner, e.base, "f", 0o755)
	e.chmod(e.owner, a.ID, 0o6755)
	member := &nfs.Caller{UID: e.owner.UID, GID: e.owner.GID, Groups: []uint32{4242}}
	e.set(member, a.ID, nfs.SetAttr{Valid: nfs.SetGID, GID: 4242})
	if got := e.attr(a.ID).Mode; got != 0o755 {
		e.Errorf("mode %o after chgrp by the owner, want 0755", got)
	}
	e.chmod(e.super, a.ID, 0o6755)
	e.set(e.super, a.ID, nfs.SetAttr{Valid: nfs.SetUID, UID: 1})
	if got := e.attr(a.ID).Mode; got != 0o755 {
		e.Errorf("mode %o after chown by the superuser, want 0755", got)
	}
	d := e.mkdir(e.owner, e.base, "d", 0o755)
	e.chmod(e.owner, d.ID, 0o2755)
	e.set(member, d.ID, nfs.SetAttr{Valid: nfs.SetGID, GID: 4242})
	if got := e.attr(d.ID).Mode; got != 0o2755 {
		e.Errorf("mode %o of a directory after chgrp, want 2755", got)
	}
}

func (e *env) testSetTimes() {
	need[nfs.AttrSetter](e)
	objects := map[string]nfs.ID{"file": e.file(e.owner, e.base, "f", 0o644).ID, "directory": e.mkdir(e.owner, e.base, "d", 0o755).ID}
	if _, ok := e.fs.(nfs.Symlinker); ok {
		l, err := e.symlink(e.owner, e.base, "l", "f")
		e.must("symlink", err)
		objects["symbolic link"] = l.ID
	}
	delta := e.properties().TimeDelta
	for what, id := range objects {
		for i, at := range []time.Time{time.Unix(0, 0), time.Unix(1, 0), time.Unix(1234567890, 123456789), time.Unix(1<<31-1, 0), time.Unix(1<<31, 999999999), time.Unix(3e9, 500)} {
			mt := at.Add(time.Second).Truncate(delta)
			at = at.Truncate(delta)
			before := e.attr(id)
			e.tick()
			e.set(e.owner, id, nfs.SetAttr{Valid: nfs.SetAtime | nfs.SetMtime, Atime: at, Mtime: mt})
			got := e.attr(id)
			if !got.Atime.Equal(at) || !got.Mtime.Equal(mt) {
				e.Errorf("%s: times %v %v, want %v %v (%d)", what, got.Atime, got.Mtime, at, mt, i)
			}
			if !got.Ctime.After(before.Ctime) {
				e.Errorf("%s: setting times did not move ctime", what)
			}
		}
		e.set(e.owner, id, nfs.SetAttr{Valid: nfs.SetMtime, Mtime: time.Unix(5, 0)})
		if got := e.attr(id); !got.Mtime.Equal(time.Unix(5, 0)) || got.Atime.Unix() != 3e9 {
			e.Errorf("%s: setting mtime alone: atime %v mtime %v", what, got.Atime, got.Mtime)
		}
		e.set(e.owner, id, nfs.SetAttr{Valid: nfs.SetAtime, Atime: time.Unix(6, 0)})
		if got := e.attr(id); !got.Atime.Equal(time.Unix(6, 0)) || got.Mtime.Unix() != 5 {
			e.Errorf("%s: setting atime alone: atime %v mtime %v", what, got.Atime, got.Mtime)
		}
		e.set(e.owner, id, nfs.SetAttr{Valid: nfs.SetAtimeNow | nfs.SetMtimeNow})
		if got := e.attr(id); got.Atime.Unix() < 1e9 || got.Mtime.Unix() < 1e9 {
			e.Errorf("%s: setting the present time: atime %v mtime %v", what, got.Atime, got.Mtime)
		}
	}
}

func (e *env) testSetTimesPermission() {
	need[nfs.AttrSetter](e)
	explicit := nfs.SetAttr{Valid: nfs.SetAtime | nfs.SetMtime, Atime: time.Unix(1e9, 0), Mtime: time.Unix(1e9, 0)}
	now := nfs.SetAttr{Valid: nfs.SetAtimeNow | nfs.SetMtimeNow}
	a := e.file(e.owner, e.base, "f", 0o644)
	for _, c := range []struct {
		perm     uint32
		who      string
		c        *nfs.Caller
		explicit nfs.Status
		now      nfs.Status
	}{
		{0o444, "owner", e.owner, nfs.OK, nfs.OK},
		{0o644, "group", e.group, nfs.ErrPerm, nfs.ErrAccess},
		{0o664, "group", e.group, nfs.ErrPerm, nfs.OK},
		{0o664, "supplementary group", e.extra, nfs.ErrPerm, nfs.OK},
		{0o664, "other", e.other, nfs.ErrPerm, nfs.ErrAccess},
		{0o646, "other", e.other, nfs.ErrPerm, nfs.OK},
	} {
		e.chmod(e.owner, a.ID, c.perm)
		e.want(fmt.Sprintf("explicit times on %#o by %s", c.perm, c.who), e.trySet(c.c, a.ID, explicit), c.explicit)
		e.want(fmt.Sprintf("the present time on %#o by %s", c.perm, c.who), e.trySet(c.c, a.ID, now), c.now)
		// This is what Linux makes of the O_TRUNC of an empty file.
		e.want(fmt.Sprintf("the present mtime alone on %#o by %s", c.perm, c.who), e.trySet(c.c, a.ID, nfs.SetAttr{Valid: nfs.SetMtimeNow}), c.now)
	}
}

func (e *env) testTruncatePermission() {
	need[nfs.AttrSetter](e)
	cut := nfs.SetAttr{Valid: nfs.SetSize, Size: 1}
	a := e.file(e.owner, e.base, "f", 0o644)
	for _, c := range []struct {
		perm uint32
		who  string
		c    *nfs.Caller
		want nfs.Status
	}{
		{0o664, "group", e.group, nfs.OK}, {0o644, "group", e.group, nfs.ErrAccess}, {0o664, "supplementary group", e.extra, nfs.OK},
		{0o664, "other", e.other, nfs.ErrAccess}, {0o606, "other", e.other, nfs.OK}, {0o444, "owner", e.owner, nfs.OK},
	} {
		e.chmod(e.owner, a.ID, c.perm)
		e.want(fmt.Sprintf("truncate of %#o by %s", c.perm, c.who), e.trySet(c.c, a.ID, cut), c.want)
	}
}

func (e *env) testGuard() {
	f := need[nfs.AttrSetter](e)
	a := e.file(e.owner, e.base, "f", 0o644)
	right, wrong := a.Ctime, a.Ctime.Add(-time.Second)
	_, err := f.SetAttr(e.ctx, e.owner, a.ID, mode(0o600), &wrong)
	e.want("setattr with a guard that does not match", err, nfs.ErrNotSync)
	if got := e.attr(a.ID).Mode; got != 0o644 {
		e.Errorf("a guard that did not match let mode %o through", got)
	}
	e.tick()
	_, err = f.SetAttr(e.ctx, e.owner, a.ID, mode(0o600), &right)
	e.must("setattr with a guard that matches", err)
	_, err = f.SetAttr(e.ctx, e.owner, a.ID, mode(0o640), &right)
	e.want("setattr with a guard from before the last change", err, nfs.ErrNotSync)
}

func (e *env) testAllOrNothing() {
	need[nfs.AttrSetter](e)
	a := e.file(e.owner, e.base, "f", 0o666)
	e.write(e.owner, a.ID, "data", 0)
	before := e.attr(a.ID)
	set := nfs.SetAttr{Valid: nfs.SetSize | nfs.SetMode, Size: 1, Mode: 0o777}
	e.want("truncate and chmod by somebody who may only truncate", e.trySet(e.other, a.ID, set), nfs.ErrPerm)
	e.same("after a setattr that failed", e.attr(a.ID), before)
	set = nfs.SetAttr{Valid: nfs.SetSize | nfs.SetMode, Size: 1<<64 - 1, Mode: 0o700}
	e.want("chmod and truncate to more than can be", e.trySet(e.owner, a.ID, set), nfs.ErrFBig, nfs.ErrInval)
	e.same("after a setattr that failed", e.attr(a.ID), before)
	e.must("an empty set", e.trySet(e.owner, a.ID, nfs.SetAttr{}))
	e.must("an empty set by anybody", e.trySet(e.other, a.ID, nfs.SetAttr{}))
	e.same("after an empty set", e.attr(a.ID), before)
}

func (e *env) testSetAttrErrors() {
	f := need[nfs.AttrSetter](e)
	_, err := f.SetAttr(e.ctx, e.owner, 1<<64-2, mode(0o600), nil)
	e.want("setattr of an unknown id", err, nfs.ErrStale)
}
