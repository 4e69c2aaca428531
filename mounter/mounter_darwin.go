package mounter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func (m *Mounter) mount(ctx context.Context, s Spec) error {
	all, err := statfsAll()
	if err != nil {
		return err
	}
	if err := freePoint(all, s.Dir); err != nil {
		return err
	}
	// The Finder leaves a .DS_Store in every folder that it has shown.
	if err := checkDir(s.Dir, ".DS_Store"); err != nil {
		return err
	}
	if s.Dir, err = resolveParent(s.Dir); err != nil {
		return err
	}
	if err := freePoint(all, s.Dir); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(s.Dir, &st); err == nil && os.Geteuid() != 0 && int(st.Uid) != os.Geteuid() {
		return &Error{Op: "mount", Dir: s.Dir, Kind: ErrPermission,
			What: "The folder belongs to somebody else.", Do: "Choose a folder of your own."}
	}
	c := darwinMountNFS(s)
	said, status, err := m.run(ctx, c)
	if err == nil && status == 0 {
		return nil
	}
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return &Error{Op: "mount", Dir: s.Dir, Kind: ErrUnsupported, What: c.path + " is missing.", Do: "It is part of macOS: repair the system.", Err: err}
		}
		if now, lerr := listMounts(); lerr == nil {
			if _, ok := findMount(now, s.Dir); ok {
				return errors.Join(err, m.discard(s.Dir))
			}
		}
		return err
	}
	cause := saidError(c, said, status)
	switch alive(ctx, s.Address, s.Port) {
	case serverGone:
		return &Error{Op: "mount", Dir: s.Dir, Kind: ErrRefused, Err: cause,
			What: fmt.Sprintf("Nothing listens on %s port %d.", s.Address, s.Port), Do: "Start the drive's server first."}
	case serverSilent:
		return &Error{Op: "mount", Dir: s.Dir, Kind: ErrTimeout, Err: cause,
			What: fmt.Sprintf("The server on %s port %d does not answer.", s.Address, s.Port), Do: "Try again."}
	}
	return &Error{Op: "mount", Dir: s.Dir, Kind: ErrRefused, Err: cause,
		What: fmt.Sprintf("macOS could not mount the drive's server on %s port %d.", s.Address, s.Port),
		Do:   "An organisation may forbid network drives; try again, or ask who looks after this Mac."}
}

// statfsAll reads what the kernel knows already: MNT_NOWAIT asks no server.
func statfsAll() ([]unix.Statfs_t, error) {
	for {
		n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
		if err != nil {
			return nil, fmt.Errorf("getfsstat: %w", err)
		}
		buf := make([]unix.Statfs_t, n+8)
		if n, err = unix.Getfsstat(buf, unix.MNT_NOWAIT); err != nil {
			return nil, fmt.Errorf("getfsstat: %w", err)
		}
		if n < len(buf) { // else some came in between
			return buf[:n], nil
		}
	}
}

func freePoint(all []unix.Statfs_t, dir string) error {
	for i := range all {
		if unix.ByteSliceToString(all[i].Mntonname[:]) == filepath.Clean(dir) {
			return dirError(dir, fmt.Sprintf("%s is mounted here already.", unix.ByteSliceToString(all[i].Mntfromname[:])),
				"Unmount it first, or choose another folder.", unix.EBUSY)
		}
	}
	return nil
}

func listMounts() ([]Mount, error) {
	all, err := statfsAll()
	if err != nil {
		return nil, err
	}
	var out []Mount
	for i := range all {
		if unix.ByteSliceToString(all[i].Fstypename[:]) != "nfs" {
			continue
		}
		src := unix.ByteSliceToString(all[i].Mntfromname[:])
		out = append(out, Mount{Source: src, Export: exportOf(src),
			Dir: unix.ByteSliceToString(all[i].Mntonname[:]), ReadOnly: all[i].Flags&unix.MNT_RDONLY != 0})
	}
	return out, nil
}

func (m *Mounter) discard(dir string) error {
	if err := unix.Unmount(dir, unix.MNT_FORCE); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return nil
}

func (m *Mounter) unmount(ctx context.Context, dir string, force bool) error {
	var mt Mount
	err := bounded(ctx, forceTimeout, func(context.Context) error {
		all, err := listMounts()
		if err != nil {
			return err
		}
		found, ok := findMount(all, dir)
		if !ok {
			return notMounted(dir)
		}
		mt = found
		return nil
	})
	if err != nil {
		return err
	}
	wait := unmountTimeout
	if force {
		wait = gentleTimeout
	}
	err = bounded(ctx, wait, func(context.Context) error { return unix.Unmount(mt.Dir, 0) })
	if err == nil {
		return nil
	}
	if !force {
		return unmountError(mt.Dir, err)
	}
	err = bounded(ctx, forceTimeout, func(context.Context) error { return m.discard(mt.Dir) })
	if err == nil {
		return nil
	}
	c := darwinForceUnmount(mt.Dir)
	return bounded(ctx, forceTimeout, func(ctx context.Context) error {
		said, status, rerr := m.run(ctx, c)
		switch {
		case rerr != nil:
			return rerr
		case status != 0:
			return unmountError(mt.Dir, errors.Join(err, saidError(c, said, status)))
		}
		return nil
	})
}

func unmountError(dir string, err error) error {
	e := &Error{Op: "unmount", Dir: dir, Err: err}
	switch {
	case errors.Is(err, unix.EBUSY):
		e.Kind, e.What, e.Do = ErrBusy, "Files of this drive are open.", "Close them, or force it."
	case errors.Is(err, unix.EPERM):
		e.Kind, e.What, e.Do = ErrPermission, "The drive was mounted by somebody else.", "Ask them, or unmount it as root."
	case errors.Is(err, unix.EINVAL):
		return notMounted(dir)
	default:
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return e
}

func probe(context.Context) []Check {
	c := Check{Name: "nfs client", OK: true, Detail: "macOS has an NFS client, and mounting needs no administrator."}
	if _, err := os.Stat("/sbin/mount_nfs"); err != nil {
		c.OK, c.Detail, c.Remedy = false, "/sbin/mount_nfs is missing.", "It is part of macOS: repair the system."
	}
	return []Check{c}
}
