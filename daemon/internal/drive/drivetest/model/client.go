package model

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
)

// client is a program that has a folder for itself. What is in that, it knows
// to the byte.
type client struct {
	w    *world
	who  string
	rng  *rand.Rand
	root *node
	// maybe is what the call under way does, if it does anything. at gives the
	// node of a copy of the tree.
	maybe func(at func(*node) *node)
	made  int
	left  []string // what was there before it became a side file: the remote keeps it
}

func newClient(w *world, i int) *client {
	c := &client{w: w, who: fmt.Sprintf("c%d", i), rng: rand.New(rand.NewPCG(w.seed, uint64(10+i)))}
	c.root = newDir(0)
	c.root.name = c.who
	w.remote.Mkdir(c.who)
	for i := range c.rng.IntN(3) { // what was there before
		name := fmt.Sprintf("old%d", i)
		b := c.bytes(c.size())
		w.remember(b)
		w.remote.Edit(c.who+"/"+name, b)
		n := &node{typ: nfs.TypeRegular, f: &file{acked: b}}
		n.put(c.root, name)
	}
	return c
}

func (c *client) size() int {
	switch c.rng.IntN(10) {
	case 0:
		return 0
	case 1:
		return c.rng.IntN(300 << 10)
	case 2, 3:
		return 4096 * c.rng.IntN(5)
	}
	return c.rng.IntN(9000)
}

// bytes gives bytes that were nowhere before.
func (c *client) bytes(n int) []byte {
	b := make([]byte, n)
	rnd := rand.New(rand.NewPCG(c.rng.Uint64(), 0))
	for i := 0; i < n; i += 8 {
		v := rnd.Uint64()
		for j := i; j < min(n, i+8); j++ {
			b[j] = byte(v) | 1 // never zero
			v >>= 8
		}
	}
	return b
}

// verify looks after a start whether all is there that was acknowledged.
func (c *client) verify() {
	w := c.w
	got, err := w.look(w.d, c.who)
	if err != nil {
		w.fail("%s: the folder cannot be read: %v", c.who, err)
		return
	}
	without := c.root.match(got)
	var with string
	if without != "" && c.maybe != nil {
		m := map[*node]*node{}
		t := c.root.clone(m)
		c.maybe(func(n *node) *node { return m[n] })
		if with = t.match(got); with == "" {
			c.root = t
			without = ""
		}
	}
	if without != "" {
		w.fail("%s is not as it was acknowledged: %s", c.who, without)
		if with != "" {
			w.fail("nor as it would be after the call that was under way: %s", with)
		}
		return
	}
	c.maybe = nil
	c.root.learn(got)
}

// crash notes the contents that files may have from now on.
func (c *client) crash() {
	c.root.walk(func(n *node) {
		if n.f != nil && len(n.f.later) > 0 {
			c.w.mu.Lock()
			c.w.fuzzies = append(c.w.fuzzies, n.f.clone())
			c.w.mu.Unlock()
		}
	})
}

func (c *client) work(n int) {
	for range n {
		if c.w.isDead() || c.w.isFailed() {
			return
		}
		if c.rng.IntN(2) == 0 {
			time.Sleep(time.Duration(c.rng.Int64N(int64(3 * time.Second))))
		}
		if c.rng.IntN(4) == 0 {
			c.w.shared.op(c)
		} else {
			c.op()
		}
	}
}

func pick[T any](rng *rand.Rand, s []T) (T, bool) {
	if len(s) == 0 {
		var zero T
		return zero, false
	}
	return s[rng.IntN(len(s))], true
}

func (c *client) nodes(typ nfs.FileType) (out []*node) {
	c.root.walk(func(n *node) {
		if n.typ == typ {
			out = append(out, n)
		}
	})
	return out
}

func (c *client) dir() *node {
	d, _ := pick(c.rng, c.nodes(nfs.TypeDirectory))
	return d
}

var names = []string{"a", "b.txt", "c.doc", "d", "e.db", "f", "ü.txt"}

func (c *client) name() string {
	if c.rng.IntN(12) == 0 {
		n, _ := pick(c.rng, []string{".DS_Store", "._a", "~$c.doc"})
		return n
	}
	n, _ := pick(c.rng, names)
	return n
}

