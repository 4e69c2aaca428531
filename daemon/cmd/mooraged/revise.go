package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/providers"
)

// revisionOf fills in what l says of revisions.
func (k kinds) revisionOf(u providers.URL, l *mounts.Location) {
	if l.History = k[u.Kind].history != nil; !l.History {
		return
	}
	l.Revision = u.Revision
	if !u.SplitOpen {
		u.Revision = ""
		l.Remote = u.String()
	}
}

// At implements mounts.Opener.
func (k kinds) At(url, revision string) (mounts.Location, error) {
	u, _, err := providers.ParseURL(url)
	if err != nil {
		return mounts.Location{}, err
	}
	if u.SplitOpen {
		return mounts.Location{}, fmt.Errorf("%w: the drive's address does not tell where the branch ends and the folder begins. Mount the drive first", providers.ErrURL)
	}
	u.Revision = revision
	if again, _, err := providers.ParseURL(u.String()); err != nil || again != u {
		return mounts.Location{}, fmt.Errorf("%w: %.80q cannot be the name of a branch, tag or commit", providers.ErrURL, revision)
	}
	return k.Parse(u.String())
}

// history is one that can be looked at without a drive.
type history interface {
	providers.Historian
	Close() error
}

// historyFunc opens the history of what u names. It asks no server.
type historyFunc func(u providers.URL, r mounts.Request) (history, error)

// Revisions implements mounts.Opener.
func (k kinds) Revisions(ctx context.Context, r mounts.Request, q api.RevisionQuery) (api.Revisions, error) {
	u, of, err := k.find(r.URL)
	if err != nil {
		return api.Revisions{}, err
	}
	if of.history == nil {
		return api.Revisions{}, providers.ErrUnsupported
	}
	h, err := of.history(u, r)
	if err != nil {
		return api.Revisions{}, err
	}
	l, _, err := revisions(ctx, h, q)
	return l, errors.Join(err, h.Close())
}

// reviser is a drive with a history.
type reviser struct {
	d *drive.Drive
	r providers.Reviser
}

func (r reviser) Shown() api.Shown {
	s := r.r.Shown()
	return api.Shown{Revision: s.URL.Revision, Branch: s.Branch, Commit: s.Commit, Time: s.Time}
}

func (r reviser) URL() string { return r.r.Shown().URL.String() }

func (r reviser) Turn(ctx context.Context, revision string) error { return r.d.Turn(ctx, revision) }

// maxRefs is how many branches, and how many tags, are told of at once; who wants
// others finds them by name.
const maxRefs = 500

func (r reviser) Revisions(ctx context.Context, q api.RevisionQuery) (api.Revisions, error) {
	l, asOf, err := revisions(ctx, r.r, q)
	if !r.d.Status().Online {
		l.AsOf = asOf
	}
	return l, err
}

// revisions asks h, and tells since when the answer is known, if it is about names.
func revisions(ctx context.Context, h providers.Historian, q api.RevisionQuery) (out api.Revisions, asOf time.Time, err error) {
	switch {
	case !q.At.IsZero():
		c, err := h.CommitAt(ctx, q.Of, q.At)
		if err != nil {
			return out, asOf, err
		}
		out.Commits = []api.Commit{api.Commit(c)}
	case q.Commits:
		page, err := h.Commits(ctx, q.Of, q.Page)
		if err != nil {
			return out, asOf, err
		}
		for _, c := range page.Commits {
			out.Commits = append(out.Commits, api.Commit(c))
		}
		out.Next = page.Next
	default:
		refs, err := h.Refs(ctx)
		if err != nil {
			return out, asOf, err
		}
		out.Default, asOf = refs.Default, refs.AsOf
		var more int
		out.Branches, more = pick(refs.Branches, q.Find)
		out.Tags, out.More = pick(refs.Tags, q.Find)
		out.More += more
	}
	return out, asOf, nil
}

// pick gives the refs in whose names find is, maxRefs at most, and how many it left out.
func pick(refs []providers.Ref, find string) (l []api.Ref, more int) {
	find = strings.ToLower(find)
	for _, ref := range refs {
		switch {
		case !strings.Contains(strings.ToLower(ref.Name), find):
		case len(l) == maxRefs:
			more++
		default:
			l = append(l, api.Ref(ref))
		}
	}
	return l, more
}
