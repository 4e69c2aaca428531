package mounts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/nfs"
)

const (
	openTimeout  = time.Minute      // to sign in
	mountTimeout = 30 * time.Second // for the system to mount
	stopTimeout  = 10 * time.Second // for calls in work when a drive goes
)

// connect takes d from nothing to mounted, or back to nothing.
func (d *drive) connect(ctx context.Context) (err error) {
	st := d.settings()
	if err := checkName(st.Name); err != nil { // somebody may have written it into the config file
		return err
	}
	dir, create := st.Dir, false
	if dir == "" {
		dir, create = d.m.defaultDir(st.Name), true
	}
	p, err := d.m.preparePlace(ctx, dir, create)
	if err != nil {
		return err
	}
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	undo = append(undo, func() { d.m.removePlace(p) })

	src, err := d.open(ctx, p.dir)
	if err != nil {
		return err
	}
	undo = append(undo, func() { d.closeSource(src) })
	d.step("list")
	if err := src.List(ctx, OwnUID(), OwnGID()); err != nil {
		return err
	}

	d.step("mount")
	l, held, err := d.listen(ctx, st.Port)
	if err != nil {
		return mountProblem(err, st.Name, p.dir)
	}
	if !held {
		undo = append(undo, d.unkeep)
	}
	token, err := state.NewToken(d.m.o.Rand)
	if err != nil {
		l.Close()
		return err
	}
	mnt := state.Mount{Dir: p.dir, Export: "/" + token + "/" + st.Name, ReadOnly: st.ReadOnly || src.ReadOnly, Made: p.made, Held: held}
	srv, g, err := d.serve(l, src, mnt)
	if err != nil {
		return err
	}
	undo = append(undo, func() { d.stopServer(srv) })

	// Whoever finds the mount after a crash must know it, so this comes first.
	undo = append(undo, func() {
		if err := d.save(func(s *state.Drive) { s.Mount = nil }); err != nil {
			d.log.Warn("the drive's state could not be written", "err", err)
		}
	})
	if err := d.save(func(s *state.Drive) { s.Port, s.Mount = srv.Addr().Port(), &mnt }); err != nil {
		return err
	}
	root, err := srv.nfs.RootHandle(mnt.Export)
	if err != nil {
		return fmt.Errorf("make the root's handle: %w", err)
	}
	g.open()
	err = d.m.o.Mounter.Mount(ctx, mounter.Spec{Address: srv.Addr().Addr().String(), Port: srv.Addr().Port(), Export: mnt.Export,
		Root: root, Dir: mnt.Dir, ReadOnly: mnt.ReadOnly, Timeout: mountTimeout, Drive: d.id, Held: mnt.Held})
	g.close()
	if err != nil {
		d.clearFailed(ctx, mnt)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return mountProblem(err, st.Name, mnt.Dir)
	}
	d.live = &live{src: src, srv: srv, gate: g, mount: mnt}
	d.offer(src)
	d.m.catchUp(d)
	return nil
}

// clearFailed makes sure that a mount that failed did not come about after all.
func (d *drive) clearFailed(ctx context.Context, mnt state.Mount) {
	ctx = context.WithoutCancel(ctx)
	table, err := d.m.o.Mounter.List(ctx)
	if err == nil && d.in(table, mnt) {
		err = d.m.o.Mounter.Unmount(ctx, mnt.Dir, true)
	}
	if err != nil {
		d.log.Warn("clearing up after a failed mount failed", "err", err)
	}
}

// open signs in to the remote, or opens the folder.
func (d *drive) open(ctx context.Context, dir string) (*Source, error) {
	if d.barred != nil {
		return nil, d.barred
	}
	d.step("sign-in")
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	cache, err := d.cacheDir(ctx)
	if err != nil {
		return nil, err
	}
	return d.m.o.Opener.Open(ctx, d.request(dir, cache))
}

// request is what d is opened with, to be mounted at dir.
func (d *drive) request(dir, cache string) Request {
	st := d.settings()
	return Request{
		URL: st.URL, Dir: dir, StateDir: d.m.o.State.Dir(d.id), CacheDir: cache, CacheLimit: d.m.setup.Load().cacheLimit, ReadOnly: st.ReadOnly, Paused: d.m.isPaused(),
		UID: OwnUID(), GID: OwnGID(), Private: true, Logger: d.log,
		Secret: func(ctx context.Context) (string, error) {
			if !d.settings().Secret { // a locked keyring is not asked in vain
				return "", secrets.ErrNotFound
			}
			return d.m.o.Secrets.Get(ctx, d.id)
		},
	}
}

