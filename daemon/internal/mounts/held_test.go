package mounts_test

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts/mountstest"
	"github.com/moorage/moorage/mounter"
)

// holder keeps the listeners of drives, as the mount helper does.
type holder struct {
	*mountstest.Mounter
	mu   sync.Mutex
	held map[string]*os.File
	fail int // so many calls
}

func (h *holder) Listen(_ context.Context, drive string, _ uint16) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail > 0 {
		h.fail--
		return nil, mounter.ErrNoHelper
	}
	if h.held[drive] == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			return nil, err
		}
		if h.held == nil {
			h.held = make(map[string]*os.File)
		}
		h.held[drive] = f
	}
	return net.FileListener(h.held[drive])
}

// The mount helper's listener stays while no service runs, and the next one gets it
// again, also when the helper takes a moment.
func TestListenerOfTheHelper(t *testing.T) {
	w := newWorld(t)
	w.holder = &holder{Mounter: w.mounter}
	k := &kernel{}
	var spec mounter.Spec
	w.mounter.OnMount = func(ctx context.Context, s mounter.Spec) error {
		spec = s
		return k.onMount(ctx, s)
	}
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	before := w.mount("x")
	if st := w.stateOf("x"); !spec.Held || spec.Drive != st.ID || st.Mount == nil || !st.Mount.Held {
		t.Errorf("mounted with %+v, state %+v", spec, st)
	}
	w.leave()
	c, err := net.Dial("tcp", before.Address)
	if err != nil {
		t.Fatalf("while no service runs: %v", err)
	}
	c.Close()
	w.holder.mu.Lock()
	w.holder.fail = 3
	w.holder.mu.Unlock()
	w.start()
	if after := w.until("x", in(api.Mounted)); after.Address != before.Address {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if a, err := k.dial(t, me()).Getattr(t.Context(), k.root); err != nil || a.Status != 0 {
		t.Errorf("GETATTR by the old handle: %+v, %v", a, err)
	}
	if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
		t.Error(err)
	}
}

// Without a helper a drive listens by itself.
func TestNoHelper(t *testing.T) {
	w := newWorld(t)
	w.holder = &holder{Mounter: w.mounter, fail: 1}
	w.start()
	w.add(api.AddDrive{URL: "fake:x"})
	w.mount("x")
	if st := w.stateOf("x"); st.Mount == nil || st.Mount.Held {
		t.Errorf("state %+v", st)
	}
}
