package mounts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
)

// Upload is one change of a drive, as its file system knows it.
type Upload struct {
	Path    string // on the drive
	State   api.UploadState
	Removed bool
	Err     error // why it is where it is; nil: nothing is wrong
	Since   time.Time
	Done    int64 // bytes sent of Total
	Total   int64
}

// Unpublished is what a drive that is not open keeps for its remote.
type Unpublished struct {
	Uploads []Upload // the oldest, first
	Count   int      // how many there are
	Bytes   int64    // that are kept on this computer for them
}

// How many uploads come with a drive, with the end of a sync, and are kept in mind
// of a drive that is not mounted.
const (
	detailUploads = 100
	failedUploads = 1000
	keptUploads   = 10_000
)

// kept is what a drive that is not mounted has for its remote.
type kept struct {
	uploads []Upload // the oldest keptUploads
	pending api.Pending
	err     error // why nothing is known
}

// any reports whether something would be lost without it, as far as is known.
func (k kept) any() bool { return k.err != nil || k.pending.Files > 0 }

// look looks what is kept in the state folder of a drive that is not open.
func (m *Manager) look(id string) kept {
	u, err := m.o.Opener.Unpublished(m.o.State.Dir(id), keptUploads)
	return kept{uploads: u.Uploads, pending: api.Pending{Files: u.Count, Bytes: u.Bytes}, err: err}
}

// look finds out what d keeps, which is not open. It is called by run, or before it.
func (d *drive) look() kept {
	k := d.m.look(d.id)
	if k.err != nil {
		d.log.Error("it cannot be told what is not published", "err", k.err)
	}
	d.mu.Lock()
	d.kept = k
	d.mu.Unlock()
	return k
}

func (d *drive) keeps() kept {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept
}

// count is k in one number, for the state file: 0 only if there is nothing for
// sure.
func (k kept) count() int {
	if k.err != nil {
		return max(1, k.pending.Files)
	}
	return k.pending.Files
}

// use has f ask the open file system of d, which is not closed meanwhile; false:
// there is none. f must not wait for anything.
func (d *drive) use(f func(s *Source)) bool {
	d.using.RLock()
	defer d.using.RUnlock()
	if d.src == nil {
		return false
	}
	f(d.src)
	return true
}

// offer makes s what use gives; nil: nothing.
func (d *drive) offer(s *Source) {
	d.using.Lock()
	defer d.using.Unlock()
	d.src = s
}

// uploads lists at most limit changes, what waits first.
func (d *drive) uploads(limit int) []api.Upload {
	var l []Upload
	knows := false
	d.use(func(s *Source) {
		if knows = s.Ledger != nil; knows {
			l = s.Ledger(limit)
		}
	})
	st := d.settings()
	if !knows {
		l = d.keeps().uploads
	}
	out := make([]api.Upload, 0, min(len(l), limit))
	for _, u := range l[:min(len(l), limit)] {
		out = append(out, api.Upload{Path: u.Path, State: u.State, Removed: u.Removed, Since: u.Since, Done: u.Done, Total: u.Total,
			Problem: problem.Upload(u.Err, u.State, u.Path, st.Name, st.URL)})
	}
	return out
}

// Uploads lists at most limit changes of a drive, what waits first.
func (m *Manager) Uploads(_ context.Context, name string, limit int) ([]api.Upload, error) {
	d, err := m.find(name)
	if err != nil {
		return nil, err
	}
	return d.uploads(limit), nil
}

// comingPoll is how often Sync looks whether a drive is there that comes up.
const comingPoll = 50 * time.Millisecond

