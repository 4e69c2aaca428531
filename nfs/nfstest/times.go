package nfstest

import (
	"fmt"

	"github.com/moorage/moorage/nfs"
)

var timeChecks = []check{
	{"Moves", (*env).testMoves},
	{"Stays", (*env).testStays},
}

// testMoves makes every change and checks which times of which object move.
func (e *env) testMoves() {
	need[nfs.AttrSetter](e)
	d := e.mkdir(e.owner, e.base, "d", 0o755).ID
	second := e.mkdir(e.owner, e.base, "second", 0o755).ID
	f := e.file(e.owner, d, "f", 0o644).ID
	e.write(e.owner, f, "some data", 0)
	// mtime and ctime list the objects whose time must move.
	step := func(what string, run func() error, mtime, ctime []nfs.ID) {
		e.Helper()
		ids := []nfs.ID{d, second, f}
		before := map[nfs.ID]nfs.Attr{}
		for _, id := range ids {
			before[id] = e.attr(id)
		}
		e.tick()
		e.must(what, run())
		moved := func(list []nfs.ID, id nfs.ID) bool {
			for _, x := range list {
				if x == id {
					return true
				}
			}
			return false
		}
		for i, id := range ids {
			b, a := before[id], e.attr(id)
			name := []string{"the directory", "the second directory", "the file"}[i]
			if got, want := a.Mtime.After(b.Mtime), moved(mtime, id); got != want {
				e.Errorf("%s: mtime of %s moved: %v, want %v", what, name, got, want)
			}
			if got, want := a.Ctime.After(b.Ctime), moved(ctime, id); got != want {
				e.Errorf("%s: ctime of %s moved: %v, want %v", what, name, got, want)
			}
		}
	}
	ids := func(ids ...nfs.ID) []nfs.ID { return ids }
	step("create", func() error { e.file(e.owner, d, "g", 0o644); return nil }, ids(d), ids(d))
	step("mkdir", func() error { e.mkdir(e.owner, d, "sub", 0o755); return nil }, ids(d), ids(d))
	step("write", func() error { return e.tryWrite(e.owner, f, "x", 0) }, ids(f), ids(f))
	step("append", func() error { return e.tryWrite(e.owner, f, "x", 100) }, ids(f), ids(f))
	step("chmod", func() error { return e.trySet(e.owner, f, mode(0o600)) }, nil, ids(f))
	step("chmod to the mode it has", func() error { return e.trySet(e.owner, f, mode(0o600)) }, nil, ids(f))
	step("truncate", func() error { return e.trySet(e.owner, f, nfs.SetAttr{Valid: nfs.SetSize, Size: 2}) }, ids(f), ids(f))
	step("the present atime", func() error { return e.trySet(e.owner, f, nfs.SetAttr{Valid: nfs.SetAtimeNow}) }, nil, ids(f))
	step("chmod of a directory", func() error { return e.trySet(e.owner, d, mode(0o700)) }, nil, ids(d))
	if _, ok := e.fs.(nfs.Symlinker); ok {
		step("symlink", func() error { _, err := e.symlink(e.owner, d, "l", "f"); return err }, ids(d), ids(d))
	}
	if _, ok := e.fs.(nfs.Linker); ok {
		step("link", func() error { return e.link(e.owner, f, second, "hard") }, ids(second), ids(second, f))
		step("remove of one of two names", func() error { return e.remove(e.owner, second, "hard") }, ids(second), ids(second, f))
	}
	if _, ok := e.fs.(nfs.Renamer); ok {
		// Whether the object's own ctime moves is left to the file system.
		step("rename", func() error { return e.rename(e.owner, d, "g", d, "h") }, ids(d), ids(d))
		step("rename to another directory", func() error { return e.rename(e.owner, d, "h", second, "g") }, ids(d, second), ids(d, second))
		step("rename over a file", func() error {
			e.file(e.owner, d, "h", 0o644)
			return e.rename(e.owner, second, "g", d, "h")
		}, ids(d, second), ids(d, second))
	}
	if _, ok := e.fs.(nfs.Remover); ok {
		step("remove", func() error { return e.remove(e.owner, d, "h") }, ids(d), ids(d))
		step("rmdir", func() error { return e.rmdir(e.owner, d, "sub") }, ids(d), ids(d))
	}
}

// testStays: what changes nothing, or fails, moves neither mtime nor ctime.
func (e *env) testStays() {
	d := e.mkdir(e.owner, e.base, "d", 0o755).ID
	f := e.file(e.owner, d, "f", 0o644).ID
	e.write(e.owner, f, "data", 0)
	db, fb := e.attr(d), e.attr(f)
	e.tick()
	e.read(e.owner, f, 0, 10)
	e.list(d, 10, true)
	e.lookup(d, "f")
	e.write(e.owner, f, "", 0)
	for i, how := range []nfs.CreateHow{{Mode: nfs.Guarded}, {Mode: nfs.Exclusive}, {Mode: nfs.Unchecked}} {
		_, err := e.create(e.owner, d, "f", how)
		e.want(fmt.Sprint("create over a file, way ", i), err, nfs.ErrExist, nfs.OK)
	}
	_, err := e.tryMkdir(e.owner, d, "f", nfs.SetAttr{})
	e.want("mkdir over a file", err, nfs.ErrExist)
	if _, ok := e.fs.(nfs.Remover); ok {
		e.want("remove of nothing", e.remove(e.owner, d, "x"), nfs.ErrNoEnt)
	}
	if _, ok := e.fs.(nfs.Renamer); ok {
		e.must("rename to itself", e.rename(e.owner, d, "f", d, "f"))
	}
	if _, ok := e.fs.(nfs.AttrSetter); ok {
		e.want("chmod by somebody else", e.trySet(e.other, f, mode(0)), nfs.ErrPerm)
	}
	e.same("the directory", e.attr(d), db)
	e.same("the file", e.attr(f), fb)
}
