package drive

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// walkItem is an entry of a walk with the page that it came on.
type walkItem struct {
	page  int
	at    time.Time // before the page was asked for, as is rev
	rev   uint64
	asked *moment // likewise
	path  string
	e     providers.Entry
}

// maxLater is how many files of a directory are kept that have the names of
// directories.
const maxLater = 4096

// walkDir is a directory that a walk is in.
type walkDir struct {
	a       *applier          // nil: what is below is not shown
	l       *listing          // that the walk gives; nil: somebody else lists the directory
	version string            // of the directory, before it was listed
	rev     uint64            // of the remote, likewise
	place   string            // on the remote
	page    int               // the last one that had something of it
	turn    int               // transaction that it takes part in
	later   []providers.Entry // files whose names are those of directories: they give way if these are there
	left    string            // the last name that was left out
}

// treeWalk stores what a walk gives. Its own goroutine alone uses it.
type treeWalk struct {
	d    *Drive
	w    *walking
	root string              // on the remote
	open map[string]*walkDir // by path

	page  int
	turn  int
	tx    *nodes.Tx
	begun []*walkDir // taking part in tx
	done  []*walkDir // of which there is nothing more
}

// runWalk walks a tree.
func (d *Drive) runWalk(ctx context.Context, w *walking) error {
	first := walkItem{asked: d.turns.now()}
	first.at, first.rev = d.now()
	p, err := d.path(w.root)
	if err != nil {
		return err
	}
	d.lists.mu.Lock()
	walker := d.lists.walker
	d.lists.mu.Unlock()
	t := &treeWalk{d: d, w: w, root: p, open: map[string]*walkDir{}}
	err = d.update(func(tx *nodes.Tx) error {
		t.begin(tx)
		n, err := tx.Get(w.root)
		if err == nil {
			t.open[""] = t.enter(&n, first)
			t.open[""].place = p
		}
		return err
	})
	page := 0
	if err == nil {
		err = pipe(ctx, func(ctx context.Context, cursor string) ([]walkItem, string, error) {
			if err := d.lists.spend(ctx, w); err != nil {
				return nil, "", err
			}
			page++
			asked := d.turns.now()
			at, rev := d.now()
			var got providers.WalkPage
			ctx, cancel := context.WithTimeout(ctx, d.o.CallTimeout)
			defer cancel()
			err := d.health.call(ctx, true, func(ctx context.Context) (err error) {
				got, err = walker.Walk(ctx, p, cursor)
				return err
			})
			items := make([]walkItem, 0, len(got.Entries)+1)
			for _, e := range got.Entries {
				e.Entry.Name = e.Path[strings.LastIndexByte(e.Path, '/')+1:]
				items = append(items, walkItem{page, at, rev, asked, e.Path, e.Entry})
			}
			if len(items) == 0 && err == nil {
				items = append(items, walkItem{page: page}) // an empty page counts, too
			}
			return items, got.Next, err
		}, t.store)
	}
	if err != nil {
		for _, wd := range t.open {
			if wd.a != nil {
				err = errors.Join(err, d.settleTimes(wd.a))
			}
		}
	}
	return err
}

func (t *treeWalk) begin(tx *nodes.Tx) {
	t.tx, t.begun = tx, t.begun[:0]
	t.turn++
}

// enter comes to a directory, with an entry of it or of what is in it.
func (t *treeWalk) enter(n *nodes.Node, it walkItem) *walkDir {
	d := t.d
	wd := &walkDir{version: n.Version, rev: it.rev}
	if !d.listed(n) {
		wd.l = d.lists.adopt(t.w, n.ID)
	}
	if wd.a = newLister(d, n, it.at); wd.l != nil {
		wd.l.start(it.rev)
		wd.a.kept = wd.l.kept
	} else {
		// It is not this walk that says when the listing is whole.
		wd.a.listing = false
		if l := d.lists.get(n.ID); l != nil {
			wd.a.kept = l.kept
		}
	}
	wd.a.waits = false // objects that have moved are found by listings
	wd.a.asked = it.asked
	return wd
}

