package mounts

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/state"
)

// Reviser is a drive with a history. Its methods fail during Source.Close and after it.
type Reviser interface {
	// Shown tells what is shown: Revision, Branch, Commit and Time. It does no I/O.
	Shown() api.Shown
	// URL is that of what is shown.
	URL() string
	// Turn shows another revision; if it fails, what was shown stays. It is called by one
	// at a time.
	Turn(ctx context.Context, revision string) error
	// Revisions tells what there is. A remote that is away is no error if it is known what
	// it said.
	Revisions(ctx context.Context, q api.RevisionQuery) (api.Revisions, error)
}

// reviseTimeout is how long a remote has to tell of its revisions.
const reviseTimeout = 20 * time.Second

var errNoHistory = errors.New("no history")

// reviser is that of a mounted drive; nil if it has none, or is not mounted.
func (d *drive) reviser() Reviser {
	var r Reviser
	d.use(func(s *Source) { r = s.Reviser })
	return r
}

// Revisions lists what a drive may show.
func (m *Manager) Revisions(ctx context.Context, name string, q api.RevisionQuery) (api.Revisions, error) {
	d, err := m.find(name)
	if err != nil {
		return api.Revisions{}, err
	}
	if !d.loc.History {
		return api.Revisions{}, d.reviseProblem(errNoHistory, "")
	}
	ctx, cancel := context.WithTimeout(ctx, reviseTimeout)
	defer cancel()
	var l api.Revisions
	if r := d.reviser(); r != nil {
		l, err = r.Revisions(ctx, q)
	} else {
		l, err = d.lookAtHistory(ctx, q)
	}
	if err != nil {
		return l, d.reviseProblem(err, q.Of)
	}
	return l, nil
}

// lookAtHistory tells of the revisions of a drive that is not open.
func (d *drive) lookAtHistory(ctx context.Context, q api.RevisionQuery) (api.Revisions, error) {
	dir, err := os.MkdirTemp("", "moorage-history-")
	if err != nil {
		return api.Revisions{}, err
	}
	defer os.RemoveAll(dir)
	r := d.request("", dir)
	r.StateDir = dir
	return d.m.o.Opener.Revisions(ctx, r, q)
}

