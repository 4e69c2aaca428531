package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// Section is a kind of revisions that a drive may show.
type Section int

// The sections, in the order in which they are offered.
const (
	Branches Section = iota
	Tags
	Commits
)

// Sections are all of them.
var sections = [...]Section{Branches, Tags, Commits}

// Choice is a revision that may be chosen, or older ones to be looked at.
type Choice struct {
	Revision string
	Name     string
	About    string
	Now      bool // it is shown now
	Older    bool // it stands for the commits before those that are listed
}

// Timeline is what a drive may show. It asks nobody: what is to be asked, Asks tells. Its
// methods may not be called concurrently.
type Timeline struct {
	texts assets.Texts
	drive api.Drive
	clock func() time.Time

	section Section
	find    string
	of      string // the branch of which the commits are

	refs    answers
	commits answers
	day     answers // of the date that is typed
}

// answers are what was told to one kind of question.
type answers struct {
	asked   *api.RevisionQuery // nil: nothing yet
	waiting bool
	problem *api.Problem
	r       api.Revisions // of the commits: all pages so far
}

// NewTimeline is for a drive that has a history.
func NewTimeline(texts assets.Texts, d api.Drive, clock func() time.Time) *Timeline {
	t := &Timeline{texts: texts, drive: d, clock: clock}
	if s := d.Shown; s != nil {
		t.of = s.Revision
		if s.Back != nil {
			t.of = *s.Back
		}
		if s.Branch == "" && s.Commit != "" { // somebody looks for a moment
			t.section = Commits
		}
	}
	return t
}

// Find narrows what is offered to what a person types.
func (t *Timeline) Find(text string) { t.find = strings.TrimSpace(text) }

// Turn goes to a section.
func (t *Timeline) Turn(s Section) { t.section = s }

// Choose notes which branch the commits are of: the one that was chosen last.
func (t *Timeline) Choose(c Choice) {
	if t.section == Branches && !c.Older && slices.ContainsFunc(t.refs.r.Branches, func(r api.Ref) bool { return r.Name == c.Name }) {
		t.of = c.Revision
	}
}

// Older has the commits before those that are listed asked for.
func (t *Timeline) Older() {
	if c := &t.commits; c.r.Next != "" && !c.waiting {
		c.asked = nil
	}
}

// Asks are the questions that the remote has to answer by now, each once.
func (t *Timeline) Asks() (l []api.RevisionQuery) {
	ask := func(a *answers, q api.RevisionQuery) {
		if a.asked == nil || *a.asked != q {
			a.asked, a.waiting, a.problem = &q, true, nil
			l = append(l, q)
		}
	}
	find := ""
	if t.refs.r.More > 0 || t.refs.asked != nil && t.refs.asked.Find != "" {
		find = t.find // not all are here
	}
	ask(&t.refs, api.RevisionQuery{Find: find})
	if t.section == Commits {
		q := api.RevisionQuery{Commits: true, Of: t.of}
		if a := t.commits.asked; a != nil && a.Of == t.of {
			q.Page = a.Page
		} else if a == nil && t.commits.r.Next != "" {
			q.Page = t.commits.r.Next
		} else {
			t.commits.r = api.Revisions{}
		}
		ask(&t.commits, q)
	}
	if at, ok := t.date(); ok {
		ask(&t.day, api.RevisionQuery{At: at, Of: t.of})
	}
	return l
}

// Answer takes in an answer; one to a question that does not matter any more is let go.
func (t *Timeline) Answer(q api.RevisionQuery, r api.Revisions, p *api.Problem) {
	for _, a := range []*answers{&t.refs, &t.commits, &t.day} {
		if a.asked == nil || *a.asked != q || !a.waiting {
			continue
		}
		a.waiting, a.problem = false, p
		switch {
		case p != nil:
		case q.Page != "":
			a.r.Commits, a.r.Next = append(a.r.Commits, r.Commits...), r.Next
		default:
			a.r = r
		}
	}
}

