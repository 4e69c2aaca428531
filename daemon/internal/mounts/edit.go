package mounts

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/state"
)

// Add makes a drive known. When it fails, nothing of the drive is left.
func (m *Manager) Add(ctx context.Context, a api.AddDrive) (api.Drive, error) {
	if err := m.usable(); err != nil {
		return api.Drive{}, err
	}
	var loc Location
	var err error
	if a.Beside != "" {
		loc, err = m.beside(ctx, &a)
	} else {
		loc, err = m.o.Opener.Parse(a.URL)
	}
	if err != nil {
		return api.Drive{}, problem.Of(err, "the drive")
	}
	if a.Secret == "" {
		a.Secret = loc.Secret
	}
	if a.Dir != "" {
		if !filepath.IsAbs(a.Dir) && !isVolume(a.Dir) {
			return api.Drive{}, problem.New(api.ExitUsage, api.CodeBadDir, fmt.Sprintf("%q is not an absolute path.", a.Dir), "", "Give the whole path of a folder.")
		}
		a.Dir = filepath.Clean(a.Dir)
	}
	if _, err := m.newName(a.Name, loc.Name); err != nil {
		return api.Drive{}, err
	}
	st, err := state.New(m.o.Rand)
	if err != nil {
		return api.Drive{}, err
	}
	st.URL, st.Dir, st.ReadOnly, st.Remembered = loc.URL, a.Dir, a.ReadOnly, a.Remember || a.Auto
	if err := m.keepSecret(ctx, &st, a.Secret); err != nil {
		return api.Drive{}, err
	}
	m.edits.Lock()
	defer m.edits.Unlock()
	if st.Name, err = m.newName(a.Name, loc.Name); err == nil {
		err = m.store(st, a.Auto)
	}
	if err != nil {
		m.erase(st)
		return api.Drive{}, problem.Of(err, loc.URL)
	}
	d := m.newDrive(st, loc, a.Auto)
	m.mu.Lock()
	m.drives[st.Name] = d
	m.mu.Unlock()
	d.show(func(*api.Drive) {})
	m.run(d)
	return d.describe(), nil
}

// newName is the name of a new drive: the one that is wanted, or one like usual.
func (m *Manager) newName(wanted, usual string) (string, error) {
	if m.isStopping() {
		return "", errStopping()
	}
	taken := func(n string) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.drives[n] != nil
	}
	if wanted == "" {
		wanted = unique(usual, taken)
	}
	if err := checkName(wanted); err != nil {
		return "", err
	}
	if taken(wanted) {
		return "", exists(wanted)
	}
	return wanted, nil
}

// store writes down what must be known of a new drive.
func (m *Manager) store(st state.Drive, auto bool) error {
	if err := m.o.State.Save(st); err != nil {
		return err
	}
	if !st.Remembered {
		return nil
	}
	return m.o.Config.Put(entry(st, auto))
}

func entry(st state.Drive, auto bool) config.Drive {
	return config.Drive{ID: st.ID, Name: st.Name, URL: st.URL, Dir: st.Dir, ReadOnly: st.ReadOnly, Auto: auto}
}

func exists(name string) error {
	return problem.New(api.ExitFailed, api.CodeExists, fmt.Sprintf("There is a drive named %q already.", name), "", "Choose another name.")
}