// revise has d show another revision: one that is mounted at once, with the mount it
// has. What was begun goes on when ctx is done.
func (m *Manager) revise(ctx context.Context, d *drive, revision string) error {
	if !d.loc.History {
		return d.reviseProblem(errNoHistory, revision)
	}
	select {
	case d.revising <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	r := d.reviser()
	done := make(chan error, 1)
	work := func() {
		defer func() { <-d.revising }()
		if r != nil {
			done <- d.turn(m.ctx, r, revision)
		} else {
			done <- d.reviseClosed(revision)
		}
	}
	if !m.goes(work) {
		<-d.revising
		return errStopping()
	}
	select {
	case err := <-done:
		if err != nil {
			return d.reviseProblem(err, revision)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// goes runs f in a goroutine for which Close waits, unless that has begun.
func (m *Manager) goes(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping {
		return false
	}
	m.wg.Go(f)
	return true
}

// turn has an open drive show another revision, and writes that down.
func (d *drive) turn(ctx context.Context, r Reviser, revision string) error {
	was, url := r.Shown(), r.URL()
	d.setTurning(&revision)
	defer func() {
		d.setTurning(nil)
		s := r.Shown()
		d.show(func(v *api.Drive) {
			if v.Shown != nil { // it is still open
				v.Shown = &s
			}
		})
	}()
	if err := r.Turn(ctx, revision); err != nil {
		return err
	}
	d.log.Info("shows another revision", "revision", revision, "commit", r.Shown().Commit)
	back := d.settings().Back
	switch {
	case r.Shown().Branch != "":
		back = nil
	case was.Branch != "":
		back = &was.Revision
	}
	err := d.moved(r.URL(), back)
	if err == nil {
		return nil
	}
	// What is shown must be what the config says, or it would be another one after a restart.
	if berr := r.Turn(ctx, was.Revision); berr != nil || r.URL() != url {
		d.log.Error("the drive shows a revision that could not be written down", "revision", revision, "err", berr)
	}
	return err
}

// reviseClosed changes the revision that a drive shows when it is mounted next.
func (d *drive) reviseClosed(revision string) error {
	release, err := d.hold()
	if err != nil {
		return err
	}
	defer release()
	st := d.settings()
	loc, err := d.m.o.Opener.At(st.URL, revision)
	if err != nil {
		return err
	}
	back := st.Back
	if old, err := d.m.o.Opener.Parse(st.URL); err == nil && back == nil && !isID(old.Revision) {
		back = &old.Revision
	}
	if back != nil && *back == revision {
		back = nil
	}
	if err := d.moved(loc.URL, back); err != nil {
		return err
	}
	d.show(func(*api.Drive) {})
	return nil
}

// moved writes down that d is at url from now on.
func (d *drive) moved(url string, back *string) error {
	d.m.edits.Lock()
	defer d.m.edits.Unlock()
	loc, err := d.m.o.Opener.Parse(url)
	if err != nil {
		return err
	}
	st, auto := d.settings(), d.describe().Auto
	was := st
	st.URL, st.Back = loc.URL, back
	if err := d.save(func(s *state.Drive) { s.URL, s.Back = st.URL, st.Back }); err != nil {
		return err
	}
	if st.Remembered {
		if err := d.m.o.Config.Put(entry(st, auto)); err != nil {
			return errors.Join(err, d.save(func(s *state.Drive) { s.URL, s.Back = was.URL, was.Back }))
		}
	}
	return nil
}

func (d *drive) setTurning(revision *string) {
	d.mu.Lock()
	d.turning = revision
	d.mu.Unlock()
	d.show(func(*api.Drive) {})
}

// shown is the revision that v shows. The caller holds mu.
func (d *drive) shown(v *api.Drive) *api.Shown {
	if !d.loc.History {
		return nil
	}
	var s api.Shown
	if v.Shown != nil {
		s = *v.Shown
	} else if loc, err := d.m.o.Opener.Parse(d.st.URL); err == nil {
		s.Revision = loc.Revision
	}
	s.Turning = d.turning
	if b := d.st.Back; b != nil && s.Branch == "" && *b != s.Revision {
		s.Back = b
	}
	return &s
}

// isID tells whether a revision is the whole id of a commit.
func isID(revision string) bool {
	b, err := hex.DecodeString(revision)
	return err == nil && (len(b) == 20 || len(b) == 32)
}

// beside fills in a drive that is to show a revision of one that is there.
func (m *Manager) beside(ctx context.Context, a *api.AddDrive) (Location, error) {
	d, err := m.find(a.Beside)
	switch {
	case err != nil:
		return Location{}, err
	case a.URL != "":
		return Location{}, problem.New(api.ExitUsage, api.CodeBadRequest, "A drive beside another one has the address of that.", "", "Give no address.")
	case !d.loc.History:
		return Location{}, d.reviseProblem(errNoHistory, "")
	}
	st := d.settings()
	url := st.URL
	if r := d.reviser(); r != nil {
		url = r.URL()
	}
	loc, err := m.o.Opener.At(url, a.Revision)
	if err != nil {
		return loc, d.reviseProblem(err, a.Revision)
	}
	loc.Name = besideName(st.Name, a.Revision)
	a.ReadOnly = true
	if st.Secret && a.Secret == "" {
		if a.Secret, err = m.o.Secrets.Get(ctx, d.id); err != nil {
			return loc, problem.Of(err, loc.URL)
		}
	}
	return loc, nil
}

// besideName is a name for a drive that shows a revision of another one, such as
// "repo @ v1.2".
func besideName(name, revision string) string {
	switch {
	case revision == "":
		revision = "default"
	case isID(revision):
		revision = revision[:10]
	}
	revision = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-+()", r) {
			return r
		}
		return '-'
	}, revision)
	name, _, _ = strings.Cut(name, " @ ")
	return strings.TrimRight(shorten(shorten(name, maxName/2)+" @ "+revision, maxName), " .")
}

// shorten cuts a text to so many bytes.
func shorten(s string, most int) string {
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// reviseProblem explains why the revisions of d cannot be told, or one be shown.
func (d *drive) reviseProblem(err error, revision string) error {
	st := d.settings()
	switch {
	case errors.Is(err, errNoHistory):
		return problem.New(api.ExitFailed, api.CodeUnsupported, fmt.Sprintf("%q has no branches, tags or commits to choose from.", st.Name), "", "Choose a drive of a git repository.")
	case errors.Is(err, fs.ErrClosed):
		return problem.New(api.ExitFailed, api.CodeStopping, fmt.Sprintf("%q was unmounted meanwhile.", st.Name), "It shows what it did when it is mounted again.", "")
	}
	e := problem.Of(err, st.URL)
	switch e.Problem.Code {
	case api.CodeNoRevision:
		e.Problem.Means = "The drive shows what it did."
		e.Problem.Do = "Check the spelling, or choose one of its branches, tags and commits."
	case api.CodeOffline, api.CodeTimeout:
		e.Problem.Means = "The drive shows what it did."
	case api.CodeMounted: // it has no file system yet that could turn
		return problem.New(api.ExitFailed, api.CodeMounted, fmt.Sprintf("%q is about to be mounted.", st.Name), "It cannot show another revision yet.", "Try again in a moment.")
	}
	return e
}
