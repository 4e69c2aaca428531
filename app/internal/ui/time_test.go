package ui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/daemon/api"
)

// history answers for the remote of the drive "notes".
type history struct {
	held  []func() // answers that are on their way, if hold
	hold  bool
	fail  *api.Problem // of questions
	older bool
}

func id(n int) string { return fmt.Sprintf("%08x%032x", uint32(n+3)*2654435761, n) }

func (h *history) answer(q api.RevisionQuery) api.Revisions {
	var r api.Revisions
	switch {
	case !q.At.IsZero():
		r.Commits = []api.Commit{{ID: id(40), Subject: "Write the minutes of January", Author: "Ann", Time: q.At.Add(-5 * time.Hour)}}
	case q.Commits:
		first := 0
		if q.Page != "" {
			first = 6
		} else if h.older {
			r.Next = "p2"
		}
		for i, s := range []string{"Add the plan for spring", "Merge branch 'garden'", "Fix a typo in the shopping list", "Sort the recipes by season", "Remove what nobody reads", "Start the year"} {
			r.Commits = append(r.Commits, api.Commit{ID: id(first + i), Subject: s, Author: []string{"Ann", "Bob", "Zoë"}[i%3], Time: noon.Add(-time.Duration(first+i) * 31 * time.Hour)})
		}
	default:
		r.Default = "main"
		for _, n := range []string{"feature/garden", "feature/recipes", "main"} {
			r.Branches = append(r.Branches, api.Ref{Name: n, Commit: id(len(n))})
		}
		for _, n := range []string{"v1.10", "v1.9", "v1.2"} {
			r.Tags = append(r.Tags, api.Ref{Name: n, Commit: id(len(n))})
		}
	}
	return r
}

func (s *service) Drive(name string) (api.Drive, bool) { return gitDrive(nil), name == "notes" }

func (s *service) Revisions(drive string, q api.RevisionQuery, done func(api.Revisions, *api.Problem)) {
	h := &s.history
	reply := func() { done(h.answer(q), h.fail) }
	if h.fail != nil {
		reply = func() { done(api.Revisions{}, h.fail) }
	}
	if h.hold {
		h.held = append(h.held, reply)
		return
	}
	reply()
}

func (s *service) Revise(drive, revision string, done func(*api.Problem)) {
	s.note("revise %s %q", drive, revision)
	if s.hold {
		s.held = done
		return
	}
	done(s.refuse)
}

func gitDrive(change func(*api.Shown)) api.Drive {
	d := api.Drive{Name: "notes", URL: "git+https://example.org/ann/notes.git", Kind: "git", State: api.Mounted, Dir: "/home/ann/Moorage/notes",
		ReadOnly: true, Revision: id(0), Cache: api.Cache{Used: 240_000_000, Limit: 10_000_000_000}, Remembered: true,
		Shown: &api.Shown{Branch: "main", Commit: id(0), Time: noon.Add(-3 * time.Hour)}}
	if change != nil {
		change(d.Shown)
	}
	return d
}

// pane shows drives, and all of the first one.
func (f *fixture) pane(list ...api.Drive) {
	f.t.Helper()
	f.show(list...) // by which the first one is chosen
	f.show(list...)
}

func (f *fixture) choices() []string {
	var l []string
	for _, o := range seen(f.top()) {
		if r, ok := o.(*choiceRow); ok && r.name.Text != "" {
			l = append(l, r.name.Text)
		}
	}
	return l
}

func TestPickARevision(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, v)
			f.service.history.older = true
			f.pane(gitDrive(nil), drives()[4])
			f.shoot("time-detail-" + name)
			f.press("Change…")
			f.shoot("time-branches-" + name)
			if got := strings.Join(f.choices(), "|"); got != "main|feature/garden|feature/recipes" {
				t.Errorf("branches %q", got)
			}
			f.press("Tags 3")
			if got := strings.Join(f.choices(), "|"); got != "v1.10|v1.9|v1.2" {
				t.Errorf("tags %q", got)
			}
			f.press("Commits")
			f.shoot("time-commits-" + name)
			f.enter("TYPO")
			if got := strings.Join(f.choices()[:1], "|"); got != "Fix a typo in the shopping list" {
				t.Errorf("found %q", got)
			}
			f.key(fyne.KeyReturn)
			f.calls(fmt.Sprintf("revise notes %q", id(2)))
			if f.open() {
				t.Error("the sheet is still open")
			}
		})
	}
}

func TestPickADate(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.pane(gitDrive(nil))
	f.press("Change…")
	f.enter("2026-01-31")
	f.shoot("time-date-light")
	if got := strings.Join(f.choices(), "|"); got != "Write the minutes of January" || !f.reads("As it was at the end of 2026-01-31.") {
		t.Errorf("offered %q", got)
	}
	f.press("Open beside")
	want := api.AddDrive{Beside: "notes", Revision: id(40), Remember: true}
	if len(f.service.added) != 1 || f.service.added[0] != want {
		t.Errorf("added %+v, want %+v", f.service.added, want)
	}
	b := gitDrive(nil)
	b.Name = "notes @ abc"
	f.pane(gitDrive(nil), b)
	if f.ui.last != b.Name {
		t.Error("the drive beside is not shown")
	}
}

