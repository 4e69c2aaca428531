package nfstest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// Walk makes a random sequence of calls of the nine procedures whose effect
// differs when they are done twice (SETATTR, CREATE, MKDIR, SYMLINK, MKNOD,
// REMOVE, RMDIR, RENAME, LINK), in a directory that nobody else changes. It
// keeps a model of that directory, and so knows each reply beforehand: a call
// that was lost, or done twice, shows in its own reply or in a later one.
// A Walk has one call under way at a time. It is not for concurrent use.
type Walk struct {
	r    *rand.Rand
	root *walkObject
	next func() // what the call under way does to the model
	call Step
}

// Step is one call of a [Walk], to be sent with [Client.Resend] on any client
// of the same caller.
type Step struct {
	XID     uint32
	Message []byte // what Resend sends
	Proc    uint32
	Want    nfs.Status
	text    string
	object  *walkObject // what the reply describes, if Want is OK
}

// String tells the call and the status that it has to have.
func (s *Step) String() string { return fmt.Sprintf("xid %#x: %s: %v", s.XID, s.text, s.Want) }

// walkObject is an object as the model has it.
type walkObject struct {
	typ    nfs.FileType
	id     uint64 // 0 until a reply told it
	handle Handle
	links  int // of what is no directory
	mode   uint32
	target string
	ctime  Time // of the last reply; zero if the object changed since
	names  map[string]*walkObject
}

func (o *walkObject) isDir() bool { return o.names != nil }

// The names that calls choose from: so few that most calls meet something.
const (
	walkNames = 10
	walkDirs  = 4 // how many directories there are at most, all side by side
)

// NewWalk starts in the empty directory of handle dir. The source decides
// about everything.
func NewWalk(dir Handle, r *rand.Rand) *Walk {
	return &Walk{r: r, root: &walkObject{typ: nfs.TypeDirectory, handle: dir, names: map[string]*walkObject{}}}
}

// Next chooses the call that comes after the one that Done took the reply of.
// It has the credential of c, and its xid.
func (w *Walk) Next(c *Client) *Step {
	for {
		w.call, w.next = Step{}, func() {}
		args := w.choose()
		if args == nil {
			continue // nothing there that this procedure could be tried on
		}
		w.call.XID = c.NextXID()
		w.call.Message = args.Append(c.Header(wire.NFSProgram, wire.NFSVersion, w.call.Proc))
		return &w.call
	}
}

// dir picks a directory, and name a name.
func (w *Walk) dir() *walkObject {
	dirs := []*walkObject{w.root}
	for _, name := range slices.Sorted(maps.Keys(w.root.names)) {
		if o := w.root.names[name]; o.isDir() {
			dirs = append(dirs, o)
		}
	}
	return dirs[w.r.IntN(len(dirs))]
}

func (w *Walk) name() string { return fmt.Sprintf("n%d", w.r.IntN(walkNames)) }

// pick picks something that is there and that fits.
func (w *Walk) pick(fits func(*walkObject) bool) (d *walkObject, name string) {
	d = w.dir()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(d.names)), func(n string) bool { return !fits(d.names[n]) })
	if len(names) == 0 {
		return d, ""
	}
	return d, names[w.r.IntN(len(names))]
}

// choose fills w.call but for its message, and w.next.
func (w *Walk) choose() wire.Message {
	switch w.r.IntN(9) {
	case 0:
		return w.setattr()
	case 1:
		return w.remove(wire.ProcRemove)
	case 2:
		return w.remove(wire.ProcRmdir)
	case 3:
		return w.rename()
	case 4:
		return w.link()
	case 5:
		return w.make(wire.ProcMkdir, nfs.TypeDirectory)
	case 6:
		return w.make(wire.ProcSymlink, nfs.TypeSymlink)
	case 7:
		return w.make(wire.ProcMknod, nfs.TypeFIFO)
	}
	return w.make(wire.ProcCreate, nfs.TypeRegular)
}

