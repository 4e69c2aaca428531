package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
)

func (a *app) revisionsCommand() *cobra.Command {
	var commits, asJSON bool
	var of, date string
	var limit int
	c := &cobra.Command{
		Use:   "revisions NAME|DIR [TEXT]",
		Short: "List the branches, tags and commits that a drive may show",
		Long: `Lists the branches and tags of a repository, or those with TEXT in their names; with
--commits the commits of a branch, the latest first; with --date the commit that it
was at. moorage show moves the drive to one of them.`,
		Example: `  moorage revisions go
  moorage revisions go release
  moorage revisions go --commits
  moorage revisions go --date 2026-01-31 --of main`,
		Args:              between(1, 2, "moorage revisions go"),
		ValidArgsFunction: a.completeDrives(mountedDrive),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := api.RevisionQuery{Commits: commits, Of: of}
			if len(args) == 2 {
				q.Find = args[1]
			}
			if date != "" {
				at, err := parseDate(date)
				if err != nil {
					return err
				}
				q.At = at
			}
			if q.Find != "" && (commits || date != "") {
				return usage("TEXT is for the names of branches and tags.")
			}
			d, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if q.Of == "" && (commits || date != "") {
				q.Of = followed(d)
			}
			r, err := a.revisions(cmd.Context(), d.Name, q, limit)
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeJSON(r)
			}
			a.showRevisions(d, r)
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&commits, "commits", false, "list commits")
	f.StringVar(&date, "date", "", "the commit of a date, such as 2026-01-31 or \"2026-01-31 14:30\"")
	f.StringVar(&of, "of", "", "the branch of which the commits are (default: the one that the drive follows)")
	f.IntVar(&limit, "limit", 50, "list so many commits at most")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// followed is the branch that a drive follows, or did before it was moved to something
// that stays.
func followed(d api.Drive) string {
	switch {
	case d.Shown == nil:
		return ""
	case d.Shown.Back != nil:
		return *d.Shown.Back
	}
	return d.Shown.Revision
}

// revisions asks for revisions; of commits as many pages as it takes.
func (a *app) revisions(ctx context.Context, drive string, q api.RevisionQuery, limit int) (api.Revisions, error) {
	var all api.Revisions
	for {
		c, ctx, cancel, err := a.ask(ctx)
		if err != nil {
			return all, err
		}
		r, err := c.Revisions(ctx, drive, q)
		cancel()
		if err != nil {
			return all, err
		}
		r.Commits = append(all.Commits, r.Commits...)
		if all = r; r.Next == "" || len(r.Commits) >= limit {
			if limit > 0 && len(all.Commits) > limit {
				all.Commits = all.Commits[:limit]
			}
			return all, nil
		}
		q.Page = r.Next
	}
}

func (a *app) showRevisions(d api.Drive, r api.Revisions) {
	if len(r.Commits) > 0 {
		t := table{head: []string{"COMMIT", "TIME", "AUTHOR", "SUBJECT"}}
		for _, c := range r.Commits {
			t.add(shortRevision(c.ID), c.Time.Local().Format("2006-01-02 15:04"), c.Author, c.Subject)
		}
		t.write(a)
		return
	}
	if len(r.Branches)+len(r.Tags) == 0 {
		a.note("There is no such branch or tag. Commits: moorage revisions %s --commits", clean(d.Name))
		return
	}
	t := table{head: []string{"NAME", "KIND", "COMMIT", ""}}
	row := func(ref api.Ref, kind, note string) {
		if s := d.Shown; s != nil && (s.Branch == ref.Name && kind == "branch" || s.Branch == "" && s.Revision == ref.Name) {
			note = strings.TrimPrefix(note+", shown", ", ")
		}
		t.add(ref.Name, kind, shortRevision(ref.Commit), note)
	}
	for _, b := range r.Branches {
		note := ""
		if b.Name == r.Default {
			note = "default"
		}
		row(b, "branch", note)
	}
	for _, tag := range r.Tags {
		row(tag, "tag", "")
	}
	t.write(a)
	if r.More > 0 {
		a.note("There are %d more; name a part: moorage revisions %s TEXT", r.More, clean(d.Name))
	}
	if !r.AsOf.IsZero() {
		a.note("The remote cannot be reached. This is what it said at %s.", r.AsOf.Local().Format(time.DateTime))
	}
}

