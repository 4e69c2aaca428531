package nfstest

import (
	"fmt"
	"strings"

	"github.com/moorage/moorage/nfs"
)

var dataChecks = []check{
	{"Write", (*env).testWrite},
	{"WriteErrors", (*env).testWriteErrors},
	{"Truncate", (*env).testTruncate},
	{"Sparse", (*env).testSparse},
	{"LargeOffsets", (*env).testLargeOffsets},
	{"Commit", (*env).testCommit},
	{"OwnerOverride", (*env).testOwnerOverride},
	{"SetIDBits", (*env).testSetIDBits},
}

func (e *env) testWrite() {
	a := e.file(e.owner, e.base, "f", 0o644)
	model := ""
	for _, w := range []struct {
		off  int
		data string
	}{
		{0, "hello"}, {5, " world"}, {2, "LL"}, {100, "gap"}, {4090, "across a page"}, {4096, strings.Repeat("z", 4096)},
		{1, strings.Repeat("x", 70000)}, {300000, "far"}, {69999, "end"},
	} {
		e.write(e.owner, a.ID, w.data, uint64(w.off))
		if short := w.off + len(w.data) - len(model); short > 0 {
			model += strings.Repeat("\x00", short)
		}
		model = model[:w.off] + w.data + model[w.off+len(w.data):]
		if got := e.read(e.owner, a.ID, 0, 400000); got != model {
			e.Fatalf("after %d bytes at %d the file of %d bytes is not the %d bytes expected", len(w.data), w.off, len(got), len(model))
		}
		if got := e.attr(a.ID); got.Size != uint64(len(model)) {
			e.Errorf("size %d, want %d", got.Size, len(model))
		}
	}
	if e.write(e.owner, a.ID, "", 1<<20); e.attr(a.ID).Size != uint64(len(model)) {
		e.Error("a write of nothing changed the size")
	}
	if used := e.attr(a.ID).Used; used == 0 && e.granularity == 0 {
		e.Error("a file with data uses no space")
	}
}

func (e *env) testWriteErrors() {
	f := need[nfs.Writer](e)
	_, _, err := f.Write(e.ctx, e.owner, e.base, []byte("x"), 0, nfs.FileSync)
	e.want("write to a directory", err, nfs.ErrIsDir, nfs.ErrInval)
	_, _, err = f.Write(e.ctx, e.owner, 1<<64-2, []byte("x"), 0, nfs.FileSync)
	e.want("write to an unknown id", err, nfs.ErrStale)
	if _, ok := e.fs.(nfs.Symlinker); ok {
		a, err := e.symlink(e.owner, e.base, "l", "x")
		e.must("symlink", err)
		_, _, err = f.Write(e.ctx, e.owner, a.ID, []byte("x"), 0, nfs.FileSync)
		e.want("write to a symbolic link", err, nfs.ErrInval)
	}
	a := e.file(e.owner, e.base, "f", 0o644)
	for _, off := range []uint64{1<<63 - 1, 1 << 63, 1<<64 - 1} {
		e.want(fmt.Sprintf("write at %d", off), e.tryWrite(e.owner, a.ID, "xy", off), nfs.ErrFBig, nfs.ErrInval)
	}
	if got := e.attr(a.ID).Size; got != 0 {
		e.Errorf("writes that failed left a size of %d", got)
	}
}

func (e *env) testTruncate() {
	need[nfs.AttrSetter](e)
	a := e.file(e.owner, e.base, "f", 0o644)
	size := func(n uint64) { e.set(e.owner, a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: n}) }
	e.write(e.owner, a.ID, strings.Repeat("a", 10000), 0)
	size(5000)
	size(9000)
	if got, want := e.read(e.owner, a.ID, 0, 20000), strings.Repeat("a", 5000)+strings.Repeat("\x00", 4000); got != want {
		e.Errorf("what was cut off is there again after growing: %d bytes", len(got))
	}
	size(0)
	if got := e.attr(a.ID); got.Size != 0 || got.Used != 0 {
		e.Errorf("after truncation to nothing: size %d, used %d", got.Size, got.Used)
	}
	e.want("truncate of a directory", e.trySet(e.owner, e.base, nfs.SetAttr{Valid: nfs.SetSize}), nfs.ErrIsDir, nfs.ErrInval)
	e.want("truncate to more than can be", e.trySet(e.owner, a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: 1<<64 - 1}), nfs.ErrFBig, nfs.ErrInval)
	if _, ok := e.fs.(nfs.Symlinker); ok {
		l, err := e.symlink(e.owner, e.base, "l", "f")
		e.must("symlink", err)
		e.want("truncate of a symbolic link", e.trySet(e.owner, l.ID, nfs.SetAttr{Valid: nfs.SetSize}), nfs.ErrInval)
	}
}