func (w *Walk) say(proc uint32, want nfs.Status, format string, args ...any) {
	w.call.Proc, w.call.Want, w.call.text = proc, want, fmt.Sprintf(format, args...)
}

func (w *Walk) make(proc uint32, typ nfs.FileType) wire.Message {
	d, name := w.dir(), w.name()
	o := &walkObject{typ: typ, links: 1, mode: 0o600 | w.r.Uint32N(0o100)}
	if typ == nfs.TypeDirectory {
		dirs := 0
		for _, o := range w.root.names {
			if o.isDir() {
				dirs++
			}
		}
		if d != w.root || dirs >= walkDirs {
			return nil
		}
		o.names, o.mode = map[string]*walkObject{}, 0o700|o.mode
	}
	want := nfs.OK
	if d.names[name] != nil {
		want = nfs.ErrExist
	} else {
		w.call.object = o
		w.next = func() { d.names[name] = o }
	}
	op, set := dirOp(d.handle, name), Sattr{SetMode: true, Mode: o.mode}
	switch typ {
	case nfs.TypeDirectory:
		w.say(proc, want, "MKDIR %s", name)
		return &wire.MkdirArgs{Where: op, Set: set}
	case nfs.TypeSymlink:
		o.target, o.mode = fmt.Sprintf("target-%d", w.r.Uint32()), 0
		w.say(proc, want, "SYMLINK %s", name)
		return &wire.SymlinkArgs{Where: op, Target: []byte(o.target)}
	case nfs.TypeFIFO:
		w.say(proc, want, "MKNOD %s", name)
		return &wire.MknodArgs{Where: op, Type: uint32(nfs.TypeFIFO), Set: set}
	}
	w.say(proc, want, "CREATE %s", name)
	return &wire.CreateArgs{Where: op, Mode: uint32(nfs.Guarded), Set: set}
}

func (w *Walk) setattr() wire.Message {
	d, name := w.pick(func(o *walkObject) bool { return o.typ != nfs.TypeSymlink })
	if name == "" {
		return nil
	}
	o := d.names[name]
	mode := 0o600 | w.r.Uint32N(0o100)
	if o.isDir() {
		mode |= 0o700
	}
	a := &wire.SetattrArgs{Handle: o.handle, Set: Sattr{SetMode: true, Mode: mode}}
	want := nfs.OK
	switch w.r.IntN(4) {
	case 0: // without guard
	case 1:
		a.Guard, a.Ctime, want = true, Time{Sec: 1}, nfs.ErrNotSync
	default:
		if o.ctime == (Time{}) {
			return nil
		}
		a.Guard, a.Ctime = true, o.ctime
	}
	if want == nfs.OK {
		w.call.object = o
		w.next = func() { o.mode = mode }
	}
	w.say(wire.ProcSetattr, want, "SETATTR %s, guard %v", name, a.Guard)
	return a
}

func (w *Walk) remove(proc uint32) wire.Message {
	d, name := w.dir(), w.name()
	o := d.names[name]
	if o == nil && w.r.IntN(4) > 0 {
		return nil // most are to hit
	}
	want := nfs.OK
	switch {
	case o == nil:
		want = nfs.ErrNoEnt
	case proc == wire.ProcRemove && o.isDir():
		want = nfs.ErrIsDir
	case proc == wire.ProcRmdir && !o.isDir():
		want = nfs.ErrNotDir
	case len(o.names) > 0:
		want = nfs.ErrNotEmpty
	default:
		w.next = func() { d.lose(name) }
	}
	w.say(proc, want, "procedure %d, remove %s", proc, name)
	a := dirOp(d.handle, name)
	return &a
}

// lose takes a name away.
func (o *walkObject) lose(name string) {
	child := o.names[name]
	delete(o.names, name)
	o.ctime = Time{}
	child.links--
	child.ctime = Time{}
}