// listen opens d's listener: one of the mount helper's, which has it for as long as
// the drive is mounted, or else an own one. The port is the one that d had before, or
// a free one: no mount depends on the old one.
func (d *drive) listen(ctx context.Context, port uint16) (l net.Listener, held bool, err error) {
	if l, err = d.m.hold(ctx, d.id, port); !errors.Is(err, mounter.ErrNoHelper) {
		return l, true, err
	}
	if port != 0 {
		l, err := d.own(ctx, port)
		if err == nil {
			return l, false, nil
		}
		d.log.Info("the drive gets another port", "port", port, "err", err)
	}
	if l, err = d.own(ctx, 0); err != nil {
		return nil, false, fmt.Errorf("listen for the drive: %w", err)
	}
	return l, false, nil
}

// hold asks the mount helper for the listener of drive id.
func (m *Manager) hold(ctx context.Context, id string, port uint16) (net.Listener, error) {
	h, ok := m.o.Mounter.(Holder)
	if !ok {
		return nil, mounter.ErrNoHelper
	}
	return h.Listen(ctx, id, port)
}

func loopback(port uint16) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))) }

// serve starts d's server on l, with the gate for MNT closed.
func (d *drive) serve(l net.Listener, src *Source, mnt state.Mount) (*Server, *gate, error) {
	g := &gate{clock: d.m.o.Clock}
	st := d.settings()
	stats := new(nfs.Stats)
	if !mnt.Held { // else nobody but the system's client can connect
		l = &checkedListener{Listener: l, check: d.m.o.CheckPeer, log: d.log}
	}
	srv, err := Start(l, nfs.Export{
		Path: mnt.Export, FS: src.FS, Key: st.Key, FSID: st.FSID, ReadOnly: mnt.ReadOnly,
		Squash: onlyOwner(OwnUID()), AllowMount: g.allow,
	}, d.log, stats)
	if err == nil {
		d.count(stats)
	}
	return srv, g, err
}

func (d *drive) stopServer(s *Server) {
	d.count(nil)
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		d.log.Warn("calls of the drive did not come back", "err", err)
	}
}

func (d *drive) closeSource(s *Source) {
	if err := s.close(); err != nil {
		d.log.Warn("closing the drive failed", "err", err)
	}
}

// down stops to serve a drive whose mount is gone, or is left for the next service.
func (d *drive) down(unmounted bool) {
	l := d.live
	d.live, d.pulse = nil, pulse{}
	d.stopServer(l.srv)
	d.offer(nil)
	d.closeSource(l.src)
	if l.src.Sync != nil {
		d.look()
	}
	if unmounted {
		d.unmounted(l.mount)
	}
}

// unmount takes the mount away, if there is one.
func (d *drive) unmount(ctx context.Context, force bool) *api.Error {
	d.stopRetry()
	switch {
	case d.live != nil:
		err := d.m.o.Mounter.Unmount(ctx, d.live.mount.Dir, force)
		if err != nil && !errors.Is(err, mounter.ErrNotMounted) {
			d.log.Warn("unmounting failed", "force", force, "err", err)
			return mountProblem(err, d.name(), d.live.mount.Dir)
		}
		d.down(true)
		d.log.Info("unmounted")
	case d.settings().Mount != nil:
		if err := d.discard(ctx); err != nil {
			return err
		}
	}
	d.rest(api.Stopped, nil)
	d.goneUnlessRemembered()
	return nil
}

// discard forces a mount away that nobody serves (any more).
func (d *drive) discard(ctx context.Context) *api.Error {
	mnt := *d.settings().Mount
	if err := d.m.o.Mounter.Unmount(ctx, mnt.Dir, true); err != nil && !errors.Is(err, mounter.ErrNotMounted) {
		d.log.Error("a mount that nobody serves stays", "dir", mnt.Dir, "err", err)
		return mountProblem(err, d.name(), mnt.Dir)
	}
	d.unmounted(mnt)
	return nil
}

