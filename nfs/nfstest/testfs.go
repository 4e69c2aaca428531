package nfstest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
)

// Node describes one object of a prepared tree.
type Node struct {
	Path   string // slash-separated, below the root, without a leading slash
	Type   nfs.FileType
	Mode   uint32 // permission bits; 0: not compared
	Data   string // of a regular file
	Target string // of a symbolic link
}

// Option tells [TestFS] what a file system cannot do for reasons of the place
// where it keeps its data.
type Option func(*options)

type options struct {
	prepared    []Node
	user        *nfs.Caller
	granularity time.Duration
	exactWCC    bool
	utf8Only    bool
	dense       bool
	hostLimits  bool
}

// Prepared names everything that every new file system holds already. It is
// for file systems that cannot be written; directories must be listed, too.
// The caller of the tests is uid 0 or that of [Unprivileged].
func Prepared(tree []Node) Option { return func(o *options) { o.prepared = tree } }

// Unprivileged says that all objects belong to this user and group, because the
// file system cannot make others: everything that needs the superuser or
// foreign owners is left out. Callers who are somebody else still occur.
func Unprivileged(uid, gid uint32) Option {
	return func(o *options) { o.user = &nfs.Caller{UID: uid, GID: gid} }
}

// TimeGranularity says that two changes less than d apart may carry the same time.
func TimeGranularity(d time.Duration) Option { return func(o *options) { o.granularity = d } }

// ExactWCC demands attributes before and after of every change, also of one that fails.
func ExactWCC() Option { return func(o *options) { o.exactWCC = true } }

// UTF8Names says that names which are no UTF-8 are refused.
func UTF8Names() Option { return func(o *options) { o.utf8Only = true } }

// Dense says that holes of files take space.
func Dense() Option { return func(o *options) { o.dense = true } }

// HostLimits says that the user of [Unprivileged] is who the file system itself
// is to its host: what the mode bits keep from the owner, they keep from everybody.
func HostLimits() Option { return func(o *options) { o.hostLimits = true } }

// env is one test on one new file system.
type env struct {
	*testing.T
	options
	fs  nfs.FileSystem
	ctx context.Context

	super *nfs.Caller // may do all that the file system can; uid 0 unless Unprivileged
	owner *nfs.Caller // owns base
	group *nfs.Caller // is in the owner's group
	extra *nfs.Caller // has the owner's group among the supplementary ones
	other *nfs.Caller

	base nfs.ID // an empty directory of owner, mode 0755
}

type check struct {
	name string
	run  func(*env)
}

// TestFS runs the conformance suite: everything that package nfs says of
// [nfs.FileSystem] and of its optional interfaces. newFS makes a file system
// that nothing else uses; it is called once for each sub-test and cleans up
// through t. Tests of an interface that the file system lacks are skipped and
// say so.
func TestFS(t *testing.T, newFS func(t *testing.T) nfs.FileSystem, opts ...Option) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	groups := []struct {
		name   string
		checks []check
	}{
		{"Tree", treeChecks}, {"Create", createChecks}, {"Remove", removeChecks}, {"Rename", renameChecks},
		{"Data", dataChecks}, {"SetAttr", setAttrChecks}, {"Permission", permissionChecks}, {"Times", timeChecks},
		{"ReadDir", readDirChecks}, {"Concurrent", concurrentChecks}, {"Model", modelChecks},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.checks {
				t.Run(c.name, func(t *testing.T) { c.run(newEnv(t, newFS(t), o)) })
			}
		})
	}
}

func newEnv(t *testing.T, fsys nfs.FileSystem, o options) *env {
	e := &env{T: t, options: o, fs: fsys, ctx: t.Context(), super: &nfs.Caller{}, owner: &nfs.Caller{UID: 1000, GID: 1000}}
	if o.user != nil {
		e.super, e.owner = o.user, o.user
	}
	u, g := e.owner.UID, e.owner.GID
	e.group = &nfs.Caller{UID: u + 1, GID: g}
	e.extra = &nfs.Caller{UID: u + 2, GID: g + 2, Groups: []uint32{g + 7, g}}
	e.other = &nfs.Caller{UID: u + 3, GID: g + 3, Groups: []uint32{g + 8}}
	if _, ok := fsys.(nfs.Creator); ok {
		d := e.mkdir(e.super, fsys.Root(), "base", 0o755)
		e.base = d.ID
		if e.privileged() {
			e.set(e.super, e.base, nfs.SetAttr{Valid: nfs.SetUID | nfs.SetGID, UID: u, GID: g})
		}
	}
	return e
}

func (e *env) privileged() bool { return e.user == nil }

// needPrivilege skips where no foreign owner can be made.
func (e *env) needPrivilege() {
	e.Helper()
	if !e.privileged() {
		e.Skip("the file system is unprivileged: it cannot make foreign owners and devices")
	}
}