func (w *Walk) rename() wire.Message {
	from, name := w.dir(), w.name()
	to, newName := w.dir(), w.name()
	o, old := from.names[name], to.names[newName]
	switch {
	case o == nil && w.r.IntN(4) > 0:
		return nil
	case o != nil && o.isDir() && to != w.root:
		return nil // all directories stay in the first
	case o != nil && old != nil && o.isDir() != old.isDir():
		return nil // hosts do not agree about the error
	}
	want := nfs.OK
	switch {
	case o == nil:
		want = nfs.ErrNoEnt
	case o == old:
	case old != nil && len(old.names) > 0:
		want = nfs.ErrNotEmpty
	default:
		w.next = func() {
			if old != nil {
				to.lose(newName)
			}
			delete(from.names, name)
			to.names[newName] = o
			from.ctime, to.ctime, o.ctime = Time{}, Time{}, Time{}
		}
	}
	w.say(wire.ProcRename, want, "RENAME %s to %s", name, newName)
	return &wire.RenameArgs{From: dirOp(from.handle, name), To: dirOp(to.handle, newName)}
}

func (w *Walk) link() wire.Message {
	d, name := w.pick(func(o *walkObject) bool { return o.typ == nfs.TypeRegular || o.typ == nfs.TypeFIFO })
	if name == "" {
		return nil
	}
	o, to, newName := d.names[name], w.dir(), w.name()
	want := nfs.OK
	if to.names[newName] != nil {
		want = nfs.ErrExist
	} else {
		w.call.object = o
		w.next = func() {
			to.names[newName] = o
			o.links++
		}
	}
	w.say(wire.ProcLink, want, "LINK %s to %s", name, newName)
	return &wire.LinkArgs{Handle: o.handle, To: dirOp(to.handle, newName)}
}

// Done takes the reply to the call under way, compares it with the model, and
// does to the model what the call did. The error says what differs.
func (w *Walk) Done(reply []byte) error {
	s := &w.call
	d := xdr.NewDecoder(reply)
	var h rpc.Reply
	if err := h.Decode(&d); err != nil {
		return fmt.Errorf("%v: decode reply: %w", s, err)
	}
	if err := h.Err(); err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	res := wire.NewResults(wire.NFSProgram, wire.NFSVersion, s.Proc)
	if res.Decode(&d); d.Done() != nil {
		return fmt.Errorf("%v: decode results: %w", s, d.Err())
	}
	w.next()
	var got uint32
	var attr PostAttr
	switch r := res.(type) {
	case *NewResult:
		got, attr = r.Status, r.Attr
		if o := s.object; o != nil && r.Status == 0 {
			o.handle = slices.Clone(Handle(r.Handle.Handle))
		}
	case *WccResult:
		if got = r.Status; s.Proc == wire.ProcSetattr {
			attr = r.Wcc.After
		}
	case *RenameResult:
		got = r.Status
	case *LinkResult:
		got, attr = r.Status, r.Attr
	}
	if Status(got) != s.Want {
		return fmt.Errorf("%v: got %v", s, Status(got))
	}
	if s.object == nil {
		return nil
	}
	return s.describe(s.object, attr)
}

// describe compares the attributes of a reply with the model, which learns
// from them what only the server can know.
func (s *Step) describe(o *walkObject, p PostAttr) error {
	a := &p.Attr
	switch {
	case !p.Has:
		return fmt.Errorf("%v: no attributes", s)
	case o.id != 0 && a.FileID != o.id:
		return fmt.Errorf("%v: fileid %d, was %d", s, a.FileID, o.id)
	case nfs.FileType(a.Type) != o.typ:
		return fmt.Errorf("%v: type %d, want %d", s, a.Type, o.typ)
	case !o.isDir() && int(a.Nlink) != o.links:
		return fmt.Errorf("%v: %d links, want %d", s, a.Nlink, o.links)
	case o.typ != nfs.TypeSymlink && a.Mode != o.mode:
		return fmt.Errorf("%v: mode %o, want %o", s, a.Mode, o.mode)
	}
	o.id = a.FileID
	if !o.isDir() {
		o.ctime = a.Ctime
	}
	return nil
}

