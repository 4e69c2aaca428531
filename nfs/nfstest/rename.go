package nfstest

import (
	"fmt"
	"strings"

	"github.com/moorage/moorage/nfs"
)

var renameChecks = []check{
	{"Matrix", (*env).testRenameMatrix},
	{"Plain", (*env).testRename},
	{"HardLinks", (*env).testRenameHardLinks},
	{"Below", (*env).testRenameBelow},
	{"Parent", (*env).testRenameParent},
	{"Permission", (*env).testRenamePermission},
	{"Sticky", (*env).testRenameSticky},
}

// testRenameMatrix renames every kind of object over every other.
func (e *env) testRenameMatrix() {
	need[nfs.Renamer](e)
	kinds := []string{"file", "dir", "full"}
	if _, ok := e.fs.(nfs.Symlinker); ok {
		kinds = append(kinds, "symlink")
	}
	if f, ok := e.fs.(nfs.NodeMaker); ok {
		if _, _, err := f.Mknod(e.ctx, e.owner, e.base, "probe", nfs.TypeFIFO, nfs.SetAttr{}, 0, 0); err == nil {
			kinds = append(kinds, "fifo")
			e.must("remove", e.remove(e.owner, e.base, "probe"))
		}
	}
	put := func(dir nfs.ID, name, kind string) nfs.ID {
		switch kind {
		case "file":
			return e.file(e.owner, dir, name, 0o644).ID
		case "symlink":
			a, err := e.symlink(e.owner, dir, name, "file")
			e.must("symlink", err)
			return a.ID
		case "fifo":
			a, err := e.mknod(e.owner, dir, name, nfs.TypeFIFO, 0, 0)
			e.must("mknod", err)
			return a.ID
		}
		d := e.mkdir(e.owner, dir, name, 0o755).ID
		if kind == "full" {
			e.file(e.owner, d, "entry", 0o644)
		}
		return d
	}
	isDir := func(kind string) bool { return kind == "dir" || kind == "full" }
	for i, from := range kinds {
		for j, to := range kinds {
			for _, cross := range []bool{false, true} {
				a := e.mkdir(e.owner, e.base, fmt.Sprint(i, j, cross), 0o755).ID
				b := a
				if cross {
					b = e.mkdir(e.owner, a, "other", 0o755).ID
				}
				src, dst := put(a, "from", from), put(b, "to", to)
				want := []nfs.Status{nfs.OK}
				switch {
				case isDir(from) && !isDir(to):
					want = []nfs.Status{nfs.ErrNotDir}
				case !isDir(from) && isDir(to):
					want = []nfs.Status{nfs.ErrIsDir}
				case to == "full":
					want = []nfs.Status{nfs.ErrNotEmpty}
				}
				what := fmt.Sprintf("rename of %s over %s, other directory: %v", from, to, cross)
				err := e.rename(e.owner, a, "from", b, "to")
				e.want(what, err, want...)
				if err == nil {
					e.absent(a, "from")
					if got := e.lookup(b, "to").ID; got != src {
						e.Errorf("%s: the name leads to %d, want %d", what, got, src)
					}
					if isDir(from) && e.lookup(src, "..").ID != b {
						e.Errorf("%s: .. is wrong", what)
					}
				} else if e.lookup(a, "from").ID != src || e.lookup(b, "to").ID != dst {
					e.Errorf("%s failed and changed something", what)
				}
			}
		}
	}
}

func (e *env) testRename() {
	need[nfs.Renamer](e)
	a := e.file(e.owner, e.base, "a", 0o644)
	d := e.mkdir(e.owner, e.base, "d", 0o755).ID
	e.want("rename of nothing", e.rename(e.owner, e.base, "x", e.base, "y"), nfs.ErrNoEnt)
	e.must("rename", e.rename(e.owner, e.base, "a", e.base, "b"))
	e.must("rename to another directory", e.rename(e.owner, e.base, "b", d, "c"))
	e.absent(e.base, "a")
	e.absent(e.base, "b")
	if got := e.lookup(d, "c"); got.ID != a.ID || got.Nlink != 1 {
		e.Errorf("after two renames: %+v, want id %d", got, a.ID)
	}
	e.must("rename to itself", e.rename(e.owner, d, "c", d, "c"))
	e.lookup(d, "c")
	e.want("rename to a name of 256 bytes", e.rename(e.owner, d, "c", d, strings.Repeat("x", 256)), nfs.ErrNameTooLong)
	e.lookup(d, "c")
}

// testRenameHardLinks: two names of one object stay as they are.
func (e *env) testRenameHardLinks() {
	need[nfs.Renamer](e)
	a := e.file(e.owner, e.base, "a", 0o644)
	d := e.mkdir(e.owner, e.base, "d", 0o755).ID
	e.must("link", e.link(e.owner, a.ID, e.base, "b"))
	e.must("link", e.link(e.owner, a.ID, d, "c"))
	e.must("rename of one name to the other", e.rename(e.owner, e.base, "a", e.base, "b"))
	e.must("rename of one name to the other, elsewhere", e.rename(e.owner, e.base, "a", d, "c"))
	for _, got := range []nfs.Attr{e.lookup(e.base, "a"), e.lookup(e.base, "b"), e.lookup(d, "c")} {
		if got.ID != a.ID || got.Nlink != 3 {
			e.Errorf("after renames among three names: %+v", got)
		}
	}
	other := e.file(e.owner, e.base, "other", 0o644)
	e.must("link", e.link(e.owner, other.ID, e.base, "second"))
	e.must("rename over one of two names", e.rename(e.owner, e.base, "a", e.base, "other"))
	if got := e.attr(other.ID); got.Nlink != 1 {
		e.Errorf("links of the file that lost one name: %d", got.Nlink)
	}
	if got := e.lookup(e.base, "other"); got.ID != a.ID || got.Nlink != 3 {
		e.Errorf("after rename over another file: %+v", got)
	}
}

