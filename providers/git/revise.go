package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/wire"
)

const (
	// maxWhole revisions are remembered to be here with all their trees, so that the
	// remote is not needed to turn back to them.
	maxWhole = 64
	// maxNames bounds the refs that are told of, and maxNameLen their names; git refuses
	// to make a longer one.
	maxNames   = 50_000
	maxNameLen = 255
	// refsCount is how long an answer about refs counts: somebody may be typing.
	refsCount = 10 * time.Second
)

// History is a repository that is looked at for its history alone: of which no revision is
// shown, as that of its URL may not be there any more.
type History struct{ r *Remote }

var _ providers.Historian = (*History)(nil)

// OpenHistory opens the history of the repository that u names, whatever the revision.
// Options.CacheDir is for what does not fit into memory. The caller closes it. It asks no
// server.
func OpenHistory(u providers.URL, o Options) (*History, error) {
	u.Revision, u.Subdir, u.SplitOpen = "", "", false
	r, err := prepare(u, o)
	if err != nil {
		return nil, err
	}
	r.snap = &snapshot{}
	return &History{r}, nil
}

// Refs implements [providers.Historian].
func (h *History) Refs(ctx context.Context) (providers.Refs, error) { return h.r.Refs(ctx) }

// Commits implements [providers.Historian].
func (h *History) Commits(ctx context.Context, revision, cursor string) (providers.CommitPage, error) {
	return h.r.Commits(ctx, revision, cursor)
}

// CommitAt implements [providers.Historian].
func (h *History) CommitAt(ctx context.Context, revision string, at time.Time) (providers.Commit, error) {
	return h.r.CommitAt(ctx, revision, at)
}

// Close lets go of all connections.
func (h *History) Close() error { return h.r.Close() }

// address is the URL of what is shown.
func (r *Remote) address() providers.URL {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.url
}

func (r *Remote) shown() (*snapshot, providers.URL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snap, r.url
}

// at is the URL of another revision of what is shown.
func (r *Remote) at(revision string) providers.URL {
	snap, u := r.shown()
	u.Revision, u.Subdir, u.SplitOpen = revision, snap.subdir, false
	return u
}

// isWhole tells whether a revision is known to be here with all its trees.
func (r *Remote) isWhole(id object.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.whole, id)
}

func (r *Remote) nowWhole(id object.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.whole = append(slices.DeleteFunc(r.whole, func(o object.ID) bool { return o == id }), id)
	if len(r.whole) > maxWhole {
		r.whole = slices.Delete(r.whole, 0, 1)
	}
}

// Shown tells which revision is shown.
func (r *Remote) Shown() providers.Shown {
	snap, u := r.shown()
	if u.SplitOpen { // what was open is known by now
		for _, c := range u.Candidates() {
			if c.Subdir == snap.subdir {
				u = c
				break
			}
		}
	}
	s := providers.Shown{URL: u, Time: snap.time}
	if !snap.commit.IsZero() {
		s.Commit = snap.commit.String()
	}
	switch {
	case snap.ref == "HEAD":
		s.Branch = cmp.Or(snap.branch, "HEAD")
	case strings.HasPrefix(snap.ref, "refs/tags/"):
	default:
		s.Branch = strings.TrimPrefix(strings.TrimPrefix(snap.ref, "refs/"), "heads/")
	}
	return s
}

