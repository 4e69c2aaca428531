package nfstest

import (
	"path"
	"strings"

	"github.com/moorage/moorage/nfs"
)

var treeChecks = []check{
	{"Walk", (*env).testWalk},
	{"Root", (*env).testRoot},
	{"LookupErrors", (*env).testLookupErrors},
	{"Read", (*env).testRead},
	{"ReadErrors", (*env).testReadErrors},
	{"ReadDirPages", (*env).testReadDirPages},
	{"ReadDirErrors", (*env).testReadDirErrors},
	{"Readlink", (*env).testReadlink},
	{"StatFS", (*env).testStatFS},
	{"Stale", (*env).testStale},
	{"Access", (*env).testAccess},
}

// sampleTree is laid where nothing is prepared.
var sampleTree = []Node{
	{Path: "empty", Type: nfs.TypeRegular, Mode: 0o644},
	{Path: "small", Type: nfs.TypeRegular, Mode: 0o600, Data: "hello, world\n"},
	{Path: "large", Type: nfs.TypeRegular, Mode: 0o444, Data: strings.Repeat("0123456789abcde\n", 20000)},
	{Path: "program", Type: nfs.TypeRegular, Mode: 0o755, Data: "#!/bin/sh\n"},
	{Path: "dir", Type: nfs.TypeDirectory, Mode: 0o755},
	{Path: "dir/one", Type: nfs.TypeRegular, Mode: 0o644, Data: "1"},
	{Path: "dir/two", Type: nfs.TypeRegular, Mode: 0o644, Data: "22"},
	{Path: "dir/deep", Type: nfs.TypeDirectory, Mode: 0o700},
	{Path: "dir/deep/er", Type: nfs.TypeDirectory, Mode: 0o1777},
	{Path: "link", Type: nfs.TypeSymlink, Target: "dir/one"},
	{Path: "dangling", Type: nfs.TypeSymlink, Target: "/nowhere/at all"},
}

// lay returns the directory that holds the tree, and the tree.
func (e *env) lay() (nfs.ID, []Node) {
	e.Helper()
	if e.prepared != nil {
		return e.fs.Root(), e.prepared
	}
	if _, ok := e.fs.(nfs.Creator); !ok {
		e.Skip("the file system cannot be written, and no tree is prepared")
	}
	var tree []Node
	for _, n := range sampleTree {
		dir, name := e.find(e.base, path.Dir(n.Path)), path.Base(n.Path)
		switch n.Type {
		case nfs.TypeDirectory:
			e.mkdir(e.owner, dir, name, n.Mode)
		case nfs.TypeRegular:
			a := e.file(e.owner, dir, name, n.Mode)
			if n.Data != "" {
				e.write(e.owner, a.ID, n.Data, 0)
			}
		case nfs.TypeSymlink:
			if _, ok := e.fs.(nfs.Symlinker); !ok {
				continue
			}
			_, err := e.symlink(e.owner, dir, name, n.Target)
			e.must("symlink", err)
		}
		tree = append(tree, n)
	}
	return e.base, tree
}

// find walks a path below dir.
func (e *env) find(dir nfs.ID, p string) nfs.ID {
	e.Helper()
	if p == "." || p == "" {
		return dir
	}
	for _, name := range strings.Split(p, "/") {
		dir = e.lookup(dir, name).ID
	}
	return dir
}

// first returns the first object of a type, or skips.
func (e *env) first(typ nfs.FileType) (nfs.ID, Node) {
	e.Helper()
	top, tree := e.lay()
	for _, n := range tree {
		if n.Type == typ && (typ != nfs.TypeRegular || len(n.Data) > 1) {
			return e.find(top, n.Path), n
		}
	}
	e.Skipf("the tree has no object of type %d", typ)
	return 0, Node{}
}

