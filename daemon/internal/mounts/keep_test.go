package mounts_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/mounter"
)

// keep is a keeper in this process.
type keep struct {
	mu   sync.Mutex
	kept map[string]net.Listener
	fail error
}

func (k *keep) Listen(_ context.Context, drive string, port uint16) (net.Listener, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return nil, k.fail
	}
	l := k.kept[drive]
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))); err != nil {
			return nil, err
		}
		k.kept[drive] = l
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}

func (k *keep) Drop(_ context.Context, drive string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.kept[drive]; l != nil {
		delete(k.kept, drive)
		return l.Close()
	}
	return nil
}

func (k *keep) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.kept)
}

func mounted(d api.Drive) bool { return d.State == api.Mounted }

// The port of a mounted drive stays taken while no service runs, and is free when the
// drive is not mounted any more.
func TestPortIsKept(t *testing.T) {
	w := newWorld(t)
	k := &keep{kept: make(map[string]net.Listener)}
	w.keep = k
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	before := w.mount("x")
	w.leave()
	if l, err := net.Listen("tcp", before.Address); err == nil {
		l.Close()
		t.Error("somebody has taken the port")
	}
	w.start()
	if after := w.until("x", mounted); after.Address != before.Address {
		t.Errorf("it is at %s, and was at %s", after.Address, before.Address)
	}
	if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
		t.Fatal(err)
	}
	if n := k.count(); n != 0 {
		t.Errorf("%d listeners are kept of no drive", n)
	}
	w.mounter.OnMount = func(context.Context, mounter.Spec) error { return errors.New("no") }
	if _, err := w.m.Mount(t.Context(), "x", true); err == nil {
		t.Error("it was mounted")
	}
	if n := k.count(); n != 0 {
		t.Errorf("%d listeners are kept of a drive that could not be mounted", n)
	}
}

// A keeper that fails, or keeps another port, keeps no drive from being mounted.
func TestWithoutAKeeper(t *testing.T) {
	w := newWorld(t)
	k := &keep{kept: make(map[string]net.Listener), fail: errors.New("broken")}
	w.keep = k
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	before := w.mount("x")
	w.leave()
	k.fail = nil
	other, err := net.Listen("tcp", "127.0.0.1:0") // of a mount that is long gone
	if err != nil {
		t.Fatal(err)
	}
	ids, err := w.state.IDs()
	if err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	k.kept[ids[0]] = other
	w.start()
	if after := w.until("x", mounted); after.Address != before.Address {
		t.Errorf("it is at %s, and was at %s", after.Address, before.Address)
	}
}
