package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/daemon/internal/drive/staging"
	"github.com/moorage/moorage/providers"
)

// meetOr is called when a change that n asks for at a path was refused. If that
// is because the remote has something else there than was known, both stay.
func (d *Drive) meetOr(ctx context.Context, n nodes.Node, at string, err error) error {
	switch {
	case errors.Is(err, errBase), errors.Is(err, staging.ErrMoved):
		return err
	case errors.Is(err, providers.ErrChanged), errors.Is(err, fs.ErrExist), errors.Is(err, providers.ErrIsDir):
		return d.meetAt(ctx, n, at)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, providers.ErrNotDir):
		return d.parentGone(ctx, n, err)
	}
	return d.trouble(n, err)
}

// meetAt looks what the remote has in n's place.
func (d *Drive) meetAt(ctx context.Context, n nodes.Node, at string) error {
	var there providers.Entry
	err := d.health.put(ctx, func(ctx context.Context) (err error) {
		there, err = d.p.Stat(ctx, at)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.removedThere(ctx, n)
	case err != nil:
		return d.trouble(n, err)
	}
	if err := d.settleSlot(ctx, n); err != nil {
		return err
	}
	now, err := d.node(n.ID)
	if err != nil || now.Version != n.Version || now.State&(nodes.Created|nodes.Moved) != n.State&(nodes.Created|nodes.Moved) {
		return errNow // the earlier upload had come through
	}
	return d.conflict(ctx, n, there)
}

// settleSlot finds out whether what is in n's place came from here: by an upload
// of n, or of a file that was there before, whose end was not seen.
func (d *Drive) settleSlot(ctx context.Context, n nodes.Node) error {
	var ids []uint64
	err := d.store.Uploads(func(id uint64, u nodes.Upload) bool {
		if id == n.ID || u.Dir == n.Parent && u.Name == n.Name {
			ids = append(ids, id)
		}
		return true
	})
	if err != nil {
		return err
	}
	before, _ := d.store.Tomb(n.Parent, n.Name)
	for _, id := range ids {
		if err := d.settleUpload(ctx, id); err != nil {
			return err
		}
	}
	if after, _ := d.store.Tomb(n.Parent, n.Name); after != before {
		return errNow
	}
	return nil
}

// removedThere is called when the remote does not have any more what n was to
// replace: the edit beats the removal.
func (d *Drive) removedThere(ctx context.Context, n nodes.Node) error {
	if n.Kind == nodes.File && n.State&(nodes.Created|nodes.Moved) == 0 {
		if err := d.localise(ctx, n.ID, false); err != nil {
			return d.baseTrouble(ctx, n, err)
		}
	}
	err := d.update(func(tx *nodes.Tx) error {
		now, err := tx.Get(n.ID)
		if err != nil || !samePlace(&now, &n) {
			return errNow
		}
		if t, err := tx.Tomb(n.Parent, n.Name); err == nil && t.Node == 0 {
			tx.DeleteTomb(t.Dir, t.Name)
		}
		if now.State&nodes.Moved == 0 && now.State&nodes.Staged != 0 {
			now.State |= nodes.Created
			now.Version = ""
		}
		tx.Put(now)
		return nil
	})
	return orNow(err)
}

// parentGone is called when the remote has no directory to put n into: it is
// made anew.
func (d *Drive) parentGone(ctx context.Context, n nodes.Node, cause error) error {
	p, err := d.node(n.Parent)
	if err != nil || p.ID == nodes.Root {
		return d.trouble(n, cause)
	}
	at, err := d.path(p.ID)
	if err != nil {
		return errNow
	}
	err = d.health.put(ctx, func(ctx context.Context) error {
		e, err := d.p.Stat(ctx, at)
		if err == nil && !e.Mode.IsDir() {
			err = fmt.Errorf("%q: %w", at, providers.ErrNotDir)
		}
		return err
	})
	switch {
	case err == nil:
		return d.trouble(n, cause)
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, providers.ErrNotDir):
		return d.trouble(n, err)
	}
	err = d.update(func(tx *nodes.Tx) error {
		now, err := tx.Get(p.ID)
		if err != nil || now.State&nodes.Gone != 0 {
			return ignoreNotFound(err)
		}
		if !samePlace(&now, &p) {
			return errNow
		}
		if now.State&nodes.Moved != 0 {
			tx.DeleteTomb(now.RParent, now.RName)
			now.State &^= nodes.Moved
			now.RParent, now.RName = 0, ""
		}
		remake(&now)
		tx.Put(now)
		return d.pend(tx, now.ID)
	})
	if err != nil {
		return err
	}
	d.pub.touch(nodeTask(p.ID), quietNow)
	return heldBy(nodeTask(p.ID))
}

