package git

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pktline"
	"github.com/moorage/moorage/providers/git/internal/store"
	"github.com/moorage/moorage/providers/git/internal/wire"
)

// snapshot is a revision that is shown. It does not change.
type snapshot struct {
	target           // what the remote says the revision is
	commit object.ID // zero if the revision is a tree
	root   object.ID // the tree of the whole revision
	top    object.ID // the tree that is shown: root, or that of the subfolder
	time   time.Time
	eras   []era // shown before this one, oldest first
}

// target is an answer to the question what a revision is.
type target struct {
	id     object.ID // of a commit, or what a person gave: a tag or tree
	ref    string    // the ref that id is from; "" for an id that was given
	branch string    // that HEAD stands for, if ref is that; "" if that is not known
	subdir string
}

const (
	// patience is how long a tree that is on its way with others is waited for,
	// before it is asked for alone.
	patience = 700 * time.Millisecond
	// startProbe is how long Open waits for news when the cache has a revision.
	startProbe = 3 * time.Second
)

// begin finds the revision to show: a newer one than the cache has, if the
// remote is there.
func (r *Remote) begin(ctx context.Context) error {
	old, same := r.loadState()
	if same {
		r.mu.Lock()
		r.snap = old
		r.mu.Unlock()
		if r.isWhole(old.id) && old.ref == "" {
			return nil // named by its id: there is no news
		}
		tctx, cancel := context.WithTimeout(ctx, startProbe)
		defer cancel()
		if _, err := r.Probe(tctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.log.Warn("showing what is in the cache", "err", err)
		}
		return nil
	}
	u := r.address()
	t, err := r.resolve(ctx, u)
	if err != nil {
		return err
	}
	if !r.isWhole(t.id) {
		r.fill(t.id, r.base(old))
	}
	snap, err := r.snapshotOf(ctx, t)
	if err != nil {
		return err
	}
	snap.follow(old)
	r.show(nil, u, snap)
	return nil
}

// base is the commit of old if it is here with all its trees, or zero.
func (r *Remote) base(old *snapshot) object.ID {
	if old == nil || old.commit != old.id || !r.isWhole(old.id) {
		return object.ID{}
	}
	return old.commit
}

// show turns from old to snap, which u names, and remembers it; false: something else is
// shown by now.
func (r *Remote) show(old *snapshot, u providers.URL, snap *snapshot) bool {
	r.mu.Lock()
	if r.snap != old {
		r.mu.Unlock()
		return false
	}
	r.snap, r.url = snap, u
	r.filter = filterDepthAndSize // try anew: it may have been a file that was missing
	r.mu.Unlock()
	if err := r.saveState(); err != nil {
		r.log.Warn("cannot remember the revision", "err", err)
	}
	return true
}

func (r *Remote) snapshot() *snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snap
}

// fill fetches a revision with all its trees in the background (and its files,
// if the server cannot leave them out). have is a commit of which all trees are
// here, or zero.
func (r *Remote) fill(id, have object.ID) *flight {
	fs, err := join(r.flights, []fillKey{{id}}, true, func(ctx context.Context, _ []fillKey) error {
		c, err := r.connect(ctx)
		if err != nil {
			return err
		}
		q := wire.FetchRequest{Wants: []object.ID{id}, Depth: 1}
		if c.CanFilter() {
			q.Filter = "blob:none"
			if c.Version() == 2 {
				q.Have = have
			}
		}
		start := r.clock()
		if err := r.fetch(ctx, q, nil); err != nil {
			return err
		}
		if err := r.store.Sync(); err != nil {
			return err
		}
		r.log.Debug("revision fetched", "id", id, "filter", q.Filter, "took", r.clock().Sub(start))
		r.nowWhole(id)
		return r.saveState()
	})
	if err != nil {
		return nil
	}
	for _, f := range fs[1:] {
		f.leave()
	}
	return fs[0]
}

type fillKey struct{ id object.ID }

// snapshotOf follows t to a tree, and to the subfolder.
func (r *Remote) snapshotOf(ctx context.Context, t target) (*snapshot, error) {
	snap := &snapshot{target: t}
	id := t.id
	for range 16 {
		kind, content, err := r.object(ctx, id, t.id)
		if err != nil {
			return nil, t.refused(err)
		}
		switch kind {
		case object.TypeTag:
			tag, err := object.ParseTag(id.Format(), content)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", providers.ErrProtocol, err)
			}
			snap.time, id = tag.Time, tag.Object
		case object.TypeCommit:
			c, err := object.ParseCommit(id.Format(), content)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", providers.ErrProtocol, err)
			}
			snap.commit, snap.time, id = id, c.Time, c.Tree
		case object.TypeTree:
			snap.root, snap.top = id, id
			return r.enter(ctx, snap)
		default:
			return nil, fmt.Errorf("%w: %s is a file, not a commit", providers.ErrNoRevision, t.id)
		}
	}
	return nil, fmt.Errorf("%w: tags without end", providers.ErrProtocol)
}