// need returns the file system as T, or skips.
func need[T any](e *env) T {
	e.Helper()
	v, ok := e.fs.(T)
	if !ok {
		e.Skipf("the file system is no %T", (*T)(nil))
	}
	return v
}

// tick waits until a change carries a later time than those before.
func (e *env) tick() {
	if e.granularity > 0 {
		time.Sleep(2 * e.granularity)
	}
}

func (e *env) properties() nfs.Properties {
	if d, ok := e.fs.(nfs.Describer); ok {
		return d.Properties()
	}
	return nfs.Properties{MaxFileSize: 1<<63 - 1, TimeDelta: 1, LinkMax: 32000, NameMax: 255, CasePreserving: true}
}

// want checks that err has one of the statuses; nfs.OK stands for success.
func (e *env) want(what string, err error, statuses ...nfs.Status) {
	e.Helper()
	if !slices.Contains(statuses, nfs.StatusOf(err)) {
		e.Errorf("%s: got %q, want %q", what, nfs.StatusOf(err), statuses)
	}
}

func (e *env) must(what string, err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("%s: %v", what, err)
	}
}

func (e *env) attr(id nfs.ID) nfs.Attr {
	e.Helper()
	a, err := e.fs.GetAttr(e.ctx, e.super, id)
	e.must("getattr", err)
	if a.ID != id {
		e.Fatalf("getattr of id %d answers with id %d", id, a.ID)
	}
	return a
}

func (e *env) lookup(dir nfs.ID, name string) nfs.Attr {
	e.Helper()
	a, err := e.fs.Lookup(e.ctx, e.super, dir, name)
	e.must("lookup "+name, err)
	return a
}

// absent checks that name is not in dir.
func (e *env) absent(dir nfs.ID, name string) {
	e.Helper()
	_, err := e.fs.Lookup(e.ctx, e.super, dir, name)
	e.want("lookup of "+name+", which should not be there", err, nfs.ErrNoEnt)
}

