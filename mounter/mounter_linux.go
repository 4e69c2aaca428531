package mounter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/mounter/helper/protocol"
	"github.com/moorage/moorage/mounter/internal/linuxnfs"
)

// sbin is where mount.nfs is; it is often not on a user's PATH.
var sbin = []string{"/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin"}

func (m *Mounter) mount(ctx context.Context, s Spec) error {
	table, err := linuxnfs.Table()
	if err != nil {
		return err
	}
	if err := freePoint(table, s.Dir); err != nil {
		return err
	}
	if err := checkDir(s.Dir); err != nil {
		return err
	}
	if s.Dir, err = resolveParent(s.Dir); err != nil {
		return err
	}
	if err := freePoint(table, s.Dir); err != nil {
		return err
	}
	if !MayMount() {
		return m.asRoot(ctx, "mount", s.Dir, protocol.Request{Port: s.Port,
			Mount: &protocol.Spec{Drive: s.Drive, Dir: s.Dir, Export: s.Export, Root: s.Root, ReadOnly: s.ReadOnly}})
	}
	if path := findMountNFS(); path != "" && len(s.Root) == 0 {
		err = m.mountByCommand(ctx, path, s)
	} else {
		err = mountBySyscall(s)
	}
	return err
}

// freePoint fails if something is mounted at dir.
func freePoint(table []linuxnfs.Entry, dir string) error {
	for _, mi := range table {
		if mi.Point == filepath.Clean(dir) {
			return dirError(dir, fmt.Sprintf("%s is mounted here already.", mi.Source), "Unmount it first, or choose another folder.", unix.EBUSY)
		}
	}
	return nil
}

func isMounted(dir string) bool {
	table, err := linuxnfs.Table()
	if err != nil {
		return false
	}
	for _, mi := range table {
		if mi.IsNFS() && mi.Point == dir {
			return true
		}
	}
	return false
}

