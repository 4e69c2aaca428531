package drive

import (
	"context"
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
	if errors.Is(err, nodes.ErrNotFound) || err == nil && !d.overlaid(&n) {
		return n, fmt.Errorf("%w: id %d", nfs.ErrStale, id)
	}
	return n, err
}

// overlaid adds to a node what is not stored yet, and reports whether it is still
// there.
func (d *Drive) overlaid(n *nodes.Node) bool {
	if n.Kind == nodes.File && d.staged != nil {
		if e := d.staged.peek(n.ID); e != nil {
			e.overlay(n)
		}
	}
	return n.State&nodes.Gone == 0 || n.Kind != nodes.Dir
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
			if err == nil && d.renewed(&n, e, at) {
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
		asked := d.turns.now()
		p, err := d.whereNow(ctx, dir)
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
		a := applier{d: d, dir: dir, now: at, asked: asked, place: p, byStat: true}
		if !gone {
			e.Name = name
			a.free = d.vacant(ctx, dir, e)
		}
		if l := d.lists.get(dir); l != nil {
			a.kept = l.kept
		}
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
			} else if err := a.put(e); err != nil {
				return err
			}
			a.end()
			return nil
		})
		switch {
		case err == nil && gone && !a.stale(name):
			d.missing.add(dir, name, at, rev)
		case err == nil && a.id != 0:
			d.stamps.update(a.id, func(s *stamp) { s.attrAt, s.attrRev = at, rev })
		}
		return struct{}{}, err
	})
	return err
}

// list confirms a directory: its names and their attributes.
func (d *Drive) list(ctx context.Context, dir uint64) error {
	l, err := d.beginList(ctx, dir)
	if err != nil {
		return err
	}
	return l.wait(ctx, nil)
}

// runList does the work of a listing.
func (d *Drive) runList(ctx context.Context, l *listing) error {
	asked := d.turns.now()
	place, err := d.path(l.dir)
	if err != nil {
		return err
	}
	for range attempts {
		if err = d.listOnce(ctx, l); !errors.Is(err, providers.ErrChanged) {
			break
		}
	}
	if l.dir != nodes.Root && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, providers.ErrNotDir)) {
		if ferr := d.forget(l.dir, place, asked); ferr != nil {
			return errors.Join(err, ferr)
		}
		if _, nerr := d.node(l.dir); nerr != nil {
			return errors.Join(nerr, err)
		}
		return fmt.Errorf("%w: %w", nfs.ErrJukebox, err) // what was changed here says otherwise
	}
	return err
}

// forget takes away a directory that the remote said was not at its place, when
// it was asked.
func (d *Drive) forget(id uint64, place string, asked *moment) error {
	n, err := d.node(id)
	if err != nil {
		return nil
	}
	if now, err := d.path(id); err != nil || now != place {
		return err // it is elsewhere by now
	}
	d.stamps.update(n.Parent, func(s *stamp) { s.listAt, s.listRev = time.Time{}, 0 })
	a := applier{d: d, dir: n.Parent, now: d.o.Clock(), asked: asked}
	return d.update(func(tx *nodes.Tx) error {
		if err := a.begin(tx); err != nil {
			return err
		}
		if err := a.remove(n.Name); err != nil {
			return err
		}
		a.doubt() // the parent's listing was wrong
		a.end()
		return nil
	})
}

func (d *Drive) listOnce(ctx context.Context, l *listing) error {
	at, rev := d.now()
	n, err := d.node(l.dir)
	if err != nil {
		return err
	}
	p, err := d.whereNow(ctx, l.dir)
	if err != nil {
		return err
	}
	a := newLister(d, &n, at)
	a.kept, a.asked, a.place = l.kept, d.turns.now(), p
	l.start(rev)
	whole := false
	err = pipe(ctx, func(ctx context.Context, cursor string) ([]providers.Entry, string, error) {
		var page providers.Page
		ctx, cancel := context.WithTimeout(ctx, d.o.CallTimeout)
		defer cancel()
		err := d.health.call(ctx, true, func(ctx context.Context) (err error) {
			page, err = d.p.ReadDir(ctx, p, cursor)
			return err
		})
		return page.Entries, page.Next, err
	}, func(entries []providers.Entry, last bool) error {
		// A directory of which nothing was known is whole with its last page.
		whole = last && a.limit == nodes.FirstCookie && len(a.waiting) == 0
		err := d.applyPage(a, entries, func() {
			if whole = whole && len(a.waiting) == 0; whole {
				a.finish(string(n.Version), rev)
			}
		})
		if err == nil {
			l.stored(a.given, last)
		}
		return err
	})
	if err == nil && !whole {
		err = d.putWaiting(ctx, a)
		if err == nil {
			err = d.sweep(a, string(n.Version), rev)
		}
	}
	if err != nil {
		return errors.Join(err, d.settleTimes(a))
	}
	d.stamps.update(l.dir, func(s *stamp) { s.listAt, s.listRev, s.lookups = a.countsFrom, rev, 0 })
	return nil
}

