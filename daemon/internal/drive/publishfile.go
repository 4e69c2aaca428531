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
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
	"github.com/moorage/moorage/providers"
)

// ErrBaseGone is why a file is parked that was changed here in part, and whose
// rest was replaced on the remote before it was fetched. What was written is
// here; no version of the file has the rest. It ends when the file is written as
// a whole, is removed, or the old version is on the remote again and [Drive.Sync]
// or [Drive.Publish] is called.
var ErrBaseGone = errors.New("the rest of this file was replaced on the remote before it was fetched")

// smallPut is up to which size a file is uploaded out of memory, in bytes.
const smallPut = 2 << 20

// source is one generation of a file, for an upload. It fails with
// staging.ErrMoved as soon as the file has changed.
type source struct {
	ctx  context.Context
	d    *Drive
	snap *staging.Snapshot
	base nodes.Node // what shows where nothing was written
	sent func(n int)
}

func (s *source) Size() int64 { return s.snap.Size() }

func (s *source) ReadAt(p []byte, off int64) (n int, err error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	short := off+int64(len(p)) > s.snap.Size()
	for _, piece := range s.snap.Pieces(off, int64(len(p))) {
		b := p[piece.Off-off:][:piece.N]
		if piece.Kind == staging.Base {
			if err = s.d.readFull(s.ctx, s.base, b, piece.Off); err != nil {
				err = &baseError{err}
			}
		} else {
			_, err = s.snap.ReadAt(b, piece.Off)
		}
		if err != nil && !(err == io.EOF && short) {
			return n, err
		}
		n += len(b)
	}
	if s.sent != nil {
		s.sent(n)
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// baseOf is a node as the remote has it.
func baseOf(n nodes.Node) nodes.Node {
	if n.State&nodes.Staged != 0 {
		n.Size = n.RSize
		n.State &^= nodes.Staged
	}
	return n
}

// publishFile uploads a file.
func (d *Drive) publishFile(ctx context.Context, n nodes.Node, slot *nodes.Tomb) error {
	if busy, err := d.hotJournal(n); err != nil {
		return err
	} else if busy {
		return laterError{quietWrite, errTransaction}
	}
	if err := d.health.mayAsk(); err != nil {
		return err // before all of it is read for nothing
	}
	e, err := d.stage(ctx, n.ID, n.State&nodes.Staged == 0)
	if err != nil {
		return err
	}
	if n.State&nodes.Staged == 0 {
		defer d.unstage(e)
	} else {
		defer d.staged.release(e)
	}
	// What the remote gets must be here after a crash, too.
	if err := d.record(e, nil); err != nil {
		return err
	}
	snap := e.f.Snapshot()
	was := n
	if n, err = d.node(n.ID); err != nil || !samePlace(&n, &was) {
		return errNow
	}
	src := &source{ctx: ctx, d: d, snap: snap, base: baseOf(n)}
	err = d.upload(ctx, n, slot, e, src)
	switch {
	case errors.Is(err, staging.ErrMoved):
		return laterError{pause: quietCommit}
	case errors.Is(err, errBase):
		return d.baseGone(ctx, n, err)
	}
	return err
}

// errTransaction means that a file is not whole by itself.
var errTransaction = errors.New("a database in the middle of a transaction")

// hotTime is how long a transaction may stand still. What is left then is of a
// program that ended in the middle, and both files tell that.
const hotTime = 10 * time.Minute

// hotJournal reports whether a file is a database in the middle of a transaction:
// SQLite keeps what it needs to undo that beside it.
func (d *Drive) hotJournal(n nodes.Node) (bool, error) {
	for _, suffix := range []string{"-journal", "-wal"} {
		id, _, err := d.store.Child(n.Parent, n.Name+suffix)
		if errors.Is(err, nodes.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		if j, err := d.node(id); err == nil && j.Size > 0 {
			now := d.o.Clock()
			return now.Sub(j.Ctime) < hotTime || now.Sub(n.Ctime) < hotTime, nil
		}
	}
	return false, nil
}

// errBase means that bytes of the base could not be had.
var errBase = errors.New("bytes that were not changed")

func (d *Drive) upload(ctx context.Context, n nodes.Node, slot *nodes.Tomb, e *staged, src *source) error {
	dir, err := d.path(n.Parent)
	if err != nil {
		return errNow
	}
	at := path.Join(dir, n.Name)
	o := providers.PutOptions{ModTime: n.Mtime}
	if n.HasMode {
		o.Mode = fs.FileMode(n.Mode & 0o777)
	}
	replaces := ""
	switch inPlace := n.State&(nodes.Created|nodes.Moved) == 0; {
	case inPlace:
		o.Cond, err = d.over(ctx, at, n.Version, src.base.Size, n.RemoteTime)
		replaces = n.Version
	case slot != nil:
		o.Cond, err = d.over(ctx, at, slot.Version, slot.Size, slot.RemoteTime)
		replaces = slot.Version
	default:
		o.Cond = providers.Cond{IfAbsent: true}
	}
	if err != nil {
		return d.meetOr(ctx, n, at, err)
	}
	gen := src.snap.Generation()
	size := src.Size()
	var from providers.Source = src
	h := sha256.New()
	if size <= smallPut {
		b := make([]byte, size)
		if _, err := src.ReadAt(b, 0); err != nil && err != io.EOF {
			return readTrouble(err)
		}
		h.Write(b)
		from = bytes.NewReader(b)
	} else if _, err := io.Copy(h, io.NewSectionReader(src, 0, size)); err != nil {
		return readTrouble(err)
	}
	u := nodes.Upload{Dir: n.Parent, Name: n.Name, Size: size, Version: replaces}
	h.Sum(u.Sum[:0])
	if err := d.beginUpload(ctx, n.ID, &u); err != nil {
		return err
	}
	d.rescue(ctx, n.Parent, n.Name)
	w := d.pub.progress(n.ID, size)
	d.step("put")
	var entry providers.Entry
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		if up, ok := d.p.(providers.Uploader); ok && size > smallPut {
			src.sent = w
			entry, err = up.Upload(ctx, at, from, o, u.Resume, func(state []byte) error {
				d.step("part")
				u.Resume = bytes.Clone(state)
				return d.saveUpload(n.ID, u)
			})
			return err
		}
		entry, err = d.writer.Put(ctx, at, from, o)
		return err
	})
	if err != nil {
		return d.meetOr(ctx, n, at, readTrouble(err))
	}
	d.step("put done")
	if entry.Size != size {
		return fmt.Errorf("publish %q: the remote has %d bytes of %d: %w", n.Name, entry.Size, size, providers.ErrOffline)
	}
	d.pub.published(at, size)
	return d.complete(n.ID, e, gen, n.Parent, n.Name, entry)
}

// readTrouble tells trouble with the bytes to upload from trouble with the
// upload.
func readTrouble(err error) error {
	if errors.Is(err, staging.ErrMoved) {
		return err
	}
	var read *baseError
	if errors.As(err, &read) && changed(read.err) {
		return fmt.Errorf("%w: %w", errBase, err)
	}
	return err
}

// baseError is an error of reading what the remote has, while uploading.
type baseError struct{ err error }

func (e *baseError) Error() string { return "read what was not changed: " + e.err.Error() }
func (e *baseError) Unwrap() error { return e.err }

// beginUpload notes what the remote may have from now on. u goes on where an
// earlier upload of the same bytes was.
func (d *Drive) beginUpload(ctx context.Context, id uint64, u *nodes.Upload) error {
	var old nodes.Upload
	err := d.update(func(tx *nodes.Tx) error {
		if _, err := tx.Get(id); err != nil {
			return errNow
		}
		var err error
		if old, err = tx.Upload(id); err == nil && old.Sum == u.Sum && old.Size == u.Size && old.Dir == u.Dir && old.Name == u.Name {
			u.Resume, old.Resume = old.Resume, nil
		} else if err != nil && !errors.Is(err, nodes.ErrNotFound) {
			return err
		}
		tx.PutUpload(id, *u)
		return nil
	})
	if err == nil {
		d.pub.noteSent(id, *u)
		d.abandon(ctx, old.Resume)
	}
	return err
}

// saveUpload stores how far an upload is.
func (d *Drive) saveUpload(id uint64, u nodes.Upload) error {
	return d.update(func(tx *nodes.Tx) error {
		tx.PutUpload(id, u)
		return nil
	})
}

// abandon frees what the remote holds of an upload that is not gone on with.
func (d *Drive) abandon(ctx context.Context, state []byte) {
	up, ok := d.p.(providers.Uploader)
	if !ok || len(state) == 0 {
		return
	}
	err := d.health.put(ctx, func(ctx context.Context) error { return up.AbandonUpload(ctx, state) })
	if err != nil {
		d.o.Logger.Info("an upload that was given up may still take room on the remote", "err", err)
	}
}

// settleUpload finds out whether an upload came through whose end was not seen:
// the connection broke, or this program ended.
func (d *Drive) settleUpload(ctx context.Context, id uint64) error {
	var u nodes.Upload
	err := d.update(func(tx *nodes.Tx) (err error) {
		u, err = tx.Upload(id)
		return err
	})
	if errors.Is(err, nodes.ErrNotFound) {
		d.pub.notSent(id) // which a disk that failed has kept from being noted
		return nil
	}
	if err != nil {
		return err
	}
	if u.Moved == makesDir {
		return d.settleDir(ctx, id, u)
	}
	if _, err := d.store.Get(id); err == nil && u.Moved == movesTree {
		return nil // see publishMoveDir
	}
	dir, err := d.path(u.Dir)
	if err != nil || u.Moved == movesTree {
		return d.endUpload(ctx, id, u) // where it was is gone, and it with it
	}
	if u.Moved != "" {
		return d.settleMove(ctx, id, u, dir)
	}
	e, same, err := d.isUpload(ctx, path.Join(dir, u.Name), u)
	if err != nil {
		return fmt.Errorf("find out about an earlier upload of %q: %w", u.Name, err)
	}
	if same {
		return d.complete(id, nil, 0, u.Dir, u.Name, e)
	}
	if n, err := d.node(id); err != nil || n.State&nodes.Gone != 0 || n.Parent != u.Dir || n.Name != u.Name {
		return d.notArrived(ctx, id, u, dir)
	}
	return nil // it goes on, or begins anew
}

func (d *Drive) endUpload(ctx context.Context, id uint64, u nodes.Upload) error {
	d.abandon(ctx, u.Resume)
	err := d.update(func(tx *nodes.Tx) error {
		tx.DeleteUpload(id)
		return nil
	})
	if err == nil {
		d.pub.notSent(id)
		d.stamps.update(u.Dir, func(s *stamp) { *s = stamp{} }) // what was there was not believed
	}
	return err
}

// isUpload reports whether the remote has at a path what u was to put there.
func (d *Drive) isUpload(ctx context.Context, at string, u nodes.Upload) (e providers.Entry, same bool, err error) {
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = d.p.Stat(ctx, at)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, providers.ErrNotDir):
		return e, false, nil
	case err != nil:
		return e, false, err
	case e.Mode.IsDir() || e.Size != u.Size || u.Version != "" && string(e.Version) == u.Version || u.Sum == [32]byte{}:
		return e, false, nil
	}
	h := sha256.New()
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		h.Reset()
		o, err := d.p.Open(ctx, at, e.Version)
		if err != nil {
			return err
		}
		r, err := o.ReadRange(ctx, 0, e.Size)
		if err == nil {
			var n int64
			if n, err = io.Copy(h, r); err == nil && n != e.Size {
				err = io.ErrUnexpectedEOF
			}
			err = errors.Join(err, r.Close())
		}
		return errors.Join(err, o.Close())
	})
	if changed(err) {
		return e, false, nil
	}
	return e, err == nil && bytes.Equal(h.Sum(nil), u.Sum[:]), err
}

