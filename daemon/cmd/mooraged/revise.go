package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/providers"
)

// historyOf fills in what l says of revisions.
func historyOf(u providers.URL, l *mounts.Location) {
	if l.History = u.Kind == providers.KindGit; !l.History {
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
	var out api.Revisions
	switch {
	case !q.At.IsZero():
		c, err := r.r.CommitAt(ctx, q.Of, q.At)
		if err != nil {
			return out, err
		}
		out.Commits = []api.Commit{api.Commit(c)}
	case q.Commits:
		page, err := r.r.Commits(ctx, q.Of, q.Page)
		if err != nil {
			return out, err
		}
		for _, c := range page.Commits {
			out.Commits = append(out.Commits, api.Commit(c))
		}
		out.Next = page.Next
	default:
		refs, err := r.r.Refs(ctx)
		if err != nil {
			return out, err
		}
		out.Default = refs.Default
		if !r.d.Status().Online {
			out.AsOf = refs.AsOf
		}
		var more int
		out.Branches, more = pick(refs.Branches, q.Find)
		out.Tags, out.More = pick(refs.Tags, q.Find)
		out.More += more
	}
	return out, nil
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
