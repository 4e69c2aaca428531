package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pktline"
	"github.com/moorage/moorage/providers/git/internal/store"
	"github.com/moorage/moorage/providers/git/internal/wire"
)

// object reads a commit, tree or tag; of a file it tells no more than the type. One that is not here yet is waited for if
// it comes with the revision rev; if that takes long, and if it does not come
// with it, it is fetched alone.
func (r *Remote) object(ctx context.Context, id, rev object.ID) (object.Type, []byte, error) {
	for range 3 {
		t, content, err := r.store.Get(id)
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return t, content, err
		}
		if r.store.HasFile(store.Key{ID: id}) {
			return object.TypeBlob, nil, nil
		}
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		if err := r.obtain(ctx, id, rev); err != nil {
			return 0, nil, err
		}
	}
	return 0, nil, fmt.Errorf("fetch %s: %w: the server did not send it", id, providers.ErrProtocol)
}

func (r *Remote) obtain(ctx context.Context, id, rev object.ID) error {
	if f := r.flights.running(fillKey{rev}); f != nil {
		defer f.leave()
		timer := time.NewTimer(max(patience-time.Since(f.began), patience/10))
		defer timer.Stop()
		select {
		case <-r.store.Arrival(store.Key{ID: id}):
			return nil
		case <-f.done:
			return f.err
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if r.canPick() {
			return r.pick(ctx, id, pickFilter)
		}
		select {
		case <-r.store.Arrival(store.Key{ID: id}):
			return nil
		case <-f.done:
			return f.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	if r.isWhole(rev) && c.CanWantAny() {
		// The disk lost it, or it is of an earlier revision.
		filter := ""
		if c.CanFilter() {
			filter = "blob:none"
		}
		return r.pick(ctx, id, filter)
	}
	f := r.fill(rev, object.ID{})
	if f == nil {
		return providers.ErrClosed
	}
	defer f.leave()
	return f.waitFor(ctx, r.store.Arrival(store.Key{ID: id}))
}

// waitFor waits for the flight, or for the part of its work that arrived tells of.
func (f *flight) waitFor(ctx context.Context, arrived <-chan struct{}) error {
	select {
	case <-arrived:
		return nil
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// canPick tells whether single trees can be fetched without what is below them.
func (r *Remote) canPick() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.client != nil && r.client.CanFilter() && r.client.CanWantAny() && !r.noTree
}

// pick fetches one object that is not a file, and what the filter lets through.
func (r *Remote) pick(ctx context.Context, id object.ID, filter string) error {
	return r.flights.do(ctx, pickKey{id}, false, func(ctx context.Context) error {
		q := wire.FetchRequest{Wants: []object.ID{id}, Depth: 1, Filter: filter}
		err := r.fetch(ctx, q, nil)
		if remote := (*pktline.RemoteError)(nil); filter == pickFilter && errors.As(err, &remote) {
			// Some forges allow filters on files only.
			r.mu.Lock()
			r.noTree = true
			r.mu.Unlock()
			q.Filter = "blob:none"
			err = r.fetch(ctx, q, nil)
		}
		return err
	})
}

type pickKey struct{ id object.ID }

// pickFilter lets a folder through with the folders in it.
const pickFilter = "combine:blob:none+tree:2"

// tree is a parsed tree, without the names that are never shown.
type tree struct {
	id      object.ID
	entries []object.TreeEntry // in the order of their names' bytes
}

func (t *tree) find(name string) (object.TreeEntry, bool) {
	i, ok := slices.BinarySearchFunc(t.entries, name, func(e object.TreeEntry, name string) int { return strings.Compare(e.Name, name) })
	if !ok {
		return object.TreeEntry{}, false
	}
	return t.entries[i], true
}

// tree reads the tree id of the revision rev.
func (r *Remote) tree(ctx context.Context, id, rev object.ID) (*tree, error) {
	if t := r.trees.get(id); t != nil {
		return t, nil
	}
	kind, content, err := r.object(ctx, id, rev)
	if err != nil {
		var remote *pktline.RemoteError
		if errors.As(err, &remote) {
			err = fmt.Errorf("fetch a folder: %w: %w", providers.ErrChanged, err)
		}
		return nil, err
	}
	if kind != object.TypeTree {
		return nil, fmt.Errorf("%w: a %v where a folder should be", providers.ErrProtocol, kind)
	}
	all, err := object.ParseTree(id.Format(), content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", providers.ErrProtocol, err)
	}
	t := &tree{id: id, entries: make([]object.TreeEntry, 0, len(all))}
	for _, e := range all {
		if unsafeName(e.Name) {
			r.log.Warn("a name in the repository is left out", "name", e.Name)
			continue
		}
		t.entries = append(t.entries, e)
	}
	slices.SortFunc(t.entries, func(a, b object.TreeEntry) int { return cmp.Compare(a.Name, b.Name) })
	r.trees.put(t, len(content))
	return t, nil
}

// unsafeName tells whether a name is one that git refuses to check out: "." and
// "..", and what some file system takes for ".git", where a program that looks
// for a repository would find hooks and settings of a stranger (verify_path in
// git's read-cache.c; CVE-2014-9390).
func unsafeName(name string) bool {
	if name == "." || name == ".." {
		return true
	}
	// HFS+ ignores these, and case.
	name = strings.Map(func(c rune) rune {
		if (c >= 0x200c && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x206a && c <= 0x206f) || c == 0xfeff {
			return -1
		}
		return unicode.ToLower(c)
	}, name)
	// NTFS ignores dots and spaces at the end, and what follows a colon.
	name, _, _ = strings.Cut(name, ":")
	name = strings.TrimRight(name, ". ")
	return name == ".git" || name == "git~1"
}

// treeCache keeps parsed trees, the least recently used of which go.
type treeCache struct {
	mu    sync.Mutex
	byID  map[object.ID]*cachedTree
	bytes int
	tick  int64
}

type cachedTree struct {
	tree *tree
	size int
	used int64
}

const maxTreeBytes = 32 << 20 // of trees as git stores them; parsed they take about three times that

func (c *treeCache) init() { c.byID = make(map[object.ID]*cachedTree) }

func (c *treeCache) get(id object.ID) *tree {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byID[id]
	if e == nil {
		return nil
	}
	c.tick++
	e.used = c.tick
	return e.tree
}

func (c *treeCache) put(t *tree, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID[t.id] != nil {
		return
	}
	c.tick++
	c.byID[t.id] = &cachedTree{t, size, c.tick}
	c.bytes += size
	if c.bytes <= maxTreeBytes {
		return
	}
	// The older half goes at once: this is rare.
	all := make([]*cachedTree, 0, len(c.byID))
	for _, e := range c.byID {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *cachedTree) int { return cmp.Compare(a.used, b.used) })
	for _, e := range all[:len(all)-1] {
		if c.bytes <= maxTreeBytes/2 {
			break
		}
		delete(c.byID, e.tree.id)
		c.bytes -= e.size
	}
}

// lookup finds the entry at path below the tree top of snap. The entry of "" is
// top itself.
func (r *Remote) lookup(ctx context.Context, snap *snapshot, top object.ID, path string) (object.TreeEntry, error) {
	e := object.TreeEntry{Mode: object.ModeTree, ID: top}
	if path == "" {
		return e, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		switch e.Mode {
		case object.ModeTree:
		case object.ModeSubmodule:
			return e, providers.ErrNotExist
		default:
			return e, providers.ErrNotDir
		}
		t, err := r.tree(ctx, e.ID, snap.id)
		if err != nil {
			return e, err
		}
		var ok bool
		if e, ok = t.find(name); !ok {
			return e, providers.ErrNotExist
		}
	}
	return e, nil
}

// Stat describes the object at path; its size may be unknown, see Sizes.
func (r *Remote) Stat(ctx context.Context, path string) (providers.Entry, error) {
	if err := r.usable(ctx); err != nil {
		return providers.Entry{}, err
	}
	snap := r.snapshot()
	e, err := r.lookup(ctx, snap, snap.top, path)
	if err != nil {
		return providers.Entry{}, fmt.Errorf("stat %q: %w", path, err)
	}
	out := entryOf(e, r.timeOf(ctx, snap, path, e))
	if !out.Mode.IsDir() {
		out.Size = r.sizeIn(r.localRules(snap, parent(path)), e)
	}
	return out, nil
}

// timeOf is the time of the object e at path.
func (r *Remote) timeOf(ctx context.Context, snap *snapshot, path string, e object.TreeEntry) time.Time {
	if path == "" {
		return snap.timeOfTop()
	}
	dir, err := r.lookup(ctx, snap, snap.top, parent(path))
	if err != nil || dir.Mode != object.ModeTree {
		return snap.time
	}
	t, err := r.tree(ctx, dir.ID, snap.id)
	if err != nil {
		return snap.time
	}
	return r.timesIn(snap, parent(path), t).of(e)
}

// entryOf describes e, save for the size.
func entryOf(e object.TreeEntry, t time.Time) providers.Entry {
	return providers.Entry{Name: e.Name, Mode: modeOf(e.Mode), ModTime: t, Version: providers.Version(e.ID.String())}
}

func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)]
}

