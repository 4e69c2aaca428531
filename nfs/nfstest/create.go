package nfstest

import (
	"fmt"
	"strings"

	"github.com/moorage/moorage/nfs"
)

var createChecks = []check{
	{"Guarded", (*env).testGuarded},
	{"Unchecked", (*env).testUnchecked},
	{"Exclusive", (*env).testExclusive},
	{"Initial", (*env).testInitial},
	{"SetgidDirectory", (*env).testSetgidDirectory},
	{"Mkdir", (*env).testMkdir},
	{"Symlink", (*env).testSymlink},
	{"Mknod", (*env).testMknod},
	{"Link", (*env).testLink},
	{"Names", (*env).testNames},
	{"BadNames", (*env).testBadNames},
	{"NotDirectory", (*env).testCreateInFile},
	{"NewIDs", (*env).testNewIDs},
}

func (e *env) testGuarded() {
	e.file(e.owner, e.base, "f", 0o640)
	_, err := e.create(e.owner, e.base, "f", nfs.CreateHow{Mode: nfs.Guarded})
	e.want("guarded create of a file that is there", err, nfs.ErrExist)
	e.mkdir(e.owner, e.base, "d", 0o755)
	_, err = e.create(e.owner, e.base, "d", nfs.CreateHow{Mode: nfs.Guarded})
	e.want("guarded create of a directory that is there", err, nfs.ErrExist)
}

func (e *env) testUnchecked() {
	a := e.file(e.owner, e.base, "f", 0o640)
	e.write(e.owner, a.ID, "data", 0)
	b, err := e.create(e.owner, e.base, "f", nfs.CreateHow{Mode: nfs.Unchecked, Set: mode(0o777)})
	e.must("unchecked create of a file that is there", err)
	if b.ID != a.ID || b.Mode != 0o640 || b.Size != 4 {
		e.Errorf("unchecked create without size changed the file: %+v", b)
	}
	b, err = e.create(e.owner, e.base, "f", nfs.CreateHow{Mode: nfs.Unchecked, Set: nfs.SetAttr{Valid: nfs.SetSize}})
	e.must("unchecked create with size 0", err)
	if b.ID != a.ID || b.Size != 0 {
		e.Errorf("unchecked create with size 0: %+v", b)
	}
	e.mkdir(e.owner, e.base, "d", 0o755)
	_, err = e.create(e.owner, e.base, "d", nfs.CreateHow{Mode: nfs.Unchecked})
	e.want("unchecked create of a directory that is there", err, nfs.ErrExist, nfs.ErrIsDir)
	if _, ok := e.fs.(nfs.Symlinker); ok {
		_, err = e.symlink(e.owner, e.base, "l", "f")
		e.must("symlink", err)
		_, err = e.create(e.owner, e.base, "l", nfs.CreateHow{Mode: nfs.Unchecked})
		e.want("unchecked create of a symbolic link that is there", err, nfs.ErrExist, nfs.ErrInval)
	}
}

func (e *env) testExclusive() {
	how := nfs.CreateHow{Mode: nfs.Exclusive, Verifier: [8]byte{1, 2, 3, 4, 5, 6, 7, 0xff}}
	a, err := e.create(e.owner, e.base, "f", how)
	e.must("exclusive create", err)
	if a.Size != 0 || a.Type != nfs.TypeRegular || a.Mode&0o077 != 0 {
		e.Errorf("exclusive create made %+v", a)
	}
	e.lookup(e.base, "f")
	b, err := e.create(e.owner, e.base, "f", how)
	e.must("exclusive create sent again", err)
	if a.ID != b.ID {
		e.Errorf("exclusive create sent again: id %d, want %d", b.ID, a.ID)
	}
	other := how
	other.Verifier[7] = 8
	_, err = e.create(e.owner, e.base, "f", other)
	e.want("exclusive create with another verifier", err, nfs.ErrExist)
	_, err = e.create(e.owner, e.base, "f", nfs.CreateHow{Mode: nfs.Guarded})
	e.want("guarded create over an exclusive one", err, nfs.ErrExist)
	if _, ok := e.fs.(nfs.AttrSetter); ok {
		e.chmod(e.owner, a.ID, 0o644)
		if now := e.attr(a.ID); now.Mode != 0o644 {
			e.Errorf("mode %o after exclusive create and chmod", now.Mode)
		}
		_, err = e.create(e.owner, e.base, "f", how)
		e.want("exclusive create after a setattr", err, nfs.ErrExist)
	}
	e.file(e.owner, e.base, "plain", 0o600)
	_, err = e.create(e.owner, e.base, "plain", nfs.CreateHow{Mode: nfs.Exclusive})
	e.want("exclusive create, with a verifier of zeros, of a file made otherwise", err, nfs.ErrExist)
	e.mkdir(e.owner, e.base, "d", 0o700)
	_, err = e.create(e.owner, e.base, "d", how)
	e.want("exclusive create of a directory that is there", err, nfs.ErrExist)
}