// conflict gives what is here another name, so that both it and what somebody
// else put on the remote stay.
func (d *Drive) conflict(ctx context.Context, at nodes.Node, there providers.Entry) error {
	id := at.ID
	n, err := d.node(id)
	if err != nil || !samePlace(&n, &at) {
		return errNow
	}
	if n.State&nodes.Staged != 0 {
		if err := d.localise(ctx, id, false); err != nil {
			return d.baseTrouble(ctx, n, err)
		}
	}
	if there.Mode.IsDir() {
		// A directory with nothing in it is no reason to keep both.
		at, err := d.path(n.Parent)
		if err != nil {
			return errNow
		}
		err = d.health.put(ctx, func(ctx context.Context) error { return d.writer.Rmdir(ctx, path.Join(at, n.Name)) })
		if err == nil {
			return errNow
		}
		if !errors.Is(err, providers.ErrNotEmpty) {
			return d.trouble(n, err)
		}
	}
	d.step("conflict")
	var was, name string
	err = d.update(func(tx *nodes.Tx) error {
		ch := change{d: d, tx: tx}
		n, err := ch.node(id)
		if err != nil || !samePlace(&n, &at) {
			return errNow
		}
		p, err := ch.node(n.Parent)
		if err != nil {
			return errNow
		}
		_, e, err := ch.child(p.ID, n.Name)
		if err != nil || e.ID != id {
			return errNow
		}
		was = n.Name
		if name, err = d.conflictName(tx, p.ID, n.Name); err != nil {
			return err
		}
		ch.unlink(&p, &n, e)
		if t, err := tx.Tomb(p.ID, was); err == nil && t.Node == 0 {
			tx.DeleteTomb(p.ID, was) // what it stood for is not there any more
		}
		if n.State&nodes.Moved == 0 {
			remake(&n)
			n.Version = ""
		}
		n.Name = name
		n.Ctime = later(n.Ctime, d.o.Clock())
		ch.link(&p, &n, 0)
		if err := d.pend(tx, id); err != nil {
			return err
		}
		tx.DeleteUpload(id)
		tx.Put(p)
		a := applier{d: d, dir: p.ID, now: d.o.Clock()}
		if err := a.begin(tx); err != nil {
			return err
		}
		d.pub.notSent(id)
		if there.Name == "" || !d.info.CaseInsensitive { // else it may be in the way under another name
			there.Name = was
		}
		if err := a.put(there); err != nil {
			return err
		}
		a.touched, a.moved = true, true
		a.end()
		return nil
	})
	if err != nil {
		return err
	}
	d.o.Logger.Warn("a file was changed here and on the remote: both are kept", "name", was, "mine", name)
	d.pub.conflicted(id, was, name)
	return errNow
}

