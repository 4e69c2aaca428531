package nfstest

import (
	"github.com/moorage/moorage/nfs"
)

var removeChecks = []check{
	{"Remove", (*env).testRemove},
	{"Rmdir", (*env).testRmdir},
	{"UnlinkedFile", (*env).testUnlinkedFile},
	{"RemovedDirectory", (*env).testRemovedDirectory},
	{"Sticky", (*env).testStickyRemove},
}

func (e *env) testRemove() {
	e.file(e.owner, e.base, "f", 0o000)
	e.mkdir(e.owner, e.base, "d", 0o755)
	e.want("remove of nothing", e.remove(e.owner, e.base, "x"), nfs.ErrNoEnt)
	e.want("remove of a directory", e.remove(e.owner, e.base, "d"), nfs.ErrIsDir)
	e.must("remove", e.remove(e.owner, e.base, "f"))
	e.absent(e.base, "f")
	e.want("remove again", e.remove(e.owner, e.base, "f"), nfs.ErrNoEnt)
}

func (e *env) testRmdir() {
	e.file(e.owner, e.base, "f", 0o644)
	d := e.mkdir(e.owner, e.base, "d", 0o755)
	e.mkdir(e.owner, d.ID, "e", 0o755)
	before := e.attr(e.base)
	e.want("rmdir of nothing", e.rmdir(e.owner, e.base, "x"), nfs.ErrNoEnt)
	e.want("rmdir of a file", e.rmdir(e.owner, e.base, "f"), nfs.ErrNotDir)
	e.want("rmdir of a directory with an entry", e.rmdir(e.owner, e.base, "d"), nfs.ErrNotEmpty)
	e.must("rmdir", e.rmdir(e.owner, d.ID, "e"))
	e.must("rmdir", e.rmdir(e.owner, e.base, "d"))
	e.absent(e.base, "d")
	if before.Nlink > 2 {
		if after := e.attr(e.base); after.Nlink != before.Nlink-1 {
			e.Errorf("links of the parent: %d, then %d", before.Nlink, after.Nlink)
		}
	}
}

// testUnlinkedFile uses a file by its id after its name went.
func (e *env) testUnlinkedFile() {
	need[nfs.Remover](e)
	type way struct {
		name string
		lose func(name string) error
	}
	ways := []way{{"remove", func(name string) error { return e.remove(e.owner, e.base, name) }}}
	if _, ok := e.fs.(nfs.Renamer); ok {
		ways = append(ways, way{"rename over it", func(name string) error {
			e.file(e.owner, e.base, "over", 0o644)
			return e.rename(e.owner, e.base, "over", e.base, name)
		}})
	}
	for _, way := range ways {
		a := e.file(e.owner, e.base, "f", 0o600)
		e.write(e.owner, a.ID, "before", 0)
		e.must(way.name, way.lose("f"))
		if got := e.read(e.owner, a.ID, 0, 10); got != "before" {
			e.Errorf("%s: an open file reads %q", way.name, got)
		}
		e.write(e.owner, a.ID, "after", 3)
		if got := e.read(e.owner, a.ID, 0, 10); got != "befafter" {
			e.Errorf("%s: an open file reads %q after a write", way.name, got)
		}
		if _, ok := e.fs.(nfs.AttrSetter); ok {
			e.set(e.owner, a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: 4})
		}
		if got := e.attr(a.ID); got.Size != 4 || got.Type != nfs.TypeRegular {
			e.Errorf("%s: an open file is %+v", way.name, got)
		}
		// A new file of the same name is another file.
		e.must("remove", func() error {
			if way.name == "remove" {
				return nil
			}
			return e.remove(e.owner, e.base, "f")
		}())
		b := e.file(e.owner, e.base, "f", 0o600)
		e.write(e.owner, b.ID, "new", 0)
		if got := e.read(e.owner, a.ID, 0, 10); got != "befa" || a.ID == b.ID {
			e.Errorf("%s: the open file reads %q beside its successor", way.name, got)
		}
		e.must("remove", e.remove(e.owner, e.base, "f"))
	}
}

func (e *env) testRemovedDirectory() {
	d := e.mkdir(e.owner, e.base, "d", 0o755).ID
	e.must("rmdir", e.rmdir(e.owner, e.base, "d"))
	_, _, err := e.fs.(nfs.Creator).Create(e.ctx, e.owner, d, "x", nfs.CreateHow{})
	e.want("create in a directory that was removed", err, nfs.ErrNoEnt, nfs.ErrStale)
	_, _, err = e.fs.(nfs.Creator).Mkdir(e.ctx, e.owner, d, "x", nfs.SetAttr{})
	e.want("mkdir in a directory that was removed", err, nfs.ErrNoEnt, nfs.ErrStale)
	_, err = e.fs.Lookup(e.ctx, e.owner, d, "x")
	e.want("lookup in a directory that was removed", err, nfs.ErrNoEnt, nfs.ErrStale)
	eof, err := e.fs.ReadDir(e.ctx, e.owner, d, 0, false, func(de nfs.DirEntry) bool {
		e.Errorf("an entry of a directory that was removed: %+v", de)
		return true
	})
	if e.want("readdir of a directory that was removed", err, nfs.OK, nfs.ErrStale, nfs.ErrNoEnt); err == nil && !eof {
		e.Error("readdir of a directory that was removed does not end")
	}
	if _, ok := e.fs.(nfs.Renamer); ok {
		e.file(e.owner, e.base, "f", 0o644)
		_, _, err := e.fs.(nfs.Renamer).Rename(e.ctx, e.owner, e.base, "f", d, "f")
		e.want("rename into a directory that was removed", err, nfs.ErrNoEnt, nfs.ErrStale)
		e.lookup(e.base, "f")
	}
}

// testStickyRemove: in a sticky directory, a name goes only by the owner of the
// directory, the owner of the object, or the superuser.
func (e *env) testStickyRemove() {
	e.needPrivilege()
	need[nfs.Remover](e)
	d := e.mkdir(e.owner, e.base, "d", 0o755).ID
	e.chmod(e.owner, d, 0o1777)
	for _, c := range []struct {
		who  string
		c    *nfs.Caller
		want nfs.Status
	}{{"a stranger", e.group, nfs.ErrPerm}, {"its owner", e.other, nfs.OK}, {"the directory's owner", e.owner, nfs.OK}, {"the superuser", e.super, nfs.OK}} {
		e.file(e.other, d, "f", 0o666)
		e.mkdir(e.other, d, "d", 0o777)
		e.want("remove in a sticky directory by "+c.who, e.remove(c.c, d, "f"), c.want)
		e.want("rmdir in a sticky directory by "+c.who, e.rmdir(c.c, d, "d"), c.want)
		if c.want != nfs.OK {
			e.must("remove", e.remove(e.super, d, "f"))
			e.must("rmdir", e.rmdir(e.super, d, "d"))
		}
	}
}