func (e *env) testWalk() {
	top, tree := e.lay()
	want := map[string][]string{".": {}}
	ids := map[nfs.ID]string{top: "."}
	for _, n := range tree {
		want[path.Dir(n.Path)] = append(want[path.Dir(n.Path)], path.Base(n.Path))
		if n.Type == nfs.TypeDirectory && want[n.Path] == nil {
			want[n.Path] = []string{}
		}
		a := e.attr(e.find(top, n.Path))
		if twin, ok := ids[a.ID]; ok {
			e.Errorf("%s and %s have the same id", twin, n.Path)
		}
		ids[a.ID] = n.Path
		if a.Type != n.Type {
			e.Errorf("%s: type %d, want %d", n.Path, a.Type, n.Type)
		}
		if n.Mode != 0 && a.Mode != n.Mode {
			e.Errorf("%s: mode %o, want %o", n.Path, a.Mode, n.Mode)
		}
		if a.Nlink == 0 {
			e.Errorf("%s: no links", n.Path)
		}
		if n.Type == nfs.TypeRegular && a.Size != uint64(len(n.Data)) {
			e.Errorf("%s: size %d, want %d", n.Path, a.Size, len(n.Data))
		}
		if n.Type == nfs.TypeSymlink && a.Size != uint64(len(n.Target)) {
			e.Errorf("%s: size %d of a link to %q", n.Path, a.Size, n.Target)
		}
		if n.Type == nfs.TypeDirectory {
			parent := e.find(top, path.Dir(n.Path))
			if up := e.lookup(a.ID, ".."); up.ID != parent {
				e.Errorf("%s/.. is %d, want %d", n.Path, up.ID, parent)
			}
			e.same(n.Path+"/.", e.lookup(a.ID, "."), a)
		}
	}
	for dir, names := range want {
		got := map[string]bool{}
		for _, d := range e.list(e.find(top, dir), 3, false) {
			if got[d.Name] {
				e.Errorf("%s is listed twice in %s", d.Name, dir)
			}
			got[d.Name] = true
			if d.Name == "." || d.Name == ".." || d.Cookie <= 2 {
				e.Errorf("%s: entry %q with cookie %d", dir, d.Name, d.Cookie)
			}
			if p := path.Join(dir, d.Name); ids[d.ID] != p {
				e.Errorf("%s is listed with the id of %q", p, ids[d.ID])
			}
		}
		if len(got) != len(names) {
			e.Errorf("%s: %d entries, want %d: %v", dir, len(got), len(names), got)
		}
		for _, n := range names {
			if !got[n] {
				e.Errorf("%s is not listed in %s", n, dir)
			}
		}
	}
}

func (e *env) testRoot() {
	root := e.attr(e.fs.Root())
	if root.ID == 0 || root.Type != nfs.TypeDirectory {
		e.Errorf("the root is %+v", root)
	}
	e.same("/.", e.lookup(root.ID, "."), root)
	e.same("/..", e.lookup(root.ID, ".."), root)
}

func (e *env) testLookupErrors() {
	id, _ := e.first(nfs.TypeRegular)
	_, err := e.fs.Lookup(e.ctx, e.super, id, "x")
	e.want("lookup in a file", err, nfs.ErrNotDir)
	_, err = e.fs.Lookup(e.ctx, e.super, id, ".")
	e.want("lookup of . in a file", err, nfs.ErrNotDir)
	e.absent(e.fs.Root(), "no such name")
	_, err = e.fs.Lookup(e.ctx, e.super, e.fs.Root(), strings.Repeat("x", 256))
	e.want("lookup of a name of 256 bytes", err, nfs.ErrNameTooLong, nfs.ErrNoEnt)
}

func (e *env) testRead() {
	top, tree := e.lay()
	for _, n := range tree {
		if n.Type != nfs.TypeRegular {
			continue
		}
		id, size := e.find(top, n.Path), len(n.Data)
		for _, r := range [][2]int{{0, size}, {0, size + 10}, {0, 1}, {size / 2, 100}, {size - 1, 1}, {size, 10}, {size + 5000, 10}, {4095, 2}, {0, 0}} {
			off, length := max(r[0], 0), r[1]
			want := ""
			if off < size {
				want = n.Data[off:min(off+length, size)]
			}
			p := make([]byte, length)
			got, eof, err := e.fs.Read(e.ctx, e.super, id, p, uint64(off))
			e.must("read "+n.Path, err)
			if string(p[:got]) != want {
				e.Errorf("%s: %d bytes at %d: got %d bytes, which are not the %d expected", n.Path, length, off, got, len(want))
			}
			if atEnd := off+got >= size; eof != atEnd {
				e.Errorf("%s of %d bytes: %d bytes at %d: eof %v", n.Path, size, length, off, eof)
			}
		}
		if _, eof, err := e.fs.Read(e.ctx, e.super, id, make([]byte, 10), 1<<63); err == nil && !eof {
			e.Errorf("%s: no eof at 1<<63", n.Path)
		}
	}
}

func (e *env) testReadErrors() {
	_, _, err := e.fs.Read(e.ctx, e.super, e.fs.Root(), make([]byte, 1), 0)
	e.want("read of a directory", err, nfs.ErrIsDir)
	id, _ := e.first(nfs.TypeSymlink)
	_, _, err = e.fs.Read(e.ctx, e.super, id, make([]byte, 1), 0)
	e.want("read of a symbolic link", err, nfs.ErrInval)
}

