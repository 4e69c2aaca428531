package helper

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/mounter/helper/protocol"
	"github.com/moorage/moorage/mounter/internal/linuxnfs"
)

// Place is where something is or will be mounted, held by descriptors: whatever is
// renamed or replaced meanwhile, it stays the folder that was looked at.
type Place struct {
	parent   int // O_PATH, the folder that has the mount point
	target   int // O_PATH, the mount point; -1 if something is mounted there
	ParentID FileID
	Name     string
}

// Close gives the place up.
func (p *Place) Close() {
	unix.Close(p.parent)
	if p.target >= 0 {
		unix.Close(p.target)
	}
}

// hosts are the file systems that may be mounted on: those that hold people's
// folders. On others, such as proc, a user owns what must not be covered, and those
// that she serves herself (FUSE) tell whatever she likes.
var hosts = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "overlay", "zfs", "bcachefs", "ecryptfs", "jfs", "nfs", "nfs4"}

// Open implements System.
func (k *Kernel) Open(c Caller, dir string) (*Place, error) {
	p := &Place{target: -1, Name: filepath.Base(dir)}
	err := asUser(c, func() (err error) {
		if p.parent, err = openFolder(unix.AT_FDCWD, filepath.Dir(dir), 0); err != nil {
			return err
		}
		// Nothing may be mounted there already, which would be another device.
		if p.target, err = openFolder(p.parent, p.Name, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV); err != nil {
			unix.Close(p.parent)
		}
		return err
	})
	if err != nil {
		return nil, dirError(err)
	}
	if err := k.check(p, c.UID); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// check looks at the very folder that will be mounted on.
func (k *Kernel) check(p *Place, uid uint32) error {
	st, err := stat(p.target)
	if err != nil {
		return failed("look at the folder", err)
	}
	if st.Uid != uid || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return &protocol.Error{Kind: protocol.BadDir, What: "The folder is not yours."}
	}
	if st, err = stat(p.parent); err != nil {
		return failed("look at the folder", err)
	}
	p.ParentID = fileID(st)
	table, err := k.Table()
	if err != nil {
		return failed("read the table of mounts", err)
	}
	id, err := mountID(p.target)
	if err != nil {
		return failed("look at the folder", err)
	}
	i := slices.IndexFunc(table, func(e linuxnfs.Entry) bool { return e.ID == id })
	if i < 0 || !slices.Contains(hosts, table[i].FSType) {
		return &protocol.Error{Kind: protocol.BadDir, What: "Drives are not mounted on this kind of file system."}
	}
	return nil
}

// Reopen implements System. The mount itself is not touched: its server may be dead.
func (k *Kernel) Reopen(c Caller, r Record, dir string) (*Place, error) {
	p := &Place{target: -1, ParentID: r.Parent, Name: r.Name}
	err := asUser(c, func() (err error) {
		p.parent, err = openFolder(unix.AT_FDCWD, filepath.Dir(dir), 0)
		return err
	})
	if err != nil {
		return nil, dirError(err)
	}
	st, err := stat(p.parent)
	if err == nil && (fileID(st) != r.Parent || filepath.Base(dir) != r.Name) {
		err = &protocol.Error{Kind: protocol.Busy, What: "The folder was moved just now."}
	}
	if err != nil {
		p.Close()
		return nil, failed("look at the folder", err)
	}
	return p, nil
}

func openFolder(at int, path string, resolve uint64) (int, error) {
	return unix.Openat2(at, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | resolve,
	})
}

// stat does not wait for a server, if the file system has one.
func stat(fd int) (unix.Statx_t, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_BASIC_STATS, &st)
	return st, err
}

func fileID(st unix.Statx_t) FileID {
	return FileID{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino}
}

// mountID is the mount that a descriptor is on, as numbered in the table of mounts.
func mountID(fd int) (int, error) {
	f, err := os.Open(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "mnt_id:"); ok {
			return strconv.Atoi(strings.TrimSpace(v))
		}
	}
	return 0, errors.New("no mnt_id in fdinfo")
}

func dirError(err error) error {
	e := &protocol.Error{Kind: protocol.BadDir, What: "The folder cannot be opened.", Err: err}
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR): // also for a link at the end
		e.What = "This is no folder, or there is a symbolic link in its path."
	case errors.Is(err, unix.ENOENT):
		e.What = "The folder does not exist."
	case errors.Is(err, unix.EACCES):
		e.What = "The folder is not yours."
	case errors.Is(err, unix.EXDEV):
		e.What = "Something is mounted here already."
	}
	return e
}

// asUser runs f on a thread whose rights in file systems are c's.
func asUser(c Caller, f func() error) error {
	return onThread(func() error {
		var groups unsafe.Pointer
		gid := nobody
		if len(c.Groups) > 0 {
			groups, gid = unsafe.Pointer(&c.Groups[0]), int(c.Groups[0])
		}
		// The wrappers of package syscall would do this to all threads.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(c.Groups)), uintptr(groups), 0); errno != 0 {
			return errno
		}
		// These give no error, only what was set before.
		unix.Setfsgid(gid)
		unix.Setfsuid(int(c.UID))
		if now, err := unix.SetfsuidRetUid(-1); err != nil || now != int(c.UID) {
			return unix.EPERM
		}
		return f()
	})
}

const nobody = 65534

// onThread runs f on a thread that ends with it: what f changes of the thread stays
// there. It is never the first one, which cannot end.
func onThread(f func() error) error {
	c := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			c <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		c <- f()
	}()
	return <-c
}
