package dirfs

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

const (
	pcCaseSensitive = 11     // _PC_CASE_SENSITIVE of unistd.h
	mntDoVolFS      = 0x8000 // MNT_DOVOLFS of sys/mount.h
)

// describeVolume finds out about the volume that fd is on.
func describeVolume(fd int, s *hostStat, root bool) (*volume, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return nil, err
	}
	v := &volume{
		dev: s.mount.dev, entered: true, accuracy: coarseTime,
		fsid:    uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32,
		remote:  st.Flags&unix.MNT_LOCAL == 0,
		handles: st.Flags&mntDoVolFS != 0,
	}
	if !root && (v.remote || !v.handles) {
		v.entered = false
	}
	v.properties = nfs.Properties{LinkMax: 32767}
	if sensitive, err := unix.Fpathconf(fd, pcCaseSensitive); err == nil {
		v.properties.CaseInsensitive = sensitive == 0
	}
	return v, nil
}

func statVolume(d *desc) (nfs.FSStat, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &st); err != nil {
		return nfs.FSStat{}, err
	}
	unit := uint64(st.Bsize)
	return nfs.FSStat{
		TotalBytes: st.Blocks * unit, FreeBytes: st.Bfree * unit, AvailBytes: st.Bavail * unit,
		TotalFiles: st.Files, FreeFiles: st.Ffree, AvailFiles: st.Ffree,
	}, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