// conflictName is a free name for what was changed here, when somebody else
// has changed it, too.
func (d *Drive) conflictName(tx *nodes.Tx, dir uint64, name string) (string, error) {
	ext := path.Ext(name)
	if ext == name || len(ext) > 32 {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	what := fmt.Sprintf(" (conflict %s %s)", d.o.Host, d.o.Clock().Format("2006-01-02 1504"))
	for i := 1; ; i++ {
		more := what
		if i > 1 {
			more = fmt.Sprintf("%s %d)", strings.TrimSuffix(what, ")"), i)
		}
		s := stem
		for len(s)+len(more)+len(ext) > 255 {
			r := []rune(s)
			s = string(r[:len(r)-1])
		}
		full := s + more + ext
		_, _, err := tx.Child(dir, full)
		if errors.Is(err, nodes.ErrNotFound) {
			if _, err = tx.Tomb(dir, full); errors.Is(err, nodes.ErrNotFound) {
				return full, nil
			}
		}
		if err != nil && !errors.Is(err, nodes.ErrNotFound) {
			return "", err
		}
	}
}

// baseTrouble is err of fetching what was not changed of n.
func (d *Drive) baseTrouble(ctx context.Context, n nodes.Node, err error) error {
	if changed(err) {
		return d.baseGone(ctx, n, err)
	}
	return d.trouble(n, err)
}

// baseGone is called when what n was laid over is not on the remote any more. If
// the remote still has something there, and n has that version, the trouble
// was of another kind.
func (d *Drive) baseGone(ctx context.Context, n nodes.Node, cause error) error {
	now, err := d.node(n.ID)
	if err != nil || now.Version != n.Version || now.State != n.State {
		return errNow
	}
	return fmt.Errorf("publish %q: %w: %w", n.Name, ErrBaseGone, cause)
}

// fillSize is how much of the base is fetched at once.
const fillSize = 1 << 20

// localise fetches whatever of a file is not here yet, so that it does not need
// the remote's version any more. With begin, a file without content of its own
// gets it.
func (d *Drive) localise(ctx context.Context, id uint64, begin bool) error {
	n, err := d.node(id)
	if err != nil {
		return err
	}
	if _, err := d.sized(ctx, n); err != nil {
		return err
	}
	e, err := d.stage(ctx, id, true)
	if err != nil {
		return err
	}
	defer d.unstage(e)
	if !begin && e.fresh {
		return nil
	}
	if n, err = d.store.Get(id); err != nil {
		return err
	}
	base := baseOf(n)
	b := make([]byte, fillSize)
	for off := int64(0); off < e.f.State().Base; off += fillSize {
		for _, piece := range e.f.Pieces(off, fillSize) {
			if piece.Kind != staging.Base {
				continue
			}
			part := b[:piece.N]
			if err := d.readFull(ctx, base, part, piece.Off); err != nil {
				return err
			}
			if err := e.fill(part, piece.Off); err != nil {
				return err
			}
		}
	}
	e.mu.Lock()
	e.filled = true
	e.mu.Unlock()
	return d.record(e, nil)
}

// fill writes bytes of the base where nothing was written meanwhile.
func (e *staged) fill(b []byte, off int64) error {
	e.filling.Lock()
	defer e.filling.Unlock()
	for _, piece := range e.f.Pieces(off, int64(len(b))) {
		if piece.Kind != staging.Base {
			continue
		}
		if _, err := e.f.WriteAt(b[piece.Off-off:][:piece.N], piece.Off); err != nil {
			return err
		}
	}
	return nil
}

// publishMoveDir moves a directory on the remote, at once or one by one what is
// in it.
func (d *Drive) publishMoveDir(ctx context.Context, n nodes.Node) error {
	here := n
	n, err := d.beginMoveDir(n)
	if err != nil {
		return err
	}
	dir, err := d.path(n.Parent)
	if err != nil {
		return errNow
	}
	from, err := d.path(n.ID)
	if err != nil {
		return errNow
	}
	to := path.Join(dir, n.Name)
	d.step("move dir")
	err = d.moveTree(ctx, branch{id: n.ID, from: from, to: to, kind: nodes.Dir})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// It is there already, it stepped aside before a crash, or it is gone.
		if _, err := d.statDir(ctx, to); err == nil {
			break
		}
		if dir, ok := d.asideIn(ctx, n); ok {
			return orNow(errors.Join(d.endUpload(ctx, n.ID, nodes.Upload{Dir: n.Parent}), d.isAside(n, dir)))
		}
		if _, err := d.statDir(ctx, from); err == nil {
			return d.parentGone(ctx, n, fs.ErrNotExist) // it is the place to go to that is not there
		}
		return d.parentGoneFor(n)
	case errors.Is(err, fs.ErrExist) && (n.Parent != here.Parent || n.Name != here.Name):
		return orNow(d.endUpload(ctx, n.ID, nodes.Upload{Dir: n.Parent}))
	case errors.Is(err, fs.ErrExist):
		there, err := d.statDir(ctx, to)
		if err != nil {
			return d.trouble(n, err)
		}
		return d.conflict(ctx, n, there)
	case err != nil:
		return d.trouble(n, err)
	}
	d.step("move dir done")
	defer d.pub.notSent(n.ID)
	on := false
	err = d.updateAnd(func(tx *nodes.Tx, after func(taskKey, quiet)) error {
		now, err := tx.Get(n.ID)
		if err != nil {
			return ignoreNotFound(err)
		}
		if now.RParent != n.RParent || now.RName != n.RName {
			return errNow
		}
		tx.DeleteUpload(n.ID)
		tx.DeleteTomb(n.RParent, n.RName)
		d.turns.turn(n.RParent, n.RName)
		d.turns.turn(n.Parent, n.Name)
		if now.State&nodes.Gone != 0 { // it was removed here meanwhile
			now.RParent, now.RName = n.Parent, n.Name
			tx.PutTomb(nodes.Tomb{Dir: n.Parent, Name: n.Name, Kind: nodes.Dir, Node: n.ID, Since: d.o.Clock()})
			tx.Put(now)
			after(tombTask(n.Parent, n.Name), quietNow)
			return nil
		}
		now.State &^= nodes.Moved
		now.RParent, now.RName = 0, ""
		if now.Parent != n.Parent || now.Name != n.Name { // and moved again since
			now.State |= nodes.Moved
			now.RParent, now.RName = n.Parent, n.Name
			tx.PutTomb(nodes.Tomb{Dir: n.Parent, Name: n.Name, Kind: nodes.Dir, Node: n.ID, Since: d.o.Clock()})
			tx.Put(now)
			on = true
			return nil
		}
		tx.DeletePending(n.ID)
		tx.Put(now)
		return nil
	})
	if on {
		return orNow(err)
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
		tx.DeleteUpload(n.ID)
		tx.DeleteTomb(now.RParent, now.RName)
		now.State &^= nodes.Moved
		now.RParent, now.RName = 0, ""
		remake(&now)
		tx.Put(now)
		return nil
	})
	d.pub.notSent(n.ID)
	return orNow(err)
}

func (d *Drive) statDir(ctx context.Context, at string) (e providers.Entry, err error) {
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = d.p.Stat(ctx, at)
		return err
	})
	return e, err
}
