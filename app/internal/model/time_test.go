package model

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

func newTimeline(t *testing.T, s *api.Shown) *Timeline {
	t.Helper()
	texts, err := assets.English()
	if err != nil {
		t.Fatal(err)
	}
	return NewTimeline(texts, api.Drive{Name: "d", Shown: s}, func() time.Time { return noon })
}

func hash(c string) string { return strings.Repeat(c, 40) }

var someRefs = api.Revisions{Default: "main", Branches: []api.Ref{{Name: "dev", Commit: hash("b")}, {Name: "main", Commit: hash("a")}},
	Tags: []api.Ref{{Name: "v2", Commit: hash("a")}, {Name: "v1", Commit: hash("c")}}}

// offered are the choices in short.
func offered(o Offer) string {
	var l []string
	for _, c := range o.Choices {
		s := c.Name + "=" + short(c.Revision)
		if c.Now {
			s += "*"
		}
		if c.Older {
			s = "older"
		}
		l = append(l, s)
	}
	return strings.Join(l, " ")
}

func asks(t *testing.T, l *Timeline, want ...api.RevisionQuery) {
	t.Helper()
	if got := l.Asks(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("asks %+v, want %+v", got, want)
	}
}

func TestTimelineOffersBranchesAndTags(t *testing.T) {
	l := newTimeline(t, &api.Shown{Branch: "main", Commit: hash("a")})
	asks(t, l, api.RevisionQuery{})
	asks(t, l) // once
	if o := l.Offer(); !o.Waiting || o.Note != "Asking the remote…" || fmt.Sprint(o.Labels) != "[Branches Tags Commits]" {
		t.Errorf("while it waits: %+v", o)
	}
	l.Answer(api.RevisionQuery{}, someRefs, nil)
	if o := l.Offer(); o.Waiting || offered(o) != "main=* dev=dev" || fmt.Sprint(o.Labels) != "[Branches 2 Tags 2 Commits]" {
		t.Errorf("%s, %+v", offered(o), o)
	}
	l.Turn(Tags)
	if o := l.Offer(); offered(o) != "v2=v2 v1=v1" {
		t.Errorf("%s, %+v", offered(o), o)
	}
	l.Find("V1")
	if o := l.Offer(); offered(o) != "v1=v1 V1=V1" || fmt.Sprint(o.Labels) != "[Branches 0 Tags 1 Commits]" {
		t.Errorf("%s, %+v", offered(o), o)
	}
	l.Find("v1")
	if o := l.Offer(); offered(o) != "v1=v1" {
		t.Errorf("%s, %+v", offered(o), o)
	}
	l.Find("1a2b3c4d")
	if o := l.Offer(); offered(o) != "1a2b3c4d=1a2b3c4d" || o.Choices[0].About == "" {
		t.Errorf("%s, %+v", offered(o), o)
	}
	asks(t, l)
}

// Who has named the default branch keeps its name; who has not, has none.
func TestTimelineOfTheDefaultBranch(t *testing.T) {
	dev, none := "dev", ""
	for _, c := range []struct {
		shown *api.Shown
		want  string
	}{
		{&api.Shown{Revision: "main", Branch: "main", Commit: hash("a")}, "main=main* dev=dev"},
		{&api.Shown{Revision: "dev", Branch: "dev", Commit: hash("b")}, "main=main dev=dev*"},
		{&api.Shown{Revision: "v1", Commit: hash("c"), Back: &none}, "main= dev=dev"},
		{&api.Shown{Revision: "v1", Commit: hash("c"), Back: &dev}, "main=main dev=dev"},
		{&api.Shown{}, "main=* dev=dev"}, // not mounted
	} {
		l := newTimeline(t, c.shown)
		l.Turn(Branches)
		l.Asks()
		l.Answer(api.RevisionQuery{}, someRefs, nil)
		if got := offered(l.Offer()); got != c.want {
			t.Errorf("%+v: %s, want %s", c.shown, got, c.want)
		}
	}
}

func TestTimelineAsksForWhatIsNotHere(t *testing.T) {
	l := newTimeline(t, &api.Shown{Branch: "main", Commit: hash("a")})
	l.Asks()
	many := someRefs
	many.More = 1200
	l.Answer(api.RevisionQuery{}, many, nil)
	if o := l.Offer(); o.Note != "1200 others: type a part of their name." {
		t.Errorf("%+v", o)
	}
	l.Find("x")
	asks(t, l, api.RevisionQuery{Find: "x"})
	l.Find("xy")
	asks(t, l, api.RevisionQuery{Find: "xy"})
	l.Answer(api.RevisionQuery{Find: "x"}, api.Revisions{Branches: []api.Ref{{Name: "xa"}, {Name: "xy"}}}, nil) // too late
	l.Answer(api.RevisionQuery{Find: "xy"}, api.Revisions{Branches: []api.Ref{{Name: "xyz"}}}, nil)
	if got := offered(l.Offer()); got != "xyz=xyz xy=xy" {
		t.Error(got)
	}
	l.Find("")
	asks(t, l, api.RevisionQuery{})
}