func (c *client) op() {
	files := c.nodes(nfs.TypeRegular)
	f, some := pick(c.rng, files)
	k := c.rng.IntN(112)
	switch {
	case k < 14 || !some:
		if f := c.create(c.dir(), c.name()); f != nil {
			c.fill(f)
		}
	case k < 26:
		c.fill(f)
	case k < 32:
		c.truncate(f, c.size())
	case k < 40:
		c.read(f)
	case k < 50:
		c.rename(f, c.dir(), c.name())
	case k < 56:
		c.remove(f)
	case k < 61:
		c.mkdir(c.dir(), c.name())
	case k < 66:
		d := c.dir()
		if d != c.root {
			c.rename(d, c.dir(), c.name())
		}
	case k < 70:
		d := c.dir()
		if d != c.root && len(d.kids) == 0 {
			c.rmdir(d)
		}
	case k < 73:
		if c.w.kind != rough.Still {
			c.symlink(c.dir(), c.name())
		}
	case k < 76:
		if l, ok := pick(c.rng, c.nodes(nfs.TypeSymlink)); ok {
			if c.rng.IntN(2) == 0 {
				c.remove(l)
			} else {
				c.rename(l, c.dir(), c.name())
			}
		}
	case k < 84:
		c.saveByRename(f)
	case k < 88:
		c.saveAsExcel(f)
	case k < 92:
		c.saveAsVim(f)
	case k < 95:
		c.transaction(f)
	case k < 100:
		c.list(c.dir())
	case k < 105:
		n, _ := pick(c.rng, append(files, c.dir()))
		c.setAttr(n)
	case k < 109:
		c.removeOpen(f)
	default:
		if d := c.dir(); d != c.root {
			c.removeAll(d)
		}
	}
}

func self(n *node) *node { return n }

// change makes a call that changes names. effect is what it does; it gets the id of
// what the call made.
func (c *client) change(what string, f func(ctx context.Context) (nfs.ID, error), effect func(at func(*node) *node, id nfs.ID)) bool {
	c.maybe = func(at func(*node) *node) { effect(at, 0) }
	var id nfs.ID
	r, _ := c.w.call(c.who, what, func(ctx context.Context) (err error) {
		id, err = f(ctx)
		return err
	})
	if r == crashed {
		return false
	}
	c.maybe = nil
	if r == done {
		effect(self, id)
	}
	return r == done
}

func (c *client) create(dir *node, name string) *node {
	if old := dir.kids[name]; old != nil {
		if old.typ != nfs.TypeRegular {
			return nil
		}
		return old
	}
	how := nfs.CreateHow{Mode: nfs.CreateMode(c.rng.IntN(3))}
	if how.Mode == nfs.Exclusive {
		how.Verifier = [8]byte(c.bytes(8))
	}
	c.w.remember(nil)
	ok := c.change(fmt.Sprintf("create %s/%s mode %d", dir.path(), name, how.Mode), func(ctx context.Context) (nfs.ID, error) {
		a, _, err := c.w.d.Create(ctx, owner, dir.id, name, how)
		return a.ID, err
	}, func(at func(*node) *node, id nfs.ID) {
		n := &node{id: id, typ: nfs.TypeRegular, f: &file{}}
		n.put(at(dir), name)
	})
	if !ok {
		return nil
	}
	return dir.kids[name]
}

func (c *client) mkdir(dir *node, name string) *node {
	if dir.kids[name] != nil {
		return nil
	}
	if !c.change(fmt.Sprintf("mkdir %s/%s", dir.path(), name), func(ctx context.Context) (nfs.ID, error) {
		a, _, err := c.w.d.Mkdir(ctx, owner, dir.id, name, nfs.SetAttr{})
		return a.ID, err
	}, func(at func(*node) *node, id nfs.ID) { newDir(id).put(at(dir), name) }) {
		return nil
	}
	return dir.kids[name]
}

func (c *client) symlink(dir *node, name string) {
	if dir.kids[name] != nil {
		return
	}
	c.made++
	target := fmt.Sprintf("to/%s/%d", c.who, c.made)
	c.change(fmt.Sprintf("symlink %s/%s", dir.path(), name), func(ctx context.Context) (nfs.ID, error) {
		a, _, err := c.w.d.Symlink(ctx, owner, dir.id, name, target, nfs.SetAttr{})
		return a.ID, err
	}, func(at func(*node) *node, id nfs.ID) {
		(&node{id: id, typ: nfs.TypeSymlink, target: target}).put(at(dir), name)
	})
}

// rename is rename where that may be.
func (c *client) rename(n *node, dir *node, name string) bool {
	old := dir.kids[name]
	switch {
	case old == n, dir.below(n):
		return false
	case old != nil && (old.typ == nfs.TypeDirectory) != (n.typ == nfs.TypeDirectory), old != nil && len(old.kids) > 0:
		return false
	}
	n.past = append(slices.Clone(n.past), n.path())
	if isSide(dir.path() + "/" + name) {
		n.walk(func(n *node) { c.left = append(append(c.left, n.past...), n.path()) })
	}
	return c.change(fmt.Sprintf("rename %s to %s/%s", n.path(), dir.path(), name), func(ctx context.Context) (nfs.ID, error) {
		_, _, err := c.w.d.Rename(ctx, owner, n.up.id, n.name, dir.id, name)
		return 0, err
	}, func(at func(*node) *node, _ nfs.ID) { at(n).put(at(dir), name) })
}