// same checks that two answers about one object agree.
func (e *env) same(what string, got, want nfs.Attr) {
	e.Helper()
	if !got.Mtime.Equal(want.Mtime) || !got.Ctime.Equal(want.Ctime) {
		e.Errorf("%s: mtime %v ctime %v, want %v and %v", what, got.Mtime, got.Ctime, want.Mtime, want.Ctime)
	}
	got.Atime, got.Mtime, got.Ctime = want.Atime, want.Mtime, want.Ctime
	got.Used = want.Used // a host may allocate later
	if got != want {
		e.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// wcc checks what a change of id said, which had the attributes before.
func (e *env) wcc(what string, w nfs.WCC, before nfs.Attr) {
	e.Helper()
	if e.exactWCC && (!w.HasBefore || w.After.ID == 0) {
		e.Errorf("%s: attributes before: %v, after: %v, want both", what, w.HasBefore, w.After.ID != 0)
	}
	if w.HasBefore {
		b := before.Pre()
		if w.Before.Size != b.Size || !w.Before.Mtime.Equal(b.Mtime) || !w.Before.Ctime.Equal(b.Ctime) {
			e.Errorf("%s: attributes before are %+v, want %+v", what, w.Before, b)
		}
	}
	if w.After.ID != 0 {
		e.same(what+": attributes after", w.After, e.attr(before.ID))
	}
}

// The methods below make one call and check the attributes that it returns.

func (e *env) create(c *nfs.Caller, dir nfs.ID, name string, how nfs.CreateHow) (nfs.Attr, error) {
	e.Helper()
	f, before := need[nfs.Creator](e), e.attr(dir)
	a, w, err := f.Create(e.ctx, c, dir, name, how)
	e.wcc("create", w, before)
	if err == nil {
		e.same("create", a, e.lookup(dir, name))
	}
	return a, err
}

func (e *env) tryMkdir(c *nfs.Caller, dir nfs.ID, name string, set nfs.SetAttr) (nfs.Attr, error) {
	e.Helper()
	f, before := need[nfs.Creator](e), e.attr(dir)
	a, w, err := f.Mkdir(e.ctx, c, dir, name, set)
	e.wcc("mkdir", w, before)
	if err == nil {
		e.same("mkdir", a, e.lookup(dir, name))
	}
	return a, err
}

func (e *env) symlink(c *nfs.Caller, dir nfs.ID, name, target string) (nfs.Attr, error) {
	e.Helper()
	f, before := need[nfs.Symlinker](e), e.attr(dir)
	a, w, err := f.Symlink(e.ctx, c, dir, name, target, nfs.SetAttr{})
	if err == nil {
		e.wcc("symlink", w, before)
		e.same("symlink", a, e.lookup(dir, name))
	}
	return a, err
}

func (e *env) mknod(c *nfs.Caller, dir nfs.ID, name string, typ nfs.FileType, major, minor uint32) (nfs.Attr, error) {
	e.Helper()
	f, before := need[nfs.NodeMaker](e), e.attr(dir)
	a, w, err := f.Mknod(e.ctx, c, dir, name, typ, mode(0o640), major, minor)
	if err == nil {
		e.wcc("mknod", w, before)
		e.same("mknod", a, e.lookup(dir, name))
	}
	return a, err
}

func (e *env) link(c *nfs.Caller, id, dir nfs.ID, name string) error {
	e.Helper()
	f, before := need[nfs.Linker](e), e.attr(dir)
	a, w, err := f.Link(e.ctx, c, id, dir, name)
	e.wcc("link", w, before)
	if err == nil {
		e.same("link", a, e.lookup(dir, name))
	}
	return err
}

func (e *env) remove(c *nfs.Caller, dir nfs.ID, name string) error {
	e.Helper()
	f, before := need[nfs.Remover](e), e.attr(dir)
	w, err := f.Remove(e.ctx, c, dir, name)
	e.wcc("remove", w, before)
	return err
}

func (e *env) rmdir(c *nfs.Caller, dir nfs.ID, name string) error {
	e.Helper()
	f, before := need[nfs.Remover](e), e.attr(dir)
	w, err := f.Rmdir(e.ctx, c, dir, name)
	e.wcc("rmdir", w, before)
	return err
}

func (e *env) rename(c *nfs.Caller, fromDir nfs.ID, from string, toDir nfs.ID, to string) error {
	e.Helper()
	f, fb, tb := need[nfs.Renamer](e), e.attr(fromDir), e.attr(toDir)
	fw, tw, err := f.Rename(e.ctx, c, fromDir, from, toDir, to)
	e.wcc("rename: from", fw, fb)
	e.wcc("rename: to", tw, tb)
	return err
}

func (e *env) trySet(c *nfs.Caller, id nfs.ID, set nfs.SetAttr) error {
	e.Helper()
	f, before := need[nfs.AttrSetter](e), e.attr(id)
	w, err := f.SetAttr(e.ctx, c, id, set, nil)
	e.wcc("setattr", w, before)
	return err
}

func (e *env) tryWrite(c *nfs.Caller, id nfs.ID, data string, off uint64) error {
	e.Helper()
	f, before := need[nfs.Writer](e), e.attr(id)
	stable, w, err := f.Write(e.ctx, c, id, []byte(data), off, nfs.DataSync)
	e.wcc("write", w, before)
	if err == nil && stable < nfs.DataSync {
		e.Errorf("write that asked for %d became only %d stable", nfs.DataSync, stable)
	}
	return err
}

// The methods below must succeed.

func (e *env) file(c *nfs.Caller, dir nfs.ID, name string, perm uint32) nfs.Attr {
	e.Helper()
	a, err := e.create(c, dir, name, nfs.CreateHow{Mode: nfs.Guarded, Set: mode(perm)})
	e.must("create "+name, err)
	return a
}

func (e *env) mkdir(c *nfs.Caller, dir nfs.ID, name string, perm uint32) nfs.Attr {
	e.Helper()
	a, err := e.tryMkdir(c, dir, name, mode(perm))
	e.must("mkdir "+name, err)
	return a
}

func (e *env) set(c *nfs.Caller, id nfs.ID, set nfs.SetAttr) {
	e.Helper()
	e.must("setattr", e.trySet(c, id, set))
}

func (e *env) chmod(c *nfs.Caller, id nfs.ID, perm uint32) { e.Helper(); e.set(c, id, mode(perm)) }

func (e *env) write(c *nfs.Caller, id nfs.ID, data string, off uint64) {
	e.Helper()
	e.must("write", e.tryWrite(c, id, data, off))
}

func (e *env) read(c *nfs.Caller, id nfs.ID, off uint64, n int) string {
	e.Helper()
	p := make([]byte, n)
	n, _, err := e.fs.Read(e.ctx, c, id, p, off)
	e.must("read", err)
	return string(p[:n])
}

func mode(perm uint32) nfs.SetAttr { return nfs.SetAttr{Valid: nfs.SetMode, Mode: perm} }

// list returns all entries of dir, asked for in pages.
func (e *env) list(dir nfs.ID, page int, plus bool) []nfs.DirEntry {
	e.Helper()
	var all []nfs.DirEntry
	cookie := uint64(0)
	for {
		n := 0
		eof, err := e.fs.ReadDir(e.ctx, e.super, dir, cookie, plus, func(d nfs.DirEntry) bool {
			if n == page {
				return false
			}
			n++
			all, cookie = append(all, d), d.Cookie
			return true
		})
		e.must("readdir", err)
		if eof {
			return all
		}
		if n == 0 || len(all) > 1e6 {
			e.Fatalf("readdir: no end, after %d entries", len(all))
		}
	}
}
