package mounts_test

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/nfs/nfstest"
)

// seen is a mount that is looked at.
type seen struct {
	w      *world
	mounts atomic.Int32
	looks  atomic.Int32
	port   atomic.Uint32
}

// see mounts a drive, looked at by look, which is told how often it was mounted.
func see(t *testing.T, every time.Duration, look func(s *seen, mounts int32) error) *seen {
	s := &seen{w: newWorld(t)}
	s.w.every = every
	s.w.mounter.OnMount = func(ctx context.Context, spec mounter.Spec) error {
		s.mounts.Add(1)
		s.port.Store(uint32(spec.Port))
		return mnt(ctx, spec)
	}
	s.w.look = func(context.Context, string) error {
		defer s.looks.Add(1)
		return look(s, s.mounts.Load())
	}
	s.w.start()
	s.w.add(api.AddDrive{URL: "fake:d"})
	d := s.w.mount("d")
	s.w.mounter.SetBusy(d.Dir, true) // whoever has files open waits in vain
	return s
}

// looked waits for n more looks.
func (s *seen) looked(n int32) {
	n += s.looks.Load()
	for began := time.Now(); s.looks.Load() < n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			s.w.t.Fatal("nobody looks at the mount")
		}
	}
}

func TestDeadMountIsMadeAgain(t *testing.T) {
	for name, why := range map[string]error{"stale": mounts.ErrStale, "silent": mounts.ErrDeaf} {
		t.Run(name, func(t *testing.T) {
			s := see(t, 50*time.Millisecond, func(_ *seen, n int32) error {
				if n == 1 {
					return why
				}
				return nil
			})
			p := s.w.until("d", in(api.Degraded)).Problem
			if p == nil || p.Code != api.CodeTimeout {
				t.Errorf("shown as %+v", p)
			}
			s.w.until("d", func(d api.Drive) bool { return d.State == api.Mounted && s.mounts.Load() == 2 })
			s.looked(3)
			if n := s.mounts.Load(); n != 2 || len(s.w.table()) != 1 {
				t.Errorf("mounted %d times, and there are %v", n, s.w.table())
			}
		})
	}
}

func TestMountThatAnswersAgainStays(t *testing.T) {
	var dead atomic.Bool
	dead.Store(true)
	s := see(t, time.Second, func(*seen, int32) error {
		if dead.Load() {
			return mounts.ErrDeaf
		}
		return nil
	})
	s.w.until("d", in(api.Degraded))
	dead.Store(false)
	s.w.until("d", in(api.Mounted))
	if n := s.mounts.Load(); n != 1 {
		t.Errorf("mounted %d times", n)
	}
}

// TestSlowMountStays: a mount by which calls arrive is not dead, however long they take.
func TestSlowMountStays(t *testing.T) {
	s := see(t, 50*time.Millisecond, func(s *seen, _ int32) error {
		c, err := nfstest.Dial(t.Context(), net.JoinHostPort("127.0.0.1", strconv.Itoa(int(s.port.Load()))), nfstest.Auth{})
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.Null(t.Context()); err != nil {
			return err
		}
		return mounts.ErrDeaf
	})
	s.looked(10)
	d, err := s.w.m.Get("d")
	if err != nil || d.State != api.Mounted || s.mounts.Load() != 1 {
		t.Errorf("%+v, %v, mounted %d times", d, err, s.mounts.Load())
	}
}

func TestNetworkChange(t *testing.T) {
	w := newWorld(t)
	moved := make(chan struct{}, 1)
	w.opener.moved = func() { moved <- struct{}{} }
	w.start()
	w.add(api.AddDrive{URL: "fake:d"})
	w.mount("d")
	w.network <- struct{}{}
	select {
	case <-moved:
	case <-time.After(30 * time.Second):
		t.Fatal("the drive was not told")
	}
	if d, err := w.m.Get("d"); err != nil || d.State != api.Mounted {
		t.Errorf("%+v, %v", d, err)
	}
}
