//go:build unix

package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

var (
	oldID = strings.Repeat("0a", 20)
	newID = strings.Repeat("1b", 20)
)

// timeFake has the drive go, with two branches and a tag, which shows what shown says.
func timeFake(t *testing.T, shown *api.Shown) (f *fakeService, asked *[]string) {
	f = newFake(t, api.Drive{Name: "go", URL: "git+https://example.org/go", Kind: "git", Dir: "/home/u/Moorage/go", State: api.Mounted, Shown: shown},
		api.Drive{Name: "nas", URL: "/srv", Kind: "folder", State: api.Mounted})
	asked = new([]string)
	f.history = func(query string) (api.Revisions, *api.Error) {
		*asked = append(*asked, query)
		commit := func(id, subject string) api.Commit {
			return api.Commit{ID: id, Subject: subject, Author: "Ann", Time: since}
		}
		switch {
		case strings.Contains(query, "at=") && strings.Contains(query, "2001"):
			return api.Revisions{}, &api.Error{Exit: api.ExitNotFound, Problem: api.Problem{Code: api.CodeNoRevision, What: "The history begins later."}}
		case strings.Contains(query, "at="):
			return api.Revisions{Commits: []api.Commit{commit(oldID, "Begin")}}, nil
		case strings.Contains(query, "page=2"):
			return api.Revisions{Commits: []api.Commit{commit(oldID, "Begin")}}, nil
		case strings.Contains(query, "commits="):
			return api.Revisions{Commits: []api.Commit{commit(newID, "Go on\x1b[31m")}, Next: "2"}, nil
		}
		return api.Revisions{Default: "main", Branches: []api.Ref{{Name: "dev", Commit: newID}, {Name: "main", Commit: newID}},
			Tags: []api.Ref{{Name: "v1", Commit: oldID}}, More: 7}, nil
	}
	return f, asked
}

func TestRevisions(t *testing.T) {
	at := since.Local().Format("2006-01-02 15:04")
	pinned := &api.Shown{Revision: oldID, Commit: oldID, Back: new(string)}
	*pinned.Back = "dev"
	for name, c := range map[string]struct {
		args   []string
		shown  *api.Shown
		status int
		asked  []string
		out    string
		said   string
	}{
		"names": {[]string{"go", "x y"}, &api.Shown{Branch: "main", Commit: newID}, 0, []string{"find=x+y"}, `NAME  KIND    COMMIT
dev   branch  1b1b1b1b1b1b
main  branch  1b1b1b1b1b1b  default, shown
v1    tag     0a0a0a0a0a0a
`, "There are 7 more; name a part: moorage revisions go TEXT"},
		"commits": {[]string{"go", "--commits"}, &api.Shown{Branch: "main", Commit: newID}, 0, []string{"commits=true", "commits=true&page=2"}, `COMMIT        TIME              AUTHOR  SUBJECT
1b1b1b1b1b1b  ` + at + `  Ann     Go on`, ""},
		"some commits": {[]string{"go", "--commits", "--limit", "1"}, pinned, 0, []string{"commits=true&of=dev"}, "1b1b1b1b1b1b", ""},
		"date":         {[]string{"go", "--date", "2026-01-31", "--of", "main"}, pinned, 0, []string{"at=" + day(t, "2026-01-31") + "&of=main"}, "Begin", ""},
		"no date":      {[]string{"go", "--date", "soon"}, pinned, api.ExitUsage, nil, "", `"soon" is no date.`},
		"too early":    {[]string{"go", "--date", "2001-01-01"}, pinned, api.ExitNotFound, nil, "", "The history begins later."},
		"text":         {[]string{"go", "x", "--commits"}, pinned, api.ExitUsage, nil, "", "TEXT is for the names"},
	} {
		t.Run(name, func(t *testing.T) {
			f, asked := timeFake(t, c.shown)
			r := f.run(t, nil, append([]string{"revisions"}, c.args...)...)
			if r.status != c.status || c.asked != nil && !slices.Equal(*asked, c.asked) || !strings.Contains(r.out, c.out) || !strings.Contains(r.err, c.said) || strings.Contains(r.out, "\x1b") {
				t.Errorf("status %d, asked %q, printed\n%s\nsaid %q", r.status, *asked, r.out, r.err)
			}
		})
	}
	f, _ := timeFake(t, pinned)
	if r := f.run(t, nil, "revisions", "go", "--json"); r.status != 0 || !strings.Contains(r.out, `"default": "main"`) {
		t.Errorf("status %d, printed %s", r.status, r.out)
	}
}

// day is the end of a day here, as a query has it.
func day(t *testing.T, s string) string {
	d, err := parseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(":", "%3A", "+", "%2B").Replace(d.Format(time.RFC3339))
}

func TestShow(t *testing.T) {
	main := ""
	following := &api.Shown{Branch: "main", Commit: newID, Time: since}
	pinned := &api.Shown{Revision: "v1", Commit: oldID, Back: &main}
	for name, c := range map[string]struct {
		args   []string
		shown  *api.Shown
		status int
		calls  []string
		out    string
		said   string
	}{
		"a tag":     {[]string{"go", "v1"}, following, 0, []string{`PATCH /v1/drives/go {"revision":"v1"}`}, "go shows main, 1b1b1b1b1b1b of " + since.Local().Format("2006-01-02 15:04"), ""},
		"a date":    {[]string{"go", "--date", "2026-01-31 12:00"}, following, 0, []string{`PATCH /v1/drives/go {"revision":"` + oldID + `"}`}, "go shows", ""},
		"back":      {[]string{"go", "--back"}, pinned, 0, []string{`PATCH /v1/drives/go {"revision":""}`}, "go shows v1, 0a0a0a0a0a0a", ""},
		"no way":    {[]string{"go", "--back"}, following, api.ExitNotFound, nil, "", "go was not moved away from a branch."},
		"beside":    {[]string{"go", "v1", "--beside"}, following, 0, []string{`POST /v1/drives {"url":"","remember":true,"beside":"go","revision":"v1"}`, `POST /v1/drives/go @ v1/mount {"wait":true}`}, "/home/u/Moorage/go @ v1", ""},
		"nothing":   {[]string{"go"}, following, api.ExitUsage, nil, "", "Give one of a revision, --date and --back"},
		"too much":  {[]string{"go", "v1", "--back"}, pinned, api.ExitUsage, nil, "", "Give one of a revision, --date and --back"},
		"no drive":  {[]string{"none", "v1"}, pinned, api.ExitNotFound, nil, "", "There is no drive"},
		"too early": {[]string{"go", "--date", "2001-01-01"}, following, api.ExitNotFound, nil, "", "The history begins later."},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := timeFake(t, c.shown)
			r := f.run(t, nil, append([]string{"show"}, c.args...)...)
			if calls := f.said(); r.status != c.status || !slices.Equal(calls, c.calls) || !strings.Contains(r.out, c.out) || !strings.Contains(r.err, c.said) {
				t.Errorf("status %d, calls %q, printed %q, said %q", r.status, calls, r.out, r.err)
			}
		})
	}
}

func TestCompleteShow(t *testing.T) {
	f, _ := timeFake(t, &api.Shown{Branch: "main", Commit: newID})
	if r := f.run(t, nil, "__complete", "show", ""); !strings.HasPrefix(r.out, "go\t") || strings.Contains(r.out, "nas") {
		t.Errorf("drives: %q", r.out)
	}
	if r := f.run(t, nil, "__complete", "show", "go", ""); !strings.HasPrefix(r.out, "dev\tbranch\nmain\tbranch\nv1\ttag\n") {
		t.Errorf("revisions: %q", r.out)
	}
}
