package api

import "time"

// Shown is the revision that a drive with a history shows.
type Shown struct {
	Revision string    `json:"revision"`          // as it was asked for: a branch, a tag or a commit; "" for the default branch
	Branch   string    `json:"branch,omitempty"`  // that is followed; "": what is shown stays as it is. It and the next two only while mounted
	Commit   string    `json:"commit,omitempty"`  // its id
	Time     time.Time `json:"time,omitzero"`     // of the commit
	Back     *string   `json:"back,omitempty"`    // the Revision that was followed before; nil: a branch is, or none was
	Turning  *string   `json:"turning,omitempty"` // the Revision that the drive is on its way to
}

// RevisionQuery asks for revisions of a drive: with Commits or At for those of Of, else for
// branches and tags.
type RevisionQuery struct {
	Find    string    // only branches and tags in whose names this is, in upper or lower case
	Commits bool      // the commits that led to Of, a page of them
	Page    string    // Revisions.Next of the page before
	At      time.Time // the commit that the branch Of was at, at that time
	Of      string    // "": the default branch
}

// Revisions is what a drive may show.
type Revisions struct {
	Default  string    `json:"default,omitempty"` // the name of the default branch
	Branches []Ref     `json:"branches,omitempty"`
	Tags     []Ref     `json:"tags,omitempty"`    // the highest versions first
	More     int       `json:"more,omitempty"`    // branches and tags that were left out
	Commits  []Commit  `json:"commits,omitempty"` // those made last first; of a query with At one
	Next     string    `json:"next,omitempty"`    // asks for the next page; "": there is none
	AsOf     time.Time `json:"as_of,omitzero"`    // when the remote said it, if it cannot be reached now
}

// Ref is a branch or tag.
type Ref struct {
	Name   string `json:"name"` // as Shown.Revision
	Commit string `json:"commit"`
}

// Commit is one state of a remote. Its texts are short, in one line, and safe to show.
type Commit struct {
	ID      string    `json:"id"`
	Subject string    `json:"subject,omitempty"`
	Author  string    `json:"author,omitempty"`
	Time    time.Time `json:"time,omitzero"`
}