// use makes a directory take part in the transaction. It reports whether the
// directory is still there.
func (t *treeWalk) use(wd *walkDir) (bool, error) {
	wd.page = t.page
	if wd.a == nil {
		return false, nil
	}
	if wd.turn == t.turn {
		return true, nil
	}
	err := wd.a.begin(t.tx)
	if err == nil && wd.turn != 0 {
		var now string
		if now, err = t.d.path(wd.a.dir); err == nil && now != wd.place {
			err = nfs.ErrStale // it was moved here
		}
	}
	if errors.Is(err, nfs.ErrStale) {
		t.lose(wd)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	wd.turn = t.turn
	t.begun = append(t.begun, wd)
	return true, nil
}

// lose leaves out what is below a directory.
func (t *treeWalk) lose(wd *walkDir) {
	if wd.l != nil {
		t.d.lists.release(t.w, wd.l, nfs.ErrStale)
	}
	wd.a, wd.l = nil, nil
}

// store stores entries of a walk, and finishes the directories of which there is
// nothing more.
func (t *treeWalk) store(items []walkItem, last bool) error {
	err := t.d.update(func(tx *nodes.Tx) error {
		t.begin(tx)
		for _, it := range items {
			t.turnTo(it.page)
			if it.path == "" || strings.Count(it.path, "/") >= maxWalkDepth {
				continue
			}
			if err := t.put(it); err != nil {
				return err
			}
		}
		for _, wd := range t.begun {
			wd.a.end()
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, wd := range t.begun {
		if t.d.lists.owns(t.w, wd.l) {
			wd.l.stored(wd.a.given, false)
		}
	}
	if last {
		for _, wd := range t.open {
			t.done = append(t.done, wd)
		}
		t.open = map[string]*walkDir{}
	}
	err = t.finish()
	t.d.turnPage(t.w, t.page)
	return err
}

// turnTo comes to a page. A directory of which a whole page has had nothing has
// nothing more.
func (t *treeWalk) turnTo(page int) {
	if page == t.page {
		return
	}
	t.page = page
	for p, wd := range t.open {
		if p != "" && wd.page < page-1 {
			t.done = append(t.done, wd)
			delete(t.open, p)
		}
	}
}

// put stores one entry, in its directory and those above it that the walk has
// not come to yet.
func (t *treeWalk) put(it walkItem) error {
	wd := t.open[""]
	for i := 0; ; {
		ok, err := t.use(wd)
		if !ok && err == nil && i == 0 {
			err = nfs.ErrStale // there is nothing left to walk
		}
		if !ok || err != nil {
			return err
		}
		n := strings.IndexByte(it.path[i:], '/')
		if n < 0 {
			break
		}
		name, below := it.path[i:i+n], it.path[:i+n]
		next := t.open[below]
		if next == nil {
			e := providers.Entry{Name: name, Mode: fs.ModeDir | 0o755}
			if next, err = t.dir(wd, e, false, it); err != nil {
				return err
			}
			next.place = path.Join(t.root, below)
			t.open[strings.Clone(below)] = next
		}
		wd = next
		i += n + 1
	}
	if !it.e.Mode.IsDir() {
		return t.file(wd, it.e)
	}
	if next := t.open[it.path]; next != nil {
		next.page = t.page
		return nil // it was entered for what is in it
	}
	next, err := t.dir(wd, it.e, true, it)
	if err == nil {
		next.place = path.Join(t.root, it.path)
		t.open[strings.Clone(it.path)] = next
	}
	return err
}

// leftOut counts a name that cannot be shown, once however much is below it.
func (wd *walkDir) leftOut(name string) {
	if wd.left != name || wd.a.hidden == 0 {
		wd.a.hidden++
	}
	wd.left = name
}

// dir puts a directory and enters it. own says that e is an entry of its own,
// not made up from what is in it.
func (t *treeWalk) dir(wd *walkDir, e providers.Entry, own bool, it walkItem) (*walkDir, error) {
	none := &walkDir{page: t.page}
	a := wd.a
	if !showable(e.Name) {
		wd.leftOut(e.Name)
		return none, nil
	}
	id, cookie, err := t.tx.Child(a.dir, e.Name)
	if err != nil && !errors.Is(err, nodes.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		n, err := t.tx.Get(id)
		switch {
		case err != nil && !errors.Is(err, nodes.ErrNotFound):
			return nil, err
		case err != nil:
		case n.Kind == nodes.Dir && a.seen.has(cookie):
			if own {
				return none, nil // an entry of its own behind what is in it
			}
			a.doubt() // it was taken to be whole
			return nil, errPieces
		case n.Kind == nodes.Dir && !own:
			e = entryOf(&n)
			e.Mode = fs.ModeDir | 0o755
			e.ID = n.RemoteID
		case n.Kind != nodes.Dir && a.seen.has(cookie):
			if err := a.remove(e.Name); err != nil {
				return nil, err
			}
			if _, _, err := t.tx.Child(a.dir, e.Name); !errors.Is(err, nodes.ErrNotFound) {
				return none, err // it stays, because of what was changed here
			}
		}
	}
	if err := a.put(e); err != nil || a.id == 0 {
		return none, err
	}
	n, err := t.tx.Get(a.id)
	if err != nil || n.Kind != nodes.Dir || t.d.changedHere(&n) {
		return none, err
	}
	next := t.enter(&n, it)
	_, err = t.use(next)
	return next, err
}

// file puts what is no directory.
func (t *treeWalk) file(wd *walkDir, e providers.Entry) error {
	a := wd.a
	if !showable(e.Name) {
		wd.leftOut(e.Name)
		return nil
	}
	if a.isNew(e.Name) {
		return a.put(e)
	}
	id, _, err := t.tx.Child(a.dir, e.Name)
	if err == nil {
		n, err := t.tx.Get(id)
		if err == nil && n.Kind == nodes.Dir {
			// A directory of the same name hides it, and may come later.
			if wd.later = append(wd.later, e); len(wd.later) > maxLater {
				return errPieces
			}
			return nil
		}
	}
	return a.put(e)
}

// finish ends the listings of directories that are whole.
func (t *treeWalk) finish() error {
	d := t.d
	done := slices.DeleteFunc(t.done, func(wd *walkDir) bool { return wd.a == nil || wd.l == nil })
	t.done = nil
	for _, wd := range done {
		for _, e := range wd.later {
			_, cookie, err := d.store.Child(wd.a.dir, e.Name)
			if err != nil || wd.a.seen.has(cookie) {
				continue
			}
			if err := d.applyPage(wd.a, []providers.Entry{e}, func() {}); err != nil {
				return err
			}
		}
	}
	for len(done) > 0 {
		// Those of which much is gone are swept by themselves, others together.
		var few []*walkDir
		gone := map[*walkDir][]nodes.Entry{}
		for n := 0; len(done) > 0 && n < sweepBatch; {
			wd := done[0]
			done = done[1:]
			entries, _, more, err := wd.a.unlisted(0)
			if err != nil {
				return err
			}
			if more {
				if err := d.sweep(wd.a, wd.version, wd.rev); err != nil {
					return err
				}
				t.ended(wd)
				continue
			}
			gone[wd] = entries
			few = append(few, wd)
			n += len(entries) + 1
		}
		err := d.update(func(tx *nodes.Tx) error {
			for _, wd := range few {
				err := wd.a.begin(tx)
				if errors.Is(err, nfs.ErrStale) {
					t.lose(wd)
					continue
				}
				if err == nil {
					err = wd.a.sweepAway(gone[wd])
				}
				if err != nil {
					return err
				}
				wd.a.finish(wd.version, wd.rev)
				wd.a.end()
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, wd := range few {
			if wd.a != nil {
				t.ended(wd)
			}
		}
	}
	return nil
}

// ended says that a directory is listed.
func (t *treeWalk) ended(wd *walkDir) {
	t.d.stamps.update(wd.a.dir, func(s *stamp) { s.listAt, s.listRev, s.lookups = wd.a.countsFrom, wd.rev, 0 })
	t.d.lists.release(t.w, wd.l, nil)
}