func (e *env) testSparse() {
	need[nfs.AttrSetter](e)
	const size = 5 << 30
	if e.properties().MaxFileSize < 2*size {
		e.Skip("files cannot be that large here")
	}
	if e.dense {
		e.Skip("holes take space here")
	}
	a := e.file(e.owner, e.base, "f", 0o644)
	e.set(e.owner, a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: size})
	e.write(e.owner, a.ID, "tail", size-4)
	e.write(e.owner, a.ID, "middle", size/2)
	got := e.attr(a.ID)
	if got.Size != size || got.Used > 1<<20 {
		e.Errorf("a file of %d bytes with two small pieces: size %d, used %d", uint64(size), got.Size, got.Used)
	}
	if s := e.read(e.owner, a.ID, size-10, 100); s != "\x00\x00\x00\x00\x00\x00tail" {
		e.Errorf("its end reads %q", s)
	}
	if s := e.read(e.owner, a.ID, size/2-2, 10); s != "\x00\x00middle\x00\x00" {
		e.Errorf("its middle reads %q", s)
	}
	if s := e.read(e.owner, a.ID, 1<<30, 1000); s != strings.Repeat("\x00", 1000) {
		e.Error("a hole does not read as zeros")
	}
	e.set(e.owner, a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: size / 2})
	e.set(e.owner, a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: size})
	if s := e.read(e.owner, a.ID, size/2, 6) + e.read(e.owner, a.ID, size-4, 4); s != strings.Repeat("\x00", 10) {
		e.Errorf("what was cut off reads %q after growing", s)
	}
}

func (e *env) testLargeOffsets() {
	if e.dense {
		e.Skip("holes take space here")
	}
	a := e.file(e.owner, e.base, "f", 0o644)
	limit := e.properties().MaxFileSize
	for _, off := range []uint64{1<<31 - 2, 1<<32 - 2, 1<<40 - 2} {
		if off+4 > limit {
			e.Logf("no offset of %d: files end at %d", off, limit)
			continue
		}
		e.write(e.owner, a.ID, "abcd", off)
		if got := e.read(e.owner, a.ID, off-1, 10); got != "\x00abcd" {
			e.Errorf("at %d: %q", off, got)
		}
		if got := e.attr(a.ID).Size; got != off+4 {
			e.Errorf("size %d after a write at %d", got, off)
		}
	}
}

func (e *env) testCommit() {
	f := need[nfs.Writer](e)
	a := e.file(e.owner, e.base, "f", 0o644)
	for _, want := range []nfs.Stable{nfs.Unstable, nfs.DataSync, nfs.FileSync} {
		got, _, err := f.Write(e.ctx, e.owner, a.ID, []byte("data"), 4*uint64(want), want)
		e.must("write", err)
		if got < want || got > nfs.FileSync {
			e.Errorf("a write that asked for %d became %d stable", want, got)
		}
	}
	before := e.attr(a.ID)
	w, err := f.Commit(e.ctx, e.owner, a.ID, 0, 0)
	e.must("commit", err)
	e.wcc("commit", w, before)
	_, err = f.Commit(e.ctx, e.owner, a.ID, 4, 4)
	e.must("commit of a part", err)
	_, err = f.Commit(e.ctx, e.owner, a.ID, 1<<40, 10)
	e.must("commit behind the end", err)
	if got := e.read(e.owner, a.ID, 0, 100); got != "datadatadata" {
		e.Errorf("committed: %q", got)
	}
	_, err = f.Commit(e.ctx, e.owner, 1<<64-2, 0, 0)
	e.want("commit of an unknown id", err, nfs.ErrStale)
}

