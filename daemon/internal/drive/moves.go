package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// A move is noted before it is asked for, as an upload is: on some remotes it is a
// copy and a removal, and a directory is moved piece by piece. What was done of it
// when the line breaks is of the drive, although no node is there.

// movesTree is nodes.Upload.Moved of a directory.
const movesTree = "/"

// noteSent notes that the remote may have at a place what a node is sent to. A
// listing that shows something there that no node is tells nothing new, and no
// other task may work there.
func (p *publisher) noteSent(id uint64, u nodes.Upload) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isSent(id, u)
}

// isSent is noteSent with p.mu held.
func (p *publisher) isSent(id uint64, u nodes.Upload) {
	p.unsend(id)
	k := tombTask(u.Dir, u.Name)
	p.onWay[k], p.wayOf[id] = id, k
	if u.Moved == movesTree {
		p.halves[id] = true
	}
}

// notSent ends noteSent.
func (p *publisher) notSent(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsend(id)
}

func (p *publisher) unsend(id uint64) {
	k, ok := p.wayOf[id]
	if !ok {
		return
	}
	delete(p.wayOf, id)
	delete(p.halves, id)
	if p.onWay[k] == id {
		delete(p.onWay, k)
	}
	p.rise(nodeTask(id), true)
}

// arriving reports whether what the remote has at a place may be something of the
// drive's that is on its way.
func (p *publisher) arriving(dir uint64, name string) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.onWay[tombTask(dir, name)]
	return ok
}

// blocked reports whether the task k has to wait for one that is on its way to one
// of some places, or for a directory that is half moved, and has that looked at: its
// id, or 0. p.mu is held.
func (p *publisher) blocked(k taskKey, places []taskKey, above []uint64) uint64 {
	wait := func(id uint64) bool {
		if id == k.node {
			return false
		}
		p.hasten(nodeTask(id))
		return true
	}
	for _, s := range places {
		if id, ok := p.onWay[s]; ok && wait(id) {
			return id
		}
	}
	for _, id := range above {
		if p.halves[id] && wait(id) {
			return id
		}
	}
	return 0
}

// coming gives the id of a node that is on its way into a directory, or 0, and has
// all of these looked at.
func (p *publisher) coming(dir uint64) (one uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, id := range p.onWay {
		if k.dir == dir {
			p.hasten(nodeTask(id))
			one = id
		}
	}
	return one
}

// halfMoved reports whether a directory, or one above it, is moved piece by piece:
// where what is in it can be found is not known.
func (d *Drive) halfMoved(id uint64) bool {
	if d.pub == nil {
		return false
	}
	d.pub.mu.Lock()
	none := len(d.pub.halves) == 0
	d.pub.mu.Unlock()
	if none {
		return false
	}
	above, err := d.above(id)
	if err != nil {
		return false
	}
	d.pub.mu.Lock()
	defer d.pub.mu.Unlock()
	for _, a := range above {
		if d.pub.halves[a] {
			return true
		}
	}
	return false
}

// beginMove notes that a file goes to its place here.
func (d *Drive) beginMove(n nodes.Node, replaces string) error {
	u := nodes.Upload{Dir: n.Parent, Name: n.Name, Size: n.Size, Version: replaces, Moved: n.Version}
	if n.Version == "" {
		d.pub.noteSent(n.ID, u) // not for later: it could not be told from another one there
		return nil
	}
	return d.noteWay(n.ID, u, func(*nodes.Tx, *nodes.Node) error { return nil })
}

// noteWay stores that a node is on its way to where u says, unless it is gone or
// may, which sees it as it is then, gives an error.
func (d *Drive) noteWay(id uint64, u nodes.Upload, may func(tx *nodes.Tx, now *nodes.Node) error) error {
	err := d.update(func(tx *nodes.Tx) error {
		now, err := tx.Get(id)
		if err != nil {
			return errNow
		}
		if err := may(tx, &now); err != nil {
			return err
		}
		tx.PutUpload(id, u)
		return nil
	})
	if err == nil {
		d.pub.noteSent(id, u)
	}
	return err
}

