package drive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/providers"
)

// publishMoveDir moves a directory on the remote, at once or one by one what is
// in it. A move that was begun is ended before the directory goes on to where it
// is now: some of what is in it may be there already.
func (d *Drive) publishMoveDir(ctx context.Context, n nodes.Node) error {
	goal, err := d.beginDirMove(n)
	if err != nil {
		return err
	}
	dir, err := d.path(goal.Dir)
	if err != nil {
		return d.endDirMove(n, goal, true)
	}
	from, err := d.path(n.ID)
	if err != nil {
		return errNow
	}
	to := path.Join(dir, goal.Name)
	d.step("move dir")
	err = d.moveTree(ctx, from, to, nodes.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// It is there already, or it is gone.
		if _, err := d.statDir(ctx, to); err == nil {
			break
		}
		return d.parentGoneFor(n)
	case errors.Is(err, fs.ErrExist):
		there, err := d.statDir(ctx, to)
		if err != nil {
			return d.trouble(n, err)
		}
		if goal.Dir != n.Parent || goal.Name != n.Name {
			return d.endDirMove(n, goal, true) // it is not to stay there anyway
		}
		return d.conflict(ctx, n.ID, there)
	case err != nil:
		return d.trouble(n, err)
	}
	d.step("move dir done")
	return d.endDirMove(n, goal, false)
}

// beginDirMove notes where a directory is being moved to, or finds where it was.
func (d *Drive) beginDirMove(n nodes.Node) (goal nodes.Upload, err error) {
	err = d.update(func(tx *nodes.Tx) error {
		var err error
		if goal, err = tx.Upload(n.ID); !errors.Is(err, nodes.ErrNotFound) {
			return err
		}
		goal = nodes.Upload{Dir: n.Parent, Name: n.Name}
		tx.PutUpload(n.ID, goal)
		return nil
	})
	return goal, err
}

// endDirMove notes that a directory is where it was being moved to, or that it
// cannot get there.
func (d *Drive) endDirMove(n nodes.Node, goal nodes.Upload, failed bool) error {
	err := d.update(func(tx *nodes.Tx) error {
		now, err := tx.Get(n.ID)
		if err != nil {
			return ignoreNotFound(err)
		}
		tx.DeleteUpload(n.ID)
		if failed {
			return nil
		}
		if now.RParent != n.RParent || now.RName != n.RName {
			return errNow
		}
		tx.DeleteTomb(n.RParent, n.RName)
		d.turns.turn(n.RParent, n.RName)
		d.turns.turn(goal.Dir, goal.Name)
		now.State &^= nodes.Moved
		now.RParent, now.RName = 0, ""
		if now.State&nodes.Gone == 0 && now.Parent == goal.Dir && now.Name == goal.Name {
			tx.DeletePending(n.ID)
			tx.Put(now)
			return nil
		}
		// It was moved again, or removed, meanwhile.
		now.State |= nodes.Moved
		now.RParent, now.RName = goal.Dir, goal.Name
		tx.PutTomb(nodes.Tomb{Dir: goal.Dir, Name: goal.Name, Kind: nodes.Dir, Node: n.ID, Since: d.o.Clock()})
		tx.Put(now)
		if now.State&nodes.Gone != 0 {
			d.pub.touch(tombTask(goal.Dir, goal.Name), quietNow)
			return nil
		}
		d.pub.touch(nodeTask(n.ID), quietNow)
		return nil
	})
	if err == nil && failed {
		return errNow
	}
	return err
}

// parentGoneFor has a directory that is gone on the remote made anew.
func (d *Drive) parentGoneFor(n nodes.Node) error {
	err := d.update(func(tx *nodes.Tx) error {
		now, err := tx.Get(n.ID)
		if err != nil {
			return ignoreNotFound(err)
		}
		tx.DeleteTomb(now.RParent, now.RName)
		tx.DeleteUpload(n.ID)
		now.State = now.State&^nodes.Moved | nodes.Created
		now.RParent, now.RName = 0, ""
		tx.Put(now)
		return nil
	})
	return errors.Join(err, errNow)
}

func (d *Drive) statDir(ctx context.Context, at string) (e providers.Entry, err error) {
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = d.p.Stat(ctx, at)
		return err
	})
	return e, err
}