// complete notes that the remote has node id at dir and name, as entry says. e,
// if not nil, is the staged file whose generation gen that is.
func (d *Drive) complete(id uint64, e *staged, gen uint64, dir uint64, name string, entry providers.Entry) error {
	whole := false
	if e != nil {
		e.mu.Lock()
		if e.writers == 0 || e.fresh && e.writers == 1 {
			whole = e.f.Generation() == gen
		}
		if whole {
			e.ending = make(chan struct{})
		}
		e.mu.Unlock()
	}
	removed, err := d.completed(id, e, whole, dir, name, entry)
	if err == nil {
		d.pub.notSent(id)
	}
	if e != nil && whole {
		done := err == nil && !removed
		adopt := func() {}
		if done {
			adopt, err = d.handOver(e, entry)
		}
		e.mu.Lock()
		close(e.ending)
		e.ending = nil
		e.ended = done
		e.mu.Unlock()
		if done {
			d.staged.forget(e)
			adopt()
		}
	}
	switch {
	case err != nil:
		return err
	case removed:
		return nil
	case e != nil && !whole:
		return laterError{pause: quietCommit}
	}
	return nil
}

// handOver takes the staged file of a node away that is on the remote now, as
// entry says. The cache gets it, if all of it is here, by the function that is
// returned: the node can be written to meanwhile.
func (d *Drive) handOver(e *staged, entry providers.Entry) (adopt func(), err error) {
	adopt = func() {}
	p := e.f.Pieces(0, entry.Size)
	if len(p) != 1 || p[0].Kind != staging.Local || p[0].N != entry.Size {
		return adopt, d.staged.store.Remove(e.id)
	}
	folder, name, err := d.staged.store.Take(e.id)
	if err != nil {
		return adopt, err
	}
	n := nodes.Node{ID: e.id, Size: entry.Size, Version: string(entry.Version), RemoteTime: entry.ModTime}
	return func() {
		d.step("adopt")
		e.mu.Lock()
		sent := e.spans > 0 // nobody who has it to send is told of what the cache takes away
		e.mu.Unlock()
		err := errBeingSent
		if !sent {
			err = d.cache.Adopt(d.blockKey(keyOf(&n)), folder, name, entry.Size)
		}
		if err == nil {
			return
		}
		d.o.Logger.Info("a file that was published is not kept in the cache", "err", err)
		if err := folder.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.o.Logger.Warn("a file that was published still takes room", "err", err)
		}
	}, nil
}

