package dirfs

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// describeVolume finds out about the volume that fd is on. Unless root is set,
// it does not touch a file system that is not local.
func describeVolume(fd int, s *hostStat, root bool) (*volume, error) {
	v := &volume{dev: s.mount.dev, entered: true, accuracy: coarseTime}
	typ := mountType(fd, s)
	v.remote = typ != "" && !localTypes[typ]
	if v.remote && !root {
		v.entered, v.fsid = false, s.mount.dev
		return v, nil
	}
	var st unix.Statfs_t
	if err := ignoringEINTR(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return nil, err
	}
	v.fsid = uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32
	magic := int64(st.Type)
	v.handles = handleTypes[magic]
	v.memory = magic == unix.TMPFS_MAGIC || magic == unix.RAMFS_MAGIC
	// By name: ext2 has the number of ext4, and takes no position but its own.
	v.ordered.Store(typ == "ext4" || typ == "ext3" || typ == "xfs")
	v.properties = nfs.Properties{LinkMax: 32000}
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		v.properties.LinkMax = 65000
	case unix.BTRFS_SUPER_MAGIC:
		v.properties.LinkMax = 65535
	case unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC:
		v.byName, v.accuracy = true, coarseTimeFAT
		v.properties.LinkMax, v.properties.CaseInsensitive = 1, true
	}
	return v, nil
}

// mountType looks the type of the file system up in the kernel's table.
func mountType(fd int, s *hostStat) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	var x unix.Statx_t
	id := ""
	flags := unix.AT_EMPTY_PATH | unix.AT_SYMLINK_NOFOLLOW | unix.AT_STATX_DONT_SYNC
	if unix.Statx(fd, "", flags, unix.STATX_MNT_ID, &x) == nil && x.Mask&unix.STATX_MNT_ID != 0 {
		id = strconv.FormatUint(x.Mnt_id, 10)
	}
	dev := strconv.Itoa(int(unix.Major(s.mount.dev))) + ":" + strconv.Itoa(int(unix.Minor(s.mount.dev)))
	typ := ""
	for in := bufio.NewScanner(f); in.Scan(); {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
		left, right, ok := strings.Cut(in.Text(), " - ")
		w := strings.Fields(left)
		if !ok || len(w) < 3 {
			continue
		}
		if id != "" && w[0] == id || id == "" && w[2] == dev {
			typ, _, _ = strings.Cut(right, " ")
		}
	}
	return typ
}

func statVolume(d *desc) (nfs.FSStat, error) {
	var st unix.Statfs_t
	if err := ignoringEINTR(func() error { return unix.Fstatfs(d.fd, &st) }); err != nil {
		return nfs.FSStat{}, err
	}
	unit := uint64(st.Frsize)
	if unit == 0 {
		unit = uint64(st.Bsize)
	}
	return nfs.FSStat{
		TotalBytes: st.Blocks * unit, FreeBytes: st.Bfree * unit, AvailBytes: st.Bavail * unit,
		TotalFiles: st.Files, FreeFiles: st.Ffree, AvailFiles: st.Ffree,
	}, nil
}