// moveTree moves something on the remote to where nothing is. A directory that
// the remote cannot move is made anew, and what is in it is moved there; if
// that is broken off, doing it again goes on.
func (d *Drive) moveTree(ctx context.Context, from, to string, kind nodes.Kind) error {
	err := fmt.Errorf("move %q: %w", from, providers.ErrUnsupported)
	if mover, ok := d.p.(providers.Mover); ok {
		err = d.health.put(ctx, func(ctx context.Context) error {
			_, err := mover.Move(ctx, from, to, providers.Cond{IfAbsent: true})
			return err
		})
	}
	switch {
	case !errors.Is(err, providers.ErrUnsupported):
		return err
	case kind == nodes.Link:
		return d.moveLink(ctx, from, to)
	case kind == nodes.File:
		return d.moveBytes(ctx, from, to)
	}
	err = d.health.put(ctx, func(ctx context.Context) error {
		if _, err := d.p.Stat(ctx, from); err != nil {
			return err
		}
		_, err := d.writer.Mkdir(ctx, to)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for {
		var page providers.Page
		err := d.health.put(ctx, func(ctx context.Context) (err error) {
			page, err = d.p.ReadDir(ctx, from, "") // from the start: what was moved is not there any more
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			d.step("move one")
			kind, _ := kindOf(e)
			if err := d.moveTree(ctx, path.Join(from, e.Name), path.Join(to, e.Name), kind); err != nil {
				if !errors.Is(err, fs.ErrExist) {
					return err
				}
				if err := d.movedBefore(ctx, path.Join(from, e.Name), path.Join(to, e.Name), e); err != nil {
					return err
				}
			}
		}
		if page.Next == "" && len(page.Entries) == 0 {
			break
		}
	}
	err = d.health.put(ctx, func(ctx context.Context) error { return d.writer.Rmdir(ctx, from) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// moveLink makes a symbolic link of the remote anew, and takes the old one away.
func (d *Drive) moveLink(ctx context.Context, from, to string) error {
	maker, ok := d.p.(providers.Symlinker)
	if !ok {
		return fmt.Errorf("move %q: %w", from, providers.ErrUnsupported)
	}
	e, target, err := d.linkAt(ctx, from)
	if err != nil || target == "" {
		return err
	}
	err = d.health.put(ctx, func(ctx context.Context) error {
		_, err := maker.Symlink(ctx, to, target)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		if _, there, lerr := d.linkAt(ctx, to); lerr != nil || there != target {
			return errors.Join(err, lerr)
		}
		err = nil
	}
	if err != nil {
		return err
	}
	return d.health.put(ctx, func(ctx context.Context) error {
		return d.writer.Remove(ctx, from, providers.Cond{IfVersion: e.Version})
	})
}

// moveBytes moves a file of a remote that cannot move one: through this
// computer.
func (d *Drive) moveBytes(ctx context.Context, from, to string) error {
	return d.health.put(ctx, func(ctx context.Context) error {
		e, err := d.p.Stat(ctx, from)
		if err != nil {
			return err
		}
		o, err := d.p.Open(ctx, from, e.Version)
		if err != nil {
			return err
		}
		_, err = d.writer.Put(ctx, to, &objectSource{ctx, o}, providers.PutOptions{
			Cond: providers.Cond{IfAbsent: true}, ModTime: e.ModTime, Mode: e.Mode.Perm(),
		})
		if err = errors.Join(err, o.Close()); err != nil {
			return err
		}
		return d.writer.Remove(ctx, from, providers.Cond{IfVersion: e.Version})
	})
}

// movedBefore ends the move of a file that was copied and not yet taken away. If
// something else is in its place, it gets another name.
func (d *Drive) movedBefore(ctx context.Context, from, to string, e providers.Entry) error {
	var there providers.Entry
	err := d.health.put(ctx, func(ctx context.Context) (err error) {
		there, err = d.p.Stat(ctx, to)
		return err
	})
	if err != nil {
		return err
	}
	same := e.Version != "" && there.Version == e.Version
	if !same && e.Mode.IsRegular() && there.Mode.IsRegular() && e.Size == there.Size {
		if same, err = d.sameBytes(ctx, from, to); err != nil {
			return err
		}
	}
	if same {
		return d.health.put(ctx, func(ctx context.Context) error {
			return d.writer.Remove(ctx, from, providers.Cond{IfVersion: e.Version})
		})
	}
	kind, _ := kindOf(e)
	ext := path.Ext(to)
	to = fmt.Sprintf("%s (conflict %s %s)%s", strings.TrimSuffix(to, ext), d.o.Host, d.o.Clock().Format("2006-01-02 150405"), ext)
	return d.moveTree(ctx, from, to, kind)
}

// sameBytes compares two files of the remote.
func (d *Drive) sameBytes(ctx context.Context, a, b string) (same bool, err error) {
	err = d.health.put(ctx, func(ctx context.Context) error {
		var sums [2][]byte
		for i, at := range []string{a, b} {
			o, err := d.p.Open(ctx, at, "")
			if err != nil {
				return err
			}
			h := sha256.New()
			s := &objectSource{ctx, o}
			_, err = io.Copy(h, io.NewSectionReader(s, 0, s.Size()))
			if err = errors.Join(err, o.Close()); err != nil {
				return err
			}
			sums[i] = h.Sum(nil)
		}
		same = bytes.Equal(sums[0], sums[1])
		return nil
	})
	return same, err
}