// refused explains an error of fetching t: a server that does not give an id has no such
// revision, or hides it; one that does not give what it has just named is in trouble.
func (t target) refused(err error) error {
	remote := (*pktline.RemoteError)(nil)
	switch {
	case !errors.As(err, &remote):
		return err
	case t.ref == "":
		return fmt.Errorf("%w: %s: %w", providers.ErrNoRevision, t.id, err)
	}
	return fmt.Errorf("fetch %s: %w: %w", t.ref, providers.ErrOffline, err)
}

// enter goes to the subfolder that is shown.
func (r *Remote) enter(ctx context.Context, snap *snapshot) (*snapshot, error) {
	if snap.subdir == "" {
		return snap, nil
	}
	e, err := r.lookup(ctx, snap, snap.root, snap.subdir)
	if err != nil {
		return nil, fmt.Errorf("folder %q of the repository: %w", snap.subdir, err)
	}
	if e.Mode != object.ModeTree {
		return nil, fmt.Errorf("folder %q of the repository: %w", snap.subdir, providers.ErrNotDir)
	}
	snap.top = e.ID
	return snap, nil
}

// Probe asks the remote for the revision. If it moved, Probe fetches all its
// trees and turns to it; until then, and if that fails, the old one is shown.
func (r *Remote) Probe(ctx context.Context) (providers.Version, error) {
	if err := r.usable(ctx); err != nil {
		return "", err
	}
	// Kept: when the caller's time is over, the new trees are still welcome.
	err := r.flights.do(ctx, "probe", true, r.probe)
	if err != nil {
		return "", fmt.Errorf("look for changes: %w", err)
	}
	return r.snapshot().version(), nil
}

func (s *snapshot) version() providers.Version {
	if s.commit.IsZero() {
		return providers.Version(s.root.String())
	}
	return providers.Version(s.commit.String())
}

func (r *Remote) probe(ctx context.Context) error {
	old, u := r.shown()
	t, err := r.resolve(ctx, u)
	if err != nil {
		return err
	}
	if t == old.target {
		if !r.isWhole(t.id) { // its fetch was interrupted
			if f := r.fill(t.id, object.ID{}); f != nil {
				f.leave()
			}
		}
		if t.ref == "" {
			// An id needs no answer; ask for one to learn whether the remote is there.
			c, err := r.connect(ctx)
			if err != nil {
				return err
			}
			_, err = c.Refs(ctx, "HEAD")
			return err
		}
		return nil
	}
	snap, err := r.next(ctx, old, t)
	if err != nil {
		return err
	}
	if r.show(old, u, snap) { // else Turn was here meanwhile
		r.log.Info("the remote moved", "from", old.version(), "to", snap.version())
	}
	return nil
}

// next fetches what is to be shown after old, with all its trees.
func (r *Remote) next(ctx context.Context, old *snapshot, t target) (*snapshot, error) {
	if !r.isWhole(t.id) {
		f := r.fill(t.id, r.base(old))
		if f == nil {
			return nil, providers.ErrClosed
		}
		err := f.wait(ctx)
		f.leave()
		if err != nil {
			return nil, t.refused(err)
		}
	}
	snap, err := r.snapshotOf(ctx, t)
	if err != nil {
		return nil, err
	}
	snap.follow(old)
	return snap, nil
}

// resolve asks the remote what the revision of u is. A name is a branch first, then
// a tag, as for "git clone --branch".
func (r *Remote) resolve(ctx context.Context, u providers.URL) (target, error) {
	if isHead(u) {
		refs, err := r.refs(ctx, "HEAD")
		if err != nil {
			return target{}, err
		}
		if t, ok := choose(u, refs); ok {
			return t, nil
		}
		return target{}, fmt.Errorf("%w: the repository is empty, or has no default branch. Name a branch", providers.ErrNoRevision)
	}
	candidates := u.Candidates()
	if t, ok := choose(u, nil); ok {
		return t, nil
	}
	var prefixes []string
	for _, c := range candidates {
		prefixes = append(prefixes, refNames(c.Revision)...)
	}
	refs, err := r.refs(ctx, prefixes...)
	if err != nil {
		return target{}, err
	}
	if t, ok := choose(u, refs); ok {
		return t, nil
	}
	for _, c := range candidates {
		if isAbbreviation(c.Revision) {
			id, err := r.findAbbreviated(ctx, strings.ToLower(c.Revision))
			if err != nil || !id.IsZero() {
				return target{id: id, subdir: c.Subdir}, err
			}
		}
	}
	return target{}, fmt.Errorf("%w: the repository has no branch, tag or commit %q", providers.ErrNoRevision, u.Revision)
}

func isHead(u providers.URL) bool { return u.Revision == "" || u.Revision == "HEAD" }