// testOwnerOverride: NFSv3 has no open, so the owner of a file may use its data
// whatever the mode says, and who may execute a file may read it.
func (e *env) testOwnerOverride() {
	need[nfs.AttrSetter](e)
	f := e.fs.(nfs.Writer)
	a := e.file(e.owner, e.base, "f", 0o644)
	e.write(e.owner, a.ID, "data", 0)
	e.chmod(e.owner, a.ID, 0o000)
	e.write(e.owner, a.ID, "more", 4)
	if got := e.read(e.owner, a.ID, 0, 10); got != "datamore" {
		e.Errorf("read by the owner: %q", got)
	}
	e.set(e.owner, a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: 4})
	read := func(c *nfs.Caller) error {
		_, _, err := e.fs.Read(e.ctx, c, a.ID, make([]byte, 1), 0)
		return err
	}
	write := func(c *nfs.Caller) error {
		_, _, err := f.Write(e.ctx, c, a.ID, []byte("d"), 0, nfs.FileSync)
		return err
	}
	for _, c := range []struct {
		perm        uint32
		who         string
		c           *nfs.Caller
		read, write nfs.Status
	}{
		{0o000, "group", e.group, nfs.ErrAccess, nfs.ErrAccess},
		{0o000, "other", e.other, nfs.ErrAccess, nfs.ErrAccess},
		{0o640, "group", e.group, nfs.OK, nfs.ErrAccess},
		{0o640, "supplementary group", e.extra, nfs.OK, nfs.ErrAccess},
		{0o640, "other", e.other, nfs.ErrAccess, nfs.ErrAccess},
		{0o620, "supplementary group", e.extra, nfs.ErrAccess, nfs.OK},
		{0o606, "group", e.group, nfs.ErrAccess, nfs.ErrAccess},
		{0o606, "other", e.other, nfs.OK, nfs.OK},
		{0o711, "other", e.other, nfs.OK, nfs.ErrAccess},
		{0o710, "other", e.other, nfs.ErrAccess, nfs.ErrAccess},
		{0o710, "group", e.group, nfs.OK, nfs.ErrAccess},
		{0o000, "owner", e.owner, nfs.OK, nfs.OK},
	} {
		e.chmod(e.owner, a.ID, c.perm)
		e.want(fmt.Sprintf("read of %#o by %s", c.perm, c.who), read(c.c), c.read)
		e.want(fmt.Sprintf("write to %#o by %s", c.perm, c.who), write(c.c), c.write)
	}
	if e.privileged() {
		e.chmod(e.owner, a.ID, 0o000)
		e.want("read of 0000 by the superuser", read(e.super), nfs.OK)
		e.want("write to 0000 by the superuser", write(e.super), nfs.OK)
	}
}

// testSetIDBits: who changes a program may not keep its set-id bits.
func (e *env) testSetIDBits() {
	need[nfs.AttrSetter](e)
	f := need[nfs.Writer](e)
	if e.owner.UID == 0 {
		e.Skip("all callers are the superuser")
	}
	a := e.file(e.owner, e.base, "f", 0o755)
	reset := func() {
		e.chmod(e.owner, a.ID, 0o6777)
		if got := e.attr(a.ID).Mode; got != 0o6777 {
			e.Fatalf("mode %o after chmod 6777 by the owner", got)
		}
	}
	for who, c := range map[string]*nfs.Caller{"the owner": e.owner, "somebody else": e.other} {
		reset()
		_, _, err := f.Write(e.ctx, c, a.ID, []byte("x"), 0, nfs.FileSync)
		e.must("write", err)
		if got := e.attr(a.ID).Mode; got != 0o777 {
			e.Errorf("mode %o after a write by %s, want 0777", got, who)
		}
		reset()
		e.set(c, a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: 10})
		if got := e.attr(a.ID).Mode; got != 0o777 {
			e.Errorf("mode %o after a truncate by %s, want 0777", got, who)
		}
	}
	// Without group execution, setgid stays for those who could set it.
	for _, c := range []struct {
		who  string
		c    *nfs.Caller
		want uint32
	}{{"the owner", e.owner, 0o2767}, {"one of the group", e.group, 0o2767}, {"somebody else", e.other, 0o767}} {
		e.chmod(e.owner, a.ID, 0o2767)
		_, _, err := f.Write(e.ctx, c.c, a.ID, []byte("x"), 0, nfs.FileSync)
		e.must("write", err)
		if got := e.attr(a.ID).Mode; got != c.want {
			e.Errorf("mode %o after a write by %s, want %o", got, c.who, c.want)
		}
	}
}
