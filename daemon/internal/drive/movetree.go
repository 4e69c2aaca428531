package drive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// branch is something on the remote that is moved to where nothing is.
type branch struct {
	dir, id  uint64          // the directory that it is in, and its node; 0: not known
	entry    providers.Entry // as it was listed, save at the top
	from, to string
	kind     nodes.Kind
}

// moveTree moves something on the remote. A directory that the remote cannot move
// is made anew, and what is in it is moved there; if that is broken off, doing it
// again goes on.
func (d *Drive) moveTree(ctx context.Context, t branch) error {
	err := providers.ErrUnsupported
	var there providers.Entry
	if mover, ok := d.p.(providers.Mover); ok {
		err = d.health.put(ctx, func(ctx context.Context) (err error) {
			there, err = mover.Move(ctx, t.from, t.to, providers.Cond{IfAbsent: true})
			return err
		})
	}
	if errors.Is(err, providers.ErrUnsupported) && t.kind != nodes.Dir {
		there, err = d.carry(ctx, t.from, t.to)
	}
	switch {
	case err == nil && t.dir != 0 && there.Version != t.entry.Version:
		return d.turnInto(t.dir, t.entry, there)
	case !errors.Is(err, providers.ErrUnsupported):
		return err
	case t.kind != nodes.Dir:
		return err
	}
	err = d.health.put(ctx, func(ctx context.Context) error {
		if _, err := d.p.Stat(ctx, t.from); err != nil {
			return err
		}
		_, err := d.writer.Mkdir(ctx, t.to)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for {
		var page providers.Page
		err := d.health.put(ctx, func(ctx context.Context) (err error) {
			page, err = d.p.ReadDir(ctx, t.from, "") // from the start: what was moved is not there any more
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			d.step("move one")
			kind, _ := kindOf(e)
			sub := branch{dir: t.id, entry: e, from: path.Join(t.from, e.Name), to: path.Join(t.to, e.Name), kind: kind}
			if t.id != 0 && kind == nodes.Dir {
				sub.id = d.nodeThere(t.id, e.Name)
			}
			err := d.moveTree(ctx, sub)
			if errors.Is(err, fs.ErrExist) {
				err = d.movedBefore(ctx, sub)
			}
			if errors.Is(err, fs.ErrNotExist) {
				err = d.movedAway(ctx, sub, err)
			}
			if err != nil {
				return err
			}
		}
		if page.Next == "" && len(page.Entries) == 0 {
			break
		}
	}
	err = d.health.put(ctx, func(ctx context.Context) error { return d.writer.Rmdir(ctx, t.from) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// nodeThere is the node that the remote has at a name of a directory; 0: none.
func (d *Drive) nodeThere(dir uint64, name string) uint64 {
	if t, err := d.store.Tomb(dir, name); err == nil && t.Node != 0 {
		return t.Node
	}
	id, _, err := d.store.Child(dir, name)
	if err != nil {
		return 0
	}
	n, err := d.store.Get(id)
	if rdir, rname, ok := place(&n); err != nil || !ok || rdir != dir || rname != name {
		return 0
	}
	return id
}

// turnInto notes that what was known as one version at a name of a directory is
// another one there, because it was copied.
func (d *Drive) turnInto(dir uint64, was, is providers.Entry) error {
	id := d.nodeThere(dir, was.Name)
	return d.update(func(tx *nodes.Tx) error {
		if t, err := tx.Tomb(dir, was.Name); err == nil && t.Version == string(was.Version) {
			t.Version, t.RemoteTime = string(is.Version), is.ModTime
			tx.PutTomb(t)
		}
		d.turns.turn(dir, was.Name)
		n, err := tx.Get(id)
		if err != nil {
			return ignoreNotFound(err)
		}
		rdir, rname, ok := place(&n)
		if !ok || rdir != dir || rname != was.Name || n.Version != string(was.Version) {
			return nil
		}
		n.Version, n.RemoteTime = string(is.Version), is.ModTime
		tx.Put(n)
		return nil
	})
}

// movedAway is called when a piece of a directory was not found, or not the place
// where it goes. The piece was moved, and the answer lost, or somebody took it
// away: the rest is moved then. The error is none of the directory as a whole.
func (d *Drive) movedAway(ctx context.Context, t branch, cause error) error {
	switch _, err := d.statDir(ctx, t.from); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("move to %q: %w: %v", t.to, providers.ErrChanged, cause)
}

// movedBefore ends the move of a file that was copied and not yet taken away. If
// something else is in its place, it gets another name.
func (d *Drive) movedBefore(ctx context.Context, t branch) error {
	var there providers.Entry
	err := d.health.put(ctx, func(ctx context.Context) (err error) {
		there, err = d.p.Stat(ctx, t.to)
		return err
	})
	if err != nil {
		return err
	}
	e := t.entry
	same := e.Version != "" && there.Version == e.Version
	if !same && there.Size == e.Size && there.Mode.Type() == e.Mode.Type() {
		if same, err = d.sameBytes(ctx, t.from, t.to); err != nil {
			return err
		}
	}
	if !same {
		ext := path.Ext(t.to)
		t.to = fmt.Sprintf("%s (conflict %s %s)%s", strings.TrimSuffix(t.to, ext), d.o.Host, d.o.Clock().Format("2006-01-02 150405"), ext)
		return d.moveTree(ctx, t)
	}
	err = d.health.put(ctx, func(ctx context.Context) error {
		return ignoreNotExist(d.writer.Remove(ctx, t.from, providers.Cond{IfVersion: e.Version}))
	})
	if err == nil && t.dir != 0 && there.Version != e.Version {
		err = d.turnInto(t.dir, e, there)
	}
	return err
}

// sameBytes reports whether two files of the remote have the same content.
func (d *Drive) sameBytes(ctx context.Context, a, b string) (bool, error) {
	var sums [2][]byte
	for i, at := range []string{a, b} {
		err := d.health.put(ctx, func(ctx context.Context) error {
			o, err := d.p.Open(ctx, at, "")
			if err != nil {
				return err
			}
			defer o.Close()
			h := sha256.New()
			src := &carried{ctx: ctx, o: o}
			_, err = io.Copy(h, io.NewSectionReader(src, 0, src.Size()))
			sums[i] = h.Sum(nil)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return string(sums[0]) == string(sums[1]), nil
}

// carry moves a file or link on a remote that can move nothing: its bytes come here
// and go back.
func (d *Drive) carry(ctx context.Context, from, to string) (there providers.Entry, err error) {
	var was providers.Version
	err = d.health.put(ctx, func(ctx context.Context) error {
		e, err := d.p.Stat(ctx, from)
		if err != nil {
			return err
		}
		o, err := d.p.Open(ctx, from, e.Version)
		if err != nil {
			return err
		}
		defer o.Close()
		src := &carried{ctx: ctx, o: o}
		if e.Mode.IsRegular() {
			there, err = d.writer.Put(ctx, to, src, providers.PutOptions{Cond: providers.Cond{IfAbsent: true}, ModTime: e.ModTime, Mode: e.Mode.Perm()})
		} else {
			there, err = d.carryLink(ctx, to, src)
		}
		was = e.Version
		return err
	})
	if err != nil {
		return there, err
	}
	err = d.health.put(ctx, func(ctx context.Context) error {
		return ignoreNotExist(d.writer.Remove(ctx, from, providers.Cond{IfVersion: was}))
	})
	return there, err
}

// ignoreNotExist is err of a removal of something that is to be gone.
func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *Drive) carryLink(ctx context.Context, to string, src *carried) (providers.Entry, error) {
	maker, ok := d.p.(providers.Symlinker)
	if !ok || src.Size() > nfs.MaxTarget {
		return providers.Entry{}, fmt.Errorf("move %q: %w", to, providers.ErrUnsupported)
	}
	b := make([]byte, src.Size())
	if _, err := src.ReadAt(b, 0); err != nil && err != io.EOF {
		return providers.Entry{}, err
	}
	return maker.Symlink(ctx, to, string(b))
}

// carried is an object as what is uploaded.
type carried struct {
	ctx context.Context
	o   providers.Object
}

func (c *carried) Size() int64 { return c.o.Entry().Size }

func (c *carried) ReadAt(p []byte, off int64) (int, error) {
	r, err := c.o.ReadRange(c.ctx, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r, p)
	if err == io.ErrUnexpectedEOF && off+int64(n) == c.Size() {
		err = io.EOF
	}
	return n, errors.Join(err, r.Close())
}
