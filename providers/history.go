package providers

import (
	"context"
	"time"
)

// Reviser is a remote with a history: it shows one revision, and may show another.
type Reviser interface {
	Historian

	// Shown tells which revision that is. It does no I/O.
	Shown() Shown

	// Turn shows another one: calls that begin after it returned see that. It
	// returns the version of the whole remote, as [Prober] does. On an error what
	// was shown stays. Where the remote cannot be reached, what is known and here
	// whole is turned to all the same. Errors: ErrNoRevision, ErrURL for what
	// cannot be the name of one, ErrNotExist and ErrNotDir if the revision has no
	// such subfolder, ErrOffline.
	Turn(ctx context.Context, revision string) (Version, error)
}

// Historian tells of a history. A revision is named as in [URL.Revision]; "" is the
// default branch.
type Historian interface {
	// Refs names what there is. While the remote cannot be reached, what it said
	// last; ErrOffline if that is not known.
	Refs(ctx context.Context) (Refs, error)

	// Commits lists the commits that led to a revision, those made last first, in
	// pages: cursor "" starts, then CommitPage.Next goes on. A history may be
	// longer than what is listed. Errors: ErrNoRevision, ErrOffline if nothing is
	// known, ErrChanged if the listing must start again.
	Commits(ctx context.Context, revision, cursor string) (CommitPage, error)

	// CommitAt finds the commit that a branch was at, at that time. A remote does not
	// tell when it received what: it is the time of the commit that counts, and of
	// a merge the side that was merged into. ErrNoRevision if there was none, or
	// it is too long ago.
	CommitAt(ctx context.Context, revision string, at time.Time) (Commit, error)
}

// Shown is the revision that a remote shows.
type Shown struct {
	URL    URL       // of it; what was open in the URL at first is not any more
	Branch string    // that is followed, "main"; "" if what is shown stays the same
	Commit string    // "" if the revision is none
	Time   time.Time // of the commit; zero if not known
}

// Refs are the names that a remote has for revisions.
type Refs struct {
	Default  string // the branch that "" stands for; "" if it is none
	Branches []Ref  // by name
	Tags     []Ref  // as versions compare, the highest first
	AsOf     time.Time
}

// Ref is one of them.
type Ref struct {
	Name   string // as in URL.Revision
	Commit string // or, of a few tags, something else
}

// Commit is one state of a remote.
type Commit struct {
	ID      string
	Subject string    // the first line of its message, of bounded length and safe to show; may be ""
	Author  string    // likewise
	Time    time.Time // when it was made; zero if unknown
}

// CommitPage is a part of a history.
type CommitPage struct {
	Commits []Commit
	Next    string // cursor of the next page; "" if this is the last
}