// Tree is what has to be in the directory: the path of each object, relative
// to it, with a description: "dir", "file MODE LINKS", "fifo MODE LINKS" or
// "link TARGET".
func (w *Walk) Tree() map[string]string {
	tree := map[string]string{}
	w.root.each("", func(path string, o *walkObject) error {
		tree[path] = describeNode(o.typ, o.mode, uint32(o.links), o.target)
		return nil
	})
	return tree
}

func (o *walkObject) each(prefix string, use func(path string, o *walkObject) error) error {
	for _, name := range slices.Sorted(maps.Keys(o.names)) {
		child := o.names[name]
		if err := use(prefix+name, child); err != nil {
			return err
		}
		if err := child.each(prefix+name+"/", use); err != nil {
			return err
		}
	}
	return nil
}

func describeNode(typ nfs.FileType, mode, links uint32, target string) string {
	switch typ {
	case nfs.TypeDirectory:
		return "dir"
	case nfs.TypeSymlink:
		return "link " + target
	case nfs.TypeFIFO:
		return fmt.Sprintf("fifo %o %d", mode, links)
	}
	return fmt.Sprintf("file %o %d", mode, links)
}

// Check lists the directory over c and compares it with the model: names,
// types, modes, links, targets, and that the handles that were given lead to
// the same objects.
func (w *Walk) Check(ctx context.Context, c *Client) error {
	got := map[string]string{}
	if err := list(ctx, c, w.root.handle, "", got); err != nil {
		return err
	}
	if want := w.Tree(); !maps.Equal(got, want) {
		return fmt.Errorf("the directory differs from the model after %v:\n%s", &w.call, differences(got, want))
	}
	return w.root.each("", func(path string, o *walkObject) error {
		r, err := c.Getattr(ctx, o.handle)
		if err != nil {
			return fmt.Errorf("GETATTR of %s: %w", path, err)
		}
		if Status(r.Status) != nfs.OK || r.Attr.FileID != o.id {
			return fmt.Errorf("the handle of %s: %v, fileid %d, was %d", path, Status(r.Status), r.Attr.FileID, o.id)
		}
		return nil
	})
}

// list adds what is below dir.
func list(ctx context.Context, c *Client, dir Handle, prefix string, tree map[string]string) error {
	var cookie uint64
	for {
		r, err := c.Readdirplus(ctx, dir, cookie, [8]byte{}, 64<<10, 64<<10)
		if err != nil {
			return fmt.Errorf("READDIRPLUS of %q: %w", prefix, err)
		}
		if Status(r.Status) != nfs.OK {
			return fmt.Errorf("READDIRPLUS of %q: %v", prefix, Status(r.Status))
		}
		for _, e := range r.Entries {
			cookie = e.Cookie
			name := string(e.Name)
			if name == "." || name == ".." {
				continue
			}
			a, target := &e.Attr.Attr, ""
			typ := nfs.FileType(a.Type)
			if typ == nfs.TypeSymlink {
				l, err := c.Readlink(ctx, e.Handle.Handle)
				if err != nil {
					return fmt.Errorf("READLINK of %s%s: %w", prefix, name, err)
				}
				target = string(l.Target)
			}
			tree[prefix+name] = describeNode(typ, a.Mode, a.Nlink, target)
			if typ == nfs.TypeDirectory {
				if err := list(ctx, c, e.Handle.Handle, prefix+name+"/", tree); err != nil {
					return err
				}
			}
		}
		if r.EOF {
			return nil
		}
	}
}

func differences(got, want map[string]string) string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] != want[path] {
			fmt.Fprintf(&b, "%s is %q, want %q\n", path, got[path], want[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[path]; !ok {
			fmt.Fprintf(&b, "%s is %q, want nothing\n", path, got[path])
		}
	}
	return b.String()
}
