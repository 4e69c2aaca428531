package mounter

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// The bounds of the operations.
const (
	mountTimeout   = 30 * time.Second
	unmountTimeout = 30 * time.Second // a plain unmount: written data goes to the server first
	gentleTimeout  = 4 * time.Second  // a plain one before a forced one
	forceTimeout   = 10 * time.Second // each other step of a forced one
	grace          = 2 * time.Second  // for a killed command to end
)

// Mount makes the mount s and returns when the system has it. It fails with an
// *Error, or with a plain error if s itself is malformed. The folder is checked
// before anything is asked of the system: absolute, there, no symlink, empty and
// no mount point. After s.Timeout, or when ctx ends, the attempt is killed or
// given up, and nothing of it stays.
func (m *Mounter) Mount(ctx context.Context, s Spec) error {
	if err := s.validate(); err != nil {
		return err
	}
	if s.Timeout <= 0 {
		s.Timeout = mountTimeout
	}
	s.Timeout += patience()
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()

	a := &attempt{done: make(chan error, 1)}
	m.mu.Lock()
	if m.pending[s.Dir] != nil {
		m.mu.Unlock()
		return &Error{Op: "mount", Dir: s.Dir, Kind: ErrBusy,
			What: "An earlier attempt to mount here has not come back yet.", Do: "Wait, or choose another folder."}
	}
	if m.pending == nil {
		m.pending = make(map[string]*attempt)
	}
	m.pending[s.Dir] = a
	m.mu.Unlock()

	go func() {
		err := m.mount(ctx, s)
		m.mu.Lock()
		delete(m.pending, s.Dir)
		late := a.givenUp
		m.mu.Unlock()
		if late && err == nil {
			m.log().Warn("a mount came back after it was given up; taking it away", "dir", s.Dir)
			if err := m.discard(s.Dir); err != nil {
				m.log().Error("the late mount stays", "dir", s.Dir, "err", err)
			}
		}
		a.done <- err
	}()

	ended, err := a.wait(ctx)
	if !ended {
		m.mu.Lock()
		a.givenUp = m.pending[s.Dir] == a // else it has just come back
		lost := a.givenUp
		m.mu.Unlock()
		if !lost {
			err = <-a.done
		} else {
			err = ctx.Err()
		}
	}
	switch {
	case err == nil:
		m.log().Info("mounted", "dir", s.Dir, "port", s.Port)
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("mount %s: %w", s.Dir, err)
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Op: "mount", Dir: s.Dir, Kind: ErrTimeout,
			What: fmt.Sprintf("The mount was not made within %s and was given up.", s.Timeout),
			Do:   "See whether the drive's server answers, then try again.", Err: err}
	}
	return err
}

// attempt is one operation on a goroutine of its own.
type attempt struct {
	done    chan error // capacity 1: the goroutine never waits for a reader
	givenUp bool       // guarded by Mounter.mu
}

// wait returns true and what the operation said, or false when it did not say anything by
// the end of ctx and the grace that a killed command needs.
func (a *attempt) wait(ctx context.Context) (ended bool, err error) {
	select {
	case err := <-a.done:
		return true, err
	case <-ctx.Done():
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case err := <-a.done:
		return true, err
	case <-t.C:
		return false, nil
	}
}

// bounded runs f, which may be a system call that cannot be interrupted, and
// gives context.DeadlineExceeded when it does not return within d.
func bounded(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	a := &attempt{done: make(chan error, 1)}
	go func() { a.done <- f(ctx) }()
	if ended, err := a.wait(ctx); ended {
		return err
	}
	return ctx.Err()
}

// Unmount takes the NFS mount at dir away. Without force it fails with ErrBusy
// while files of it are open, and waits up to 30 s for written data to reach the
// server. With force it takes the mount away from whoever uses it: what they had
// not written back is lost to them. The folder itself is never touched.
func (m *Mounter) Unmount(ctx context.Context, dir string, force bool) error {
	ctx, cancel := context.WithTimeout(ctx, unmountTimeout+3*forceTimeout+patience())
	defer cancel()
	err := m.unmount(ctx, dir, force)
	switch {
	case err == nil:
		m.log().Info("unmounted", "dir", dir, "force", force)
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("unmount %s: %w", dir, err)
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Op: "unmount", Dir: dir, Kind: ErrTimeout,
			What: "The system did not finish the unmount in time; the drive's server does not answer, or much is still being written.",
			Do:   "Try again, or force it.", Err: err}
	}
	return err
}

// List gives the NFS mounts of the system, also those of others. It reads the
// system's table and never touches a mount.
func (m *Mounter) List(ctx context.Context) ([]Mount, error) {
	var all []Mount
	err := bounded(ctx, forceTimeout, func(context.Context) error {
		l, err := listMounts()
		if err == nil {
			all = l
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return all, nil
}

// RemoveStale forces every NFS mount away that stale says is one, such as those
// that a service left behind whose server is gone. It tries all of them and
// returns those that it removed; err joins the failures.
func (m *Mounter) RemoveStale(ctx context.Context, stale func(Mount) bool) (removed []Mount, err error) {
	all, err := m.List(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, mt := range all {
		if !stale(mt) {
			continue
		}
		if err := m.Unmount(ctx, mt.Dir, true); err != nil && !errors.Is(err, ErrNotMounted) {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, mt)
	}
	return removed, errors.Join(errs...)
}

// Probe looks at what this system has for mounting, without mounting anything.
func (m *Mounter) Probe(ctx context.Context) []Check {
	var checks []Check
	err := bounded(ctx, forceTimeout, func(ctx context.Context) error {
		checks = probe(ctx)
		return nil
	})
	if err != nil {
		return []Check{{Name: "nfs client", Detail: "The system did not answer in time.", Remedy: "Try again."}}
	}
	return checks
}

// notMounted is the failure of an unmount where there is nothing to take away.
func notMounted(dir string) error {
	return &Error{Op: "unmount", Dir: dir, Kind: ErrNotMounted, What: "There is no NFS mount here."}
}

// findMount gives the last of all whose folder is dir: of mounts over each other
// the one that is seen. The folder above dir may be reached through a symlink;
// dir itself is never looked at.
func findMount(all []Mount, dir string) (Mount, bool) {
	dir = filepath.Clean(dir)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Dir == dir {
			return all[i], true
		}
	}
	real, err := resolveParent(dir)
	if err != nil || real == dir {
		return Mount{}, false
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Dir == real {
			return all[i], true
		}
	}
	return Mount{}, false
}

// exportOf is the path of a source "host:/path" or "[v6]:/path".
func exportOf(source string) string {
	if i := strings.Index(source, ":/"); i >= 0 {
		return source[i+1:]
	}
	return ""
}

// resolveParent resolves the symlinks above dir. It touches the folders above,
// so callers run it bounded.
func resolveParent(dir string) (string, error) {
	parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
	if err != nil {
		return "", fmt.Errorf("resolve folder above %s: %w", dir, err)
	}
	return filepath.Join(parent, filepath.Base(dir)), nil
}