// Sync has everything published now. With wait it returns when nothing is left
// that is tried, or when ctx is done.
func (m *Manager) Sync(ctx context.Context, name string, wait bool) (api.Synced, error) {
	d, err := m.find(name)
	if err != nil {
		return api.Synced{}, err
	}
	var src *Source
	for !d.use(func(s *Source) { src = s }) {
		// A drive that comes up, as after a crash of the service, publishes by itself.
		switch v := d.describe(); {
		case v.State != api.Connecting && !d.use(func(*Source) {}):
			return api.Synced{}, d.cannotSync()
		case v.Step == "wait" && !wait: // its remote is away
			return api.Synced{Pending: v.Pending}, nil
		}
		select {
		case <-ctx.Done():
			return api.Synced{}, ctx.Err()
		case <-time.After(comingPoll):
		}
	}
	if src.Sync == nil {
		return api.Synced{Pending: d.describe().Pending}, nil
	}
	began := d.m.o.Clock()
	if wait {
		err = src.Sync(ctx)
	} else {
		src.Publish()
	}
	if p := d.describe().Pending; errors.Is(err, ErrPaused) || !wait && m.isPaused() {
		d.use(func(now *Source) { p = now.health().Pending })
		if p.Files > 0 {
			return api.Synced{}, errPaused(name, p)
		}
	}
	if ctx.Err() != nil {
		return api.Synced{}, ctx.Err()
	}
	var s api.Synced
	if !d.use(func(now *Source) { s.Pending = now.health().Pending }) {
		return api.Synced{}, problem.New(api.ExitFailed, api.CodeNotMounted, fmt.Sprintf("%q was unmounted while its changes were being published.", name),
			"What is not on the remote is kept on this computer.", fmt.Sprintf("Mount it again: moorage mount %s", name))
	}
	if !wait {
		return s, nil
	}
	for _, u := range d.uploads(failedUploads) {
		switch {
		case u.State == api.UploadParked:
		case !u.Waits() || !u.Since.Before(began):
			continue // done, or newer than the question
		case u.Problem == nil:
			u.Problem = &api.Problem{Code: api.CodeUnpublished, What: u.Path + " waits for another change, which has to be published first.",
				Means: "It is kept on this computer until then.", Do: "See to that one; moorage status " + name + " has them all."}
		}
		s.Failed = append(s.Failed, u)
	}
	if err != nil && len(s.Failed) == 0 {
		return api.Synced{}, problem.Of(err, d.settings().URL)
	}
	return s, nil
}

// cannotSync is why nothing of d, which is not mounted, can be published; nil if
// there is nothing.
func (d *drive) cannotSync() error {
	k, name := d.keeps(), d.name()
	if !k.any() {
		return nil
	}
	return problem.New(api.ExitFailed, api.CodeNotMounted, fmt.Sprintf("%q is not mounted, so %s cannot be published.", name, k.changes()),
		"What was changed is kept on this computer.", fmt.Sprintf("Mount it: moorage mount %s", name))
}

// changes says how many.
func (k kept) changes() string {
	switch {
	case k.err != nil:
		return "its changes"
	case k.pending.Files == 1:
		return "1 change"
	}
	return fmt.Sprintf("%d changes", k.pending.Files)
}

// named is how many changes a refusal names.
const named = 3

// wouldLose refuses to remove a drive whose changes are not published. It is
// called by run.
func (d *drive) wouldLose(k kept) *api.Error {
	if d.barred != nil {
		return d.barred
	}
	st := d.settings()
	place := d.m.o.State.Dir(d.id)
	undo := fmt.Sprintf("Publish first: moorage sync %s --wait. Or give up what was changed: moorage remove %s --force.", st.Name, st.Name)
	if d.live == nil {
		undo = fmt.Sprintf("Publish first: moorage mount %s, then moorage sync %s --wait. Or give up what was changed: moorage remove %s --force.", st.Name, st.Name, st.Name)
	}
	if k.err != nil {
		return problem.New(api.ExitFailed, api.CodeUnpublished, fmt.Sprintf("It cannot be told whether all changes of %q are on %s: %v.", st.Name, st.URL, k.err),
			fmt.Sprintf("What is not lies in %s, and would be lost with the drive.", place),
			fmt.Sprintf("Mount it to see; or give them up with moorage remove %s --force.", st.Name))
	}
	var names []string
	for _, u := range k.uploads[:min(len(k.uploads), named)] {
		names = append(names, u.Path)
	}
	list := strings.Join(names, ", ")
	if more := k.pending.Files - len(names); more > 0 && list != "" {
		list += fmt.Sprintf(" and %d more", more)
	}
	if list != "" {
		list = ": " + list
	}
	return problem.New(api.ExitFailed, api.CodeUnpublished, fmt.Sprintf("%s of %q %s not on %s yet%s.", capital(k.changes()), st.Name, isAre(k), st.URL, list),
		fmt.Sprintf("This computer has the only copy, in %s, and would lose it with the drive.", place), undo)
}

func isAre(k kept) string {
	if k.err == nil && k.pending.Files == 1 {
		return "is"
	}
	return "are"
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// waiting is what keeps a mounted drive from being removed.
func (d *drive) waiting() kept {
	var k kept
	d.use(func(s *Source) {
		k.pending = s.health().Pending
		if s.Ledger == nil {
			return
		}
		for _, u := range s.Ledger(named) {
			if u.State != api.UploadDone && u.State != api.UploadConflict {
				k.uploads = append(k.uploads, u)
			}
		}
	})
	return k
}

// parked is what a mounted drive shows while changes wait for a person.
func parked(n int, name string) *api.Problem {
	what := fmt.Sprintf("%d changes could not be published.", n)
	if n == 1 {
		what = "A change could not be published."
	}
	return &api.Problem{Code: api.CodeUnpublished, What: what,
		Means: "What was changed is safe on this computer, but not on the remote, and is not tried again by itself.",
		Do:    fmt.Sprintf("See why with moorage status %s; then try again with moorage sync %s.", name, name)}
}