// unmounted clears up after a mount that is gone.
func (d *drive) unmounted(mnt state.Mount) {
	if !mnt.Held {
		d.unkeep()
	}
	d.m.removePlace(place{dir: mnt.Dir, made: mnt.Made})
	n := d.keeps().count()
	if err := d.save(func(s *state.Drive) { s.Mount, s.Unpublished = nil, n }); err != nil {
		d.log.Warn("the drive's state could not be written", "err", err)
	}
}

// forget unmounts d, takes it out of the config and ends it. With discard that
// is done also if changes are lost by it.
func (d *drive) forget(ctx context.Context, discard bool) *api.Error {
	d.stopRetry()
	switch {
	case d.live != nil:
		if k := d.waiting(); k.any() && !discard {
			return d.wouldLose(k)
		}
		if err := d.m.o.Mounter.Unmount(ctx, d.live.mount.Dir, false); err != nil && !errors.Is(err, mounter.ErrNotMounted) {
			return mountProblem(err, d.name(), d.live.mount.Dir)
		}
		d.down(true)
		d.rest(api.Stopped, nil)
	case d.settings().Mount != nil:
		if err := d.discard(ctx); err != nil {
			return err
		}
	}
	if k := d.look(); k.any() && !discard { // the system may have written something when it unmounted
		d.show(func(*api.Drive) {})
		return d.wouldLose(k)
	}
	d.m.edits.Lock()
	defer d.m.edits.Unlock()
	st := d.settings()
	if st.Remembered {
		if err := d.m.o.Config.Remove(d.id); err != nil {
			return problem.Of(err, st.URL)
		}
	}
	d.gone()
	return nil
}

// goneUnlessRemembered ends a drive that was wanted only while it was mounted. It
// stays while it has changes that are not published.
func (d *drive) goneUnlessRemembered() {
	d.m.edits.Lock() // an edit may be about to remember it
	defer d.m.edits.Unlock()
	if !d.settings().Remembered && !d.keeps().any() {
		d.gone()
	}
}

// gone ends d and removes its traces. The caller holds Manager.edits.
func (d *drive) gone() {
	d.over = true
	d.saving.Lock() // what is being saved is saved, and removed below
	d.mu.Lock()
	d.erased = true
	d.mu.Unlock()
	d.saving.Unlock()
	d.m.unlist(d)
	d.m.erase(d.settings())
}

// leave ends d; its mount waits for the next service.
func (d *drive) leave() {
	d.over = true
	if d.live != nil {
		d.down(false)
	}
}

// table looks whether the mount was taken away by somebody else.
func (d *drive) table(ctx context.Context, table []mounter.Mount) {
	if d.live == nil || d.in(table, d.live.mount) {
		return
	}
	// The table may have been read before the mount was there.
	table, err := d.m.o.Mounter.List(ctx)
	if err != nil || d.in(table, d.live.mount) {
		return
	}
	d.log.Info("the mount was taken away by somebody else")
	d.down(true)
	d.rest(api.Stopped, nil)
	d.goneUnlessRemembered()
}

// collapse is for a server that ended by itself: without it everybody who
// touches the mount hangs, and another program could take its port.
func (d *drive) collapse() {
	mnt := d.live.mount
	err := d.live.srv.err
	if uerr := d.m.o.Mounter.Unmount(d.m.ctx, mnt.Dir, true); uerr != nil && !errors.Is(uerr, mounter.ErrNotMounted) {
		d.log.Error("the mount of a drive without server stays", "err", uerr)
		d.down(false)
	} else {
		d.down(true)
	}
	d.rest(api.Failed, problem.New(api.ExitFailed, api.CodeInternal, fmt.Sprintf("The drive's server ended: %v.", err),
		"The drive was unmounted.", "Mount it again."))
}

// errPortTaken explains why a mount could not be taken up.
func errPortTaken(port uint16, unmounted bool) *api.Error {
	means := "The drive was unmounted, because that program could have shown other files in it."
	if !unmounted {
		means = "The drive's folder may show that program's files."
	}
	return problem.New(api.ExitFailed, api.CodePortTaken, fmt.Sprintf("While the service was away, another program took port %d of the drive.", port),
		means, "Mount it again: it gets another port.")
}