// findMountNFS returns the path of a mount.nfs that can work, "" if there is
// none. It asks the C library for the number of "tcp", and gives up where the
// list of protocols (Debian's netbase) is not installed.
func findMountNFS() string {
	if _, err := os.Stat("/etc/protocols"); err != nil {
		return ""
	}
	for _, d := range sbin {
		p := filepath.Join(d, "mount.nfs")
		if fi, err := os.Stat(p); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

func (m *Mounter) mountByCommand(ctx context.Context, path string, s Spec) error {
	c := linuxMountNFS(path, s)
	said, status, err := m.run(ctx, c)
	if err == nil && status == 0 {
		return nil
	}
	if err != nil {
		// Killed, perhaps just after it was done.
		if isMounted(s.Dir) {
			return errors.Join(err, m.discard(s.Dir))
		}
		return err
	}
	return diagnose(ctx, s, saidError(c, said, status))
}

// mountBySyscall asks the kernel itself. The folder is held by a descriptor, so
// that what was checked is what is mounted on.
func mountBySyscall(s Spec) error {
	fd, err := unix.Open(s.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return dirError(s.Dir, "The folder cannot be opened.", "Choose another one.", err)
	}
	defer unix.Close(fd)
	target := fmt.Sprintf("/proc/self/fd/%d", fd)
	if len(s.Root) > 0 {
		err = linuxnfs.Mount(s.source(), target, linuxnfs.Flags(s.ReadOnly), linuxData(s))
	} else {
		err = unix.Mount(s.source(), target, "nfs", linuxnfs.Flags(s.ReadOnly), linuxKernelOptions(s))
	}
	if err == nil {
		return nil
	}
	return errnoError(s, err)
}

// errnoError says what mount(2) meant.
func errnoError(s Spec, err error) error {
	e := &Error{Op: "mount", Dir: s.Dir, Err: err}
	switch {
	case errors.Is(err, unix.EPERM):
		e.Kind, e.What, e.Do = ErrPermission, "The kernel does not let this process mount NFS.", "Run the service as root of the host, not of a container."
	case errors.Is(err, unix.ENODEV):
		e.Kind, e.What, e.Do = ErrUnsupported, noClient, noClientRemedy
	case errors.Is(err, unix.EPROTONOSUPPORT):
		e.Kind, e.What, e.Do = ErrUnsupported, "This kernel's NFS client knows no NFS version 3.", noClientRemedy
	case errors.Is(err, unix.EBUSY):
		e.Kind, e.What, e.Do = ErrDir, "The folder is in use as a mount point.", "Choose another folder."
	case errors.Is(err, unix.ECONNREFUSED):
		e.Kind, e.What, e.Do = ErrRefused, fmt.Sprintf("Nothing listens on %s port %d.", s.Address, s.Port), "Start the drive's server first."
	case errors.Is(err, unix.ETIMEDOUT):
		e.Kind, e.What, e.Do = ErrTimeout, fmt.Sprintf("The server on %s port %d does not answer.", s.Address, s.Port), "Try again."
	default:
		// Not the export's path: what protects the drive may be in it.
		e.Kind, e.What, e.Do = ErrRefused, fmt.Sprintf("The system could not mount from the server on %s port %d.", s.Address, s.Port),
			"Try again; the kernel's log (dmesg) may say more."
	}
	return e
}

const (
	noClient       = "This kernel has no NFS client."
	noClientRemedy = "Load it with modprobe nfs, install the kernel's extra modules, or use a machine whose kernel has it. " +
		"moorage serve URL works without it."
)

// diagnose says why mount.nfs failed, from facts and not from its words.
func diagnose(ctx context.Context, s Spec, cause error) error {
	if !kernelHasNFS() {
		return &Error{Op: "mount", Dir: s.Dir, Kind: ErrUnsupported, Err: cause,
			What: noClient, Do: noClientRemedy}
	}
	switch alive(ctx, s.Address, s.Port) {
	case serverGone:
		return errnoError(s, fmt.Errorf("%w: %w", unix.ECONNREFUSED, cause))
	case serverSilent:
		return errnoError(s, fmt.Errorf("%w: %w", unix.ETIMEDOUT, cause))
	}
	return errnoError(s, cause)
}

// discard takes a mount away that nobody wants any more.
func (m *Mounter) discard(dir string) error {
	return umount(dir, unix.MNT_FORCE|unix.MNT_DETACH)
}

func umount(dir string, flags int) error {
	// UMOUNT_NOFOLLOW also keeps the kernel from asking the mount about itself.
	if err := unix.Unmount(dir, flags|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("umount2: %w", err)
	}
	return nil
}

// mountOf gives mi as callers see it.
func mountOf(mi linuxnfs.Entry) Mount {
	return Mount{Source: mi.Source, Dir: mi.Point, Port: mi.Port(), Export: exportOf(mi.Source), ReadOnly: mi.ReadOnly()}
}

func listMounts() ([]Mount, error) {
	table, err := linuxnfs.Table()
	if err != nil {
		return nil, err
	}
	var all []Mount
	for _, mi := range table {
		if mi.IsNFS() {
			all = append(all, mountOf(mi))
		}
	}
	return all, nil
}

// unmount asks by system call and not by umount(8), which would send the export's
// path to whoever listens on its port by then.
func (m *Mounter) unmount(ctx context.Context, dir string, force bool) error {
	var mt Mount
	var addr string
	err := bounded(ctx, forceTimeout, func(context.Context) error {
		table, err := linuxnfs.Table()
		if err != nil {
			return err
		}
		var all []Mount
		for _, mi := range table {
			if mi.IsNFS() {
				all = append(all, mountOf(mi))
			}
		}
		found, ok := findMount(all, dir)
		if !ok {
			return notMounted(dir)
		}
		mt = found
		for _, mi := range table {
			if mi.Point == found.Dir && mi.IsNFS() {
				addr = mi.Address()
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !MayMount() {
		if force && alive(ctx, addr, mt.Port) == serverAnswers {
			err := m.asRoot(ctx, "unmount", mt.Dir, protocol.Request{Unmount: mt.Dir})
			if err == nil || errors.Is(err, ErrPermission) {
				return err
			}
		}
		return m.asRoot(ctx, "unmount", mt.Dir, protocol.Request{Unmount: mt.Dir, Force: force})
	}
	wait := unmountTimeout
	if force {
		wait = gentleTimeout
	}
	// Plain first, also by force: it lets written data reach a living server. With
	// a dead one it might never come back.
	if !force || alive(ctx, addr, mt.Port) == serverAnswers {
		err := bounded(ctx, wait, func(context.Context) error { return umount(mt.Dir, 0) })
		if err == nil {
			return nil
		}
		if !force {
			return unmountError(ctx, mt.Dir, err)
		}
	}
	// One call: MNT_FORCE alone is refused while files are open, and MNT_DETACH
	// alone leaves writers behind that no signal ends.
	err = bounded(ctx, forceTimeout, func(context.Context) error {
		return umount(mt.Dir, unix.MNT_FORCE|unix.MNT_DETACH)
	})
	if err == nil || errors.Is(err, unix.EINVAL) && !isMounted(mt.Dir) {
		return nil // or the plain call came through in between
	}
	return unmountError(ctx, mt.Dir, err)
}

func unmountError(ctx context.Context, dir string, err error) error {
	e := &Error{Op: "unmount", Dir: dir, Err: err}
	switch {
	case errors.Is(err, unix.EBUSY):
		sayBusy(ctx, e)
	case errors.Is(err, unix.EPERM):
		e.Kind, e.What, e.Do = ErrPermission, "Only root may unmount this.", "Run the service as root."
	case errors.Is(err, unix.EINVAL):
		return notMounted(dir)
	default:
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return e
}

// sayBusy says who keeps e.Dir from being unmounted.
func sayBusy(ctx context.Context, e *Error) {
	e.Kind, e.What, e.Do = ErrBusy, "Files of this drive are open.", "Close them, or force it."
	if inner := mountsBelow(e.Dir); len(inner) > 0 {
		e.Who = inner
		e.What, e.Do = "Something else is mounted inside this drive: "+strings.Join(inner, ", ")+".", "Unmount that first, or force it."
	} else if who := holders(ctx, e.Dir); len(who) > 0 {
		e.Who = who
		e.What = "Files of this drive are open in " + strings.Join(who, ", ") + "."
	}
}

func mountsBelow(dir string) []string {
	table, err := linuxnfs.Table()
	if err != nil {
		return nil
	}
	var inner []string
	for _, mi := range table {
		if mi.Point != dir && isBelow(mi.Point, dir) {
			inner = append(inner, mi.Point)
		}
	}
	return inner
}

func isBelow(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/')
}
