package nfstest

import (
	"fmt"

	"github.com/moorage/moorage/nfs"
)

var permissionChecks = []check{
	{"Search", (*env).testSearch},
	{"List", (*env).testListPermission},
	{"Change", (*env).testChangePermission},
	{"Access", (*env).testAccessBits},
	{"Superuser", (*env).testSuperuser},
}

// callers are who the permission tests act as, with the class of e.base that
// they belong to.
func (e *env) callers() []struct {
	name  string
	c     *nfs.Caller
	shift uint
} {
	return []struct {
		name  string
		c     *nfs.Caller
		shift uint
	}{{"owner", e.owner, 6}, {"group", e.group, 3}, {"supplementary group", e.extra, 3}, {"other", e.other, 0}}
}

// ofMode says what a caller gets who needs bits of perm's class.
func ofMode(perm uint32, shift uint, bits uint32) nfs.Status {
	if perm>>shift&bits == bits {
		return nfs.OK
	}
	return nfs.ErrAccess
}

// everyMode tries each permission of one class while the other classes have
// the opposite, so that a wrong class shows.
func (e *env) everyMode(id nfs.ID, try func(perm uint32, who string, c *nfs.Caller, shift uint)) {
	need[nfs.AttrSetter](e)
	for _, who := range e.callers() {
		if who.c.UID == 0 {
			continue
		}
		for bits := range uint32(8) {
			perm := bits << who.shift
			for _, s := range []uint{0, 3, 6} {
				switch {
				case s == who.shift:
				case s == 6 && e.hostLimits:
					perm |= 0o700
				default:
					perm |= (7 &^ bits) << s
				}
			}
			e.chmod(e.owner, id, perm)
			try(perm, who.name, who.c, who.shift)
		}
	}
	e.chmod(e.owner, id, 0o755)
}

func (e *env) testSearch() {
	d := e.mkdir(e.owner, e.base, "d", 0o755)
	e.file(e.owner, d.ID, "f", 0o644)
	e.everyMode(d.ID, func(perm uint32, who string, c *nfs.Caller, shift uint) {
		want := ofMode(perm, shift, nfs.MayExec)
		for _, name := range []string{"f", ".", ".."} {
			_, err := e.fs.Lookup(e.ctx, c, d.ID, name)
			e.want(fmt.Sprintf("lookup of %s in %#o by %s", name, perm, who), err, want)
		}
		_, err := e.fs.Lookup(e.ctx, c, d.ID, "missing")
		if want == nfs.OK {
			want = nfs.ErrNoEnt
		}
		e.want(fmt.Sprintf("lookup of nothing in %#o by %s", perm, who), err, want)
		_, err = e.fs.GetAttr(e.ctx, c, d.ID)
		e.want(fmt.Sprintf("getattr of %#o by %s", perm, who), err, nfs.OK)
	})
}

func (e *env) testListPermission() {
	d := e.mkdir(e.owner, e.base, "d", 0o755)
	e.file(e.owner, d.ID, "f", 0o644)
	e.everyMode(d.ID, func(perm uint32, who string, c *nfs.Caller, shift uint) {
		for _, plus := range []bool{false, true} {
			_, err := e.fs.ReadDir(e.ctx, c, d.ID, 0, plus, func(nfs.DirEntry) bool { return true })
			e.want(fmt.Sprintf("readdir of %#o by %s", perm, who), err, ofMode(perm, shift, nfs.MayRead))
		}
	})
}

