package drive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// maxDepth bounds the way up from a node; a longer one means a damaged store.
const maxDepth = 4096

// path is where a node is on the remote, or will be if it is not there yet. A
// node whose way up is broken is gone.
func (d *Drive) path(id uint64) (string, error) { return d.way(id, true) }

// way is a path by the places on the remote, or by those here.
func (d *Drive) way(id uint64, remote bool) (string, error) {
	var elems []string
	for i := 0; id != nodes.Root; i++ {
		n, err := d.store.Get(id)
		if errors.Is(err, nodes.ErrNotFound) {
			err = fmt.Errorf("%w: id %d", nfs.ErrStale, id)
		}
		if err != nil {
			return "", err
		}
		if i == maxDepth {
			return "", fmt.Errorf("node %d: %w", id, nodes.ErrCorrupt)
		}
		dir, name, ok := place(&n)
		if !remote || !ok {
			dir, name = n.Parent, n.Name
		}
		elems = append(elems, name)
		id = dir
	}
	slices.Reverse(elems)
	return strings.Join(elems, "/"), nil
}

// node is what is known of an id; ErrStale if nothing, or if it was removed.
func (d *Drive) node(id uint64) (nodes.Node, error) {
	n, err := d.store.Get(id)
	if errors.Is(err, nodes.ErrNotFound) || err == nil && n.State&nodes.Gone != 0 {
		return n, fmt.Errorf("%w: id %d", nfs.ErrStale, id)
	}
	if err == nil && n.Kind == nodes.File && d.staged != nil {
		if e := d.staged.peek(id); e != nil {
			e.overlay(&n)
		}
	}
	return n, err
}

func flightKey(op string, id uint64) string { return op + ":" + strconv.FormatUint(id, 10) }

// now is the time of a confirmation and the revision that it is of, taken
// before the remote is asked.
func (d *Drive) now() (time.Time, uint64) { return d.o.Clock(), d.currentRev() }

// statRoot confirms the root's attributes.
func (d *Drive) statRoot(ctx context.Context) error {
	_, err := do(ctx, d.flights, flightKey("stat", nodes.Root), d.o.CallTimeout, func(ctx context.Context) (struct{}, error) {
		at, rev := d.now()
		var e providers.Entry
		err := d.health.call(ctx, true, func(ctx context.Context) (err error) {
			e, err = d.p.Stat(ctx, "")
			if err == nil && !e.Mode.IsDir() {
				err = fmt.Errorf("the root: %w", providers.ErrNotDir)
			}
			return err
		})
		if err != nil {
			return struct{}{}, err
		}
		err = d.update(func(tx *nodes.Tx) error {
			n, err := tx.Get(nodes.Root)
			if errors.Is(err, nodes.ErrNotFound) {
				e.Name = ""
				tx.Put(newNode(nodes.Root, nodes.Root, e, nodes.Dir, at))
				return nil
			}
			if err == nil && merge(&n, e, d.byContent(), at) {
				tx.Put(n)
			}
			return err
		})
		d.stamps.update(nodes.Root, func(s *stamp) { s.attrAt, s.attrRev = at, rev })
		return struct{}{}, err
	})
	return err
}

// stat confirms one name of a directory.
func (d *Drive) stat(ctx context.Context, dir uint64, name string) error {
	_, err := do(ctx, d.flights, flightKey("stat", dir)+"/"+name, d.o.CallTimeout, func(ctx context.Context) (struct{}, error) {
		at, rev := d.now()
		p, err := d.path(dir)
		if err != nil {
			return struct{}{}, err
		}
		var e providers.Entry
		err = d.health.call(ctx, true, func(ctx context.Context) (err error) {
			e, err = d.p.Stat(ctx, path.Join(p, name))
			return err
		})
		gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, providers.ErrNotDir)
		if err != nil && !gone {
			return struct{}{}, err
		}
		a := applier{d: d, dir: dir, now: at}
		err = d.update(func(tx *nodes.Tx) error {
			if err := a.begin(tx); err != nil {
				return err
			}
			if gone {
				if err := a.remove(name); err != nil {
					return err
				}
				a.touched = a.touched || !a.n.Missed
				a.n.Missed = true
			} else {
				e.Name = name
				if err := a.put(e); err != nil {
					return err
				}
			}
			a.end()
			return nil
		})
		if err == nil && a.id != 0 {
			d.stamps.update(a.id, func(s *stamp) { s.attrAt, s.attrRev = at, rev })
		}
		return struct{}{}, err
	})
	return err
}