func (a *app) showCommand() *cobra.Command {
	var date string
	var back, beside bool
	c := &cobra.Command{
		Use:   "show NAME|DIR [REVISION]",
		Short: "Have a drive show another branch, tag, commit or date",
		Long: `Moves a drive of a repository to another branch, tag or commit, or to the commit of
a date. A mounted drive stays mounted: programs see other files in the same place.
At a tag or commit it stays; --back follows the branch again that it followed before.
With --beside a second, read-only drive shows it, and is mounted.`,
		Example: `  moorage show go release-branch.go1.26
  moorage show go --date 2026-01-31
  moorage show go --back
  moorage show go go1.25.0 --beside`,
		Args:              between(1, 2, "moorage show go v1.2"),
		ValidArgsFunction: a.completeShow,
		RunE: func(cmd *cobra.Command, args []string) error {
			given := len(args) - 1
			for _, yes := range []bool{date != "", back} {
				if yes {
					given++
				}
			}
			if given != 1 {
				return usage("Give one of a revision, --date and --back, as in: moorage show %s v1.2", args[0])
			}
			d, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			revision := ""
			switch {
			case date != "":
				if revision, err = a.commitAt(cmd.Context(), d, date); err != nil {
					return err
				}
			case !back:
				revision = args[1]
			case d.Shown == nil || d.Shown.Back == nil:
				return nothing(fmt.Sprintf("%s was not moved away from a branch.", d.Name), fmt.Sprintf("See moorage revisions %s.", d.Name))
			default:
				revision = *d.Shown.Back
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), mountTimeout)
			defer cancel()
			if beside {
				b, err := a.client.Add(ctx, api.AddDrive{Beside: d.Name, Revision: revision, Remember: true})
				if err == nil {
					b, err = a.client.Mount(ctx, b.Name, true)
				}
				if err != nil {
					return err
				}
				a.say("%s", clean(b.Dir))
				return nil
			}
			if d, err = a.client.Edit(ctx, d.Name, api.EditDrive{Revision: &revision}); err != nil {
				return err
			}
			a.say("%s", clean(shownText(d)))
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&date, "date", "", "the commit of a date, such as 2026-01-31 or \"2026-01-31 14:30\"")
	f.BoolVar(&back, "back", false, "the branch that the drive followed before")
	f.BoolVar(&beside, "beside", false, "a second drive shows it")
	return c
}

func (a *app) commitAt(ctx context.Context, d api.Drive, date string) (string, error) {
	at, err := parseDate(date)
	if err != nil {
		return "", err
	}
	r, err := a.revisions(ctx, d.Name, api.RevisionQuery{At: at, Of: followed(d)}, 1)
	if err != nil {
		return "", err
	}
	if len(r.Commits) == 0 {
		return "", nothing(fmt.Sprintf("There is no commit of %s.", date), "")
	}
	return r.Commits[0].ID, nil
}

// shownText is what a drive shows, in words.
func shownText(d api.Drive) string {
	s := d.Shown
	name := s.Branch
	if name == "" {
		name = s.Revision
	}
	switch {
	case s.Commit == "" && name == "":
		return d.Name + " shows its default branch when it is mounted"
	case s.Commit == "":
		return d.Name + " shows " + shortRevision(name) + " when it is mounted"
	}
	text := d.Name + " shows " + shortRevision(name)
	if name != s.Commit {
		text += ", " + shortRevision(s.Commit)
	}
	if !s.Time.IsZero() {
		text += " of " + s.Time.Local().Format("2006-01-02 15:04")
	}
	return text
}

// parseDate reads a date, of which it is the end, or a time of day.
func parseDate(s string) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Second), nil
	}
	for _, form := range []string{"2006-01-02 15:04", "2006-01-02T15:04", time.DateTime} {
		if t, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return t, nil
		}
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Time{}, usage("%q is no date. Write it as 2026-01-31, or \"2026-01-31 14:30\".", s)
}

// completeShow completes a drive, then its branches and tags.
func (a *app) completeShow(cmd *cobra.Command, args []string, part string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.running(cmd.Context(), func(d api.Drive) bool { return d.Shown != nil }), cobra.ShellCompDirectiveDefault
	}
	c, err := a.Connect()
	if err != nil || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	r, err := c.Revisions(ctx, args[0], api.RevisionQuery{Find: part})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	add := func(refs []api.Ref, kind string) {
		for _, ref := range refs {
			if ref.Name == clean(ref.Name) && strings.HasPrefix(ref.Name, part) {
				names = append(names, cobra.CompletionWithDesc(ref.Name, kind))
			}
		}
	}
	add(r.Branches, "branch")
	add(r.Tags, "tag")
	return names, cobra.ShellCompDirectiveNoFileComp
}
