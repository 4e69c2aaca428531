package mounts_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/providers"
)

// journal is what a drive keeps for its remote: a file with a path in each line.
// Paths that begin with "secret" are refused by the remote; it does not answer
// about those that begin with "slow", and those that begin with "held" wait for others.
type journal struct{ dir string }

func (j journal) file() string { return filepath.Join(j.dir, "journal") }

func (j journal) read() ([]mounts.Upload, error) {
	b, err := os.ReadFile(j.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var l []mounts.Upload
	for _, p := range strings.Fields(string(b)) {
		l = append(l, mounts.Upload{Path: p, State: api.UploadSaved})
	}
	return l, err
}

func (j journal) write(paths ...string) error {
	f, err := os.CreateTemp(j.dir, "new") // renamed, since others may read meanwhile
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(paths, "\n"))
	return errors.Join(err, f.Close(), os.Rename(f.Name(), j.file()))
}

// serve has a drive tell of its journal; what it has in it was tried before.
func (j journal) serve(s *mounts.Source) {
	s.Ledger = func(limit int) []mounts.Upload {
		l, _ := j.read()
		for i := range l {
			if strings.HasPrefix(l[i].Path, "secret") {
				l[i].State, l[i].Err = api.UploadParked, providers.ErrPermission
			}
		}
		return l[:min(len(l), limit)]
	}
	s.Health = func() mounts.Health {
		h := mounts.Health{Online: true}
		for _, u := range s.Ledger(1000) {
			h.Pending.Files++
			h.Pending.Bytes++
			if u.State == api.UploadParked {
				h.Pending.Parked++
			}
		}
		return h
	}
	s.Publish = func() {}
	s.Sync = func(ctx context.Context) error {
		var left []string
		var err error
		for _, u := range s.Ledger(1000) {
			if u.State == api.UploadParked || strings.HasPrefix(u.Path, "slow") || strings.HasPrefix(u.Path, "held") {
				left = append(left, u.Path)
				err = errors.Join(err, u.Err)
			}
		}
		if werr := j.write(left...); werr != nil {
			return werr
		}
		if strings.Contains(strings.Join(left, " "), "slow") {
			<-ctx.Done()
			return ctx.Err()
		}
		return err
	}
}

// change leaves changes in the journal of drive name.
func (w *world) change(name string, paths ...string) {
	w.t.Helper()
	if err := (journal{w.state.Dir(w.stateOf(name).ID)}).write(paths...); err != nil {
		w.t.Fatal(err)
	}
}

func waiting(n int) func(api.Drive) bool {
	return func(d api.Drive) bool { return d.Pending.Files == n }
}

func keepingWorld(t *testing.T) *world {
	w := newWorld(t)
	w.opener.keeps = true
	w.start()
	return w
}

func TestSync(t *testing.T) {
	w := keepingWorld(t)
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	if s, err := w.m.Sync(t.Context(), "x", true); err != nil || s.Pending.Files != 0 {
		t.Errorf("of a drive that keeps nothing: %+v, %v", s, err)
	}
	w.mount("x")
	w.change("x", "a", "b")
	w.until("x", waiting(2))
	if l, err := w.m.Uploads(t.Context(), "x", 1); err != nil || len(l) != 1 || l[0].Path != "a" || l[0].State != api.UploadSaved {
		t.Errorf("Uploads: %+v, %v", l, err)
	}
	if s, err := w.m.Sync(t.Context(), "x", true); err != nil || s.Pending.Files != 0 || s.Failed != nil {
		t.Errorf("Sync: %+v, %v", s, err)
	}
	w.until("x", waiting(0))

	w.change("x", "a", "secret")
	s, err := w.m.Sync(t.Context(), "x", true)
	if err != nil || s.Pending.Files != 1 || len(s.Failed) != 1 || s.Failed[0].Path != "secret" {
		t.Fatalf("Sync of what is refused: %+v, %v", s, err)
	}
	if p := s.Failed[0].Problem; p == nil || p.Code != api.CodePermission || p.What == "" || p.Means == "" || !strings.Contains(p.Do, "moorage sync x") {
		t.Errorf("the reason: %+v", p)
	}
	d := w.until("x", func(d api.Drive) bool { return d.Problem != nil })
	if d.State != api.Mounted || d.Problem.Code != api.CodeUnpublished || d.Pending.Parked != 1 {
		t.Errorf("with a change that is refused: %+v", d)
	}
	w.change("x", "held")
	if s, err := w.m.Sync(t.Context(), "x", true); err != nil || len(s.Failed) != 1 || s.Failed[0].Problem == nil {
		t.Errorf("Sync of what waits for something else: %+v, %v", s, err)
	}
	w.change("x")
	w.until("x", func(d api.Drive) bool { return d.Problem == nil })

	w.change("x", "slow")
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := w.m.Sync(ctx, "x", true)
		got <- err
	}()
	if s, err := w.m.Sync(t.Context(), "x", false); err != nil || s.Pending.Files != 1 {
		t.Errorf("Sync that does not wait: %+v, %v", s, err)
	}
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("Sync that was called off: %v", err)
	}
}

