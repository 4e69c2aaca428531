package mounts_test

import (
	"context"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/secrets"
)

// signsIn makes all drives need their secret.
func (w *world) signsIn() {
	w.opener.set(func(o *opener) {
		o.fail = func(r mounts.Request) error {
			_, err := r.Secret(w.t.Context())
			return err
		}
	})
}

// unlock makes the keyring answer, and all who ask go on.
func (w *world) unlock() {
	w.secrets.fail(nil)
	go func() {
		for {
			select {
			case <-w.secrets.asked:
			case <-w.t.Context().Done():
				return
			}
		}
	}()
}

// A drive whose secret cannot be reached at login says so once, waits, and comes up
// when it can be.
func TestLockedAtLogin(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		code string
	}{
		"locked":  {secrets.ErrLocked, api.CodeLocked},
		"absent":  {secrets.ErrNoProvider, api.CodeKeyring},
		"slow":    {secrets.ErrTimeout, api.CodeSlowKeyring},
		"no file": {secrets.ErrFileLocked, api.CodePassphrase},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.signsIn()
			w.start()
			w.add(api.AddDrive{URL: "fake:x", Secret: "s", Auto: true})
			w.add(api.AddDrive{URL: "fake:other", Auto: true})
			w.leave()

			w.secrets.fail(tt.err)
			w.secrets.asked = make(chan struct{})
			w.opener.set(func(o *opener) {
				fail := o.fail
				o.fail = func(r mounts.Request) error {
					if r.URL == "fake:other" { // one that needs no secret is not held up
						return nil
					}
					return fail(r)
				}
			})
			w.start()
			w.until("other", in(api.Mounted))
			<-w.secrets.asked
			first := w.until("x", in(api.NeedsYou))
			if first.Problem == nil || first.Problem.Code != tt.code {
				t.Fatalf("it says %+v", first.Problem)
			}
			for range 4 {
				<-w.secrets.asked // it looks again
			}
			now, err := w.m.Get("x")
			if err != nil || now.State != api.NeedsYou || !now.Since.Equal(first.Since) || now.Problem == nil || !now.Problem.Time.Equal(first.Problem.Time) {
				t.Errorf("it was said again: %+v, %v", now, err)
			}
			w.unlock()
			w.until("x", in(api.Mounted))
		})
	}
}

// A mount that was left by a service that was killed stays while the keyring is locked.
func TestLockedAfterACrash(t *testing.T) {
	w := newWorld(t)
	w.signsIn()
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Secret: "s", Auto: true})
	w.mount("x")
	w.leave()
	w.secrets.fail(secrets.ErrLocked)
	w.secrets.asked = make(chan struct{})
	w.start()
	for range 3 {
		<-w.secrets.asked
	}
	if l := w.table(); len(l) != 1 {
		t.Errorf("the mount is gone: %v", l)
	}
	w.unlock()
	w.until("x", in(api.Mounted))
}

// A prompt that a person closed is not shown again by itself, and once the keyring is
// unlocked by us nobody waits for the next look.
func TestDismissed(t *testing.T) {
	w := newWorld(t)
	w.signsIn()
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Secret: "s", Auto: true})
	w.secrets.fail(secrets.ErrDismissed)
	if _, err := w.m.Mount(t.Context(), "x", true); code(err) != api.CodeLocked {
		t.Fatalf("Mount: %v", err)
	}
	w.secrets.asked = make(chan struct{}, 1)
	w.secrets.fail(nil)
	w.m.Unlocked()
	w.until("x", in(api.Mounted))
	if n := len(w.secrets.asked); n != 1 {
		t.Errorf("the keyring was asked %d times", n)
	}
}

// While a keyring takes its time over one drive, others are added, mounted and removed.
func TestSlowKeyringHoldsNobodyUp(t *testing.T) {
	w := newWorld(t)
	w.start()
	entered, release := make(chan struct{}), make(chan struct{})
	w.secrets.onSet = func() {
		close(entered)
		<-release
	}
	added := make(chan error, 1)
	go func() {
		_, err := w.m.Add(context.WithoutCancel(t.Context()), api.AddDrive{URL: "fake:x", Secret: "s", Remember: true})
		added <- err
	}()
	<-entered
	w.add(api.AddDrive{URL: "fake:y", Remember: true})
	w.mount("y")
	if err := w.m.Remove(t.Context(), "y", false); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-added; err != nil {
		t.Error(err)
	}
	w.mount("x")
}