// notArrived is endUpload for what was looked for in the directory of u, when the remote
// had that at in. It may be there all the same if the directory was moved meanwhile.
func (d *Drive) notArrived(ctx context.Context, id uint64, u nodes.Upload, in string) error {
	above, err := d.above(u.Dir)
	if err != nil {
		return errNow
	}
	if k, ok := d.pub.mover(above); ok {
		return busyWith(k)
	}
	if now, err := d.path(u.Dir); err != nil || now != in {
		return errNow
	}
	return d.endUpload(ctx, id, u)
}

// mover is the task that moves or removes one of some directories just now.
func (p *publisher) mover(dirs []uint64) (taskKey, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range dirs {
		if k, ok := p.moving[id]; ok {
			return k, true
		}
	}
	return taskKey{}, false
}

// settleMove finds out whether a move came through whose end was not seen, and
// ends one that was broken off in the middle.
func (d *Drive) settleMove(ctx context.Context, id uint64, u nodes.Upload, in string) error {
	at := path.Join(in, u.Name)
	n, err := d.store.Get(id)
	if err != nil && !errors.Is(err, nodes.ErrNotFound) {
		return err
	}
	gone := err != nil
	var e providers.Entry
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = d.p.Stat(ctx, at)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, providers.ErrNotDir):
		return d.notArrived(ctx, id, u, in)
	case err != nil:
		return fmt.Errorf("find out about an earlier move to %q: %w", u.Name, err)
	case e.Mode.IsDir(), !d.info.StrongVersion, string(e.Version) != u.Moved:
		return d.endUpload(ctx, id, u)
	}
	if dir, name, ok := place(&n); !gone && ok && (dir != u.Dir || name != u.Name) {
		if from, err := d.path(dir); err == nil {
			err := d.health.put(ctx, func(ctx context.Context) error {
				return d.writer.Remove(ctx, path.Join(from, name), providers.Cond{IfVersion: e.Version})
			})
			if err != nil && !answered(err) {
				return fmt.Errorf("end an earlier move to %q: %w", u.Name, err)
			}
		}
	}
	return d.complete(id, nil, 0, u.Dir, u.Name, e)
}

// beginMoveDir notes that a directory goes to its place here. If it was on its way
// to another one, it goes there first. The result has where it goes.
func (d *Drive) beginMoveDir(n nodes.Node) (nodes.Node, error) {
	u := nodes.Upload{Dir: n.Parent, Name: n.Name, Moved: movesTree}
	err := d.update(func(tx *nodes.Tx) error {
		now, err := tx.Get(n.ID)
		if err != nil || now.RParent != n.RParent || now.RName != n.RName {
			return errNow
		}
		if was, err := tx.Upload(n.ID); err == nil && was.Moved == movesTree {
			u = was
			return nil
		}
		tx.PutUpload(n.ID, u)
		return nil
	})
	if err != nil {
		return n, err
	}
	d.pub.noteSent(n.ID, u)
	n.Parent, n.Name = u.Dir, u.Name
	return n, nil
}

// isHalf reports whether a directory itself is on its way.
func (p *publisher) isHalf(id uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.halves[id]
}

// whereNow is path for a directory that is to be looked at. It waits a little while one
// is on its way: a client that is told to come again does so after seconds.
func (d *Drive) whereNow(ctx context.Context, dir uint64) (string, error) {
	if !d.halfMoved(dir) {
		return d.path(dir)
	}
	ctx, cancel := context.WithTimeout(ctx, d.o.Patience)
	defer cancel()
	d.publishing(ctx, dir)
	if d.halfMoved(dir) {
		return "", fmt.Errorf("%w: a folder is on its way", nfs.ErrJukebox)
	}
	return d.path(dir)
}

// samePlace reports whether a node has the place, here and on the remote, that it
// had. What was found out about that place, and reserved of it, holds only then.
func samePlace(now, was *nodes.Node) bool {
	const bits = nodes.Created | nodes.Moved | nodes.Gone
	return now.Parent == was.Parent && now.Name == was.Name && now.RParent == was.RParent && now.RName == was.RName && now.State&bits == was.State&bits
}