// A drive that is unmounted with changes keeps them, also when nobody wanted it
// to be remembered and the service starts anew.
func TestUnpublishedChangesAreKept(t *testing.T) {
	w := keepingWorld(t)
	w.add(api.AddDrive{URL: "fake:x"})
	w.mount("x")
	w.change("x", "a", "b")
	d, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true})
	if err != nil || d.State != api.Stopped || d.Pending.Files != 2 {
		t.Fatalf("unmounted: %+v, %v", d, err)
	}
	if _, err := w.m.Sync(t.Context(), "x", true); code(err) != api.CodeNotMounted {
		t.Errorf("Sync of a drive that is not mounted: %v", err)
	}
	for range 2 {
		w.leave()
		w.start()
		w.until("x", waiting(2))
	}
	if l, err := w.m.Uploads(t.Context(), "x", 100); err != nil || len(l) != 2 || l[1].Path != "b" {
		t.Errorf("Uploads: %+v, %v", l, err)
	}
	yes := true
	if _, err := w.m.Edit(t.Context(), "x", api.EditDrive{ReadOnly: &yes}); code(err) != api.CodeUnpublished {
		t.Errorf("made read-only: %v", err)
	}
	w.mount("x")
	if _, err := w.m.Sync(t.Context(), "x", true); err != nil {
		t.Fatal(err)
	}
	if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
		t.Fatal(err)
	}
	w.untilGone("x")
	w.nothingLeft()
}

// After a crash of the service, who waits for a drive's changes waits for the drive.
func TestSyncWhileTheDriveComesUp(t *testing.T) {
	w := keepingWorld(t)
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	w.mount("x")
	w.change("x", "a")
	w.leave()
	gate := make(chan struct{})
	w.opener.set(func(o *opener) { o.fail = func(mounts.Request) error { <-gate; return nil } })
	w.start()
	w.until("x", func(d api.Drive) bool { return d.State == api.Connecting })
	got := make(chan error, 1)
	go func() {
		_, err := w.m.Sync(t.Context(), "x", true)
		got <- err
	}()
	close(gate)
	if err := <-got; err != nil {
		t.Errorf("Sync: %v", err)
	}
	w.until("x", waiting(0))
}

// After a power failure a mount is gone, and nobody could write down what waits.
func TestChangesOfAPowerFailure(t *testing.T) {
	for _, remember := range []bool{false, true} {
		w := keepingWorld(t)
		w.add(api.AddDrive{URL: "fake:x", Remember: remember})
		d := w.mount("x")
		w.change("x", "a")
		w.leave()
		if err := os.Remove(w.mounter.Path); err != nil {
			t.Fatal(err)
		}
		w.start()
		if d = w.until("x", waiting(1)); d.State != api.Stopped || d.Remembered != remember {
			t.Errorf("after the failure: %+v", d)
		}
		if err := w.m.Remove(t.Context(), "x", false); code(err) != api.CodeUnpublished {
			t.Errorf("Remove: %v", err)
		}
	}
}

