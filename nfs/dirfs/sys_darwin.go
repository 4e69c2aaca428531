package dirfs

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// nameFlags open an object only to stand for it: a symbolic link is itself.
const nameFlags = unix.O_EVTONLY | unix.O_SYMLINK | unix.O_CLOEXEC

// hostStat is what the host tells about an object.
type hostStat struct {
	attr  nfs.Attr // without ID
	ino   uint64
	birth int64
	gen   uint32
	mount mountKey
}

// mountKey tells a mounted volume from another one while both are mounted.
type mountKey struct{ dev uint64 }

func statFD(fd int, _ bool) (hostStat, error) {
	var st unix.Stat_t
	if err := ignoringEINTR(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return hostStat{}, err
	}
	return hostStat{
		attr: nfs.Attr{
			Type: typeOf(uint32(st.Mode)), Mode: uint32(st.Mode) & modePerm, Nlink: uint32(st.Nlink), UID: st.Uid, GID: st.Gid,
			Size: uint64(st.Size), Used: uint64(st.Blocks) * 512,
			Major: unix.Major(uint64(st.Rdev)), Minor: unix.Minor(uint64(st.Rdev)),
			Atime: time.Unix(st.Atim.Unix()), Mtime: time.Unix(st.Mtim.Unix()), Ctime: time.Unix(st.Ctim.Unix()),
		},
		ino: st.Ino, birth: st.Btim.Nano(), mount: mountKey{uint64(uint32(st.Dev))},
	}, nil
}

// inodeHandle gives what openHandle needs: APFS and HFS+ do not use an inode
// number again.
func inodeHandle(fd int) (handle string, gen uint32, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", 0, err
	}
	return string(binary.LittleEndian.AppendUint64(nil, st.Ino)), 0, nil
}

// openHandle opens the object of a handle on the volume that fd is on.
// ESTALE: the inode is gone.
func openHandle(volume int, handle string) (fd int, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(volume, &st); err != nil {
		return -1, err
	}
	if len(handle) != 8 {
		return -1, unix.EOPNOTSUPP
	}
	fd, err = unix.Open(volumePath(st.Dev, binary.LittleEndian.Uint64([]byte(handle))), nameFlags, 0)
	if err == unix.ENOENT {
		err = unix.ESTALE
	}
	return fd, err
}

// volumePath names an object by its volume and inode number (volfs).
func volumePath(dev int32, ino uint64) string {
	return "/.vol/" + strconv.FormatInt(int64(dev), 10) + "/" + strconv.FormatUint(ino, 10)
}

// selfPath names the object behind d for the calls that take no descriptor.
// The name is that of the object, not of a place.
func selfPath(d *desc) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return "", err
	}
	return volumePath(st.Dev, st.Ino), nil
}

// checkSelfPath says whether selfPath can be used here.
func checkSelfPath(d *desc) error {
	p, err := selfPath(d)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return fmt.Errorf("this volume gives no access by file number (volfs): %w", err)
	}
	return nil
}

// reopen opens the object behind d once more, with other rights.
func reopen(d *desc, flags int) (int, error) {
	p, err := selfPath(d)
	if err != nil {
		return -1, err
	}
	fd, err := openat(unix.AT_FDCWD, p, flags|unix.O_NOFOLLOW)
	if err != nil {
		return -1, err
	}
	var was, is unix.Stat_t
	if unix.Fstat(d.fd, &was) != nil || unix.Fstat(fd, &is) != nil || was.Dev != is.Dev || was.Ino != is.Ino {
		unix.Close(fd)
		return -1, unix.EIO
	}
	return fd, nil
}

func chmodFD(d *desc, mode uint32) error { return unix.Fchmod(d.fd, mode) }

func chownFD(d *desc, uid, gid int) error { return unix.Fchown(d.fd, uid, gid) }

const (
	utimeNow  = -1
	utimeOmit = -2
)

func utimesFD(d *desc, ts [2]unix.Timespec) error {
	p, err := selfPath(d)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, p, ts[:], unix.AT_SYMLINK_NOFOLLOW)
}

func readlinkFD(d *desc, buf []byte) (int, error) {
	p, err := selfPath(d)
	if err != nil {
		return 0, err
	}
	return unix.Readlink(p, buf)
}

func linkFD(d *desc, dirfd int, name string) error {
	p, err := selfPath(d)
	if err != nil {
		return err
	}
	return unix.Linkat(unix.AT_FDCWD, p, dirfd, name, 0)
}

func mknodAt(dirfd int, name string, mode uint32, major, minor uint32) error {
	dir, err := selfPath(&desc{fd: dirfd})
	if err != nil {
		return err
	}
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return unix.Mkfifo(dir+"/"+name, 0)
	case unix.S_IFBLK, unix.S_IFCHR:
		return unix.Mknod(dir+"/"+name, mode, int(unix.Mkdev(major, minor)))
	}
	return unix.ENOTSUP
}

// fsync goes through to the disk: fsync(2) alone ends at the drive's cache.
func fsync(fd int) error {
	err := ignoringEINTR(func() error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0)
		return err
	})
	if err == unix.ENOTSUP || err == unix.EINVAL || err == unix.ENOTTY {
		err = ignoringEINTR(func() error { return unix.Fsync(fd) })
	}
	return err
}

func fdatasync(fd int) error { return fsync(fd) }

// syncVolume syncs the volume that fd is on: F_FULLFSYNC of any of its files
// flushes what was handed to the drive, sync(2) hands over the rest.
func syncVolume(fd int, _ bool) error {
	if err := unix.Sync(); err != nil {
		return err
	}
	return fsync(fd)
}

// openBeforeUnlink opens v for its data, because volfs names no object whose
// last name is gone.
func openBeforeUnlink(f *FS, v *victim) {
	if v.attr.Type != nfs.TypeRegular {
		return
	}
	for _, need := range []uint8{canRead | canWrite, canRead} {
		if d, err := f.open(v.id, v.desc, need); err == nil {
			f.fds.release(v.desc)
			v.desc = d
			return
		}
	}
}

// statName is for what lists names without descriptors, which this system does not.
func statName(int, string) (hostStat, error) { return hostStat{}, unix.ENOTSUP }

// identifyName is examine without a descriptor, which this system cannot do.
func (f *FS) identifyName(*desc, string) (o object, ok bool, err error) { return o, false, nil }

// readDirFD calls add for the entries of the directory behind fd from its
// begin, with their type (0: not known). Inode numbers are not told.
func readDirFD(fd int, add func(name string, ino uint64, typ nfs.FileType) bool) error {
	own, err := unix.Dup(fd)
	if err != nil {
		return err
	}
	unix.CloseOnExec(own)
	d := os.NewFile(uintptr(own), "directory")
	defer d.Close()
	for {
		entries, err := d.ReadDir(1024)
		for _, e := range entries {
			typ := nfs.FileType(0)
			switch {
			case e.IsDir():
				typ = nfs.TypeDirectory
			case e.Type().IsRegular():
				typ = nfs.TypeRegular
			case e.Type()&os.ModeSymlink != 0:
				typ = nfs.TypeSymlink
			}
			if !add(e.Name(), 0, typ) {
				return nil
			}
		}
		if len(entries) == 0 {
			return ignoreEOF(err)
		}
	}
}
