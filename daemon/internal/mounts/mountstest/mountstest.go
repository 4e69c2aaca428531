// Package mountstest stands in for the system's NFS client in tests of drives
// and of the service: mounting for real needs root and a kernel with NFS.
package mountstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/moorage/moorage/mounter"
)

// Mounter keeps a mount table in a file, so that, like a kernel's, it outlives
// the service. Its methods may be called concurrently, but by one process at a time.
type Mounter struct {
	Path string // the table

	// OnMount is what the client does with the server when it mounts, such as a
	// MNT call; its error is the mount's. It may be nil.
	OnMount func(ctx context.Context, s mounter.Spec) error

	mu       sync.Mutex
	busy     map[string]bool
	watchers map[chan struct{}]struct{} // capacity 1 each
}

// Mount puts s into the table if its folder is there and not mounted.
func (m *Mounter) Mount(ctx context.Context, s mounter.Spec) error {
	if _, err := os.ReadDir(s.Dir); err != nil {
		return &mounter.Error{Op: "mount", Dir: s.Dir, Kind: mounter.ErrDir, What: "There is no such folder.", Err: err}
	}
	if m.OnMount != nil {
		if err := m.OnMount(ctx, s); err != nil {
			return err
		}
	}
	return m.change(func(t []mounter.Mount) ([]mounter.Mount, error) {
		if slices.ContainsFunc(t, func(o mounter.Mount) bool { return o.Dir == s.Dir }) {
			return nil, fmt.Errorf("mountstest: %s is mounted", s.Dir)
		}
		return append(t, mounter.Mount{Source: s.Address + ":" + s.Export, Dir: s.Dir, Port: s.Port, Export: s.Export, ReadOnly: s.ReadOnly}), nil
	})
}

// Unmount takes dir out of the table, unless it is busy and force is false.
func (m *Mounter) Unmount(ctx context.Context, dir string, force bool) error {
	m.mu.Lock()
	busy := m.busy[dir]
	m.mu.Unlock()
	if busy && !force {
		return &mounter.Error{Op: "unmount", Dir: dir, Kind: mounter.ErrBusy, What: "A program has files open.", Do: "Close them, or force it."}
	}
	return m.Take(dir)
}

// Take is an unmount by somebody else.
func (m *Mounter) Take(dir string) error {
	return m.change(func(t []mounter.Mount) ([]mounter.Mount, error) {
		i := slices.IndexFunc(t, func(o mounter.Mount) bool { return o.Dir == dir })
		if i < 0 {
			return nil, &mounter.Error{Op: "unmount", Dir: dir, Kind: mounter.ErrNotMounted, What: "Nothing is mounted there."}
		}
		return slices.Delete(t, i, i+1), nil
	})
}

// Put puts a mount into the table that nobody asked for.
func (m *Mounter) Put(mt mounter.Mount) error {
	return m.change(func(t []mounter.Mount) ([]mounter.Mount, error) { return append(t, mt), nil })
}

// SetBusy makes a program have files open in dir.
func (m *Mounter) SetBusy(dir string, busy bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy == nil {
		m.busy = make(map[string]bool)
	}
	m.busy[dir] = busy
}

// List reads the table.
func (m *Mounter) List(context.Context) ([]mounter.Mount, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read()
}

func (m *Mounter) read() (t []mounter.Mount, err error) {
	b, err := os.ReadFile(m.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return t, json.Unmarshal(b, &t)
}

func (m *Mounter) change(f func([]mounter.Mount) ([]mounter.Mount, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, err := m.read()
	if err == nil {
		t, err = f(t)
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(t)
	if err == nil {
		err = os.WriteFile(m.Path, b, 0o600)
	}
	for c := range m.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return err
}

// Watch calls changed after every change of the table, until ctx is done.
func (m *Mounter) Watch(ctx context.Context, changed func()) error {
	c := make(chan struct{}, 1)
	m.mu.Lock()
	if m.watchers == nil {
		m.watchers = make(map[chan struct{}]struct{})
	}
	m.watchers[c] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, c)
	}()
	for {
		select {
		case <-c:
			changed()
		case <-ctx.Done():
			return nil
		}
	}
}