// list confirms a directory: its names and their attributes.
func (d *Drive) list(ctx context.Context, dir uint64) error {
	_, err := do(ctx, d.flights, flightKey("list", dir), d.o.OpenTimeout, func(ctx context.Context) (struct{}, error) {
		var err error
		for range attempts {
			if err = d.listOnce(ctx, dir); !errors.Is(err, providers.ErrChanged) {
				break
			}
		}
		if dir != nodes.Root && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, providers.ErrNotDir)) {
			err = errors.Join(fmt.Errorf("%w: id %d", nfs.ErrStale, dir), d.forget(dir))
		}
		return struct{}{}, err
	})
	return err
}

// forget takes away a directory that the remote says is not there.
func (d *Drive) forget(id uint64) error {
	n, err := d.node(id)
	if err != nil {
		return nil
	}
	d.stamps.update(n.Parent, func(s *stamp) { s.listAt, s.listRev = time.Time{}, 0 })
	a := applier{d: d, dir: n.Parent, now: d.o.Clock()}
	return d.update(func(tx *nodes.Tx) error {
		if err := a.begin(tx); err != nil {
			return err
		}
		if err := a.remove(n.Name); err != nil {
			return err
		}
		a.n.ListRev, a.n.ListVersion = 0, "" // the parent's listing was wrong
		a.touched = true
		a.end()
		return nil
	})
}

// batch is how many entries of a listing are stored at once.
const batch = 8192

func (d *Drive) listOnce(ctx context.Context, dir uint64) error {
	at, rev := d.now()
	n, err := d.node(dir)
	if err != nil {
		return err
	}
	p, err := d.path(dir)
	if err != nil {
		return err
	}
	a := applier{d: d, dir: dir, now: at, seen: bitmap{}, limit: n.NextCookie}
	var entries []providers.Entry
	for cursor := ""; ; {
		var page providers.Page
		pageCtx, cancel := context.WithTimeout(ctx, d.o.CallTimeout)
		err := d.health.call(pageCtx, true, func(ctx context.Context) (err error) {
			page, err = d.p.ReadDir(ctx, p, cursor)
			return err
		})
		cancel()
		if err != nil {
			return err
		}
		if page.Next != "" && page.Next == cursor {
			return fmt.Errorf("list %q: %w: the cursor stands still", p, providers.ErrProtocol)
		}
		cursor = page.Next
		entries = append(entries, page.Entries...)
		for len(entries) >= batch || (cursor == "" && len(entries) > 0) {
			n := min(batch, len(entries))
			if err := d.applyPage(&a, entries[:n]); err != nil {
				return err
			}
			entries = entries[n:]
		}
		if cursor == "" {
			break
		}
	}
	if err := d.sweep(&a, string(n.Version), rev); err != nil {
		return err
	}
	d.stamps.update(dir, func(s *stamp) { s.listAt, s.listRev, s.lookups = at, rev, 0 })
	return nil
}

func (d *Drive) applyPage(a *applier, entries []providers.Entry) error {
	return d.update(func(tx *nodes.Tx) error {
		if err := a.begin(tx); err != nil {
			return err
		}
		for _, e := range entries {
			if err := a.put(e); err != nil {
				return err
			}
		}
		a.end()
		return nil
	})
}

// sweep ends a listing: names that were known before and not listed are gone.
func (d *Drive) sweep(a *applier, version string, rev uint64) error {
	var gone []nodes.Entry
	err := d.store.Children(a.dir, 0, func(e nodes.Entry) bool {
		if e.Cookie < a.limit && !a.seen.has(e.Cookie) {
			gone = append(gone, e)
		}
		return true
	})
	if err != nil {
		return err
	}
	return d.update(func(tx *nodes.Tx) error {
		if err := a.begin(tx); err != nil {
			return err
		}
		for _, e := range gone {
			if err := a.remove(e.Name); err != nil {
				return err
			}
		}
		n := &a.n
		if was := int64(n.Hidden); was != a.hidden {
			n.Hidden = uint32(min(a.hidden, 1<<31))
			d.addHidden(tx, int64(n.Hidden)-was)
		}
		n.Complete = true
		n.ListVersion, n.ListRev = version, rev
		if a.deferred {
			// Not all that was listed is shown yet: list again after a restart.
			n.ListVersion, n.ListRev = "", 0
		}
		a.touched = true
		a.end()
		return nil
	})
}

// addHidden counts names that cannot be shown.
func (d *Drive) addHidden(tx *nodes.Tx, n int64) {
	d.mu.Lock()
	d.hidden += n
	total := d.hidden
	d.mu.Unlock()
	tx.SetMeta("hidden", binary.BigEndian.AppendUint64(nil, uint64(total)))
	d.health.wake()
}

