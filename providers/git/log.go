package git

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pack"
	"github.com/moorage/moorage/providers/git/internal/pktline"
	"github.com/moorage/moorage/providers/git/internal/wire"
)

// Drives need no history, so it is asked for piece by piece when somebody looks at
// it: commits without trees and files, some generations at a time. What came is kept
// in memory for the next page.

const (
	logPage    = 50     // commits of a page; twice as many generations are asked for at once
	maxLogged  = 5000   // commits that are listed; who looks further goes by date
	maxKnown   = 20_000 // commits that are kept in memory, and taken from one answer
	maxLogSize = 64 << 20
	// maxReach bounds how many generations are asked for at once on the way to a date,
	// and maxLegs how often.
	maxReach = 10_000
	maxLegs  = 24
)

// commitLog is what is known of the commits that led to what is shown.
type commitLog struct {
	mu      sync.Mutex
	commits map[object.ID]object.LogEntry
	tags    map[object.ID]object.ID // annotated tags, and what they are about
	refs    []wire.Ref              // as the remote named them last
	asOf    time.Time               // when that was
}

func (h *commitLog) entry(id object.ID) (object.LogEntry, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.commits[id]
	return e, ok
}

// commitOf follows annotated tags, as far as they are known.
func (h *commitLog) commitOf(id object.ID) object.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range 16 {
		next, ok := h.tags[id]
		if !ok {
			break
		}
		id = next
	}
	return id
}

// room makes room for more commits, if there are many.
func (h *commitLog) room() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.commits == nil || len(h.commits) >= maxKnown {
		h.commits, h.tags = make(map[object.ID]object.LogEntry), make(map[object.ID]object.ID)
	}
}

// keep takes in a commit or tag that came.
func (h *commitLog) keep(t object.Type, id object.ID, content []byte) error {
	switch t {
	case object.TypeCommit:
		e, err := object.ParseLogEntry(id.Format(), content)
		if err != nil {
			return err
		}
		h.mu.Lock()
		h.commits[id] = e
		h.mu.Unlock()
	case object.TypeTag:
		tag, err := object.ParseTag(id.Format(), content)
		if err != nil {
			return err
		}
		h.mu.Lock()
		h.tags[id] = tag.Object
		h.mu.Unlock()
	}
	return nil
}

// errCommitsOnly and errManyCommits end an answer of which the rest is not wanted.
var (
	errCommitsOnly = errors.New("what follows are no commits")
	errManyCommits = errors.New("enough commits")
)

type logKey struct {
	from  object.ID
	depth int
}

// more fetches the commit from and the generations before it, depth of them in all,
// or fewer if those are many.
func (r *Remote) more(ctx context.Context, from object.ID, depth int) error {
	return r.flights.do(ctx, logKey{from, depth}, false, func(ctx context.Context) error {
		c, err := r.connect(ctx)
		if err != nil {
			return err
		}
		done, err := turn(ctx, r.requests)
		if err != nil {
			return err
		}
		defer done()
		r.history.room()
		q := wire.FetchRequest{Wants: []object.ID{from}, Depth: depth}
		if c.CanFilter() {
			q.Filter = "tree:0"
		}
		err = r.fetchLog(ctx, c, q)
		if remote := (*pktline.RemoteError)(nil); errors.As(err, &remote) && q.Filter != "" {
			q.Filter = "blob:none" // all that some forges allow
			err = r.fetchLog(ctx, c, q)
		}
		return err
	})
}

// fetchLog takes the commits of one answer. They come before everything else, so that
// a server that cannot leave the rest out is hung up on.
func (r *Remote) fetchLog(ctx context.Context, c *wire.Client, q wire.FetchRequest) error {
	lim := r.limits
	lim.Total, lim.Object, lim.Spool = maxLogSize, 4<<20, maxLogSize
	n := 0
	sink := &commitSink{spool: r.store.Spool, take: func(t object.Type, id object.ID, content []byte) error {
		if n++; n > maxKnown {
			return errManyCommits
		}
		return r.history.keep(t, id, content)
	}}
	err := c.Fetch(ctx, q, lim, sink, func(_ int, t object.Type, _ int64) error {
		if t != object.TypeCommit && t != object.TypeTag {
			return errCommitsOnly
		}
		return nil
	})
	if errors.Is(err, errCommitsOnly) || errors.Is(err, errManyCommits) || (errors.Is(err, pack.ErrTooLarge) && n > 0) {
		return nil
	}
	return err
}

// tip is the commit that a revision is.
func (r *Remote) tip(ctx context.Context, revision string) (object.ID, error) {
	if snap := r.snapshot(); revision == r.address().Revision && !snap.commit.IsZero() {
		return snap.commit, nil // what is shown, also while the remote is away
	}
	t, err := r.resolve(ctx, r.at(revision))
	if err != nil && errors.Is(err, providers.ErrOffline) {
		if known, ok := r.resolveKnown(r.at(revision)); ok {
			return known.id, nil
		}
	}
	return t.id, err
}

// Commits lists what led to a revision.
func (r *Remote) Commits(ctx context.Context, revision, cursor string) (providers.CommitPage, error) {
	if err := r.usable(ctx); err != nil {
		return providers.CommitPage{}, err
	}
	page, err := r.commits(ctx, revision, cursor)
	if err != nil {
		return providers.CommitPage{}, fmt.Errorf("list commits: %w", err)
	}
	return page, nil
}

