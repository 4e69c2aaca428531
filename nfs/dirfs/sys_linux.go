package dirfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// nameFlags open an object only to stand for it: no permission on it is
// needed, nothing is read or triggered, a symbolic link is itself.
const nameFlags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC

// hostStat is what the host tells about an object.
type hostStat struct {
	attr  nfs.Attr // without ID
	ino   uint64
	birth int64
	gen   uint32
	mount mountKey
}

// mountKey tells a mounted volume from another one while both are mounted.
type mountKey struct {
	mount uint64 // unique since Linux 6.8, reused after an unmount before that
	dev   uint64
}

// statFD asks without a word to a server behind a network file system, unless
// fresh is set.
func statFD(fd int, fresh bool) (hostStat, error) {
	flags := unix.AT_EMPTY_PATH | unix.AT_SYMLINK_NOFOLLOW
	if !fresh {
		flags |= unix.AT_STATX_DONT_SYNC
	}
	return statx(fd, "", flags)
}

// statName is statFD for a name in a directory, not fresh.
func statName(dirfd int, name string) (hostStat, error) {
	return statx(dirfd, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC)
}

// statx is the call itself. It is made for every entry of a listing, so the
// name goes to the kernel from the stack.
func statx(fd int, name string, flags int) (hostStat, error) {
	const mask = unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID_UNIQUE
	var x unix.Statx_t
	var path [256]byte
	if len(name) >= len(path) {
		return hostStat{}, unix.ENAMETOOLONG
	}
	copy(path[:], name)
	for {
		_, _, e := unix.Syscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(&path)), uintptr(flags), mask,
			uintptr(unsafe.Pointer(&x)), 0)
		if e == 0 {
			break
		}
		if e != unix.EINTR {
			return hostStat{}, e
		}
	}
	s := hostStat{
		attr: nfs.Attr{
			Type: typeOf(uint32(x.Mode)), Mode: uint32(x.Mode) & modePerm, Nlink: x.Nlink, UID: x.Uid, GID: x.Gid,
			Size: x.Size, Used: x.Blocks * 512, Major: x.Rdev_major, Minor: x.Rdev_minor,
			Atime: statxTime(x.Atime), Mtime: statxTime(x.Mtime), Ctime: statxTime(x.Ctime),
		},
		ino:   x.Ino,
		mount: mountKey{x.Mnt_id, unix.Mkdev(x.Dev_major, x.Dev_minor)},
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		s.birth = x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
	}
	return s, nil
}