func TestRemoveKeepsUnpublishedChanges(t *testing.T) {
	for _, mounted := range []bool{true, false} {
		t.Run(fmt.Sprint("mounted ", mounted), func(t *testing.T) {
			w := keepingWorld(t)
			w.add(api.AddDrive{URL: "fake:x", Remember: true})
			w.mount("x")
			w.change("x", "a", "b", "c", "d")
			if !mounted {
				if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
					t.Fatal(err)
				}
			}
			err := w.m.Remove(t.Context(), "x", false)
			if code(err) != api.CodeUnpublished {
				t.Fatalf("Remove: %v", err)
			}
			var e *api.Error
			errors.As(err, &e)
			for _, want := range []string{"4 changes", "a, b, c and 1 more", w.state.Dir(w.stateOf("x").ID), "moorage sync x", "--force"} {
				if p := e.Problem; !strings.Contains(p.What+p.Means+p.Do, want) {
					t.Errorf("it says %+v, without %q", p, want)
				}
			}
			if n := len(w.table()); (n == 1) != mounted {
				t.Errorf("%d mounts after the refusal", n)
			}
			if err := w.m.Remove(t.Context(), "x", true); err != nil {
				t.Fatal(err)
			}
			w.untilGone("x")
			w.nothingLeft()
		})
	}
}

// Whoever edits the address of a drive must not send its changes elsewhere, nor
// lose them.
func TestEditedURLKeepsChanges(t *testing.T) {
	for _, mounted := range []bool{false, true} {
		t.Run(fmt.Sprint("mounted ", mounted), func(t *testing.T) {
			w := keepingWorld(t)
			w.add(api.AddDrive{URL: "fake:x", Remember: true})
			w.mount("x")
			w.change("x", "a")
			if !mounted {
				if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
					t.Fatal(err)
				}
			}
			w.leave()
			b, err := os.ReadFile(w.config)
			if err != nil {
				t.Fatal(err)
			}
			edited := []byte(strings.Replace(string(b), "fake:x", "fake:y", 1))
			for range 2 {
				if err := os.WriteFile(w.config, edited, 0o600); err != nil {
					t.Fatal(err)
				}
				w.start()
				if d := w.until("x", in(api.Failed)); d.Problem == nil || d.Problem.Code != api.CodeUnpublished {
					t.Errorf("with another address: %+v", d)
				}
				if n := len(w.table()); n != 0 {
					t.Errorf("%d mounts", n)
				}
				if _, err := w.m.Mount(t.Context(), "x", true); code(err) != api.CodeUnpublished {
					t.Errorf("Mount: %v", err)
				}
				if err := w.m.Remove(t.Context(), "x", false); code(err) != api.CodeUnpublished {
					t.Errorf("Remove: %v", err)
				}
				w.leave()
			}
			if err := os.WriteFile(w.config, b, 0o600); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.mount("x")
			if d := w.until("x", waiting(1)); d.URL != "fake:x" {
				t.Errorf("with the old address: %+v", d)
			}
		})
	}
}

// A thousand changes of a drive are told in a few events.
func TestNoStormOfEvents(t *testing.T) {
	w := keepingWorld(t)
	w.opener.waves = make(chan struct{})
	w.add(api.AddDrive{URL: "fake:x"})
	w.mount("x")
	s := w.hub.Subscribe()
	defer s.Close()
	told := make(chan int)
	go func() {
		n := 0
		for {
			e, err := s.Next(t.Context())
			if err != nil || e.Drive != nil && e.Drive.Pending.Files == 7 {
				told <- n
				return
			}
			n++
		}
	}()
	for range 1000 {
		w.opener.waves <- struct{}{}
	}
	w.change("x", strings.Fields("1 2 3 4 5 6 7")...)
	w.opener.waves <- struct{}{}
	if n := <-told; n > 50 {
		t.Errorf("%d events for 1000 changes", n)
	}
}