// testInitial checks the attributes of new objects.
func (e *env) testInitial() {
	a, err := e.create(e.owner, e.base, "f", nfs.CreateHow{Mode: nfs.Guarded})
	e.must("create", err)
	d, err := e.tryMkdir(e.owner, e.base, "d", nfs.SetAttr{})
	e.must("mkdir", err)
	if a.Mode != 0o644 || d.Mode != 0o755 {
		e.Errorf("modes where none is given: file %o, directory %o", a.Mode, d.Mode)
	}
	for _, x := range []nfs.Attr{a, d} {
		if x.UID != e.owner.UID || x.GID != e.owner.GID {
			e.Errorf("made by %d:%d, belongs to %d:%d", e.owner.UID, e.owner.GID, x.UID, x.GID)
		}
		for _, at := range []int64{x.Atime.Unix(), x.Mtime.Unix(), x.Ctime.Unix()} {
			if at < 1e9 {
				e.Errorf("times of a new object: %v %v %v", x.Atime, x.Mtime, x.Ctime)
				break
			}
		}
	}
	if a.Nlink != 1 || a.Size != 0 || a.Used != 0 {
		e.Errorf("a new file is %+v", a)
	}
	b, err := e.create(e.owner, e.base, "g", nfs.CreateHow{Set: nfs.SetAttr{Valid: nfs.SetMode | nfs.SetSize, Mode: 0o4711, Size: 12345}})
	e.must("create with mode and size", err)
	if b.Mode&0o777 != 0o711 || b.Size != 12345 {
		e.Errorf("mode %o and size %d, want 0711 and 12345", b.Mode, b.Size)
	}
	if got := e.read(e.owner, b.ID, 12340, 10); got != "\x00\x00\x00\x00\x00" {
		e.Errorf("a new file of some size reads %q", got)
	}
	c, err := e.create(e.owner, e.base, "foreign", nfs.CreateHow{Set: nfs.SetAttr{Valid: nfs.SetUID | nfs.SetGID, UID: e.owner.UID + 9, GID: e.owner.GID + 9}})
	if e.owner.UID != 0 && err == nil && (c.UID != e.owner.UID || c.GID != e.owner.GID) {
		e.Errorf("%d made a file of %d:%d", e.owner.UID, c.UID, c.GID)
	}
}

func (e *env) testSetgidDirectory() {
	e.needPrivilege()
	d := e.mkdir(e.super, e.base, "d", 0o777)
	e.set(e.super, d.ID, nfs.SetAttr{Valid: nfs.SetGID, GID: 4242})
	e.chmod(e.super, d.ID, 0o2777)
	f := e.file(e.owner, d.ID, "f", 0o644)
	sub := e.mkdir(e.owner, d.ID, "sub", 0o755)
	if f.GID != 4242 || f.Mode != 0o644 || f.UID != e.owner.UID {
		e.Errorf("a file in a setgid directory: %d:%d mode %o", f.UID, f.GID, f.Mode)
	}
	if sub.GID != 4242 || sub.Mode != 0o2755 {
		e.Errorf("a directory in a setgid directory: gid %d mode %o", sub.GID, sub.Mode)
	}
	g := e.file(e.owner, d.ID, "g", 0o2755)
	if g.Mode&0o2000 != 0 {
		e.Errorf("setgid for a group that the caller is not in: mode %o", g.Mode)
	}
	// Without group execution the bit is the mark of mandatory locks.
	h := e.file(e.owner, d.ID, "h", 0o2745)
	if h.Mode != 0o2745 {
		e.Errorf("mode %o of a new file, want 2745", h.Mode)
	}
}

func (e *env) testMkdir() {
	need[nfs.Creator](e)
	before := e.attr(e.base)
	d := e.mkdir(e.owner, e.base, "d", 0o750)
	if d.Type != nfs.TypeDirectory || d.Mode != 0o750 || len(e.list(d.ID, 10, false)) != 0 {
		e.Errorf("a new directory: %+v", d)
	}
	// Some hosts do not count subdirectories: all their directories have one link.
	if before.Nlink >= 2 {
		if after := e.attr(e.base); d.Nlink != 2 || after.Nlink != before.Nlink+1 {
			e.Errorf("links: new directory %d, its parent %d then %d", d.Nlink, before.Nlink, after.Nlink)
		}
	}
	e.file(e.owner, e.base, "f", 0o644)
	for _, name := range []string{"d", "f"} {
		_, err := e.tryMkdir(e.owner, e.base, name, mode(0o755))
		e.want("mkdir over "+name, err, nfs.ErrExist)
	}
}