// applier brings the store to what the remote says of one directory.
type applier struct {
	d      *Drive
	dir    uint64
	now    time.Time
	seen   *marks // cookies of names that were listed; nil: it does not matter
	kept   *marks // cookies of names that are there though they may not be listed; as seen
	limit  uint64 // cookies below were given before the listing
	next   uint64 // cookie of the next name, as long as all names of the directory are from this listing
	last   string // the greatest name of them
	byStat bool   // Stat tells of the entry, not a listing
	hidden int64  // names left out

	// A listing moves the times of its directory once, at its end: clients that
	// read the directory meanwhile would begin again each time.
	listing    bool
	came, went bool              // names, since the times moved
	doubtful   bool              // an earlier listing may have changed names without moving the times
	waits      bool              // entries may wait for the end of the listing
	waiting    []providers.Entry // new names of objects that have another one here
	free       map[uint64]bool   // nodes whose names are gone, so that others may have them
	countsFrom time.Time         // as nodes.Node.ListedAt; valid after finish

	asked *moment // before the remote was asked; nil: what it says is right
	place string  // where it was asked; valid with asked, "" also if it does not matter
	away  bool    // the directory is not there any more

	tx       *nodes.Tx
	n        nodes.Node // the directory
	touched  bool       // n must be stored
	moved    bool       // names came or went
	deferred bool
	given    []uint64 // cookies of the entries that a listing has put in this transaction
	id       uint64   // of the entry that was put last; 0: it is not shown
}

// newLister makes the applier of a listing of n that begins now.
func newLister(d *Drive, n *nodes.Node, now time.Time) *applier {
	return &applier{
		d: d, dir: n.ID, now: now, seen: newMarks(), limit: n.NextCookie, listing: true, waits: true, free: map[uint64]bool{},
		doubtful: n.Complete && n.ListedAt.IsZero() && n.ListRev == 0 && n.ListVersion == "", next: nodes.FirstCookie,
	}
}

// isNew reports whether a name is certainly not in the directory: no other has
// come than by this listing, and of these it is the greatest. So the store is not
// asked for each name of a directory that is listed for the first time, in order.
func (a *applier) isNew(name string) bool { return a.n.NextCookie == a.next && name > a.last }

// begin starts a transaction.
func (a *applier) begin(tx *nodes.Tx) error {
	var err error
	a.tx, a.touched, a.moved, a.given = tx, false, false, a.given[:0]
	tx.OnRemove(a.d.limbo.add)
	if a.n, err = tx.Get(a.dir); errors.Is(err, nodes.ErrNotFound) {
		return fmt.Errorf("%w: id %d", nfs.ErrStale, a.dir)
	}
	if a.asked != nil && a.place != "" {
		now, err := a.d.path(a.dir)
		a.away = err != nil || now != a.place
	}
	return err
}

// end stores what became of the directory.
func (a *applier) end() {
	switch {
	case !a.moved:
	case !a.listing:
		if a.n.Complete || a.n.Missed { // else nobody has a cache to drop
			moveDir(&a.n, a.now)
		}
	case a.n.Complete && (a.came || a.went):
		a.doubt() // until the times have moved
	}
	if a.moved || a.touched {
		a.tx.Put(a.n)
	}
	if a.moved {
		a.d.pins.changed()
	}
	if gone := a.tx.HiddenGone(); gone > 0 {
		a.d.addHidden(a.tx, -gone)
	}
}

// doubt makes the directory be listed again, with its times moving.
func (a *applier) doubt() {
	a.n.ListRev, a.n.ListVersion, a.n.ListedAt = 0, "", time.Time{}
	a.touched = true
}