func (c *client) remove(n *node) bool {
	return c.change("remove "+n.path(), func(ctx context.Context) (nfs.ID, error) {
		_, err := c.w.d.Remove(ctx, owner, n.up.id, n.name)
		return 0, err
	}, func(at func(*node) *node, _ nfs.ID) { at(n).drop() })
}

func (c *client) rmdir(n *node) bool {
	return c.change("rmdir "+n.path(), func(ctx context.Context) (nfs.ID, error) {
		_, err := c.w.d.Rmdir(ctx, owner, n.up.id, n.name)
		return 0, err
	}, func(at func(*node) *node, _ nfs.ID) { at(n).drop() })
}

// removeAll removes a directory and what is in it.
func (c *client) removeAll(d *node) bool {
	for _, name := range slices.Sorted(maps.Keys(d.kids)) {
		k := d.kids[name]
		if ok := k.typ == nfs.TypeDirectory && c.removeAll(k) || k.typ != nfs.TypeDirectory && c.remove(k); !ok {
			return false
		}
	}
	return c.rmdir(d)
}

// removeOpen removes a file that is in use, and goes on using it.
func (c *client) removeOpen(n *node) {
	c.read(n)
	p := n.path()
	if !c.remove(n) {
		return
	}
	f := n.f.clone()
	if c.rng.IntN(2) == 0 && !f.fuzzy {
		e := edit{off: int64(c.rng.IntN(len(f.now()) + 1)), data: c.bytes(1 + c.size())}
		f.later = append(f.later, e)
		c.w.remember(f.now())
		r, _ := c.w.call(c.who, fmt.Sprintf("write %s, removed, %d+%d", p, e.off, len(e.data)), func(ctx context.Context) error {
			_, _, err := c.w.d.Write(ctx, owner, n.id, e.data, uint64(e.off), nfs.FileSync)
			return err
		}, nfs.ErrStale, nfs.ErrIO)
		if r != done {
			return
		}
	}
	if c.rng.IntN(2) == 0 {
		time.Sleep(time.Duration(c.rng.Int64N(int64(20 * time.Second))))
	}
	var b []byte
	r, _ := c.w.call(c.who, "read "+p+", removed", func(ctx context.Context) (err error) {
		b, err = readAll(ctx, c.w.d, n.id)
		return err
	}, nfs.ErrStale, nfs.ErrIO)
	if why := f.check(b); r == done && (why != "" || !f.fuzzy && !bytes.Equal(b, f.now())) {
		c.w.fail("%s: read %s, which is removed: %d bytes, not the %d that were written: %s", c.who, p, len(b), len(f.now()), why)
	}
}

// setAttr gives a file or directory a mode, and a file a time.
func (c *client) setAttr(n *node) {
	set := nfs.SetAttr{Valid: nfs.SetMode, Mode: 0o600 | uint32(c.rng.IntN(0o200))}
	if n.typ == nfs.TypeDirectory {
		set.Mode |= 0o700
	} else if c.rng.IntN(2) == 0 {
		set.Valid |= nfs.SetMtime
		set.Mtime = time.Unix(1e9+int64(c.rng.IntN(1e9)), int64(c.rng.IntN(1e9))).UTC()
	}
	mtime := n.mtime
	n.hasMode, n.mtime = false, time.Time{}
	r, _ := c.w.call(c.who, fmt.Sprintf("set mode %o and time %v of %s", set.Mode, set.Mtime, n.path()), func(ctx context.Context) error {
		_, err := c.w.d.SetAttr(ctx, owner, n.id, set, nil)
		return err
	})
	if r != done {
		return
	}
	n.mode, n.hasMode, n.mtime = set.Mode, true, mtime
	if set.Valid&nfs.SetMtime != 0 {
		n.mtime = set.Mtime
	}
}

// edit makes a call that changes bytes; durable tells that they are on stable
// storage when it succeeds.
func (c *client) edit(n *node, what string, e edit, durable bool, f func(ctx context.Context) error) bool {
	n.f.later = append(n.f.later, e)
	n.mtime = time.Time{}
	if !n.f.fuzzy {
		c.w.remember(n.f.now())
	}
	r, _ := c.w.call(c.who, what, f)
	switch {
	case r == refused:
		n.f.later = n.f.later[:len(n.f.later)-1]
	case r == done && durable:
		n.f.commit()
		c.w.remember(n.f.acked)
	}
	return r == done
}

func (c *client) truncate(n *node, size int) bool {
	if n.f.fuzzy {
		size = 0
	}
	return c.edit(n, fmt.Sprintf("truncate %s to %d", n.path(), size), edit{size: int64(size)}, true, func(ctx context.Context) error {
		_, err := c.w.d.SetAttr(ctx, owner, n.id, nfs.SetAttr{Valid: nfs.SetSize, Size: uint64(size)}, nil)
		return err
	})
}