// testChangePermission: what changes names needs writing and searching.
func (e *env) testChangePermission() {
	f := need[nfs.Creator](e)
	d := e.mkdir(e.owner, e.base, "d", 0o755)
	target := e.file(e.owner, e.base, "target", 0o666)
	e.file(e.owner, d.ID, "f", 0o644)
	e.mkdir(e.owner, d.ID, "sub", 0o755)
	type operation struct {
		name string
		run  func(c *nfs.Caller) error
		undo func()
	}
	gone := func(name string) func() { return func() { e.must("remove", e.remove(e.owner, d.ID, name)) } }
	ops := []operation{
		{"mkdir", func(c *nfs.Caller) error {
			_, _, err := f.Mkdir(e.ctx, c, d.ID, "new", nfs.SetAttr{})
			return err
		}, func() { e.must("rmdir", e.rmdir(e.owner, d.ID, "new")) }},
		{"create", func(c *nfs.Caller) error {
			_, _, err := f.Create(e.ctx, c, d.ID, "new", nfs.CreateHow{Mode: nfs.Guarded})
			return err
		}, gone("new")},
		{"exclusive create", func(c *nfs.Caller) error {
			_, _, err := f.Create(e.ctx, c, d.ID, "new", nfs.CreateHow{Mode: nfs.Exclusive})
			return err
		}, gone("new")},
	}
	if s, ok := e.fs.(nfs.Symlinker); ok {
		ops = append(ops, operation{"symlink", func(c *nfs.Caller) error {
			_, _, err := s.Symlink(e.ctx, c, d.ID, "new", "x", nfs.SetAttr{})
			return err
		}, gone("new")})
	}
	if l, ok := e.fs.(nfs.Linker); ok {
		ops = append(ops, operation{"link", func(c *nfs.Caller) error {
			_, _, err := l.Link(e.ctx, c, target.ID, d.ID, "new")
			return err
		}, gone("new")})
	}
	if r, ok := e.fs.(nfs.Remover); ok {
		ops = append(ops, operation{"remove", func(c *nfs.Caller) error {
			_, err := r.Remove(e.ctx, c, d.ID, "f")
			return err
		}, func() { e.file(e.owner, d.ID, "f", 0o644) }},
			operation{"rmdir", func(c *nfs.Caller) error {
				_, err := r.Rmdir(e.ctx, c, d.ID, "sub")
				return err
			}, func() { e.mkdir(e.owner, d.ID, "sub", 0o755) }})
	}
	if r, ok := e.fs.(nfs.Renamer); ok {
		ops = append(ops, operation{"rename", func(c *nfs.Caller) error {
			_, _, err := r.Rename(e.ctx, c, d.ID, "f", d.ID, "g")
			return err
		}, func() { e.must("rename", e.rename(e.owner, d.ID, "g", d.ID, "f")) }})
	}
	for _, op := range ops {
		e.everyMode(d.ID, func(perm uint32, who string, c *nfs.Caller, shift uint) {
			if !e.privileged() && c != e.owner && perm>>shift&3 == 3 {
				return // would have to make something of a foreign owner
			}
			err := op.run(c)
			e.want(fmt.Sprintf("%s in %#o by %s", op.name, perm, who), err, ofMode(perm, shift, nfs.MayWrite|nfs.MayExec))
			if err == nil {
				e.chmod(e.owner, d.ID, 0o755)
				op.undo()
			}
		})
	}
}

// testAccessBits compares ACCESS with what the mode bits mean. The server
// derives the answer where the file system does not give it.
func (e *env) testAccessBits() {
	access := func(c *nfs.Caller, id nfs.ID) uint32 {
		const all = nfs.AccessRead | nfs.AccessLookup | nfs.AccessModify | nfs.AccessExtend | nfs.AccessDelete | nfs.AccessExecute
		f := need[nfs.AccessChecker](e)
		got, _, err := f.Access(e.ctx, c, id, all)
		e.must("access", err)
		return got
	}
	file := e.file(e.owner, e.base, "f", 0o644).ID
	e.everyMode(file, func(perm uint32, who string, c *nfs.Caller, shift uint) {
		var want uint32
		if perm>>shift&nfs.MayRead != 0 {
			want |= nfs.AccessRead
		}
		if perm>>shift&nfs.MayWrite != 0 {
			want |= nfs.AccessModify | nfs.AccessExtend
		}
		if perm>>shift&nfs.MayExec != 0 {
			want |= nfs.AccessExecute
		}
		if got := access(c, file); got != want {
			e.Errorf("access to a file of %#o by %s: %#x, want %#x", perm, who, got, want)
		}
	})
	dir := e.mkdir(e.owner, e.base, "d", 0o755).ID
	e.everyMode(dir, func(perm uint32, who string, c *nfs.Caller, shift uint) {
		got := access(c, dir)
		for bit, need := range map[uint32]uint32{nfs.AccessRead: nfs.MayRead, nfs.AccessLookup: nfs.MayExec, nfs.AccessModify: nfs.MayWrite, nfs.AccessExtend: nfs.MayWrite, nfs.AccessDelete: nfs.MayWrite} {
			if (got&bit != 0) != (perm>>shift&need != 0) {
				e.Errorf("access to a directory of %#o by %s: %#x, bit %#x is wrong", perm, who, got, bit)
			}
		}
	})
}

func (e *env) testSuperuser() {
	e.needPrivilege()
	need[nfs.AttrSetter](e)
	d := e.mkdir(e.owner, e.base, "d", 0o755)
	f := e.file(e.owner, d.ID, "f", 0o600)
	e.chmod(e.owner, f.ID, 0)
	e.chmod(e.owner, d.ID, 0)
	e.lookup(d.ID, "f")
	e.list(d.ID, 10, true)
	made := e.file(e.super, d.ID, "g", 0o600)
	if made.UID != 0 {
		e.Errorf("a file made by uid 0 belongs to %d", made.UID)
	}
	e.must("remove", e.remove(e.super, d.ID, "g"))
	if checker, ok := e.fs.(nfs.AccessChecker); ok {
		got, _, err := checker.Access(e.ctx, e.super, f.ID, nfs.AccessRead|nfs.AccessModify|nfs.AccessExecute)
		if err != nil || got != nfs.AccessRead|nfs.AccessModify {
			e.Errorf("access of the superuser to a file that nobody may execute: %#x, %v", got, err)
		}
	}
}