// Again asks anew what could not be answered.
func (t *Timeline) Again() {
	for _, a := range []*answers{&t.refs, &t.commits, &t.day} {
		if a.problem != nil {
			a.asked = nil
		}
	}
}

// The forms in which a date may be typed; without a time of day it is the end of the day.
var dates = [...]string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05"}

// date is the one that is typed.
func (t *Timeline) date() (time.Time, bool) {
	for i, form := range dates {
		at, err := time.ParseInLocation(form, t.find, t.clock().Location())
		if err != nil {
			continue
		}
		if i == 0 {
			at = at.AddDate(0, 0, 1).Add(-time.Second)
		}
		return at, true
	}
	return time.Time{}, false
}

// Offer is what a Timeline shows.
type Offer struct {
	Section Section
	Labels  []string // of the sections
	Choices []Choice
	Waiting bool   // an answer is on its way
	Note    string // what is to be known of the choices
	Trouble Notice // why there are no others
}

// Offer returns what is to be shown now.
func (t *Timeline) Offer() Offer {
	o := Offer{Section: t.section}
	branches, tags, commits := t.branches(), t.tags(), t.log()
	for _, s := range sections {
		o.Labels = append(o.Labels, t.label(s, len(branches), len(tags)))
	}
	a := &t.refs
	switch t.section {
	case Branches:
		o.Choices = branches
	case Tags:
		o.Choices = tags
	case Commits:
		a, o.Choices = &t.commits, commits
	}
	o.Waiting = a.waiting
	at, dated := t.date()
	switch {
	case dated:
		o.Waiting, a = t.day.waiting, &t.day
		o.Choices = nil
		if c := t.day.r.Commits; !t.day.waiting && t.day.problem == nil && len(c) > 0 {
			o.Choices = []Choice{t.commit(c[0])}
			o.Note = t.texts.Get("time.at", at.Format(time.DateOnly))
		}
	case t.find != "" && !slices.ContainsFunc(slices.Concat(branches, tags, commits), func(c Choice) bool { return c.Name == t.find || c.Revision == t.find }):
		o.Choices = append(o.Choices, Choice{Revision: t.find, Name: t.find, About: t.texts.Get("time.verbatim")})
	}
	if p := a.problem; p != nil {
		o.Trouble = Notice{What: p.What, Means: p.Means, Do: p.Do, Tone: Warn}
	}
	if o.Note == "" {
		o.Note = t.note(&o, a)
	}
	return o
}

func (t *Timeline) note(o *Offer, a *answers) string {
	switch {
	case o.Waiting:
		return t.texts.Get("time.loading")
	case !a.r.AsOf.IsZero():
		return t.texts.Get("time.as-of", clock(a.r.AsOf, t.clock()))
	case t.section != Commits && a.r.More > 0:
		return t.texts.Count("time.more", a.r.More)
	case t.section == Commits && len(o.Choices) > 0 && a.problem == nil:
		return t.texts.Get("time.of", t.name(t.of))
	case len(o.Choices) == 0 && o.Trouble.What == "":
		return t.texts.Get("time.none")
	}
	return ""
}

func (t *Timeline) label(s Section, branches, tags int) string {
	known := t.refs.asked != nil && !t.refs.waiting && t.refs.problem == nil
	switch {
	case s == Commits:
		return t.texts.Get("time.commits")
	case s == Branches && known:
		return fmt.Sprintf("%s %d", t.texts.Get("time.branches"), branches)
	case s == Branches:
		return t.texts.Get("time.branches")
	case known:
		return fmt.Sprintf("%s %d", t.texts.Get("time.tags"), tags)
	}
	return t.texts.Get("time.tags")
}

func (t *Timeline) matches(texts ...string) bool {
	return t.find == "" || slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(t.find)) })
}

func (t *Timeline) branches() (l []Choice) {
	usual := t.refs.r.Default
	for _, r := range t.refs.r.Branches {
		if !t.matches(r.Name) {
			continue
		}
		c := Choice{Revision: r.Name, Name: r.Name, About: short(r.Commit)}
		if r.Name == usual {
			c.About += " · " + t.texts.Get("time.default")
			if t.wasDefault() {
				c.Revision = ""
			}
		}
		s := t.drive.Shown
		c.Now = s != nil && (s.Branch == r.Name || s.Branch == "" && s.Commit == "" && s.Revision == c.Revision)
		if l = append(l, c); r.Name == usual { // comes first
			l = slices.Insert(l[:len(l)-1], 0, c)
		}
	}
	return l
}