// move moves the times of the directory if somebody may have to drop a cache.
func (a *applier) move(wasComplete bool) {
	if a.went || a.doubtful || a.came && (wasComplete || a.n.Missed) {
		moveDir(&a.n, a.now)
	}
	a.came, a.went, a.doubtful, a.touched = false, false, false, true
}

// finish says that all names of a listing are there.
func (a *applier) finish(version string, rev uint64) {
	n := &a.n
	if was := int64(n.Hidden); was != a.hidden {
		n.Hidden = uint32(min(a.hidden, 1<<31))
		a.d.addHidden(a.tx, int64(n.Hidden)-was)
	}
	a.move(n.Complete)
	n.Complete = true
	a.countsFrom = a.d.countsFrom(a.now)
	if !a.d.stillAt(rev) {
		version = "" // it may be of one revision, and the names of another
	}
	n.ListVersion, n.ListRev, n.ListedAt = version, rev, a.countsFrom
	if a.deferred {
		a.doubt() // not all that was listed is shown yet: list again after a restart
	}
}

// listed reports whether the entry with that cookie stays.
func (a *applier) listed(cookie uint64) bool { return a.seen.has(cookie) || a.kept.has(cookie) }

// stale reports whether what the remote said of a name may be older than what
// was put there from here.
func (a *applier) stale(name string) bool {
	if a.asked == nil {
		return false
	}
	return a.away || a.d.turns.since(a.asked, a.dir, name)
}

// put adds or renews one entry.
func (a *applier) put(e providers.Entry) error {
	a.id = 0
	if a.stale(e.Name) {
		if _, cookie, err := a.tx.Child(a.dir, e.Name); err == nil {
			a.seen.set(cookie)
		}
		return nil
	}
	kind, ok := kindOf(e)
	if !ok || !showable(e.Name) {
		a.hidden++
		return nil
	}
	masked, err := a.masked(e, kind)
	if masked || err != nil {
		return err
	}
	var n nodes.Node
	var id, cookie uint64
	if err = nodes.ErrNotFound; !a.isNew(e.Name) {
		id, cookie, err = a.tx.Child(a.dir, e.Name)
	}
	if err == nil {
		if a.seen.has(cookie) {
			a.hidden++ // listed twice: the first one is shown
			return nil
		}
		n, err = a.tx.Get(id)
	}
	switch {
	case errors.Is(err, nodes.ErrNotFound) && a.d.pub.arriving(a.dir, e.Name):
		return nil // it was on its way from here, and is somewhere else here by now
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
		a.confirm(id, cookie)
		return a.renew(n, e)
	}
	if n, err = a.origin(e, kind); err != nil || n.ID == 0 {
		return err
	}
	if cookie == 0 {
		cookie = a.n.NextCookie
		if a.next == cookie {
			a.next++
		}
		a.n.NextCookie++
	}
	a.tx.Link(a.dir, e.Name, n.ID, cookie)
	a.last = max(a.last, e.Name)
	if kind == nodes.Dir {
		a.n.Subdirs++
	}
	a.d.forgetMissing(a.dir, e.Name)
	a.came, a.moved = true, true
	a.confirm(n.ID, cookie)
	return a.renew(n, e)
}

// confirm notes that the remote has an entry.
func (a *applier) confirm(id, cookie uint64) {
	a.id = id
	a.seen.set(cookie)
	if a.listing {
		a.given = append(a.given, cookie)
	} else {
		a.kept.set(cookie)
	}
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
	if !a.byStat && d.info.StatKnowsMore && e.Version != "" && string(e.Version) == n.Version {
		// What Stat told is right.
		e.ModTime, e.Mode = n.RemoteTime, entryOf(&n).Mode
	}
	was, version := n.RemoteID, n.Version
	if err := a.tx.Identify(&n, e.ID); err != nil {
		return err
	}
	if d.renewed(&n, e, a.now) || n.RemoteID != was {
		a.tx.Put(n)
		if n.Kind == nodes.File && (n.Version != version || version == "") {
			d.pins.changed()
		}
	}
	return nil
}

// remove takes a name away, if it is there.
func (a *applier) remove(name string) error {
	if a.stale(name) {
		return nil
	}
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
	a.went, a.moved = true, true
	return a.tx.Remove(a.dir, nodes.Entry{ID: id, Cookie: cookie, Name: name})
}