func TestTimelineOfCommits(t *testing.T) {
	l := newTimeline(t, &api.Shown{Branch: "main", Commit: hash("a")})
	l.Asks()
	l.Answer(api.RevisionQuery{}, someRefs, nil)
	l.Turn(Commits)
	first := api.RevisionQuery{Commits: true}
	asks(t, l, first)
	l.Answer(first, api.Revisions{Next: "2", Commits: []api.Commit{{ID: hash("a"), Subject: "Go on", Author: "Ann", Time: noon}, {ID: hash("b")}}}, nil)
	o := l.Offer()
	if offered(o) != "Go on=aaaaaaaa* bbbbbbbb=bbbbbbbb older" || o.Choices[0].About != "aaaaaaaa · Ann · "+noon.Format("2006-01-02 15:04") || o.Note != "Commits of main, the latest first." {
		t.Errorf("%s, %+v", offered(o), o)
	}
	l.Older()
	second := api.RevisionQuery{Commits: true, Page: "2"}
	asks(t, l, second)
	l.Older() // is under way
	asks(t, l)
	l.Answer(second, api.Revisions{}, &api.Problem{What: "No."})
	if o := l.Offer(); o.Trouble.What != "No." || offered(o) != "Go on=aaaaaaaa* bbbbbbbb=bbbbbbbb older" {
		t.Errorf("a page that does not come: %s, %+v", offered(o), o)
	}
	l.Again()
	asks(t, l, second)
	l.Answer(second, api.Revisions{Commits: []api.Commit{{ID: hash("c"), Subject: "Begin"}}}, nil)
	if got := offered(l.Offer()); got != "Go on=aaaaaaaa* bbbbbbbb=bbbbbbbb Begin=cccccccc" {
		t.Error(got)
	}
	l.Find("beg")
	if got := offered(l.Offer()); got != "Begin=cccccccc beg=beg" {
		t.Error(got)
	}
	l.Find("bbbb")
	if got := offered(l.Offer()); got != "bbbbbbbb=bbbbbbbb bbbb=bbbb" {
		t.Error(got)
	}

	// The commits of a branch that was chosen.
	l.Find("")
	l.Turn(Branches)
	l.Choose(l.Offer().Choices[1])
	l.Turn(Commits)
	asks(t, l, api.RevisionQuery{Commits: true, Of: "dev"})
	if o := l.Offer(); offered(o) != "" || !o.Waiting {
		t.Errorf("%+v", o)
	}
}

func TestTimelineOfADate(t *testing.T) {
	dev := "dev"
	l := newTimeline(t, &api.Shown{Revision: hash("c"), Commit: hash("c"), Back: &dev})
	if o := l.Offer(); o.Section != Commits {
		t.Errorf("a drive that stays begins with section %v", o.Section)
	}
	l.Turn(Tags)
	l.Asks()
	l.Find(" 2026-01-31 ")
	q := api.RevisionQuery{At: time.Date(2026, 1, 31, 23, 59, 59, 0, noon.Location()), Of: "dev"}
	asks(t, l, q)
	l.Answer(q, api.Revisions{Commits: []api.Commit{{ID: hash("d"), Subject: "Go on"}}}, nil)
	if o := l.Offer(); offered(o) != "Go on=dddddddd" || o.Note != "As it was at the end of 2026-01-31." {
		t.Errorf("%s, %+v", offered(o), o)
	}
	l.Find("2026-01-31 14:30")
	q.At = time.Date(2026, 1, 31, 14, 30, 0, 0, noon.Location())
	asks(t, l, q)
	l.Answer(q, api.Revisions{}, &api.Problem{What: "The history begins later."})
	if o := l.Offer(); offered(o) != "" || o.Trouble.What != "The history begins later." {
		t.Errorf("%s, %+v", offered(o), o)
	}
	l.Find("2026-13-01")
	asks(t, l)
}

func TestMoment(t *testing.T) {
	main := ""
	at := time.Date(2026, 1, 31, 12, 30, 0, 0, noon.Location())
	for _, c := range []struct {
		shown             *api.Shown
		text, stays, back string
	}{
		{nil, "aaaaaaaa", "", ""},
		{&api.Shown{Branch: "main", Commit: hash("a"), Time: at}, "main · aaaaaaaa · 2026-01-31 12:30", "", ""},
		{&api.Shown{Revision: "v1", Commit: hash("a"), Back: &main}, "v1 · aaaaaaaa", "The drive stays", "Back to the default branch"},
		{&api.Shown{Revision: hash("a"), Commit: hash("a")}, "aaaaaaaa", "The drive stays", ""},
		{&api.Shown{}, "the default branch", "", ""},
		{&api.Shown{Revision: "v1", Commit: hash("a"), Back: &main, Turning: &main}, "v1 · aaaaaaaa", "Moving to the default branch…", ""},
	} {
		m := newModel(t, api.Drive{Name: "d", Kind: "git", State: api.Mounted, Revision: hash("a"), Shown: c.shown})
		m.Watch("d")
		v := m.View(noon)
		got := v.Detail.Moment
		if got.Text != c.text || !strings.HasPrefix(got.Stays, c.stays) || (c.stays == "") != (got.Stays == "") || got.Back.Label != c.back {
			t.Errorf("%+v: %+v", c.shown, got)
		}
		if moving := c.shown != nil && c.shown.Turning != nil; (got.Change.Verb == Revise) != (c.shown != nil && !moving) || v.Rows[0].Working != moving {
			t.Errorf("%+v: %+v, %+v", c.shown, got, v.Rows[0])
		}
	}
}