func (e *env) testSymlink() {
	f := need[nfs.Symlinker](e)
	for i, target := range []string{"x", "../a/b", "/", "with space\n", strings.Repeat("t", 1024)} {
		name := fmt.Sprint("l", i)
		a, err := e.symlink(e.owner, e.base, name, target)
		e.must("symlink", err)
		if a.Type != nfs.TypeSymlink || a.Size != uint64(len(target)) || a.UID != e.owner.UID {
			e.Errorf("a new symbolic link to %d bytes: %+v", len(target), a)
		}
		if got, err := f.Readlink(e.ctx, e.other, a.ID); err != nil || got != target {
			e.Errorf("readlink: %q, %v; want %q", got, err, target)
		}
	}
	_, err := e.symlink(e.owner, e.base, "long", strings.Repeat("t", nfs.MaxTarget+1))
	e.want("a target that is too long", err, nfs.ErrNameTooLong, nfs.ErrInval)
	_, err = e.symlink(e.owner, e.base, "l0", "y")
	e.want("symlink over a name", err, nfs.ErrExist)
}

func (e *env) testMknod() {
	need[nfs.NodeMaker](e)
	for name, typ := range map[string]nfs.FileType{"fifo": nfs.TypeFIFO, "socket": nfs.TypeSocket} {
		a, err := e.mknod(e.owner, e.base, name, typ, 0, 0)
		if nfs.StatusOf(err) == nfs.ErrNotSupp {
			e.Logf("no %s here", name)
			continue
		}
		e.must("mknod "+name, err)
		if a.Type != typ || a.Mode != 0o640 || a.UID != e.owner.UID || a.Nlink != 1 {
			e.Errorf("a new %s: %+v", name, a)
		}
		_, err = e.mknod(e.owner, e.base, name, typ, 0, 0)
		e.want("mknod over a name", err, nfs.ErrExist)
		_, _, err = e.fs.Read(e.ctx, e.owner, a.ID, make([]byte, 1), 0)
		e.want("read of a "+name, err, nfs.ErrInval)
		e.must("remove", e.remove(e.owner, e.base, name))
	}
	for name, typ := range map[string]nfs.FileType{"block": nfs.TypeBlock, "char": nfs.TypeChar} {
		if e.owner.UID != 0 {
			_, err := e.mknod(e.owner, e.base, name, typ, 7, 9)
			e.want("a device made by an ordinary user", err, nfs.ErrPerm)
		}
		if e.privileged() {
			a, err := e.mknod(e.super, e.base, name, typ, 7, 300)
			if nfs.StatusOf(err) == nfs.ErrPerm {
				e.Logf("no devices here")
				continue
			}
			e.must("mknod "+name, err)
			if a.Type != typ || a.Major != 7 || a.Minor != 300 {
				e.Errorf("a new %s: %+v", name, a)
			}
		}
	}
	for _, typ := range []nfs.FileType{0, nfs.TypeRegular, nfs.TypeDirectory, nfs.TypeSymlink, 8} {
		_, err := e.mknod(e.super, e.base, "odd", typ, 0, 0)
		e.want(fmt.Sprintf("mknod of type %d", typ), err, nfs.ErrBadType)
	}
}

func (e *env) testLink() {
	need[nfs.Linker](e)
	a := e.file(e.owner, e.base, "a", 0o644)
	d := e.mkdir(e.owner, e.base, "d", 0o755)
	e.must("link", e.link(e.owner, a.ID, d.ID, "b"))
	b := e.lookup(d.ID, "b")
	if b.ID != a.ID || b.Nlink != 2 {
		e.Errorf("the second name leads to %+v, want id %d with two links", b, a.ID)
	}
	e.want("link over a file", e.link(e.owner, a.ID, e.base, "a"), nfs.ErrExist)
	e.want("link over a directory", e.link(e.owner, a.ID, e.base, "d"), nfs.ErrExist)
	e.want("link to a directory", e.link(e.owner, d.ID, e.base, "x"), nfs.ErrPerm, nfs.ErrIsDir)
	e.want("link in a file", e.link(e.owner, a.ID, a.ID, "x"), nfs.ErrNotDir)
	e.write(e.owner, b.ID, "shared", 0)
	if got := e.read(e.owner, a.ID, 0, 10); got != "shared" {
		e.Errorf("written by one name, read by the other: %q", got)
	}
	e.must("remove", e.remove(e.owner, e.base, "a"))
	if b := e.lookup(d.ID, "b"); b.Nlink != 1 || e.read(e.owner, b.ID, 0, 10) != "shared" {
		e.Errorf("after one name went: %+v", b)
	}
	if _, ok := e.fs.(nfs.Symlinker); ok {
		l, err := e.symlink(e.owner, e.base, "l", "nowhere")
		e.must("symlink", err)
		if err := e.link(e.owner, l.ID, e.base, "m"); nfs.StatusOf(err) != nfs.ErrNotSupp {
			e.must("link to a symbolic link", err)
			if m := e.lookup(e.base, "m"); m.ID != l.ID || m.Type != nfs.TypeSymlink || m.Nlink != 2 {
				e.Errorf("the second name of a symbolic link: %+v", m)
			}
		}
	}
}

