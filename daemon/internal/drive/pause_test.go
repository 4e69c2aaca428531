package drive

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// reluctant is a remote that takes what it is sent only when it may.
type reluctant struct {
	*rough.Session
	began chan struct{} // gets a value from each Put
	may   chan struct{} // closed: Puts come through
}

func (p *reluctant) Put(ctx context.Context, at string, src providers.Source, o providers.PutOptions) (providers.Entry, error) {
	select {
	case p.began <- struct{}{}:
	case <-ctx.Done():
	}
	select {
	case <-p.may:
		return p.Session.Put(ctx, at, src, o)
	case <-ctx.Done():
		return providers.Entry{}, ctx.Err()
	}
}

func (s *sender) create(p, data string) {
	s.Helper()
	a, _, err := s.d.Create(s.Context(), owner, s.parent(p), p, nfs.CreateHow{})
	if err != nil {
		s.Fatalf("create %q: %v", p, err)
	}
	if _, _, err := s.d.Write(s.Context(), owner, a.ID, []byte(data), 0, nfs.FileSync); err != nil {
		s.Fatalf("write %q: %v", p, err)
	}
}

// While publishing is paused all else works, and a sync says so instead of waiting.
func TestPause(t *testing.T) {
	s := newSender(t, rough.Full, map[string]string{"a": "old"}, nil)
	s.d.Pause(true)
	if err := s.d.Sync(t.Context()); err != nil {
		t.Errorf("Sync without anything to be published: %v", err)
	}
	s.holds("a", "old")
	s.create("b", "new")
	if _, err := s.d.Commit(t.Context(), owner, s.find("b").ID, 0, 0); err != nil {
		t.Errorf("Commit: %v", err)
	}
	s.rename("a", "c")
	s.holds("c", "old")
	s.holds("b", "new")
	if err := s.d.Sync(t.Context()); !errors.Is(err, ErrPaused) {
		t.Errorf("Sync: %v, want ErrPaused", err)
	}
	s.d.Publish()
	s.wantRemote(map[string]string{"a": "old"})
	if st := s.d.Status(); st.Pending == 0 || !st.Online || st.Err != nil {
		t.Errorf("while paused: %+v", st)
	}
	s.d.Pause(false)
	s.publish()
	s.wantRemote(map[string]string{"c": "old", "b": "new"})
}

// What is on its way is called off, and who waits for it is told; it counts as no
// trouble of the remote.
func TestPauseDuringAnUpload(t *testing.T) {
	p := &reluctant{began: make(chan struct{}), may: make(chan struct{})}
	s := newSender(t, rough.Full, nil, func(r *rough.Session) providers.Provider {
		p.Session = r
		return p
	})
	s.create("a", "data")
	waits := make(chan error, 1)
	go func() { waits <- s.d.Sync(context.WithoutCancel(t.Context())) }()
	<-p.began
	s.d.Pause(true)
	if err := <-waits; !errors.Is(err, ErrPaused) {
		t.Errorf("Sync: %v, want ErrPaused", err)
	}
	for s.uploading() {
		time.Sleep(time.Millisecond)
	}
	if st := s.d.Status(); !st.Online || st.Err != nil || st.Pending == 0 || st.Parked != 0 {
		t.Errorf("while paused: %+v", st)
	}
	close(p.may)
	go func() { <-p.began }()
	s.wantRemote(map[string]string{})
	s.d.Pause(false)
	s.publish()
	s.wantRemote(map[string]string{"a": "data"})
}

func (s *sender) uploading() bool {
	for _, e := range s.d.Ledger(100) {
		if e.State == Uploading {
			return true
		}
	}
	return false
}

// A drive that is opened paused publishes nothing of what it had before.
func TestOpenedPaused(t *testing.T) {
	s := newSender(t, rough.Full, nil, nil)
	s.create("a", "data")
	o := s.d.o
	if err := s.d.Close(); err != nil {
		t.Fatal(err)
	}
	o.Paused, o.Quiet = true, time.Millisecond
	var err error
	if s.d, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := s.d.Sync(t.Context()); !errors.Is(err, ErrPaused) {
		t.Errorf("Sync: %v, want ErrPaused", err)
	}
	s.holds("a", "data")
	s.wantRemote(map[string]string{})
	s.d.Pause(false)
	s.publish()
	s.wantRemote(map[string]string{"a": "data"})
}