// choose finds what u is among refs, or by itself if it is an id.
func choose(u providers.URL, refs []wire.Ref) (target, bool) {
	if isHead(u) {
		for _, ref := range refs {
			if ref.Name == "HEAD" {
				return target{id: ref.ID, ref: "HEAD", branch: strings.TrimPrefix(ref.Target, "refs/heads/"), subdir: u.Subdir}, true
			}
		}
		return target{}, false
	}
	candidates := u.Candidates()
	for _, c := range candidates {
		if id, err := object.ParseID(strings.ToLower(c.Revision)); err == nil {
			return target{id: id, subdir: c.Subdir}, true
		}
	}
	for _, c := range candidates {
		for _, name := range refNames(c.Revision) {
			for _, ref := range refs {
				if ref.Name == name {
					return target{id: tipOf(ref), ref: name, subdir: c.Subdir}, true
				}
			}
		}
	}
	return target{}, false
}

// tipOf is what a ref is about: an annotated tag is about something else.
func tipOf(ref wire.Ref) object.ID {
	if !ref.Peeled.IsZero() {
		return ref.Peeled
	}
	return ref.ID
}

func (r *Remote) refs(ctx context.Context, prefixes ...string) ([]wire.Ref, error) {
	c, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	return c.Refs(ctx, prefixes...)
}

// refNames are the refs that a name may stand for, best first.
func refNames(rev string) []string {
	names := []string{"refs/heads/" + rev, "refs/tags/" + rev}
	if strings.HasPrefix(rev, "refs/") {
		return append([]string{rev}, names...)
	}
	if strings.HasPrefix(rev, "heads/") || strings.HasPrefix(rev, "tags/") || strings.HasPrefix(rev, "pull/") {
		return append(names, "refs/"+rev)
	}
	return names
}

// savedState is what state.json holds: for each URL that was opened here, the
// revision that was last shown.
type savedState struct {
	Version int                      `json:"version"`
	Remotes map[string]savedRevision `json:"remotes"`
}

type savedRevision struct {
	ID       string `json:"id"`
	Ref      string `json:"ref,omitempty"`
	Branch   string `json:"branch,omitempty"`
	Subdir   string `json:"subdir,omitempty"`
	Complete bool   `json:"complete"` // all trees are here
	// What was shown before, oldest first.
	Before []savedEra `json:"before,omitempty"`
	// Other revisions of which all trees are here, the last one last.
	Whole []string `json:"whole,omitempty"`
}

type savedEra struct {
	Tree string    `json:"tree"`
	Time time.Time `json:"time"`
}

const stateVersion = 1

func (r *Remote) readState() savedState {
	var s savedState
	b, err := r.store.LoadState()
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil || s.Version != stateVersion || s.Remotes == nil {
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			r.log.Warn("the state of the cache is unreadable", "err", err)
		}
		return savedState{Version: stateVersion, Remotes: make(map[string]savedRevision)}
	}
	return s
}

// loadState finds the revision that was shown last, if what it takes to show its
// root folder is here. same tells whether it is of the URL that is to be shown now,
// or of another revision of the same repository.
func (r *Remote) loadState() (snap *snapshot, same bool) {
	u, all := r.address(), r.readState().Remotes
	saved, same := all[u.String()]
	if !same {
		for key, s := range all {
			if s.Subdir == u.Subdir && sameRepository(key, u) {
				saved = s
			}
		}
	}
	if saved.ID == "" {
		return nil, false
	}
	id, err := object.ParseID(saved.ID)
	if err != nil {
		return nil, false
	}
	// A context that is done: what is here is found, nothing is fetched.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	snap, err = r.snapshotOf(ctx, target{id: id, ref: saved.Ref, branch: saved.Branch, subdir: saved.Subdir})
	if err != nil {
		return nil, false
	}
	for _, b := range saved.Before[:min(len(saved.Before), maxEras)] {
		top, err := object.ParseID(b.Tree)
		if err != nil {
			return nil, false
		}
		snap.eras = append(snap.eras, era{top, b.Time})
	}
	for _, s := range saved.Whole[:min(len(saved.Whole), maxWhole)] {
		if id, err := object.ParseID(s); err == nil {
			r.nowWhole(id)
		}
	}
	if saved.Complete {
		r.nowWhole(id)
	}
	return snap, same
}

// sameRepository tells whether a URL that was saved is of the repository of u.
func sameRepository(saved string, u providers.URL) bool {
	was, _, err := providers.ParseURL(saved)
	was.Revision, was.Subdir, was.SplitOpen = "", "", false
	u.Revision, u.Subdir, u.SplitOpen = "", "", false
	return err == nil && was == u
}

// saveState remembers what is shown now.
func (r *Remote) saveState() error {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	snap, key, whole := r.snap, r.url.String(), slices.Clone(r.whole)
	r.mu.Unlock()
	if snap == nil {
		return nil // Open is still at it, and saves in the end
	}
	saved := savedRevision{ID: snap.id.String(), Ref: snap.ref, Branch: snap.branch, Subdir: snap.subdir, Complete: slices.Contains(whole, snap.id)}
	for _, id := range whole {
		if id != snap.id {
			saved.Whole = append(saved.Whole, id.String())
		}
	}
	for _, e := range snap.eras {
		saved.Before = append(saved.Before, savedEra{e.top.String(), e.time})
	}
	s := savedState{Version: stateVersion, Remotes: map[string]savedRevision{key: saved}}
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return r.store.SaveState(b)
}
