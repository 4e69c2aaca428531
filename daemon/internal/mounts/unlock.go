package mounts

import (
	"context"
	"errors"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/state"
)

// maxLocked is the longest pause between two looks at a keyring that is locked. A
// look asks nobody and leaves the remote alone.
const maxLocked = 10 * time.Second

// waitsFor reports whether d failed with err because its secret cannot be read now.
func (d *drive) waitsFor(err error) bool { return secrets.Unreachable(err) && d.settings().Secret }

// waitForSecret shows that d waits for a person to unlock what has its secret, and
// plans to look for that.
func (d *drive) waitForSecret(e *api.Error) {
	d.rest(api.NeedsYou, e)
	d.plan(maxLocked)
	d.locked = true
}

// stillLocked reports whether d's secret cannot be read yet, and plans the next look.
// Nothing is shown or logged again: it was said when the wait began.
func (d *drive) stillLocked(ctx context.Context) bool {
	if !d.settings().Secret {
		return false
	}
	d.stopRetry()
	_, err := d.m.o.Secrets.Get(ctx, d.id)
	switch {
	case errors.Is(err, secrets.ErrDismissed): // do not ask again what was just refused
		d.rest(api.NeedsYou, problem.Of(err, d.settings().URL))
	case secrets.Unreachable(err):
		d.plan(maxLocked)
		d.locked = true
	default:
		d.attempts = 0
		return false
	}
	return true
}

// Unlocked has the drives that wait for their secret tried again now.
func (m *Manager) Unlocked() {
	for _, d := range m.all() {
		if d.lacksSecret() {
			d.connecting()
			d.put(op{kind: opMount, retry: true})
		}
	}
}

// Look has the drives that wait for their secret look at once whether it is there. It
// shows nothing if it is not.
func (m *Manager) Look() {
	for _, d := range m.all() {
		if d.lacksSecret() {
			d.put(op{kind: opMount, retry: true, quiet: true})
		}
	}
}

// lacksSecret reports whether d is down because its secret cannot be read.
func (d *drive) lacksSecret() bool {
	v := d.describe()
	if v.State != api.NeedsYou || v.Problem == nil {
		return false
	}
	switch v.Problem.Code {
	case api.CodeKeyring, api.CodeLocked, api.CodeSlowKeyring, api.CodePassphrase, api.CodeSecretFile:
		return true
	}
	return false
}

// Secrets tells the names of the drives that have a secret, by its id.
func (m *Manager) Secrets() map[string]string {
	names := make(map[string]string)
	for _, d := range m.all() {
		if st := d.settings(); st.Secret {
			names[st.ID] = st.Name
		}
	}
	return names
}

// keepSecret stores the secret of a new drive. It comes before anything that others
// wait for: a keyring may take its time.
func (m *Manager) keepSecret(ctx context.Context, st *state.Drive, secret string) error {
	if secret == "" {
		return nil
	}
	if err := m.o.Secrets.Set(ctx, st.ID, secret); err != nil {
		return problem.Of(err, st.URL)
	}
	st.Secret = true
	return nil
}