var errBeingSent = errors.New("it is being sent to a client")

// completed is the durable part of complete. It reports whether the node is
// gone.
func (d *Drive) completed(id uint64, e *staged, whole bool, dir uint64, name string, entry providers.Entry) (gone bool, err error) {
	err = d.updateAnd(func(tx *nodes.Tx, after func(taskKey, quiet)) error {
		tx.DeleteUpload(id)
		d.turns.turn(dir, name)
		n, err := tx.Get(id)
		if errors.Is(err, nodes.ErrNotFound) || err == nil && n.State&nodes.Gone != 0 {
			gone = true
			// It was removed here while it was on its way.
			kind, _ := kindOf(entry)
			tx.PutTomb(nodes.Tomb{
				Dir: dir, Name: name, Kind: kind, Version: string(entry.Version), Size: entry.Size, RemoteTime: entry.ModTime, Since: d.o.Clock(),
			})
			after(tombTask(dir, name), quietDelete)
			if err == nil { // and somebody may still have it open
				n.State = n.State&^nodes.Created | nodes.Moved
				n.RParent, n.RName = dir, name
				n.Version, n.RemoteTime = string(entry.Version), entry.ModTime
				if n.State&nodes.Staged != 0 {
					n.RSize = entry.Size
				}
				tx.Put(n)
				d.uses.remove(&n, d.o.Clock())
			}
			return nil
		}
		if err != nil {
			return err
		}
		was := baseOf(n)
		// Where the remote had it before, if that was elsewhere, there is now
		// something to take away.
		if rdir, rname, ok := place(&n); ok && (rdir != dir || rname != name) {
			d.turns.turn(rdir, rname)
			t, err := tx.Tomb(rdir, rname)
			moved := e == nil && n.State&nodes.Staged == 0
			switch {
			case err == nil && t.Node == id && moved:
				tx.DeleteTomb(rdir, rname)
			case err == nil && t.Node == id:
				t.Node = 0
				tx.PutTomb(t)
				after(tombTask(rdir, rname), quietNow)
			case errors.Is(err, nodes.ErrNotFound) && !moved:
				// It was renamed back there meanwhile, and replaces what it was.
				tx.PutTomb(nodes.Tomb{
					Dir: rdir, Name: rname, Kind: n.Kind, Version: n.Version, Size: baseOf(n).Size, RemoteTime: n.RemoteTime, Since: d.o.Clock(),
				})
				after(tombTask(rdir, rname), quietNow)
			}
		}
		if err := identify(tx, &n, dir, name, entry); err != nil {
			return err
		}
		tx.DeleteTomb(dir, name)
		made := n.State&nodes.Created != 0 // with times that may have been set since
		n.State &^= nodes.Created | nodes.Moved
		n.RParent, n.RName = 0, ""
		if e == nil && !made && n.State&nodes.Staged == 0 && !sameContent(&n, entry) && !copyOf(&n, entry) {
			merge(&n, entry, d.byContent(), d.o.Clock()) // somebody else had changed what was moved
		}
		n.Version, n.RemoteTime = string(entry.Version), entry.ModTime
		if n.Parent != dir || n.Name != name {
			n.State |= nodes.Moved
			n.RParent, n.RName = dir, name
			tx.PutTomb(nodes.Tomb{
				Dir: dir, Name: name, Kind: n.Kind, Node: id, Version: n.Version, Size: entry.Size, RemoteTime: entry.ModTime, Since: d.o.Clock(),
			})
		}
		switch {
		case n.State&nodes.Staged != 0 && !whole:
			n.RSize = entry.Size
		case n.State&nodes.Staged != 0 || e != nil:
			e.mu.Lock()
			if !e.clean {
				n.Mtime, n.Ctime = e.mtime, latest(n.Ctime, e.ctime)
			}
			e.mu.Unlock()
			n.State &^= nodes.Staged
			n.Size, n.Base, n.RSize = entry.Size, 0, 0
			if err := tx.DeleteRegions(id); err != nil {
				return err
			}
		case n.Kind == nodes.Link:
			if err := tx.DeleteRegions(id); err != nil {
				return err
			}
		}
		if n.State&(nodes.Staged|nodes.Moved) == 0 {
			n.State &^= nodes.Edited
			tx.DeletePending(id)
		}
		if is := baseOf(n); e != nil && keyOf(&is) == keyOf(&was) {
			d.uncache(map[uint64]bool{id: true}) // the remote cannot tell it from what was there
		}
		tx.Put(n)
		return nil
	})
	if err == nil && !gone {
		d.stamps.update(id, func(s *stamp) { s.attrAt, s.attrRev = d.now() })
	}
	return gone, err
}

// copyOf reports whether entry can be what a move of n has made: a store that moves
// by copying in parts gives the same bytes another version.
func copyOf(n *nodes.Node, entry providers.Entry) bool {
	return !entry.ModTime.IsZero() && entry.ModTime.Equal(n.RemoteTime) && entry.Size == n.Size
}

// identify gives n the id of the remote's object that it is from now on, at a place
// that it may not have had: that of what it was before is of something else.
func identify(tx *nodes.Tx, n *nodes.Node, dir uint64, name string, entry providers.Entry) error {
	if rdir, rname, ok := place(n); entry.ID == "" && (!ok || rdir != dir || rname != name) {
		return tx.Unidentify(n)
	}
	return tx.Identify(n, entry.ID)
}