// write writes somewhere in a file, or right behind it.
func (c *client) write(n *node, b []byte, off int64, stable bool) bool {
	how := nfs.Unstable
	if stable {
		how = nfs.FileSync
	}
	return c.edit(n, fmt.Sprintf("write %s %d+%d stable %v", n.path(), off, len(b), stable), edit{off: off, data: b}, stable, func(ctx context.Context) error {
		got, _, err := c.w.d.Write(ctx, owner, n.id, b, uint64(off), how)
		if err == nil && got < how {
			err = fmt.Errorf("it is %d", got)
		}
		return err
	})
}

func (c *client) commit(n *node) bool {
	r, _ := c.w.call(c.who, "commit "+n.path(), func(ctx context.Context) error {
		_, err := c.w.d.Commit(ctx, owner, n.id, 0, 0)
		return err
	})
	if r == done && !n.f.fuzzy {
		n.f.commit()
	}
	return r == done
}

// fill writes to a file.
func (c *client) fill(n *node) bool {
	if n.f.fuzzy && !c.truncate(n, 0) {
		return false
	}
	whole := c.rng.IntN(2) == 0
	if whole && len(n.f.now()) > 0 && !c.truncate(n, 0) {
		return false
	}
	for range 1 + c.rng.IntN(3) {
		off := int64(len(n.f.now()))
		if !whole {
			off = int64(c.rng.IntN(int(off) + 1 + c.rng.IntN(2)*5000))
		}
		b := c.bytes(1 + c.size())
		if !c.write(n, b, off, c.rng.IntN(4) == 0) {
			return false
		}
		if c.rng.IntN(4) == 0 {
			time.Sleep(time.Duration(c.rng.Int64N(int64(8 * time.Second))))
		}
	}
	if c.rng.IntN(8) > 0 {
		return c.commit(n)
	}
	return true
}

func (c *client) read(n *node) {
	var b []byte
	r, _ := c.w.call(c.who, "read "+n.path(), func(ctx context.Context) (err error) {
		b, err = readAll(ctx, c.w.d, n.id)
		return err
	})
	if r != done {
		return
	}
	if why := n.f.check(b); why != "" || !n.f.fuzzy && !bytes.Equal(b, n.f.now()) {
		c.w.fail("%s: read %s: %d bytes, not the %d that were written: %s", c.who, n.path(), len(b), len(n.f.now()), why)
	}
}

// readAll reads a file in one call, so that all is of one version.
func readAll(ctx context.Context, d *drive.Drive, id nfs.ID) ([]byte, error) {
	a, err := d.GetAttr(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	for size := a.Size + 1; ; size *= 2 {
		p := make([]byte, size)
		n, eof, err := d.Read(ctx, owner, id, p, 0)
		if err != nil || eof {
			return p[:n], err
		}
	}
}

func (c *client) list(n *node) {
	var got []string
	r, _ := c.w.call(c.who, "list "+n.path(), func(ctx context.Context) error {
		got = nil
		es, err := readDir(ctx, c.w.d, n.id)
		for _, e := range es {
			got = append(got, e.Name)
		}
		return err
	})
	if r != done {
		return
	}
	var want []string
	for name := range n.kids {
		want = append(want, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.w.fail("%s: list %s: %q, not %q", c.who, n.path(), got, want)
	}
}

// How programs save files.

func (c *client) temp(dir *node, name string) *node {
	c.made++
	return c.create(dir, fmt.Sprintf("%s%d.tmp", name, c.made))
}

func (c *client) saveByRename(n *node) {
	dir, name := n.up, n.name
	t := c.temp(dir, "save")
	if t != nil && c.fill(t) {
		c.rename(t, dir, name)
	}
}

func (c *client) saveAsExcel(n *node) {
	dir, name := n.up, n.name
	t := c.temp(dir, "")
	if t == nil || !c.fill(t) {
		return
	}
	if c.rng.IntN(2) == 0 {
		if c.remove(n) {
			c.rename(t, dir, name)
		}
		return
	}
	c.made++
	if c.rename(n, dir, fmt.Sprintf("%d.bak", c.made)) && c.rename(t, dir, name) {
		c.remove(n)
	}
}

func (c *client) saveAsVim(n *node) {
	dir, name := n.up, n.name
	if !c.rename(n, dir, name+"~") {
		return
	}
	f := c.create(dir, name)
	if f != nil && c.fill(f) && c.rng.IntN(3) > 0 {
		c.remove(n)
	}
}

// transaction is what SQLite does.
func (c *client) transaction(n *node) {
	j := c.create(n.up, n.name+"-journal")
	if j != nil && c.fill(j) && c.commit(j) && c.fill(n) && c.commit(n) {
		c.remove(j)
	}
}