func statxTime(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

// The file systems whose inode handles hold the number and the generation of
// an inode and nothing that changes while it lives.
var handleTypes = map[int64]bool{
	unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true,
	unix.TMPFS_MAGIC: true, unix.F2FS_SUPER_MAGIC: true,
}

// File systems that live on this computer. FUSE is none: who knows what a call
// of it waits for.
var localTypes = map[string]bool{
	"ext2": true, "ext3": true, "ext4": true, "xfs": true, "btrfs": true, "bcachefs": true, "f2fs": true, "zfs": true,
	"jfs": true, "reiserfs": true, "nilfs2": true, "tmpfs": true, "ramfs": true, "rootfs": true, "overlay": true,
	"aufs": true, "vfat": true, "msdos": true, "exfat": true, "ntfs": true, "ntfs3": true, "fuseblk": true,
	"hfs": true, "hfsplus": true, "iso9660": true, "udf": true, "squashfs": true, "erofs": true, "cramfs": true,
	"ubifs": true, "jffs2": true, "minix": true, "ufs": true, "hostfs": true, "ecryptfs": true,
}

// inodeHandle gives the kernel's handle of the object behind fd, as its type
// and bytes, and a hash of it. Both are zero where the kernel never gives one.
func inodeHandle(fd int) (handle string, gen uint32, err error) {
	return handleAt(fd, "", unix.AT_EMPTY_PATH)
}

// handleAt is inodeHandle for a name in a directory, and for what flags say.
func handleAt(dirfd int, name string, flags int) (handle string, gen uint32, err error) {
	var h struct { // struct file_handle of include/linux/fs.h
		size uint32
		typ  int32
		b    [maxHandle - 4]byte
	}
	var path [256]byte
	if len(name) >= len(path) {
		return "", 0, unix.ENAMETOOLONG
	}
	copy(path[:], name)
	var mount int32
	for {
		h.size = uint32(len(h.b))
		_, _, e := unix.Syscall6(unix.SYS_NAME_TO_HANDLE_AT, uintptr(dirfd), uintptr(unsafe.Pointer(&path)), uintptr(unsafe.Pointer(&h)),
			uintptr(unsafe.Pointer(&mount)), uintptr(flags), 0)
		switch e {
		case 0:
		case unix.EINTR:
			continue
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.EPERM, unix.EOVERFLOW:
			return "", 0, nil
		default:
			return "", 0, e
		}
		break
	}
	if h.size > uint32(len(h.b)) {
		return "", 0, nil
	}
	var b [maxHandle]byte
	binary.LittleEndian.PutUint32(b[:], uint32(h.typ))
	n := 4 + copy(b[4:], h.b[:h.size])
	return string(b[:n]), crc32.Checksum(b[:n], castagnoli), nil
}

// The types of handles (include/linux/exportfs.h) that hold an inode number at
// a known place.
const (
	fileidIno32Gen = 1    // ext4: 32 bits; tmpfs: generation, then 64 bits
	fileidIno64Gen = 0x81 // xfs
	fileidBtrfs    = 0x4d
)

// handleIno is the inode number in a handle, if it is known where it is.
func handleIno(handle string) (ino uint64, ok bool) {
	b := []byte(handle)
	if len(b) < 12 {
		return 0, false
	}
	switch typ, b := binary.LittleEndian.Uint32(b), b[4:]; {
	case typ == fileidIno32Gen && len(b) == 8:
		return uint64(binary.NativeEndian.Uint32(b)), true
	case typ == fileidIno32Gen && len(b) == 12:
		return uint64(binary.NativeEndian.Uint32(b[4:])) | uint64(binary.NativeEndian.Uint32(b[8:]))<<32, true
	case (typ == fileidIno64Gen || typ == fileidBtrfs) && len(b) >= 8:
		return binary.NativeEndian.Uint64(b), true
	}
	return 0, false
}

// identifyName is examine for an object that nobody needs open: it gives its
// attributes with its id. ok is false if that takes a descriptor.
func (f *FS) identifyName(dd *desc, name string) (o object, ok bool, err error) {
	if o.hostStat, err = statName(dd.fd, name); err != nil {
		return o, true, err
	}
	v := dd.vol
	if o.mount != v.mount || v.remote || v.byName || !v.entered {
		return o, false, nil
	}
	k := identity{volume: v.id, ino: o.ino, birth: o.birth, typ: o.attr.Type}
	if v.handles {
		if o.handle, k.gen, err = handleAt(dd.fd, name, 0); err != nil {
			return o, true, err
		}
		// The name may mean another object by now.
		if ino, known := handleIno(o.handle); !known || ino != o.ino {
			return o, false, nil
		}
		if v != f.rootDesc.vol {
			o.handle = ""
		}
	}
	o.attr.ID, o.check = f.index.idOf(&k)
	return o, true, nil
}

// openHandle opens the object of a handle on the volume that fd is on. It
// needs CAP_DAC_READ_SEARCH (EPERM). ESTALE: the inode is gone.
func openHandle(volume int, handle string) (fd int, err error) {
	h := unix.NewFileHandle(int32(binary.LittleEndian.Uint32([]byte(handle))), []byte(handle[4:]))
	return unix.OpenByHandleAt(volume, h, unix.O_PATH|unix.O_CLOEXEC)
}

// selfPath names the object behind d for the calls that take no descriptor.
// The kernel goes from it straight to the object.
func selfPath(d *desc) (string, error) { return "/proc/self/fd/" + strconv.Itoa(d.fd), nil }

// checkSelfPath says whether selfPath can be used here.
func checkSelfPath(d *desc) error {
	p, _ := selfPath(d)
	var st unix.Stat_t
	if err := unix.Stat(p, &st); err != nil {
		return fmt.Errorf("/proc is needed to work with open files: %w", err)
	}
	return nil
}

// reopen opens the object behind d once more, with other rights.
func reopen(d *desc, flags int) (int, error) {
	p, err := selfPath(d)
	if err != nil {
		return -1, err
	}
	return openat(unix.AT_FDCWD, p, flags)
}

func chmodFD(d *desc, mode uint32) error {
	if d.can != 0 {
		return unix.Fchmod(d.fd, mode)
	}
	err := unix.Fchmodat(d.fd, "", mode, unix.AT_EMPTY_PATH)
	if err == unix.EOPNOTSUPP || err == unix.EINVAL { // before Linux 6.6
		p, perr := selfPath(d)
		if perr != nil {
			return perr
		}
		err = unix.Fchmodat(unix.AT_FDCWD, p, mode, 0)
	}
	return err
}

func chownFD(d *desc, uid, gid int) error {
	return unix.Fchownat(d.fd, "", uid, gid, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW)
}

func utimesFD(d *desc, ts [2]unix.Timespec) error {
	err := unix.UtimesNanoAt(d.fd, "", ts[:], unix.AT_EMPTY_PATH)
	if err == unix.EINVAL { // before Linux 5.8
		if p, perr := selfPath(d); perr == nil {
			err = unix.UtimesNanoAt(unix.AT_FDCWD, p, ts[:], 0)
		}
	}
	return err
}

func readlinkFD(d *desc, buf []byte) (int, error) { return unix.Readlinkat(d.fd, "", buf) }

func linkFD(d *desc, dirfd int, name string) error {
	p, err := selfPath(d)
	if err != nil {
		return err
	}
	return unix.Linkat(unix.AT_FDCWD, p, dirfd, name, unix.AT_SYMLINK_FOLLOW)
}

func mknodAt(dirfd int, name string, mode uint32, major, minor uint32) error {
	return unix.Mknodat(dirfd, name, mode, int(unix.Mkdev(major, minor)))
}

func fdatasync(fd int) error { return ignoringEINTR(func() error { return unix.Fdatasync(fd) }) }

func fsync(fd int) error { return ignoringEINTR(func() error { return unix.Fsync(fd) }) }

// syncVolume syncs the volume that fd, which may read, is on, or all of them.
func syncVolume(fd int, same bool) error {
	if !same {
		unix.Sync()
		return nil
	}
	return ignoringEINTR(func() error { return unix.Syncfs(fd) })
}

const (
	utimeNow  = unix.UTIME_NOW
	utimeOmit = unix.UTIME_OMIT
)

// readDirFD calls add for the entries of the directory behind fd from where it
// stands, with the inode number and the type (0: not known) that it records.
func readDirFD(fd int, add func(name string, ino uint64, typ nfs.FileType) bool) error {
	buf := make([]byte, 128<<10)
	for {
		n, err := getdents(fd, buf)
		if err != nil || n == 0 {
			return err
		}
		more := parseDirents(buf[:n], func(e *dirent) bool {
			return e.dots() || add(string(e.name), e.ino, e.typ)
		})
		if !more {
			return nil
		}
	}
}

func getdents(fd int, buf []byte) (n int, err error) {
	err = ignoringEINTR(func() (err error) {
		n, err = unix.Getdents(fd, buf)
		return err
	})
	return n, err
}

// dirent is an entry as the kernel lists it.
type dirent struct {
	name []byte
	ino  uint64
	next int64 // the position of the entry that follows
	typ  nfs.FileType
}

func (e *dirent) dots() bool { return string(e.name) == "." || string(e.name) == ".." }

// parseDirents reads what getdents64(2) returns: ino:u64 off:u64 reclen:u16
// type:u8 name, NUL, padding.
func parseDirents(b []byte, add func(*dirent) bool) (more bool) {
	const fixed = 19
	var e dirent
	for len(b) >= fixed {
		n := int(binary.NativeEndian.Uint16(b[16:]))
		if n < fixed || n > len(b) {
			return true
		}
		e.name = b[fixed:n]
		if i := bytes.IndexByte(e.name, 0); i >= 0 {
			e.name = e.name[:i]
		}
		e.ino, e.next, e.typ = binary.NativeEndian.Uint64(b), int64(binary.NativeEndian.Uint64(b[8:])), typeOf(uint32(b[18])<<12)
		b = b[n:]
		if e.ino == 0 || len(e.name) == 0 {
			continue
		}
		if !add(&e) {
			return false
		}
	}
	return true
}

// openBeforeUnlink has nothing to do: what stands for an object can be opened
// for its data also after its last name is gone.
func openBeforeUnlink(*FS, *victim) {}