// Edit changes a drive. What a mount depends on cannot change while there is one.
func (m *Manager) Edit(ctx context.Context, name string, e api.EditDrive) (api.Drive, error) {
	if err := m.usable(); err != nil {
		return api.Drive{}, err
	}
	if e.Revision != nil {
		d, err := m.find(name)
		if err == nil {
			err = m.revise(ctx, d, *e.Revision)
		}
		if err != nil {
			return api.Drive{}, err
		}
	}
	m.edits.Lock()
	defer m.edits.Unlock()
	d, err := m.find(name)
	if err != nil {
		return api.Drive{}, err
	}
	was := d.settings()
	st, auto := was, d.describe().Auto
	set(&st.Name, e.Name)
	set(&st.Dir, e.Dir)
	set(&st.ReadOnly, e.ReadOnly)
	set(&auto, e.Auto)
	st.Remembered = st.Remembered || auto
	if st.Dir != "" {
		if !filepath.IsAbs(st.Dir) && !isVolume(st.Dir) {
			return api.Drive{}, problem.New(api.ExitUsage, api.CodeBadDir, fmt.Sprintf("%q is not an absolute path.", st.Dir), "", "Give the whole path of a folder.")
		}
		st.Dir = filepath.Clean(st.Dir)
	}
	if st.Name != was.Name {
		if err := checkName(st.Name); err != nil {
			return api.Drive{}, err
		}
		if _, err := m.find(st.Name); err == nil {
			return api.Drive{}, exists(st.Name)
		}
	}
	apply := func(s *state.Drive) {
		s.Name, s.Dir, s.ReadOnly, s.Remembered = st.Name, st.Dir, st.ReadOnly, st.Remembered
	}
	if k := d.keeps(); st.ReadOnly && !was.ReadOnly && k.any() {
		return api.Drive{}, problem.New(api.ExitFailed, api.CodeUnpublished, fmt.Sprintf("%s of %q cannot be published from a drive that is read-only.", capital(k.changes()), was.Name),
			"The drive stays as it is.", fmt.Sprintf("Publish them first: moorage mount %s, then moorage sync %s --wait.", was.Name, was.Name))
	}
	release := func() {}
	if st.Name != was.Name || st.Dir != was.Dir || st.ReadOnly != was.ReadOnly {
		if release, err = d.hold(); err != nil {
			return api.Drive{}, err
		}
	}
	defer release()
	if st.Remembered {
		if err := m.o.Config.Put(entry(st, auto)); err != nil {
			return api.Drive{}, problem.Of(err, st.URL)
		}
	}
	if err := d.save(apply); err != nil {
		// The config has the last word, and gives the state when it is loaded next.
		d.log.Warn("the drive's state could not be written", "err", err)
		d.mu.Lock()
		apply(&d.st)
		d.mu.Unlock()
	}
	m.mu.Lock()
	delete(m.drives, was.Name)
	m.drives[st.Name] = d
	m.mu.Unlock()
	if st.Name != was.Name {
		m.o.Events.Remove(was.Name)
	}
	d.mu.Lock()
	d.auto = auto
	d.mu.Unlock()
	d.show(func(*api.Drive) {})
	return d.describe(), nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// hold keeps d from being mounted until release is called; it fails if d is
// mounted, or on its way.
func (d *drive) hold() (release func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.st.Mount != nil || d.view.State == api.Connecting { // whoever asks for a mount shows Connecting first
		return nil, problem.New(api.ExitFailed, api.CodeMounted, fmt.Sprintf("%q is mounted, or about to be.", d.st.Name),
			"Its name, folder and mode cannot change now.", "Unmount it first.")
	}
	d.held = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held = false
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}, nil
}

// Remove unmounts a drive and forgets it, its state, cache and secret. Changes
// that are not published keep it from that, unless they are to be discarded.
func (m *Manager) Remove(ctx context.Context, name string, discard bool) error {
	d, err := m.find(name)
	if err != nil {
		return err
	}
	done := make(chan *api.Error, 1)
	d.put(op{kind: opForget, force: discard, done: done})
	select {
	case err := <-done:
		if err != nil {
			return err
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetSecret stores the secret of a drive in the keyring, or takes it away. A
// drive that waits for one is mounted then.
func (m *Manager) SetSecret(ctx context.Context, name, secret string) error {
	d, err := m.find(name)
	if err != nil {
		return err
	}
	if secret == "" {
		err = m.o.Secrets.Delete(ctx, d.id)
	} else {
		err = m.o.Secrets.Set(ctx, d.id, secret)
	}
	if err == nil {
		err = d.save(func(s *state.Drive) { s.Secret = secret != "" })
		if isGone(err) && secret != "" {
			err = errors.Join(err, m.o.Secrets.Delete(ctx, d.id))
		}
	}
	if err != nil {
		return problem.Of(err, d.settings().URL)
	}
	if secret != "" && d.describe().State == api.NeedsYou {
		d.connecting()
		d.put(op{kind: opMount, retry: true})
	}
	return nil
}

// isGone reports whether err says that the drive was removed meanwhile.
func isGone(err error) bool {
	e, ok := errors.AsType[*api.Error](err)
	return ok && e.Problem.Code == api.CodeNoDrive
}