func (r *Remote) commits(ctx context.Context, revision, cursor string) (page providers.CommitPage, err error) {
	var tip object.ID
	start := 0
	if cursor != "" {
		id, at, _ := strings.Cut(cursor, ":")
		if tip, err = object.ParseID(id); err != nil {
			return page, providers.ErrChanged
		}
		if start, err = strconv.Atoi(at); err != nil || start < 0 || start > maxLogged {
			return page, providers.ErrChanged
		}
	} else if tip, err = r.tip(ctx, revision); err != nil {
		return page, err
	}
	end := min(start+logPage, maxLogged)
	var ids []object.ID
	var missing object.ID
	var asked object.ID
	for legs := 0; ; legs++ {
		ids, missing = r.history.newest(tip, end+1)
		if missing.IsZero() || missing == asked || legs == maxLegs {
			break // all are known, or the server has no more either
		}
		asked = missing
		if err = r.reach(ctx, tip, missing, 2*logPage, end+2); err != nil {
			break
		}
	}
	remote := (*pktline.RemoteError)(nil)
	switch {
	case len(ids) > start || len(ids) > 0 && errors.As(err, &remote):
		// A part is better than nothing; the server may have no more of it.
	case err != nil && errors.As(err, &remote):
		return page, fmt.Errorf("%w: %s: %w", providers.ErrNoRevision, tip, err)
	case err != nil:
		return page, err
	case len(ids) == 0:
		return page, fmt.Errorf("%w: %s is no commit", providers.ErrNoRevision, tip)
	}
	for _, id := range ids[min(start, len(ids)):min(end, len(ids))] {
		page.Commits = append(page.Commits, r.history.describe(id))
	}
	if len(ids) > end && end < maxLogged {
		page.Next = tip.String() + ":" + strconv.Itoa(end)
	} else if err != nil && !errors.As(err, &remote) {
		page.Next = tip.String() + ":" + strconv.Itoa(len(ids)) // to be tried again
	}
	return page, nil
}

// reach fetches the commit missing and some generations before it. A server that
// gives only what a ref points at is asked from there.
func (r *Remote) reach(ctx context.Context, tip, missing object.ID, depth, all int) error {
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	if c.CanWantAny() {
		return r.more(ctx, missing, depth)
	}
	return r.more(ctx, tip, all)
}

func (h *commitLog) describe(id object.ID) providers.Commit {
	e, _ := h.entry(id)
	return providers.Commit{ID: id.String(), Subject: e.Subject, Author: e.Author, Time: e.Time}
}

// newest gives the commits that led to tip, those made last first and none before one
// that it led to, n at most; and the first that would follow, if it is not known.
func (h *commitLog) newest(tip object.ID, n int) (ids []object.ID, missing object.ID) {
	tip = h.commitOf(tip)
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[object.ID]bool{tip: true}
	e, ok := h.commits[tip]
	if !ok {
		return nil, tip
	}
	next := &byTime{{tip, e.Time}}
	for next.Len() > 0 && len(ids) < n {
		c := heap.Pop(next).(dated)
		ids = append(ids, c.id)
		for _, p := range h.commits[c.id].Parents {
			if seen[p] {
				continue
			}
			seen[p] = true
			e, ok := h.commits[p]
			if !ok {
				return ids, p // its time is not known, so neither is what comes next
			}
			heap.Push(next, dated{p, e.Time})
		}
	}
	return ids, object.ID{}
}

type dated struct {
	id   object.ID
	time time.Time
}

// byTime is a heap with the newest on top.
type byTime []dated

func (b byTime) Len() int           { return len(b) }
func (b byTime) Less(i, j int) bool { return b[i].time.After(b[j].time) }
func (b byTime) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *byTime) Push(x any)        { *b = append(*b, x.(dated)) }
func (b *byTime) Pop() any {
	old := *b
	last := old[len(old)-1]
	*b = old[:len(old)-1]
	return last
}

// CommitAt finds the commit that a branch was at.
func (r *Remote) CommitAt(ctx context.Context, revision string, at time.Time) (providers.Commit, error) {
	if err := r.usable(ctx); err != nil {
		return providers.Commit{}, err
	}
	c, err := r.commitAt(ctx, revision, at)
	if err != nil {
		return c, fmt.Errorf("look for the commit of %s: %w", at.Format(time.DateTime), err)
	}
	return c, nil
}

func (r *Remote) commitAt(ctx context.Context, revision string, at time.Time) (providers.Commit, error) {
	tip, err := r.tip(ctx, revision)
	if err != nil {
		return providers.Commit{}, err
	}
	id, depth := tip, logPage
	var first time.Time
	for legs := 0; ; {
		id = r.history.commitOf(id)
		e, ok := r.history.entry(id)
		if ok {
			if !e.Time.After(at) {
				return r.history.describe(id), nil
			}
			if first = e.Time; len(e.Parents) == 0 {
				break
			}
			id = e.Parents[0]
			continue
		}
		if legs++; legs > maxLegs {
			return providers.Commit{}, fmt.Errorf("%w: it is too long ago to be looked for. Name a commit or a tag", providers.ErrNoRevision)
		}
		if err := r.reach(ctx, tip, id, depth, depth); err != nil {
			if remote := (*pktline.RemoteError)(nil); errors.As(err, &remote) && !first.IsZero() {
				break // the server's own history ends here
			}
			return providers.Commit{}, err
		}
		depth = min(4*depth, maxReach)
	}
	return providers.Commit{}, fmt.Errorf("%w: the history begins later, on %s", providers.ErrNoRevision, first.Format(time.DateOnly))
}