func (e *env) testRenameBelow() {
	need[nfs.Renamer](e)
	a := e.mkdir(e.owner, e.base, "a", 0o755).ID
	b := e.mkdir(e.owner, a, "b", 0o755).ID
	c := e.mkdir(e.owner, b, "c", 0o755).ID
	e.want("rename of a directory into itself", e.rename(e.owner, e.base, "a", a, "x"), nfs.ErrInval)
	e.want("rename of a directory far below itself", e.rename(e.owner, e.base, "a", c, "x"), nfs.ErrInval)
	e.want("rename of a directory over one below it", e.rename(e.owner, e.base, "a", b, "c"), nfs.ErrInval)
	e.want("rename of a directory over its parent", e.rename(e.owner, a, "b", e.base, "a"), nfs.ErrNotEmpty)
	e.want("rename of a directory over an ancestor", e.rename(e.owner, b, "c", e.base, "a"), nfs.ErrNotEmpty)
	if e.find(e.base, "a/b/c") != c {
		e.Error("renames that failed changed something")
	}
}

func (e *env) testRenameParent() {
	need[nfs.Renamer](e)
	a := e.mkdir(e.owner, e.base, "a", 0o755).ID
	b := e.mkdir(e.owner, e.base, "b", 0o755).ID
	d := e.mkdir(e.owner, a, "d", 0o755).ID
	f := e.file(e.owner, d, "f", 0o644).ID
	counts := e.attr(a).Nlink >= 2
	e.must("rename", e.rename(e.owner, a, "d", b, "moved"))
	if e.lookup(d, "..").ID != b || e.find(e.base, "b/moved/f") != f {
		e.Error("a moved directory is not where it should be")
	}
	if counts && (e.attr(a).Nlink != 2 || e.attr(b).Nlink != 3) {
		e.Errorf("links after moving a directory: %d from, %d to", e.attr(a).Nlink, e.attr(b).Nlink)
	}
	e.mkdir(e.owner, a, "empty", 0o755)
	e.mkdir(e.owner, b, "victim", 0o755)
	e.must("rename over an empty directory", e.rename(e.owner, a, "empty", b, "victim"))
	if counts && (e.attr(a).Nlink != 2 || e.attr(b).Nlink != 4) {
		e.Errorf("links after moving over an empty directory: %d from, %d to", e.attr(a).Nlink, e.attr(b).Nlink)
	}
}

func (e *env) testRenamePermission() {
	e.needPrivilege()
	need[nfs.Renamer](e)
	open := e.mkdir(e.owner, e.base, "open", 0o755).ID
	e.chmod(e.owner, open, 0o777)
	closed := e.mkdir(e.owner, e.base, "closed", 0o755).ID
	e.file(e.owner, open, "f", 0o666)
	e.file(e.owner, closed, "g", 0o666)
	e.want("rename out of a directory without write permission", e.rename(e.other, closed, "g", open, "x"), nfs.ErrAccess)
	e.want("rename into a directory without write permission", e.rename(e.other, open, "f", closed, "x"), nfs.ErrAccess)
	e.want("rename over a file in a directory without write permission", e.rename(e.other, open, "f", closed, "g"), nfs.ErrAccess)
	e.must("rename of a foreign file in an open directory", e.rename(e.other, open, "f", open, "h"))
	// A directory that moves gets another "..", which is writing to it.
	e.mkdir(e.owner, open, "d", 0o755)
	second := e.mkdir(e.owner, open, "second", 0o755).ID
	e.chmod(e.owner, second, 0o777)
	e.must("rename of a foreign directory in place", e.rename(e.other, open, "d", open, "e"))
	e.want("move of a foreign directory", e.rename(e.other, open, "e", second, "e"), nfs.ErrAccess)
	e.must("move of one's own directory", e.rename(e.owner, open, "e", second, "e"))
}

func (e *env) testRenameSticky() {
	e.needPrivilege()
	need[nfs.Renamer](e)
	d := e.mkdir(e.owner, e.base, "sticky", 0o755).ID
	e.chmod(e.owner, d, 0o1777)
	open := e.mkdir(e.owner, e.base, "open", 0o755).ID
	e.chmod(e.owner, open, 0o777)
	e.file(e.other, d, "others", 0o666)
	e.file(e.group, d, "groups", 0o666)
	e.file(e.group, open, "free", 0o666)
	e.want("rename of a foreign file in a sticky directory", e.rename(e.group, d, "others", d, "x"), nfs.ErrPerm)
	e.want("move of a foreign file out of a sticky directory", e.rename(e.group, d, "others", open, "x"), nfs.ErrPerm)
	e.want("rename over a foreign file in a sticky directory", e.rename(e.group, open, "free", d, "others"), nfs.ErrPerm)
	e.must("rename of one's own file in a sticky directory", e.rename(e.group, d, "groups", d, "x"))
	e.must("rename by the directory's owner", e.rename(e.owner, d, "x", d, "y"))
	e.must("rename by the directory's owner over a foreign file", e.rename(e.owner, d, "y", d, "others"))
}