// testNames makes files whose names are unusual but allowed.
func (e *env) testNames() {
	names := []string{
		"...", " ", "a b", "-rf", "new\nline", "tab\t", "back\\slash", "quote\"'", "*?[", "ümläut", "日本語", "e\u0301", "é",
		strings.Repeat("n", 255), strings.Repeat("ü", 127), ".nfs0123", "aux", "CON", "trailing.", "colon:",
	}
	if !e.utf8Only {
		names = append(names, "\xff\xfe", "bad\x80utf8", strings.Repeat("\xff", 255))
	}
	if e.properties().CaseInsensitive {
		e.Log("the file system is case-insensitive")
	} else {
		names = append(names, "case", "CASE", "Case")
	}
	ids := map[string]nfs.ID{}
	for _, name := range names {
		a := e.file(e.owner, e.base, name, 0o644)
		e.write(e.owner, a.ID, name, 0)
		ids[name] = a.ID
	}
	for _, d := range e.list(e.base, 5, true) {
		if ids[d.Name] != d.ID {
			e.Errorf("listed: %q with id %d, want %d", d.Name, d.ID, ids[d.Name])
		}
	}
	for _, name := range names {
		if got := e.read(e.owner, e.lookup(e.base, name).ID, 0, 300); got != name {
			e.Errorf("the file %q holds %q", name, got)
		}
		e.must("remove", e.remove(e.owner, e.base, name))
	}
	if left := e.list(e.base, 10, false); len(left) != 0 {
		e.Errorf("left after removing all: %v", left)
	}
}

func (e *env) testBadNames() {
	long := strings.Repeat("x", 256)
	_, err := e.create(e.owner, e.base, long, nfs.CreateHow{})
	e.want("create with a name of 256 bytes", err, nfs.ErrNameTooLong)
	_, err = e.tryMkdir(e.owner, e.base, long, nfs.SetAttr{})
	e.want("mkdir with a name of 256 bytes", err, nfs.ErrNameTooLong)
	if e.utf8Only {
		_, err = e.create(e.owner, e.base, "\xff", nfs.CreateHow{})
		e.want("create with a name that is no UTF-8", err, nfs.ErrInval, nfs.ErrIO)
	}
}

func (e *env) testCreateInFile() {
	f := e.file(e.owner, e.base, "f", 0o755).ID
	_, err := e.create(e.owner, f, "x", nfs.CreateHow{})
	e.want("create in a file", err, nfs.ErrNotDir)
	_, err = e.tryMkdir(e.owner, f, "x", nfs.SetAttr{})
	e.want("mkdir in a file", err, nfs.ErrNotDir)
	if _, ok := e.fs.(nfs.Remover); ok {
		e.want("remove in a file", e.remove(e.owner, f, "x"), nfs.ErrNotDir)
		e.want("rmdir in a file", e.rmdir(e.owner, f, "x"), nfs.ErrNotDir)
	}
	if _, ok := e.fs.(nfs.Renamer); ok {
		e.want("rename from a file", e.rename(e.owner, f, "x", e.base, "y"), nfs.ErrNotDir)
		e.want("rename to a file", e.rename(e.owner, e.base, "f", f, "y"), nfs.ErrNotDir)
	}
}

// testNewIDs makes and removes objects and looks for an id that comes twice.
func (e *env) testNewIDs() {
	need[nfs.Remover](e)
	seen := map[nfs.ID]bool{}
	for i := range 200 {
		var a nfs.Attr
		if i%2 == 0 {
			a = e.file(e.owner, e.base, "x", 0o644)
			e.must("remove", e.remove(e.owner, e.base, "x"))
		} else {
			a = e.mkdir(e.owner, e.base, "x", 0o755)
			e.must("rmdir", e.rmdir(e.owner, e.base, "x"))
		}
		if a.ID == 0 || seen[a.ID] {
			e.Fatalf("object %d has id %d, which was given before", i, a.ID)
		}
		seen[a.ID] = true
	}
}
