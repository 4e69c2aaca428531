package git

import (
	"context"
	"fmt"
	"strings"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pack"
	"github.com/moorage/moorage/providers/git/internal/wire"
)

// The protocol cannot ask for an abbreviated id. It is looked for among the tips
// of all refs, then in the history: all commits are fetched, without trees and
// files, and looked at, not kept.

const minAbbreviation = 4

func isAbbreviation(rev string) bool {
	if len(rev) < minAbbreviation || len(rev) >= 64 {
		return false
	}
	return strings.Trim(strings.ToLower(rev), "0123456789abcdef") == ""
}

// findAbbreviated finds the commit whose id begins with prefix; the zero ID if
// there is none.
func (r *Remote) findAbbreviated(ctx context.Context, prefix string) (object.ID, error) {
	refs, err := r.refs(ctx, "HEAD", "refs/heads/", "refs/tags/")
	if err != nil {
		return object.ID{}, err
	}
	found := finder{prefix: prefix}
	var tips []object.ID
	seen := make(map[object.ID]bool)
	for _, ref := range refs {
		id := tipOf(ref)
		if !seen[id] {
			seen[id] = true
			tips = append(tips, id)
			found.see(id)
		}
	}
	if len(tips) == 0 {
		return object.ID{}, nil
	}
	c, err := r.connect(ctx)
	if err != nil {
		return object.ID{}, err
	}
	if !c.CanFilter() {
		if !found.id.IsZero() && !found.twice {
			return found.id, nil
		}
		return object.ID{}, fmt.Errorf("%w: this server finds a commit by its full id only, not by %q", providers.ErrNoRevision, prefix)
	}
	err = r.flights.do(ctx, "history "+prefix, false, func(ctx context.Context) error {
		done, err := turn(ctx, r.requests)
		if err != nil {
			return err
		}
		defer done()
		lim := r.limits
		lim.Total = maxHistory
		return c.Fetch(ctx, wire.FetchRequest{Wants: tips, Filter: "tree:0"}, lim, &commitSink{spool: r.store.Spool, take: found.take}, nil)
	})
	if err != nil {
		return object.ID{}, fmt.Errorf("look for commit %q: %w", prefix, err)
	}
	if found.twice {
		return object.ID{}, fmt.Errorf("%w: more than one commit begins with %q. Give more digits", providers.ErrNoRevision, prefix)
	}
	return found.id, nil
}

// maxHistory bounds the commits of a history: a million have about this size.
const maxHistory = 2 << 30

// finder looks for a commit.
type finder struct {
	prefix string
	id     object.ID
	twice  bool
}

func (f *finder) see(id object.ID) {
	if id != f.id && strings.HasPrefix(id.String(), f.prefix) {
		f.twice = !f.id.IsZero()
		f.id = id
	}
}

// take is that of a commitSink.
func (f *finder) take(t object.Type, id object.ID, _ []byte) error {
	if t == object.TypeCommit {
		f.see(id)
	}
	return nil
}

// commitSink is the sink of a history. It keeps recent commits, as bases.
type commitSink struct {
	spool func() (pack.Spool, error)
	take  func(t object.Type, id object.ID, content []byte) error // is shown what comes, but for files

	recent map[object.ID]*keptObject
	bytes  int
}

type keptObject struct {
	*strings.Reader
	t object.Type
}

func (k *keptObject) Type() object.Type { return k.t }
func (k *keptObject) Close() error      { return nil }

func (s *commitSink) Put(t object.Type, id object.ID, content []byte) error {
	if err := s.take(t, id, content); err != nil {
		return err
	}
	if s.recent == nil || s.bytes > 64<<20 {
		s.recent, s.bytes = make(map[object.ID]*keptObject), 0
	}
	s.recent[id] = &keptObject{strings.NewReader(string(content)), t}
	s.bytes += len(content)
	return nil
}

func (s *commitSink) Base(id object.ID) (pack.Base, error) {
	if k := s.recent[id]; k != nil {
		return k, nil
	}
	return nil, pack.ErrNotFound
}

func (s *commitSink) Spool() (pack.Spool, error) { return s.spool() }

// NewBlob takes a file that a tag is about.
func (s *commitSink) NewBlob(int64) (pack.BlobWriter, error) { return discard{}, nil }

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Commit(object.ID) error      { return nil }
func (discard) Abort()                      {}