func (e *env) testReadDirPages() {
	top, tree := e.lay()
	dirs := []nfs.ID{top}
	for _, n := range tree {
		if n.Type == nfs.TypeDirectory && len(dirs) < 4 {
			dirs = append(dirs, e.find(top, n.Path))
		}
	}
	for _, dir := range dirs {
		all := e.list(dir, 1<<30, true)
		for _, page := range []int{1, 2, 7} {
			for _, plus := range []bool{false, true} {
				got := e.list(dir, page, plus)
				if len(got) != len(all) {
					e.Fatalf("in pages of %d: %d entries, want %d", page, len(got), len(all))
				}
				for i, d := range got {
					if d.Name != all[i].Name || d.Cookie != all[i].Cookie || d.ID != all[i].ID {
						e.Errorf("in pages of %d: entry %d is %+v, want %+v", page, i, d, all[i])
					}
				}
			}
		}
		for _, d := range all {
			if d.Attr.ID == 0 {
				continue
			}
			if d.Attr.ID != d.ID {
				e.Errorf("%s: id %d with the attributes of %d", d.Name, d.ID, d.Attr.ID)
			}
			e.same("readdir with attributes: "+d.Name, d.Attr, e.lookup(dir, d.Name))
		}
	}
}

func (e *env) testReadDirErrors() {
	id, _ := e.first(nfs.TypeRegular)
	none := func(nfs.DirEntry) bool { e.Error("an entry of a file"); return false }
	_, err := e.fs.ReadDir(e.ctx, e.super, id, 0, false, none)
	e.want("readdir of a file", err, nfs.ErrNotDir)
	eof, err := e.fs.ReadDir(e.ctx, e.super, e.fs.Root(), 1<<62, false, func(nfs.DirEntry) bool { return true })
	e.must("readdir behind everything", err)
	if !eof {
		e.Error("readdir behind everything: no eof")
	}
}

func (e *env) testReadlink() {
	f := need[nfs.LinkReader](e)
	top, tree := e.lay()
	for _, n := range tree {
		got, err := f.Readlink(e.ctx, e.super, e.find(top, n.Path))
		if n.Type != nfs.TypeSymlink {
			e.want("readlink of "+n.Path, err, nfs.ErrInval)
		} else if err != nil || got != n.Target {
			e.Errorf("readlink of %s: %q, %v; want %q", n.Path, got, err, n.Target)
		}
	}
}

func (e *env) testStatFS() {
	st, err := e.fs.StatFS(e.ctx, e.super, e.fs.Root())
	e.must("statfs", err)
	if st.FreeBytes > st.TotalBytes || st.AvailBytes > st.FreeBytes || st.FreeFiles > st.TotalFiles || st.AvailFiles > st.FreeFiles {
		e.Errorf("more free than there is: %+v", st)
	}
}

func (e *env) testStale() {
	for _, id := range []nfs.ID{0, 1<<64 - 2} {
		_, err := e.fs.GetAttr(e.ctx, e.super, id)
		e.want("getattr of an unknown id", err, nfs.ErrStale)
		_, err = e.fs.Lookup(e.ctx, e.super, id, "x")
		e.want("lookup in an unknown id", err, nfs.ErrStale)
		_, _, err = e.fs.Read(e.ctx, e.super, id, make([]byte, 1), 0)
		e.want("read of an unknown id", err, nfs.ErrStale)
		_, err = e.fs.ReadDir(e.ctx, e.super, id, 0, false, func(nfs.DirEntry) bool { return true })
		e.want("readdir of an unknown id", err, nfs.ErrStale)
		_, err = e.fs.StatFS(e.ctx, e.super, id)
		e.want("statfs of an unknown id", err, nfs.ErrStale)
	}
}

func (e *env) testAccess() {
	f := need[nfs.AccessChecker](e)
	top, tree := e.lay()
	const all = nfs.AccessRead | nfs.AccessLookup | nfs.AccessModify | nfs.AccessExtend | nfs.AccessDelete | nfs.AccessExecute
	for _, n := range tree {
		id := e.find(top, n.Path)
		for _, want := range []uint32{all, nfs.AccessRead, 0} {
			got, a, err := f.Access(e.ctx, e.super, id, want)
			e.must("access", err)
			if got&^want != 0 {
				e.Errorf("access to %s: asked for %#x, got %#x", n.Path, want, got)
			}
			e.same("access", a, e.attr(id))
		}
		if got, _, _ := f.Access(e.ctx, e.super, id, all); got&nfs.AccessRead == 0 && n.Mode&0o400 != 0 {
			e.Errorf("access to %s: %#x for the caller who made it", n.Path, got)
		}
	}
}