// Turn shows another revision. Its trees are fetched first.
func (r *Remote) Turn(ctx context.Context, revision string) (providers.Version, error) {
	if err := r.usable(ctx); err != nil {
		return "", err
	}
	u := r.at(revision)
	if again, _, err := providers.ParseURL(u.String()); err != nil || again != u {
		return "", fmt.Errorf("%w: %.80q cannot be the name of a branch, tag or commit", providers.ErrURL, revision)
	}
	var snap *snapshot
	err := r.flights.do(ctx, turnKey{revision}, false, func(ctx context.Context) (err error) {
		t, err := r.resolve(ctx, u)
		if err != nil {
			known, ok := r.resolveKnown(u)
			if !ok || !errors.Is(err, providers.ErrOffline) || !r.isWhole(known.id) {
				return err
			}
			t = known
		}
		old := r.snapshot()
		if snap, err = r.next(ctx, old, t); err != nil {
			return err
		}
		for from := old; !r.show(from, u, snap); { // a probe has renewed it meanwhile
			from = r.snapshot()
			snap.eras = nil
			snap.follow(from)
		}
		r.log.Info("turned to another revision", "revision", revision, "from", old.version(), "to", snap.version())
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("show revision %q: %w", revision, err)
	}
	return r.snapshot().version(), nil
}

type turnKey struct{ revision string }

// resolveKnown finds what u is as far as that is known without the remote.
func (r *Remote) resolveKnown(u providers.URL) (target, bool) {
	r.history.mu.Lock()
	defer r.history.mu.Unlock()
	return choose(u, r.history.refs)
}

// Refs names the branches and tags.
func (r *Remote) Refs(ctx context.Context) (providers.Refs, error) {
	if err := r.usable(ctx); err != nil {
		return providers.Refs{}, err
	}
	refs, asOf := r.knownRefs()
	if asOf.IsZero() || r.clock().Sub(asOf).Abs() > refsCount {
		err := r.flights.do(ctx, "refs", false, r.learnRefs)
		if refs, asOf = r.knownRefs(); err != nil && (asOf.IsZero() || !errors.Is(err, providers.ErrOffline) && !errors.Is(err, context.DeadlineExceeded)) {
			return providers.Refs{}, fmt.Errorf("list branches and tags: %w", err)
		}
	}
	out := providers.Refs{AsOf: asOf}
	for _, ref := range refs {
		if ref.Name == "HEAD" {
			out.Default = strings.TrimPrefix(ref.Target, "refs/heads/")
		} else if name, ok := strings.CutPrefix(ref.Name, "refs/heads/"); ok {
			out.Branches = append(out.Branches, providers.Ref{Name: name, Commit: tipOf(ref).String()})
		} else if name, ok := strings.CutPrefix(ref.Name, "refs/tags/"); ok {
			out.Tags = append(out.Tags, providers.Ref{Name: name, Commit: tipOf(ref).String()})
		}
	}
	slices.SortFunc(out.Branches, func(a, b providers.Ref) int { return natural(a.Name, b.Name) })
	slices.SortFunc(out.Tags, func(a, b providers.Ref) int { return natural(b.Name, a.Name) })
	branches := make(map[string]bool, len(out.Branches))
	for _, b := range out.Branches {
		branches[b.Name] = true
	}
	for i, tag := range out.Tags {
		if branches[tag.Name] { // which would come first
			out.Tags[i].Name = "tags/" + tag.Name
		}
	}
	return out, nil
}

func (r *Remote) knownRefs() ([]wire.Ref, time.Time) {
	r.history.mu.Lock()
	defer r.history.mu.Unlock()
	return r.history.refs, r.history.asOf
}

// learnRefs asks the remote for its refs.
func (r *Remote) learnRefs(ctx context.Context) error {
	refs, err := r.refs(ctx, "HEAD", "refs/heads/", "refs/tags/")
	if err != nil {
		return err
	}
	refs = slices.DeleteFunc(refs, func(ref wire.Ref) bool {
		_, _, err := providers.ParseURL(r.at(strings.TrimPrefix(ref.Name, "refs/")).String())
		// Nor are those offered that could look like others.
		return len(ref.Name) > maxNameLen || err != nil || strings.ContainsFunc(ref.Name, func(c rune) bool { return !unicode.IsGraphic(c) })
	})
	refs = slices.Clip(refs[:min(len(refs), maxNames)])
	now := r.clock()
	r.history.mu.Lock()
	defer r.history.mu.Unlock()
	r.history.refs, r.history.asOf = refs, now
	return nil
}

// natural compares names with the numbers in them as numbers: v1.9 comes before
// v1.10.
func natural(a, b string) int {
	for a != "" && b != "" {
		if digit(a[0]) && digit(b[0]) {
			x, y := digits(a), digits(b)
			a, b = a[len(x):], b[len(y):]
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func digits(s string) string {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return s[:n]
}