// Everything can be done with the keyboard.
func TestPickWithTheKeyboard(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.pane(gitDrive(nil))
	f.press("Change…")
	f.key(fyne.KeyReturn) // what is shown already
	f.calls("")
	f.key(fyne.KeyDown) // from the text to the list
	f.key(fyne.KeyDown)
	f.key(fyne.KeyUp)
	f.key(fyne.KeyReturn)
	f.calls(`revise notes "feature/garden"`)
	f.pane(gitDrive(nil))
	f.press("Change…")
	f.enter("0f7c90")
	f.key(fyne.KeyReturn)
	f.calls(`revise notes "0f7c90"`)
	f.press("Change…")
	f.key(fyne.KeyDown)
	f.key(fyne.KeyEscape)
	if f.open() {
		t.Error("Esc does not close the sheet")
	}
}

func TestPickOlderCommits(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.service.history.older = true
	f.pane(gitDrive(nil))
	f.press("Change…")
	f.press("Commits")
	f.win.Canvas().Focus(f.choiceList())
	for range 6 {
		f.key(fyne.KeyDown)
	}
	if n := len(f.choiceList().choices); n != 12 {
		t.Errorf("%d commits are listed", n)
	}
	if l := f.choiceList(); l.chosen != 6 || l.choices[6].Revision != id(6) {
		t.Errorf("of the older ones, %d is chosen", l.chosen)
	}
	f.shoot("time-older-light")
	f.key(fyne.KeyReturn)
	f.calls(fmt.Sprintf("revise notes %q", id(6)))
}

func (f *fixture) choiceList() *choiceList {
	f.t.Helper()
	for _, o := range seen(f.top()) {
		if l, ok := o.(*choiceList); ok {
			return l
		}
	}
	f.t.Fatal("there is no list")
	return nil
}

// A remote that does not answer keeps nobody from leaving, and from trying again.
func TestPickFromARemoteThatIsAway(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.service.history.hold = true
	f.pane(gitDrive(nil))
	f.press("Change…")
	if !f.reads("Asking the remote…") {
		t.Error("nothing tells that the remote is asked")
	}
	f.shoot("time-waiting-light")
	f.service.history.hold, f.service.history.fail = false, &api.Problem{Code: api.CodeOffline,
		What: "https://example.org/ann/notes.git cannot be reached: no route to host.", Means: "The drive shows what it did.", Do: "Check the network and the address, then try again."}
	for _, a := range f.service.history.held {
		a()
	}
	if !f.reads("Check the network and the address, then try again.") {
		t.Error("the trouble is not told")
	}
	f.shoot("time-away-light")
	f.service.history.fail = nil
	f.press("Try again")
	if len(f.choices()) != 3 || f.reads("Check the network and the address, then try again.") {
		t.Errorf("after that: %q", f.choices())
	}
	f.service.hold = true
	f.key(fyne.KeyDown)
	f.press("Show this")
	if !f.reads("Moving to feature/garden. Until it is here, the drive shows what it did.") {
		t.Error("nothing tells that the drive is on its way")
	}
	f.shoot("time-moving-light")
	f.service.held(&api.Problem{What: "There is no such branch.", Do: "Choose another one."})
	if !f.reads("There is no such branch.") {
		t.Error("the refusal is not told")
	}
	f.press("Show this")
	f.key(fyne.KeyEscape) // it goes on
	f.service.held(nil)
	if f.open() {
		t.Error("the sheet is open")
	}
}

func TestMomentOfADrive(t *testing.T) {
	main := ""
	for name, v := range variants {
		f := newFixture(t, v)
		f.pane(gitDrive(func(s *api.Shown) {
			s.Revision, s.Branch, s.Commit, s.Back, s.Time = id(3), "", id(3), &main, noon.AddDate(0, 0, -33)
		}))
		if !f.reads("The drive stays at this moment; what is committed later does not show.") || !f.reads(id(3)[:8]+" · 2026-01-31 12:30") {
			t.Error("the moment is not told")
		}
		f.shoot("time-pinned-" + name)
		f.press("Back to the default branch")
		f.calls("go-back notes")
		next := "v1.10"
		f.pane(gitDrive(func(s *api.Shown) { s.Turning = &next }))
		if !f.reads("Moving to v1.10…") {
			t.Error("nothing tells that the drive is on its way")
		}
		f.shoot("time-turning-" + name)
	}
	f := newFixture(t, theme.VariantLight)
	f.pane(drives()[5])
	for _, o := range seen(f.win.Content()) {
		if b, ok := o.(*widget.Button); ok && b.Text == "Change…" {
			t.Error("a bucket has revisions to choose from")
		}
	}
}