func modeOf(mode uint32) fs.FileMode {
	switch mode {
	case object.ModeTree, object.ModeSubmodule:
		return fs.ModeDir | 0o755
	case object.ModeSymlink:
		return fs.ModeSymlink | 0o777
	case object.ModeExec:
		return 0o755
	}
	return 0o644
}

const pageSize = 4096

// ReadDir lists a folder. A listing that was begun goes on as it was, also when
// the remote has moved.
func (r *Remote) ReadDir(ctx context.Context, path, cursor string) (providers.Page, error) {
	if err := r.usable(ctx); err != nil {
		return providers.Page{}, err
	}
	page, err := r.readDir(ctx, path, cursor)
	if err != nil {
		return providers.Page{}, fmt.Errorf("list %q: %w", path, err)
	}
	return page, nil
}

func (r *Remote) readDir(ctx context.Context, path, cursor string) (providers.Page, error) {
	snap := r.snapshot()
	var id object.ID
	start := 0
	if cursor != "" {
		of, at, _ := strings.Cut(cursor, ":")
		var err error
		if id, err = object.ParseID(of); err != nil {
			return providers.Page{}, providers.ErrChanged
		}
		if start, err = strconv.Atoi(at); err != nil || start < 0 {
			return providers.Page{}, providers.ErrChanged
		}
	} else {
		e, err := r.lookup(ctx, snap, snap.top, path)
		if err != nil {
			return providers.Page{}, err
		}
		switch e.Mode {
		case object.ModeTree:
		case object.ModeSubmodule:
			return providers.Page{}, nil
		default:
			return providers.Page{}, providers.ErrNotDir
		}
		id = e.ID
	}
	t, err := r.tree(ctx, id, snap.id)
	if err != nil {
		return providers.Page{}, err
	}
	start = min(start, len(t.entries))
	end := min(start+pageSize, len(t.entries))
	page := providers.Page{Entries: make([]providers.Entry, 0, end-start)}
	rules, times := r.localRules(snap, path), r.timesIn(snap, path, t)
	for _, e := range t.entries[start:end] {
		out := entryOf(e, times.of(e))
		if !out.Mode.IsDir() {
			out.Size = r.sizeIn(rules, e)
		}
		page.Entries = append(page.Entries, out)
	}
	if end < len(t.entries) {
		page.Next = id.String() + ":" + strconv.Itoa(end)
	}
	return page, nil
}

func join2(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