// wasDefault tells whether the drive shows the default branch by no name, or did.
func (t *Timeline) wasDefault() bool {
	s := t.drive.Shown
	return s == nil || s.Revision == "" || s.Back != nil && *s.Back == ""
}

func (t *Timeline) tags() (l []Choice) {
	for _, r := range t.refs.r.Tags {
		if t.matches(r.Name) {
			s := t.drive.Shown
			l = append(l, Choice{Revision: r.Name, Name: r.Name, About: short(r.Commit), Now: s != nil && s.Branch == "" && s.Revision == r.Name})
		}
	}
	return l
}

func (t *Timeline) log() (l []Choice) {
	for _, c := range t.commits.r.Commits {
		if t.matches(c.Subject, c.Author) || strings.HasPrefix(c.ID, strings.ToLower(t.find)) {
			l = append(l, t.commit(c))
		}
	}
	if t.commits.r.Next != "" && !t.commits.waiting {
		l = append(l, Choice{Older: true, Name: t.texts.Get("time.older")})
	}
	return l
}

func (t *Timeline) commit(c api.Commit) Choice {
	about := []string{short(c.ID)}
	if c.Author != "" {
		about = append(about, c.Author)
	}
	if !c.Time.IsZero() {
		about = append(about, moment(c.Time, t.clock()))
	}
	s := t.drive.Shown
	name := c.Subject
	if name == "" {
		name = short(c.ID)
	}
	return Choice{Revision: c.ID, Name: name, About: strings.Join(about, " · "), Now: s != nil && s.Commit == c.ID}
}

// name is a revision as a person reads it.
func (t *Timeline) name(revision string) string {
	if revision == "" && t.refs.r.Default != "" {
		return t.refs.r.Default
	}
	return revisionName(t.texts, revision)
}

func revisionName(texts assets.Texts, revision string) string {
	if revision == "" {
		return texts.Get("time.default.name")
	}
	return short(revision)
}

// maxBack is how much of a branch's name a button has room for.
const maxBack = 24

// moment writes a time with its day, in the order that every language reads.
func moment(t, now time.Time) string { return t.In(now.Location()).Format("2006-01-02 15:04") }

// Moment is the revision that a drive shows, and what can be done about it.
type Moment struct {
	Text   string // "" if it has none
	Stays  string // that it does, and what this means; "" if it follows a branch
	Change Action // choose another one; Verb "" if there are no others
	Back   Action // to the branch that was followed; Verb "" if one is, or none was
}

func (m *Model) moment(d api.Drive, now time.Time) Moment {
	s := d.Shown
	if s == nil {
		return Moment{Text: short(d.Revision)}
	}
	t := Moment{Change: m.action(Revise, d, "time.change")}
	name := s.Branch
	if name == "" {
		name = revisionName(m.texts, s.Revision)
	}
	parts := []string{name}
	if id := short(s.Commit); id != name && id != "" {
		parts = append(parts, id)
	}
	if !s.Time.IsZero() {
		parts = append(parts, moment(s.Time, now))
	}
	t.Text = strings.Join(parts, " · ")
	if s.Commit != "" && s.Branch == "" {
		t.Stays = m.texts.Get("time.stays")
	}
	if s.Back != nil {
		t.Back = Action{Verb: GoBack, Drive: d.Name, Label: m.texts.Get("time.back", cut(revisionName(m.texts, *s.Back), maxBack))}
	}
	if s.Turning != nil {
		t.Stays = m.turning(s)
		t.Change, t.Back = Action{}, Action{}
	}
	return t
}

func (m *Model) turning(s *api.Shown) string {
	return m.texts.Get("time.turning", revisionName(m.texts, *s.Turning))
}