// applier brings the store to what the remote says of one directory.
type applier struct {
	d      *Drive
	dir    uint64
	now    time.Time
	seen   bitmap // cookies of names that were listed; nil: it does not matter
	limit  uint64 // cookies below were given before the listing
	hidden int64  // names left out

	tx       *nodes.Tx
	n        nodes.Node // the directory
	touched  bool       // n must be stored
	moved    bool       // names came or went
	deferred bool
	id       uint64 // of the entry that was put last
}

// begin starts a transaction.
func (a *applier) begin(tx *nodes.Tx) error {
	var err error
	a.tx, a.touched, a.moved = tx, false, false
	if a.n, err = tx.Get(a.dir); errors.Is(err, nodes.ErrNotFound) {
		return fmt.Errorf("%w: id %d", nfs.ErrStale, a.dir)
	}
	return err
}

// end stores what became of the directory.
func (a *applier) end() {
	if a.moved && (a.n.Complete || a.n.Missed) { // else nobody has a cache to drop
		moveDir(&a.n, a.now)
	}
	if a.moved || a.touched {
		a.tx.Put(a.n)
	}
	if gone := a.tx.HiddenGone(); gone > 0 {
		a.d.addHidden(a.tx, -gone)
	}
}

// put adds or renews one entry.
func (a *applier) put(e providers.Entry) error {
	kind, ok := kindOf(e)
	if !ok || !showable(e.Name) {
		a.hidden++
		return nil
	}
	if masked, err := a.masked(e, kind); masked || err != nil {
		return err
	}
	id, cookie, err := a.tx.Child(a.dir, e.Name)
	var n nodes.Node
	if err == nil {
		if a.seen.has(cookie) {
			a.hidden++ // listed twice: the first one is shown
			return nil
		}
		n, err = a.tx.Get(id)
	}
	switch {
	case errors.Is(err, nodes.ErrNotFound):
		cookie = 0
	case err != nil:
		return err
	case a.d.changedHere(&n):
		a.seen.set(cookie)
		a.id = id
		return a.d.meet(a.tx, n, e)
	case n.Kind != kind:
		if err := a.remove(e.Name); err != nil {
			return err
		}
		if _, _, err := a.tx.Child(a.dir, e.Name); !errors.Is(err, nodes.ErrNotFound) {
			return err // it stays, see keep
		}
	default:
		a.seen.set(cookie)
		a.id = id
		return a.renew(n, e)
	}
	if id, err = a.tx.NewID(); err != nil {
		return err
	}
	if cookie == 0 {
		cookie = a.n.NextCookie
		a.n.NextCookie++
	}
	a.tx.Put(newNode(id, a.dir, e, kind, a.now))
	a.tx.Link(a.dir, e.Name, id, cookie)
	if kind == nodes.Dir {
		a.n.Subdirs++
	}
	a.seen.set(cookie)
	a.moved, a.id = true, id
	return nil
}

// renew brings a node to what the remote says, or puts that off while the node
// is being read.
func (a *applier) renew(n nodes.Node, e providers.Entry) error {
	d := a.d
	if n.Kind == nodes.File && !sameContent(&n, e) && d.info.StrongVersion && n.Version != "" && d.streams.active(n.ID, d.o.Clock()) {
		a.deferred = true
		d.postpone(n.ID, e)
		return nil
	}
	d.postpone(n.ID, providers.Entry{})
	if merge(&n, e, d.byContent(), a.now) {
		a.tx.Put(n)
	}
	return nil
}

// remove takes a name away, if it is there.
func (a *applier) remove(name string) error {
	id, cookie, err := a.tx.Child(a.dir, name)
	if errors.Is(err, nodes.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := a.tx.Get(id)
	if err == nil {
		if keep, err := a.d.keep(a.tx, n); keep || err != nil {
			return err
		}
	}
	if err == nil && n.Kind == nodes.Dir && a.n.Subdirs > 0 {
		a.n.Subdirs--
	}
	a.d.postpone(id, providers.Entry{})
	a.moved = true
	return a.tx.Remove(a.dir, nodes.Entry{ID: id, Cookie: cookie, Name: name})
}

// bitmap is a set of small numbers. A nil bitmap holds nothing and takes
// nothing.
type bitmap map[uint64]uint64

func (b bitmap) set(i uint64) {
	if b != nil {
		b[i/64] |= 1 << (i % 64)
	}
}

func (b bitmap) has(i uint64) bool { return b[i/64]&(1<<(i%64)) != 0 }
